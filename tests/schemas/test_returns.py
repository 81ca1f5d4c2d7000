from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas.actes import answers, schema
from schemas.actes.classification import national, parse_classification
from schemas.actes.package import id_acte, package_annulation
from schemas.actes.returns import LETTERS, ReturnMessage, parse_return
from schemas.findings import Refused
from tests.samples import actes as samples
from tests.schemas import conformance

ID = id_acte(samples.acte(), samples.EMETTEUR)
DAY = date(2026, 11, 21)
CURRENT = national().date_version
PACKED = samples.package()
ENVELOPE_NAME = answers.envelope_return_name("TACT", samples.EMETTEUR, samples.TODAY, 9)
ENVELOPE = answers.build_enveloppe_retour(
    siren="214400152", departement="044", arrondissement="1", formulaires=["044-214400152-1-2_0.xml"]
)
AR = answers.build_ar_acte(PACKED.message_xml, id_acte=ID, date_reception=DAY, classification=CURRENT)
AR_NAME = answers.message_return_name(PACKED.message_name, "1-2", 5279)


def returned(name: str, message: bytes) -> ReturnMessage:
    return parse_return(samples.mail([(ENVELOPE_NAME, ENVELOPE), (name, message)]))


def refusal(mail: bytes) -> str:
    with pytest.raises(Refused) as refused:
        parse_return(mail)
    return refused.value.findings[0].code


def test_names_of_returns() -> None:
    assert ENVELOPE_NAME == "TACT--SPREF0441-214400152-20261123-9.xml"
    assert AR_NAME == "044-214400152-20261120-2026_042-DE-1-2_5279.xml"


def test_an_acknowledgement_tells_act_and_date() -> None:
    got = returned(AR_NAME, AR)
    assert (got.transaction, got.siren, got.id_acte, got.numero) == ("1-2", "214400152", ID, "2026_042")
    assert (got.date_reception, got.date_classification) == (DAY, CURRENT)
    assert (got.xml_name, got.xml) == (AR_NAME, AR)
    assert (got.envelope_name, got.envelope_xml) == (ENVELOPE_NAME, ENVELOPE)
    assert got.notes == ()
    assert b'actes:DateReception="2026-11-21"' in got.xml


def test_an_anomaly_tells_nature_detail_and_number() -> None:
    message = answers.build_anomalie_acte(
        PACKED.message_xml,
        jour=DAY,
        nature="002",
        detail="ODT-VERIF-01 : date périmée",
        classification=CURRENT,
    )
    got = returned("044-214400152----1-3_1.xml", message)
    assert (got.transaction, got.siren, got.id_acte, got.numero) == ("1-3", "214400152", None, "2026_042")
    assert (got.anomalie_nature, got.anomalie_detail) == ("002", "ODT-VERIF-01 : date périmée")
    assert got.date_classification == CURRENT


@pytest.mark.parametrize("nature", ["001", "100", "999", "", "X"])
def test_a_refused_envelope_is_known_whatever_its_code(nature: str) -> None:
    message = answers.build_anomalie_enveloppe(PACKED.envelope_xml, jour=DAY, nature=nature, detail=None)
    got = parse_return(samples.mail([(f"ANO_{PACKED.envelope_name}", message)]))
    assert (got.transaction, got.siren, got.anomalie_nature) == ("ANO", "214400152", nature or None)
    assert (got.faulty_envelope, got.faulty_message) == (PACKED.envelope_name, PACKED.message_name)
    assert (got.numero, got.notes) == ("2026_042", ())


def test_a_refused_envelope_is_known_without_any_file_name() -> None:
    message = answers.build_anomalie_enveloppe(PACKED.envelope_xml, jour=DAY, nature="001", detail="x")
    got = parse_return(samples.mail([("retour.xml", message)]))
    assert (got.faulty_envelope, got.faulty_message) == (None, PACKED.message_name)
    assert (got.siren, got.numero) == ("214400152", "2026_042")


def test_a_cancellation_is_acknowledged() -> None:
    got = returned("x.xml", answers.build_ar_annulation(id_acte=ID, date_reception=DAY))
    assert (got.transaction, got.id_acte, got.siren, got.numero) == ("6-2", ID, "214400152", "2026_042")
    assert got.date_reception == DAY


