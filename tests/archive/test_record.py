"""A sealed record lists every file once, is sealed only when every byte was read back, and is found again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.record import (
    RecordBroken,
    RecordFile,
    UnfitPath,
    find_record,
    fit_path,
    read_manifest,
    seal_record,
    write_manifest,
)
from archive.s3 import S3Store
from archive.store import ObjectAltered, ObjectMissing
from signing.seal import verify_seal
from tests.archive.sealing import KEY, SEALED_AT, TEXTS, seal_sample

LIMIT = 1 << 20
HASH = "0f" * 64
UNFIT = ("", "/acte.pdf", "../acte.pdf", "a/../b", "a//b", "a\\b", "a\nb", "a\u202eb", "x" * 513, "a/", ".")
TAKEN = (
    "SHA512SUMS", "sha512sums.SIG", "certificat.pem", "LISEZ-MOI.txt", "inventaire.json", "Chronologie.txt",
)  # fmt: skip


def test_the_list_names_every_file_and_the_seal_is_that_of_the_list(store: S3Store) -> None:
    record = seal_sample(store, "dossier/1")
    lines = store.read(record.manifest, LIMIT)
    assert verify_seal(lines, store.read(record.signature, LIMIT), KEY.certificate_pem).genuine
    assert list(read_manifest(lines)) == [
        "LISEZ-MOI.txt", "certificat.pem", "chronologie.json", "chronologie.txt", "dossier.json",
        "inventaire.json", "pieces/délibération n° 1.pdf", "retours/ARActe.xml",
    ]  # fmt: skip
    assert [f.path for f in record.files] == list(read_manifest(lines))
    assert {f.path for f in record.added} == set(read_manifest(lines)) - {
        "pieces/délibération n° 1.pdf", "retours/ARActe.xml",
    }  # fmt: skip


def test_the_inventory_says_when_by_whom_and_what(store: S3Store) -> None:
    record = seal_sample(store, "dossier/2")
    [inventory] = [f for f in record.files if f.path == "inventaire.json"]
    told = json.loads(store.read(inventory.ref, LIMIT))
    assert told["scelle_le"] == "2026-11-23T14:30:00+00:00"
    assert told["certificat_sha256"] == KEY.fingerprint
    assert [f["octets"] for f in told["fichiers"] if f["chemin"] == "retours/ARActe.xml"] == [40]


def test_sealing_again_with_the_same_arguments_changes_nothing(store: S3Store) -> None:
    assert seal_sample(store, "dossier/3") == seal_sample(store, "dossier/3")


def test_a_file_altered_in_the_vault_is_not_sealed(store: S3Store) -> None:
    ref = store.put_bytes("dossier/4-depot", b"abc")
    store.put_bytes("dossier/4-depot", b"abd")
    with pytest.raises(ObjectAltered):
        _seal(store, "dossier/4", [RecordFile("acte.pdf", ref)])
    assert "dossier/4/SHA512SUMS" not in set(store.keys("dossier/4/"))


def test_a_file_that_is_missing_is_not_sealed(store: S3Store) -> None:
    ref = replace(store.put_bytes("dossier/5-depot", b"abc"), key="dossier/absent")
    with pytest.raises(ObjectMissing):
        _seal(store, "dossier/5", [RecordFile("acte.pdf", ref)])


def _seal(store: S3Store, prefix: str, files: list[RecordFile]) -> object:
    return seal_record(store, KEY, prefix=prefix, files=files, texts=TEXTS, sealed_at=SEALED_AT)


@pytest.mark.parametrize("path", [*UNFIT, *TAKEN])
def test_a_path_that_a_list_cannot_hold_is_refused(store: S3Store, path: str) -> None:
    ref = store.put_bytes("dossier/6-depot", b"abc")
    with pytest.raises(UnfitPath):
        _seal(store, "dossier/6", [RecordFile(path, ref)])


def test_a_record_is_found_again_from_its_manifest_alone(store: S3Store) -> None:
    record = seal_sample(store, "dossier/7")
    known = replace(record.manifest, sha256="")
    found = find_record(store, known)
    assert found.signature == record.signature
    assert found.files == record.files
    assert {f.path for f in found.added} == {f.path for f in record.added}


@pytest.mark.parametrize("victim", ["inventaire.json", "SHA512SUMS.sig"])
def test_a_record_with_a_missing_part_is_broken(store: S3Store, victim: str) -> None:
    record = seal_sample(store, f"dossier/8-{victim}")
    store.delete(f"dossier/8-{victim}/{victim}")
    with pytest.raises(RecordBroken):
        find_record(store, record.manifest)


def test_an_inventory_rewritten_in_the_vault_is_not_believed(store: S3Store) -> None:
    record = seal_sample(store, "dossier/9")
    store.put_bytes("dossier/9/inventaire.json", b'{"fichiers": []}')
    with pytest.raises(RecordBroken):
        find_record(store, record.manifest)


def test_a_reference_to_something_else_is_no_record(store: S3Store) -> None:
    with pytest.raises(RecordBroken):
        find_record(store, store.put_bytes("dossier/autre.txt", b""))


_PATHS = st.text(min_size=1, max_size=30).filter(fit_path)


@given(st.dictionaries(_PATHS, st.binary(max_size=3), max_size=8))
def test_a_list_is_read_as_it_was_written(files: dict[str, bytes]) -> None:
    sums = {p: hashlib.sha512(files[p]).hexdigest() for p in sorted(files, key=str.encode)}
    assert read_manifest(write_manifest(sums.items())) == sums


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\n",
        b"rien\n",
        f"{HASH}  a".encode(),
        f"{HASH} *a\n".encode(),
        f"{HASH.upper()}  a\n".encode(),
        f"{HASH}  a\r\n".encode(),
        f"{HASH}  a\n{HASH}  a\n".encode(),
        f"{HASH}  b\n{HASH}  a\n".encode(),
        f"{HASH}  ../a\n".encode(),
        f"{HASH}  a\n\n".encode(),
        f"# note\n{HASH}  a\n".encode(),
    ],
)
def test_a_list_that_we_would_not_write_is_not_read(data: bytes) -> None:
    with pytest.raises(RecordBroken):
        read_manifest(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_broken(data: bytes) -> None:
    try:
        sums = read_manifest(data)
    except RecordBroken:
        return
    assert write_manifest(sums.items()) == data
