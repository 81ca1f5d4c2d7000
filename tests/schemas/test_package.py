from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from schemas import xml
from schemas.actes import schema
from schemas.actes.model import Piece, a
from schemas.actes.package import (
    OpenedPackage,
    Package,
    check_archive_size,
    check_package,
    id_acte,
    open_package,
    package_annulation,
    package_demande_classification,
)
from schemas.content import PDF
from schemas.findings import Refused
from schemas.tar import Member, write_archive
from tests.samples import actes as samples
from tests.schemas import conformance

KW = {
    "jour": samples.TODAY,
    "rang": 7,
    "adresses_retour": samples.ADRESSES,
    "trigramme": "PLI",
    "quadrigramme": "TACT",
}
ID = id_acte(samples.acte(), samples.EMETTEUR)


def opened(packed: Package, pieces: list[bytes]) -> OpenedPackage:
    return open_package(io.BytesIO(samples.archive(packed, pieces)))


def refusals(archive: bytes) -> list[str]:
    with pytest.raises(Refused) as refused:
        open_package(io.BytesIO(archive))
    return [f.code for f in refused.value.findings]


def archive_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    write_archive(out, ((name, len(data), io.BytesIO(data)) for name, data in members.items()))
    return out.getvalue()


def members_of(packed: Package) -> dict[str, bytes]:
    pieces = dict(zip(packed.piece_names, [samples.pdf(), samples.png(), samples.jpeg()], strict=True))
    return {packed.envelope_name: packed.envelope_xml, packed.message_name: packed.message_xml, **pieces}


def test_a_package_has_no_fault_and_the_same_bytes_each_time() -> None:
    assert check_package(samples.package(), 3) == []
    assert samples.package() == samples.package()
    assert samples.sample_archive() == samples.sample_archive()


def test_messages_are_latin_1_with_the_prefix_that_software_looks_for() -> None:
    message = samples.package().message_xml
    assert message.startswith(b"<?xml version='1.0' encoding='ISO-8859-1'?>")
    assert "<actes:Objet>Tarifs de la cantine - voeu".encode("latin-1") in message
    assert b'actes:NumeroInterne="2026_042"' in message
    assert b'insee:SIREN="214400152"' in samples.package().envelope_xml


def test_each_return_address_is_named_once_the_platforms_first() -> None:
    envelope = xml.parse(samples.package().envelope_xml, place="e")
    assert [e.text for e in envelope.iter(a("Email"))] == list(samples.ADRESSES)


def test_an_act_is_found_again_in_its_archive() -> None:
    got = opened(samples.package(), [samples.pdf(), samples.png(), samples.jpeg()])
    packed, plain = samples.package(), samples.acte()
    assert (got.transaction, got.id_acte, got.emetteur) == ("1-1", ID, samples.EMETTEUR)
    assert got.adresses_retour == samples.ADRESSES
    assert got.envelope_xml == packed.envelope_xml
    assert got.message_xml == packed.message_xml
    assert got.acte is not None
    assert replace(got.acte, objet=plain.objet, document=plain.document, annexes=plain.annexes) == plain
    assert got.acte.objet == "Tarifs de la cantine - voeu du conseil : 3,20 EUR le repas"
    assert [(p.nom, p.media_type, p.size, p.code_pj) for p in got.acte.pieces] == [
        (name, piece.media_type, piece.size, piece.code_pj)
        for name, piece in zip(packed.piece_names, plain.pieces, strict=True)
    ]


def test_pieces_go_to_the_caller_as_they_come() -> None:
    kept: dict[str, bytes] = {}

    def keep(member: Member, data: object) -> None:
        kept[member.name] = data.read()  # type: ignore[attr-defined]

    got = open_package(io.BytesIO(samples.sample_archive()), keep=keep)
    assert list(kept) == list(samples.package().piece_names) == [m.name for m in got.pieces]
    assert list(kept.values()) == [samples.pdf(), samples.png(), samples.jpeg()]