def test_a_classification_comes_or_is_confirmed() -> None:
    got = returned("999-1234----7-2_7.xml", answers.build_retour_classification(national()))
    assert (got.transaction, got.siren, got.date_classification) == ("7-2", "214400152", CURRENT)
    assert list(parse_classification(got.xml).matieres) == list(national().matieres)
    got = returned("x.xml", answers.build_classification_sans_changement(CURRENT))
    assert (got.transaction, got.siren, got.date_classification) == ("7-3", "214400152", CURRENT)


def test_answers_of_the_stand_in_are_valid() -> None:
    for name, document in conformance.valid_samples().items():
        assert schema.validate(document, place=name) == []


@pytest.mark.parametrize("built", [samples.mail, samples.nested_mail])
@pytest.mark.parametrize("order", [1, -1])
def test_parts_come_in_any_order_and_depth(built: Callable[..., bytes], order: int) -> None:
    parts = [(ENVELOPE_NAME, ENVELOPE), (AR_NAME, AR), ("a.pdf", samples.pdf())][::order]
    got = parse_return(built(parts))
    assert (got.transaction, got.id_acte, got.envelope_name) == ("1-2", ID, ENVELOPE_NAME)


@pytest.mark.parametrize("name", ["a.txt", "../../etc/passwd", "x\x1b[2J.xml", "a" * 300 + ".xml", ""])
def test_file_names_say_nothing_and_bad_ones_are_dropped(name: str) -> None:
    got = parse_return(samples.mail([(name.replace("\x1b", "=1B"), AR)]))
    assert (got.transaction, got.id_acte) == ("1-2", ID)
    assert got.xml_name == name or got.xml_name == "ARActe.xml" or "=1B" in got.xml_name


def test_a_missing_envelope_is_noted() -> None:
    got = parse_return(samples.mail([(AR_NAME, AR)]))
    assert (got.siren, got.envelope_xml, got.notes) == ("214400152", None, ("enveloppe_absente",))


def test_utf_8_under_a_latin_1_label_is_put_right() -> None:
    mislabelled = AR.decode("latin-1").replace("cantine", "cantine été €").encode("utf-8")
    got = returned(AR_NAME, mislabelled)
    assert got.notes == ("encodage_corrige",)
    assert "cantine été EUR" in got.xml.decode("latin-1")
    assert etree.fromstring(got.xml).getroottree().docinfo.encoding == "ISO-8859-1"


def test_latin_1_without_or_under_a_utf_8_label_is_put_right() -> None:
    text = AR.decode("latin-1").replace("cantine", "cantine été")
    for label in ("encoding='UTF-8'", ""):
        got = returned(AR_NAME, text.replace("encoding='ISO-8859-1'", label).encode("latin-1"))
        assert got.notes == ("encodage_corrige",)
        assert "cantine été" in got.xml.decode("latin-1")


def test_a_right_label_is_left_alone() -> None:
    text = AR.decode("latin-1").replace("cantine", "cantine été")
    for encoding in ("ISO-8859-1", "UTF-8"):
        data = text.replace("ISO-8859-1", encoding).encode(encoding)
        got = returned(AR_NAME, data)
        assert (got.notes, got.xml) == ((), data)


def test_a_return_that_the_schema_refuses_is_read_all_the_same() -> None:
    loose = AR.replace(b"<actes:DocumentPapier>N</actes:DocumentPapier>", b"").replace(b'"1"', b'"77"')
    assert schema.validate(etree.fromstring(loose), place="x")
    assert returned(AR_NAME, loose).id_acte == ID


def test_an_identifier_of_a_hyphenated_number_is_read() -> None:
    odd = ID.replace("2026_042", "AR-2022-02")
    got = returned("x.xml", answers.build_ar_annulation(id_acte=odd, date_reception=DAY))
    assert (got.id_acte, got.numero) == (odd, "AR-2022-02")


def test_the_same_document_attached_twice_is_one_and_two_documents_are_too_many() -> None:
    assert parse_return(samples.mail([("a.xml", AR), ("b.xml", AR)])).id_acte == ID
    other = AR.replace(b"2026_042", b"2026_043")
    assert refusal(samples.mail([("a.xml", AR), ("b.xml", other)])) == "retour_multiple"


