"""A proof pack is checked by anybody's tools, and no byte of it can change unseen."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.proof import (
    CheckStatus,
    PackVerdict,
    _directory,
    _Entry,
    pack_chunks,
    pack_size,
    verify_pack,
    write_pack,
)
from archive.record import RecordBroken, SealedManifest
from archive.s3 import S3Store
from archive.store import ObjectAltered
from schemas.catalogue import load
from tests.archive.sealing import KEY, OTHER_KEY, SEALED_AT, seal_sample

SCRIPT = """
set -eu
sha512sum --check --strict --quiet SHA512SUMS
openssl x509 -in certificat.pem -pubkey -noout > cle.pub
openssl dgst -sha512 -verify cle.pub -signature SHA512SUMS.sig SHA512SUMS
(cut -c131- SHA512SUMS; find . ! -type d | cut -c3-) | sort | uniq -u
openssl x509 -in certificat.pem -noout -fingerprint -sha256
"""


@pytest.fixture(scope="module")
def record(store: S3Store) -> SealedManifest:
    return seal_sample(store, "coffre/preuve")


@pytest.fixture(scope="module")
def pack(store: S3Store, record: SealedManifest) -> bytes:
    return _pack(store, record)


def _pack(store: S3Store, record: SealedManifest) -> bytes:
    out = io.BytesIO()
    write_pack(out, store, record.manifest, record.signature)
    return out.getvalue()


def _refused(data: bytes) -> bool:
    return verify_pack(io.BytesIO(data), expected_fingerprint=KEY.fingerprint).verdict is PackVerdict.REFUSED


def _failed(data: bytes) -> dict[int, list[str]]:
    report = verify_pack(io.BytesIO(data), expected_fingerprint=KEY.fingerprint)
    return {c.number: [d.code for d in c.details] for c in report.checks if c.status is CheckStatus.FALSE}


def _rezipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip with our framing around any members, as a careful forger would write it."""
    parts, entries = [], []
    for name, data in members:
        entry = _Entry(name, zlib.crc32(data), len(data))
        entries.append(entry)
        parts += [entry.local_header, data, entry.descriptor]
    return b"".join(parts) + _directory(entries)


def _members(pack: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(pack)) as opened:
        return [(name, opened.read(name)) for name in opened.namelist()]


def test_a_good_pack_is_genuine(pack: bytes) -> None:
    report = verify_pack(io.BytesIO(pack), expected_fingerprint=KEY.fingerprint)
    assert report.verdict is PackVerdict.GENUINE
    assert report.intact
    assert [check.number for check in report.checks] == [1, 2, 3, 4, 5, 6]
    assert report.sealed_at == SEALED_AT.isoformat()
    assert report.file_count == 8


def test_the_expected_fingerprint_may_be_written_as_openssl_does(pack: bytes, tmp_path: Path) -> None:
    written = ":".join(KEY.fingerprint.upper()[i : i + 2] for i in range(0, 64, 2))
    (tmp_path / "preuve.zip").write_bytes(pack)
    report = verify_pack(tmp_path / "preuve.zip", expected_fingerprint=written)
    assert report.verdict is PackVerdict.GENUINE


def test_without_expected_certificate_the_reader_must_compare(pack: bytes) -> None:
    report = verify_pack(io.BytesIO(pack))
    assert report.verdict is PackVerdict.TO_COMPARE
    assert report.intact
    assert KEY.fingerprint in report.checks[5].sentence("fr")
    assert "CN=Pli" in report.subject


def test_every_single_byte_matters(pack: bytes) -> None:
    assert len(pack) < 16_384
    for position in range(len(pack)):
        altered = bytearray(pack)
        altered[position] ^= 1 + position % 255
        assert _refused(bytes(altered)), position


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_can_be_added_cut_or_moved(pack: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(pack)))
    end = data.draw(st.integers(start, min(len(pack), start + 40)))
    put = data.draw(st.binary(max_size=30))
    altered = pack[:start] + put + pack[end:]
    assert altered == pack or _refused(altered)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_get_a_report(noise: bytes, more: bytes) -> None:
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(more), len(noise), 0)
    for data in (noise, noise + more + end):
        report = verify_pack(io.BytesIO(data))
        assert report.verdict is PackVerdict.REFUSED
        assert len(report.lines("fr")) == len(report.lines("en")) == 7


def test_anybodys_tools_accept_it(pack: bytes, tmp_path: Path) -> None:
    (tmp_path / "preuve.zip").write_bytes(pack)
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-q", "preuve.zip", "-d", "d"], cwd=tmp_path, check=True, env=_utf8())
    else:
        zipfile.ZipFile(tmp_path / "preuve.zip").extractall(tmp_path / "d")
    done = subprocess.run(
        ["sh", "-c", SCRIPT], cwd=tmp_path / "d", check=True, capture_output=True, text=True, env=_utf8()
    )
    assert "Verified OK" in done.stdout
    assert set(done.stdout.splitlines()) >= {"SHA512SUMS", "SHA512SUMS.sig", "cle.pub"}
    assert not [line for line in done.stdout.splitlines() if "/" in line]
    shown = done.stdout.split("=")[-1].strip()
    assert shown.replace(":", "").lower() == KEY.fingerprint
    assert shown in (tmp_path / "d" / "LISEZ-MOI.txt").read_text()


