"""Sealed records: every file of an envelope, listed with its SHA-512, and one signature over the list.

A record is laid out so that a third person checks it with `sha512sum -c` and `openssl dgst`, without Pli:

    SHA512SUMS        one line a file, all but itself and its signature
    SHA512SUMS.sig    the seal: detached RSA signature of SHA512SUMS
    certificat.pem    whose seal it is
    LISEZ-MOI.txt     how to check it, in French and in English
    inventaire.json   names, sizes and places of the files, and when the record was sealed
    …                 the files and texts of the envelope

    RecordError
    ├── UnfitPath        a path that a list or a zip can't hold safely
    ├── RecordBroken     what the vault holds does not fit together
    └── PackTooLarge     more than a plain zip can hold (`archive/proof.py`)
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files as resources
from typing import Any, BinaryIO, cast

from archive.store import ObjectMissing, ObjectStore, Ref
from signing.seal import SealKey

MANIFEST = "SHA512SUMS"
SIGNATURE = "SHA512SUMS.sig"
CERTIFICATE = "certificat.pem"
README = "LISEZ-MOI.txt"
INVENTORY = "inventaire.json"
FORMAT = "pli-dossier-scelle/1"

LIST_LIMIT = 8 * 1024 * 1024
"""Bytes of a manifest or an inventory: some fifty thousand files."""
PATH_LIMIT = 512
"""Bytes of a path in UTF-8."""

_OURS = frozenset({MANIFEST, SIGNATURE, CERTIFICATE, README, INVENTORY})
_LINE = re.compile(r"([0-9a-f]{128})  (.+)")


class RecordError(Exception):
    """Root of the errors of sealed records."""


class UnfitPath(RecordError):
    """A path that a list or an archive can't hold safely, or that is there twice."""


class RecordBroken(RecordError):
    """What the vault holds does not fit together."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of a record: its place in the record, and where the vault keeps it."""

    path: str
    """Relative, with ``/`` between folders: ``pieces/deliberation.pdf``."""
    ref: Ref


@dataclass(frozen=True, slots=True)
class SealedManifest:
    """A sealed record."""

    manifest: Ref
    signature: Ref
    files: tuple[RecordFile, ...]
    """All that the manifest lists, in its order."""
    added: tuple[RecordFile, ...]
    """Those of `files` that the sealing wrote."""


def seal_record(
    store: ObjectStore,
    key: SealKey,
    *,
    prefix: str,
    files: Sequence[RecordFile],
    texts: Mapping[str, bytes],
    sealed_at: datetime,
    read_back: bool = True,
    ask_at: str = "",
) -> SealedManifest:
    """Seal `files` (already stored) and `texts` (path to content, stored here) as one record under `prefix`.

    `sealed_at` has its zone; `ask_at` tells a reader where to ask for the certificate's fingerprint. The same
    arguments write the same bytes under the same keys, so that a repeated call changes nothing. With
    `read_back` every byte is read again and checked against its hash before the seal, and the seal after it.
    Raises `UnfitPath`, and `archive.store.ObjectAltered`, `ObjectMissing`, `StoreUnavailable` of the store.
    """
    _check_paths([f.path for f in files], texts)
    moment = sealed_at.astimezone(UTC).isoformat(timespec="seconds")
    written = [
        _write(store, prefix, path, data)
        for path, data in {
            **texts,
            README: _readme(key, moment, ask_at),
            CERTIFICATE: key.certificate_pem,
        }.items()
    ]
    inventory = _write(store, prefix, INVENTORY, _inventory([*files, *written], key, moment))
    listed = sorted([*files, *written, inventory], key=lambda f: f.path.encode())
    if read_back:
        for file in listed:
            _read_back(store, file.ref)
    lines = write_manifest((f.path, f.ref.sha512) for f in listed)
    manifest = _write(store, prefix, MANIFEST, lines).ref
    signature = _write(store, prefix, SIGNATURE, key.sign(lines)).ref
    if read_back:
        _read_back(store, manifest)
        _read_back(store, signature)
    return SealedManifest(manifest, signature, tuple(listed), (*written, inventory))


def find_record(store: ObjectStore, manifest: Ref) -> SealedManifest:
    """The record of `manifest`, found again from the vault alone (of the reference only the bucket, the key,
    the size and the SHA-512 are used).

    Raises `RecordBroken` where signature or inventory are missing or tell another story than the manifest,
    and the store's errors.
    """
    prefix, _, name = manifest.key.rpartition("/")
    if name != MANIFEST:
        raise RecordBroken("the reference is not that of a manifest")
    sums = read_manifest(store.read(manifest, LIST_LIMIT))
    if INVENTORY not in sums:
        raise RecordBroken("the record has no inventory")
    inventory, content = _look_up(store, manifest.bucket, f"{prefix}/{INVENTORY}")
    if inventory.sha512 != sums[INVENTORY]:
        raise RecordBroken("the inventory is not the sealed one")
    signature, _ = _look_up(store, manifest.bucket, f"{prefix}/{SIGNATURE}")
    places = {file.path: file for file in _read_inventory(content)}
    places[INVENTORY] = RecordFile(INVENTORY, inventory)
    if {path: file.ref.sha512 for path, file in places.items()} != sums:
        raise RecordBroken("the inventory lists other files than the manifest")
    found = tuple(places[path] for path in sums)
    added = tuple(f for f in found if f.ref.key == f"{prefix}/{f.path}")
    return SealedManifest(manifest, signature, found, added)