def test_an_unreadable_neighbour_is_noted() -> None:
    got = parse_return(samples.mail([("a.xml", AR), (ENVELOPE_NAME, b"<broken")]))
    assert got.id_acte == ID
    assert set(got.notes) == {"document_illisible", "enveloppe_absente"}


@pytest.mark.parametrize("name", list(LETTERS))
def test_letters_of_the_prefecture_are_recognised_for_later(name: str) -> None:
    letter = etree.tostring(conformance.valid_samples()[name])
    with pytest.raises(Refused) as refused:
        parse_return(samples.mail([("x.xml", letter), ("lettre.pdf", samples.pdf())]))
    (finding,) = refused.value.findings
    assert finding.code == "retour_non_traite"
    assert finding.params == {"racine": name, "transaction": LETTERS[name]}


@pytest.mark.parametrize(
    ("mail", "code"),
    [
        (samples.html_mail("Acte identifié comme transmis par plusieurs canaux"), "retour_multicanal"),
        (samples.html_mail("Transmission multi-canal"), "retour_multicanal"),
        (samples.html_mail("Bonjour"), "retour_sans_xml"),
        (samples.mail([]), "retour_sans_xml"),
        (samples.mail([("a.pdf", samples.pdf())]), "retour_sans_xml"),
        (samples.mail([("a.xml", b"<a/>")]), "retour_inconnu"),
        (samples.mail([("a.xml", ENVELOPE)]), "retour_inconnu"),
        (samples.mail([("a.xml", PACKED.message_xml)]), "retour_inconnu"),
        (samples.mail([("a.xml", b"<a")]), "xml_mal_forme"),
        (samples.mail([("a.xml", samples.xxe())]), "xml_doctype"),
        (samples.mail([("a.xml", samples.entity_bomb())]), "xml_doctype"),
        (samples.mail([("a.xml", samples.deep_xml(1000))]), "xml_trop_profond"),
        (samples.mail([("a.xml", AR.replace(ID.encode(), b" "))]), "retour_incomplet"),
        (samples.mail([("a.xml", AR.replace(b"2026-11-21", b""))]), "retour_incomplet"),
        (b"", "courriel_illisible"),
        (b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 300, "courriel_illisible"),
        (b"Content-Type: message/rfc822\n\n" * 300, "courriel_illisible"),
    ],
)
def test_what_proves_nothing_is_for_the_quarantine(mail: bytes, code: str) -> None:
    assert refusal(mail) == code


def test_an_annulation_sent_back_is_no_return() -> None:
    sent = package_annulation(
        ID,
        "2026_042",
        1,
        DAY,
        samples.EMETTEUR,
        jour=DAY,
        rang=1,
        adresses_retour=["a@b.fr"],
        trigramme="PLI",
        quadrigramme="TACT",
    )
    assert refusal(samples.mail([("a.xml", sent.message_xml)])) == "retour_inconnu"


@settings(max_examples=150)
@given(st.binary(max_size=500))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        parse_return(data)


HEADER = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=a\n",
        b"Content-Type: multipart/mixed\n",
        b"Content-Type: text/html; charset=nope\n",
        b"Content-Type: message/rfc822\n",
        b"Content-Type: message/delivery-status\n",
        b"Content-Type: application/xml; name*=nope''%ff; name*0*=x\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"Content-Transfer-Encoding: x-uuencode\n",
        b'Content-Disposition: attachment; filename="=?utf-8?b?////?="\n',
        b"Content-Disposition: attachment; filename*=utf-8''%80.xml\n",
        b"\xff\xfe: \x00\n",
    ]
)
BODY = st.sampled_from([b"\n", b"--a\n", b"--a--\n", b"<a/>", AR, b"=E9=", b"AAAA", b"begin 666 x\n#0\n"])


@settings(max_examples=200)
@given(st.lists(HEADER | BODY, max_size=25))
def test_random_mails_are_read_or_refused(lines: list[bytes]) -> None:
    with contextlib.suppress(Refused):
        parse_return(b"".join(lines))


@settings(max_examples=100)
@given(st.data())
def test_damaged_mails_are_read_or_refused(data: st.DataObject) -> None:
    mail = bytearray(samples.nested_mail([(ENVELOPE_NAME, ENVELOPE), (AR_NAME, AR)]))
    for _ in range(data.draw(st.integers(1, 8))):
        mail[data.draw(st.integers(0, len(mail) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused):
        parse_return(bytes(mail))