def test_the_commands_of_the_reading_note_are_those_of_this_test(pack: bytes) -> None:
    note = dict(_members(pack))["LISEZ-MOI.txt"].decode()
    for line in SCRIPT.strip().splitlines()[2:-1]:
        assert note.count(line) == 2


def _utf8() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def test_the_standard_library_reads_it(pack: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(pack)) as opened:
        assert opened.testzip() is None
        assert opened.namelist()[:2] == ["SHA512SUMS", "SHA512SUMS.sig"]
        assert "pieces/délibération n° 1.pdf" in opened.namelist()


def test_the_same_record_gives_the_same_pack(store: S3Store, record: SealedManifest, pack: bytes) -> None:
    assert b"".join(pack_chunks(store, record.manifest)) == pack
    assert pack_size(store, record.manifest) == len(pack)


def test_a_file_changed_with_its_crc_is_named(pack: bytes) -> None:
    forged = _rezipped([(n, b"x" + d[1:] if n.startswith("pieces/") else d) for n, d in _members(pack)])
    assert _failed(forged) == {3: ["empreinte_fausse"]}
    line = verify_pack(io.BytesIO(forged)).checks[2].sentence("fr")
    assert "FAUX. Le contenu de pieces/délibération n° 1.pdf a été changé" in line


def test_a_file_added_and_a_file_removed_are_named(pack: bytes) -> None:
    assert _failed(_rezipped([*_members(pack), ("ajout.txt", b"")])) == {2: ["liste_fichier_en_trop"]}
    assert _failed(_rezipped(_members(pack)[:-1])) == {2: ["liste_fichier_manquant"]}


def test_the_order_of_files_is_part_of_the_form(pack: bytes) -> None:
    members = _members(pack)
    assert _failed(_rezipped([*members[:2], members[3], members[2], *members[4:]])) == {2: ["liste_desordre"]}


def test_a_list_rewritten_after_sealing_fails_at_the_seal(pack: bytes) -> None:
    members = [
        (n, d.replace(b"retours/ARActe.xml", b"retours/ARActe.xmm") if n == "SHA512SUMS" else d)
        for n, d in _members(pack)
    ]
    renamed = [(n.replace("ARActe.xml", "ARActe.xmm"), d) for n, d in members]
    assert _failed(_rezipped(renamed)) == {4: ["sceau_faux"]}


def test_a_record_sealed_again_by_another_key_is_not_the_expected_one(store: S3Store) -> None:
    other = _pack(store, seal_sample(store, "coffre/autre", key=OTHER_KEY))
    assert verify_pack(io.BytesIO(other)).verdict is PackVerdict.TO_COMPARE
    assert _failed(other) == {6: ["certificat_autre"]}
    report = verify_pack(io.BytesIO(other), expected_fingerprint=KEY.fingerprint)
    assert report.verdict is PackVerdict.OTHER_CERTIFICATE
    assert report.intact
    assert not report.accepted
    assert "intact, mais pas scellé par le certificat attendu" in report.sentence("fr")


def test_the_holder_s_name_is_shown_plainly(pack: bytes) -> None:
    seal = verify_pack(io.BytesIO(pack)).checks[3].sentence("fr")
    assert "Signée par Pli, essais." in seal


@pytest.mark.parametrize("missing", ["SHA512SUMS", "SHA512SUMS.sig"])
def test_a_pack_without_list_or_seal_is_refused(pack: bytes, missing: str) -> None:
    kept = [(n, d) for n, d in _members(pack) if n != missing]
    assert _failed(_rezipped(kept))[2] == ["liste_absente"]


def test_a_zip_of_another_tool_is_refused_even_with_the_same_files(pack: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as other:
        for name, data in _members(pack):
            other.writestr(name, data)
    assert 1 in _failed(out.getvalue())


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a\\b", "a\nb", "\u202ex", "."])
def test_a_path_that_leaves_or_lies_is_never_read(name: str) -> None:
    assert _failed(_rezipped([(name, b"")])) == {1: ["zip_repertoire"]}


def test_a_file_altered_in_the_vault_never_leaves_as_proof(store: S3Store) -> None:
    record = seal_sample(store, "coffre/altere")
    store.put_bytes("coffre/altere-depot/1", b"\x09" * 40)
    with pytest.raises(ObjectAltered):
        _pack(store, record)


def test_another_signature_than_the_one_beside_the_manifest_is_refused(
    store: S3Store, record: SealedManifest
) -> None:
    other = replace(record.signature, sha512="0" * 128)
    with pytest.raises(RecordBroken):
        write_pack(io.BytesIO(), store, record.manifest, other)


def test_the_report_speaks_french_english_and_json(pack: bytes) -> None:
    report = verify_pack(io.BytesIO(pack), expected_fingerprint=KEY.fingerprint)
    assert report.lines("fr")[0].startswith("1. Le zip est entier")
    assert report.lines("en")[-1].startswith("Genuine record: 8 files")
    told = json.loads(json.dumps(report.to_json()))
    assert told["verdict"] == "authentique"
    assert [check["statut"] for check in told["controles"]] == ["prouve"] * 6


def test_every_message_of_the_room_speaks_both_languages() -> None:
    catalogue = load("archive")
    for key in catalogue:
        assert set(catalogue.entry(key)) >= {"fr", "en"}, key