def write_manifest(entries: Iterable[tuple[str, str]]) -> bytes:
    """The list of (path, SHA-512 in hex) as `sha512sum -c` reads it (GNU coreutils, text mode)."""
    return "".join(f"{sha512}  {path}\n" for path, sha512 in entries).encode()


def read_manifest(data: bytes) -> dict[str, str]:
    """Path to SHA-512 of a manifest, in its order; raises `RecordBroken` for anything that we don't write."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise RecordBroken("the manifest is not UTF-8") from error
    sums: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        parts = _LINE.fullmatch(line)
        if parts is None or not fit_path(parts[2]):
            raise RecordBroken("a line of the manifest is not one")
        sums[parts[2]] = parts[1]
    if write_manifest(sums.items()) != data or list(sums) != sorted(sums, key=str.encode):
        raise RecordBroken("the manifest is not in the form that we write")
    return sums


def fit_path(path: str) -> bool:
    """Whether `path` is relative, stays in its folder, and reads the same in a list, a zip and a shell."""
    return (
        0 < len(path.encode(errors="replace")) <= PATH_LIMIT
        and "\\" not in path
        and all(part not in ("", ".", "..") for part in path.split("/"))
        and all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in path)
    )


class _Nowhere(io.RawIOBase):
    """Takes bytes and keeps none: reading back is for the hash."""

    def write(self, data: Any, /) -> int:
        return len(data)


def _read_back(store: ObjectStore, ref: Ref) -> None:
    store.fetch(ref, cast("BinaryIO", _Nowhere()))


def _check_paths(given: Sequence[str], texts: Mapping[str, bytes]) -> None:
    paths = [*given, *texts]
    for path in paths:
        if not fit_path(path):
            raise UnfitPath(f"not fit for a record: {path!r}")
    folded = {path.casefold() for path in paths}
    if len(folded) < len(paths) or folded & {name.casefold() for name in _OURS}:
        raise UnfitPath("two files of the record have the same path")


def _write(store: ObjectStore, prefix: str, path: str, data: bytes) -> RecordFile:
    return RecordFile(path, store.put_bytes(f"{prefix}/{path}", data))


def _readme(key: SealKey, moment: str, ask_at: str) -> bytes:
    text = resources("archive").joinpath("LISEZ-MOI.txt").read_text(encoding="utf-8")
    return text.format(
        sealed_at=moment,
        fingerprint=key.fingerprint,
        openssl_fingerprint=":".join(re.findall("..", key.fingerprint.upper())),
        where_fr=ask_at or "à la collectivité, ou à l’administrateur de sa plateforme Pli",
        where_en=ask_at or "the public body, or the administrator of its Pli platform",
    ).encode()


def _inventory(files: Sequence[RecordFile], key: SealKey, moment: str) -> bytes:
    content = {
        "format": FORMAT,
        "scelle_le": moment,
        "certificat_sha256": key.fingerprint,
        "fichiers": [
            {
                "chemin": f.path,
                "octets": f.ref.size,
                "sha256": f.ref.sha256,
                "sha512": f.ref.sha512,
                "coffre": f.ref.bucket,
                "cle": f.ref.key,
            }
            for f in sorted(files, key=lambda f: f.path.encode())
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def _read_inventory(data: bytes) -> list[RecordFile]:
    try:
        return [
            RecordFile(f["chemin"], Ref(f["coffre"], f["cle"], f["sha256"], f["sha512"], f["octets"]))
            for f in json.loads(data)["fichiers"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordBroken("the inventory can't be read") from error


def _look_up(store: ObjectStore, bucket: str, key: str) -> tuple[Ref, bytes]:
    """An object known by its key alone, with the reference that its bytes give."""
    data = bytearray()
    try:
        with store.open(Ref(bucket, key, "", "", LIST_LIMIT)) as chunks:
            for chunk in chunks:
                data += chunk
                if len(data) > LIST_LIMIT:
                    raise RecordBroken("an object of the record is too large for what it is")
    except ObjectMissing as error:
        raise RecordBroken("an object of the record is missing") from error
    content = bytes(data)
    sha256, sha512 = hashlib.sha256(content).hexdigest(), hashlib.sha512(content).hexdigest()
    return Ref(bucket, key, sha256, sha512, len(content)), content