def test_a_cancellation_and_a_request_are_found_again() -> None:
    annulation = package_annulation(ID, "2026_042", 1, date(2026, 11, 20), samples.EMETTEUR, **KW)  # type: ignore[arg-type]
    assert annulation.message_name == "044-214400152-20261120-2026_042-DE-6-1_0.xml"
    assert check_package(annulation, 0) == []
    got = opened(annulation, [])
    assert (got.transaction, got.id_acte, got.acte, got.pieces) == ("6-1", ID, None, ())
    for known in (None, date(2019, 4, 18)):
        demande = package_demande_classification(samples.EMETTEUR, known, **KW)  # type: ignore[arg-type]
        assert demande.message_name == "044-214400152----7-1_0.xml"
        assert check_package(demande, 0) == []
        got = opened(demande, [])
        assert (got.transaction, got.id_acte, got.date_classification) == ("7-1", None, known)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda p: replace(p, envelope_name="x.xml"), "nom_invalide"),
        (lambda p: replace(p, archive_name="x.tar.gz"), "nom_invalide"),
        (lambda p: replace(p, message_name=p.message_name.replace("214400152", "000000000")), "nom_invalide"),
        (lambda p: replace(p, message_name=p.message_name.replace("_0", "_9")), "formulaire_absent"),
        (lambda p: replace(p, piece_names=p.piece_names[:2]), "piece_absente"),
        (
            lambda p: replace(p, piece_names=(*p.piece_names, p.piece_names[0].replace("_1.", "_4."))),
            "fichier_non_reference",
        ),
        (
            lambda p: replace(p, message_xml=p.message_xml.replace(b'Nombre="2"', b'Nombre="3"')),
            "annexes_nombre",
        ),
        (lambda p: replace(p, message_xml=p.message_xml.replace(b"Objet", b"Objets")), "xsd_invalide"),
        (lambda p: replace(p, message_xml=b"<a>"), "xml_mal_forme"),
    ],
)
def test_a_spoilt_package_does_not_leave(spoil: Callable[[Package], Package], code: str) -> None:
    assert code in [f.code for f in check_package(spoil(samples.package()), 3)]


def test_an_address_that_the_norm_does_not_take_is_found_before_leaving() -> None:
    packed = samples.package()
    bad = replace(
        packed, envelope_xml=packed.envelope_xml.replace(b"mairie@commune.test", b"mairie@commune.example")
    )
    (finding,) = check_package(bad, 3)
    assert finding.code == "xsd_invalide"
    assert finding.place.startswith(packed.envelope_name)


def test_an_archive_may_weigh_150_mebibytes() -> None:
    assert check_archive_size(157_286_400, place="a") == []
    assert [f.code for f in check_archive_size(157_286_401, place="a")] == ["taille_depassee"]


def change(**spoilt: Callable[[bytes], bytes]) -> bytes:
    """The sample archive with one document changed: `envelope` or `message`."""
    packed = samples.package()
    if "envelope" in spoilt:
        packed = replace(packed, envelope_xml=spoilt["envelope"](packed.envelope_xml))
    if "message" in spoilt:
        packed = replace(packed, message_xml=spoilt["message"](packed.message_xml))
    return archive_of(members_of(packed))


def without(part: str) -> bytes:
    members = members_of(samples.package())
    return archive_of({name: data for name, data in members.items() if part not in name})


def test_an_archives_name_names_its_envelope() -> None:
    packed = samples.package()
    assert open_package(io.BytesIO(samples.sample_archive()), archive_name=packed.archive_name).id_acte == ID
    for name in ("PLI-TACT--214400152--20261123-2.tar.gz", "x.zip"):
        with pytest.raises(Refused) as refused:
            open_package(io.BytesIO(samples.sample_archive()), archive_name=name)
        assert [(f.code, f.place) for f in refused.value.findings] == [("nom_invalide", name)]


@pytest.mark.parametrize(
    ("archive", "codes"),
    [
        (without("TACT"), ["enveloppe_unique"]),
        (without("1-1_0"), ["formulaire_absent"]),
        (without("1-1_2"), ["piece_absente"]),
        (
            archive_of({**members_of(samples.package()), "x.pdf": samples.pdf()}),
            ["fichier_non_reference", "nom_invalide"],
        ),
        (
            archive_of(
                {
                    **members_of(samples.package()),
                    "TACT--214400152--20261123-2.xml": samples.package().envelope_xml,
                }
            ),
            ["enveloppe_unique"],
        ),
        (change(message=lambda m: m.replace(b'Nombre="2"', b'Nombre="1"')), ["annexes_nombre"]),
        (
            change(message=lambda m: m.replace(b"<actes:DocumentPapier>N</actes:DocumentPapier>", b"")),
            ["xsd_invalide"],
        ),
        (
            change(message=lambda m: m.replace(b'CodeNatureActe="1"', b'CodeNatureActe="9"')),
            ["nature_inconnue"],
        ),
        (
            change(
                message=lambda m: m.replace(b'CodeNatureActe="1"', b'CodeNatureActe="' + b"1" * 24 + b'"')
            ),
            ["nature_inconnue"],
        ),
        (change(message=lambda m: m.replace(b'"2026-11-20"', b'"12026-11-20"')), ["date_illisible"]),
        (change(message=lambda m: samples.xxe()), ["xml_doctype"]),
        (change(envelope=lambda e: e.replace(b"214400152", b"214502494", 1)), ["nom_invalide"] * 5),
        (
            change(
                envelope=lambda e: e.replace(
                    b"</actes:Formulaire>",
                    b"</actes:Formulaire><actes:Formulaire><actes:NomFichier>x</actes:NomFichier></actes:Formulaire>",
                )
            ),
            ["formulaire_unique"],
        ),
        (
            archive_of(
                {
                    name: b"hello" if name.endswith("pdf") else data
                    for name, data in members_of(samples.package()).items()
                }
            ),
            ["format_inconnu"],
        ),
        (samples.tar_link(), ["archive_membre_interdit"]),
        (samples.gzip_bomb(20), ["archive_bombe"]),
        (b"", ["archive_illisible"]),
    ],
)
def test_an_archive_that_breaks_the_norm_is_refused(archive: bytes, codes: list[str]) -> None:
    assert refusals(archive) == codes


def test_a_message_that_is_not_transmitted_yet_is_refused_by_its_name() -> None:
    letter = conformance.valid_samples()["ReponseCourrierSimple"]
    from lxml import etree

    packed = samples.package()
    name = "044-214400152-20261101-2026_042-DE-2-2_0.xml"
    envelope = packed.envelope_xml.replace(packed.message_name.encode(), name.encode())
    piece = "044-214400152-20261101-2026_042-DE-2-2_1.pdf"
    message = etree.tostring(letter).replace(b"lettre.pdf", piece.encode())
    members = {packed.envelope_name: envelope, name: message, piece: samples.pdf()}
    assert refusals(archive_of(members)) == ["message_non_traite"]


@pytest.mark.parametrize("name", list(conformance.valid_samples()))
def test_a_document_of_every_root_element_is_valid(name: str) -> None:
    assert schema.validate(conformance.valid_samples()[name], place=name) == []


def test_the_schema_names_line_and_element() -> None:
    packed = samples.package(samples.acte(annexes=(), document=Piece("x", PDF, 1, "99_DE")))
    broken = xml.parse(
        packed.message_xml.replace(b'NumeroInterne="2026_042"', b'NumeroInterne="' + b"9" * 16 + b'"'),
        place="m",
    )
    (finding,) = schema.validate(broken, place="m.xml")
    assert finding.place == "m.xml:2 /actes:Acte"
    assert "NumeroInterne" in finding.params["detail"]
    assert "http" not in finding.params["detail"]
