"""Proof packs: a sealed record as one zip, and the check that finds a change of any single byte.

The zip is written in one form only (stored, no dates, no extra fields; APPNOTE 6.3.10, sections 4.3 and 4.4),
so that the bytes around the files are known in advance: the check writes them again and compares. The files
are covered by their hashes, the list of hashes by the seal.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.x509.oid import NameOID

from archive.record import (
    CERTIFICATE,
    INVENTORY,
    LIST_LIMIT,
    MANIFEST,
    SIGNATURE,
    RecordBroken,
    RecordError,
    RecordFile,
    find_record,
    fit_path,
    read_manifest,
)
from archive.store import ObjectAltered, ObjectStore, Ref
from schemas.catalogue import Lang, load
from signing.seal import SealStatus, SealVerdict, verify_seal

CHUNK = 1024 * 1024
PACK_LIMIT = 2**32 - 2**20
"""Bytes of a pack: the plain zip's own limit; an envelope of the norm is far below (150 MiB)."""
FILES_LIMIT = 65_535
"""Files in a pack, another limit of the plain zip."""

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_DESCRIPTOR = struct.Struct("<4sIII")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION = 20
_MADE_BY = (3 << 8) | _VERSION
"""A Unix host: only then does every `unzip` believe that names are UTF-8."""
_PLAIN_FILE = 0o100644 << 16
_FLAGS = 0x0808
"""UTF-8 names (bit 11); CRC and sizes follow the data (bit 3)."""
_MIDNIGHT, _FIRST_DAY = 0, (1 << 5) | 1
"""1 January 1980, 0 h: the zip's zero."""
_KEPT = frozenset({MANIFEST, SIGNATURE, CERTIFICATE, INVENTORY})


class PackTooLarge(RecordError):
    """The record is larger than a plain zip can be."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in the zip, as the central directory tells it."""

    name: str
    crc: int
    size: int

    @property
    def local_header(self) -> bytes:
        raw = self.name.encode()
        return _LOCAL.pack(
            b"PK\x03\x04", _VERSION, _FLAGS, 0, _MIDNIGHT, _FIRST_DAY, 0, 0, 0, len(raw), 0
        ) + raw  # fmt: skip

    @property
    def descriptor(self) -> bytes:
        return _DESCRIPTOR.pack(b"PK\x07\x08", self.crc, self.size, self.size)

    @property
    def length(self) -> int:
        """Bytes of the zip that the file takes, its headers included."""
        return len(self.local_header) + self.size + _DESCRIPTOR.size

    def central_header(self, offset: int) -> bytes:
        raw = self.name.encode()
        return _CENTRAL.pack(
            b"PK\x01\x02", _MADE_BY, _VERSION, _FLAGS, 0, _MIDNIGHT, _FIRST_DAY,
            self.crc, self.size, self.size, len(raw), 0, 0, 0, 0, _PLAIN_FILE, offset,
        ) + raw  # fmt: skip


def _directory(entries: Sequence[_Entry]) -> bytes:
    """Everything after the last file: one header a file, and the end."""
    headers, offset = [], 0
    for entry in entries:
        headers.append(entry.central_header(offset))
        offset += entry.length
    central = b"".join(headers)
    count = len(entries)
    return central + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), offset, 0)


def pack_size(store: ObjectStore, manifest: Ref) -> int:
    """Bytes of the pack of `manifest`, known before it is written (for ``Content-Length``)."""
    entries = [_Entry(f.path, 0, f.ref.size) for f in _members(store, manifest)]
    return sum(entry.length for entry in entries) + len(_directory(entries))


def pack_chunks(store: ObjectStore, manifest: Ref) -> Iterator[bytes]:
    """The pack of the record sealed by `manifest`, in chunks of at most 1 MiB; each file checked.

    The same record gives the same bytes. Raises `RecordBroken` before the first chunk, `ObjectAltered` at the
    end of a file that is not the sealed one, `PackTooLarge`, and the store's errors.
    """
    members = _members(store, manifest)
    if sum(f.ref.size for f in members) > PACK_LIMIT or len(members) > FILES_LIMIT:
        raise PackTooLarge(manifest.key)
    entries = []
    for member in members:
        path, ref = member.path, member.ref
        yield _Entry(path, 0, 0).local_header
        crc, digest, size = 0, hashlib.sha512(), 0
        with store.open(ref) as chunks:
            for chunk in chunks:
                crc = zlib.crc32(chunk, crc)
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        if digest.hexdigest() != ref.sha512 or size != ref.size:
            raise ObjectAltered(ref.key)
        entry = _Entry(path, crc, size)
        entries.append(entry)
        yield entry.descriptor
    yield _directory(entries)


def write_pack(out: BinaryIO, store: ObjectStore, manifest: Ref, signature: Ref | None = None) -> None:
    """Write the pack of `manifest` into `out`; as `pack_chunks`.

    Where `signature` is given it must be the one that lies beside the manifest, else `RecordBroken`.
    """
    if signature is not None and find_record(store, manifest).signature.sha512 != signature.sha512:
        raise RecordBroken("the signature beside the manifest is another one")
    for chunk in pack_chunks(store, manifest):
        out.write(chunk)


def _members(store: ObjectStore, manifest: Ref) -> list[RecordFile]:
    record = find_record(store, manifest)
    first = [RecordFile(MANIFEST, record.manifest), RecordFile(SIGNATURE, record.signature)]
    return [*first, *record.files]


class CheckStatus(StrEnum):
    """Outcome of one check."""

    PROVED = "prouve"
    FALSE = "faux"
    TO_COMPARE = "a_comparer"
    """Nothing is wrong; the reader must still compare a value with what he knows."""
    NOT_EXAMINED = "non_examine"
    """An earlier check failed, so that this one would say nothing."""


class PackVerdict(StrEnum):
    """What all checks say together."""

    GENUINE = "authentique"
    TO_COMPARE = "a_comparer"
    OTHER_CERTIFICATE = "autre_certificat"
    """Every byte is as it was sealed, but another certificate than the expected one sealed it."""
    REFUSED = "refuse"


@dataclass(frozen=True, slots=True)
class Detail:
    """What a check found: a key of `archive/messages.toml` and its values."""

    code: str
    params: tuple[tuple[str, str], ...] = ()

    def sentence(self, lang: Lang = "fr") -> str:
        """For people."""
        return load("archive").text(self.code, lang, **dict(self.params))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be proved."""

    number: int
    code: str
    """Key of what must be proved: ``verif_archive``, ``verif_liste``…"""
    status: CheckStatus
    details: tuple[Detail, ...] = ()

    def sentence(self, lang: Lang = "fr") -> str:
        """One numbered line: what had to be proved, whether it was, and what was found."""
        words = load("archive")
        found = " ".join(detail.sentence(lang) for detail in self.details)
        status = words.text(f"statut_{self.status}", lang)
        colon = "\u00a0:" if lang == "fr" else ":"
        return f"{self.number}. {words.text(self.code, lang)}{colon} {status}. {found}".rstrip()


@dataclass(frozen=True, slots=True)
class PackReport:
    """Verdict on a proof pack, with every check under it."""

    checks: tuple[Check, ...]
    fingerprint: str
    """SHA-256 of the enclosed certificate (hex), or empty."""
    subject: str
    """Whose certificate it is, or empty."""
    sealed_at: str
    """When the record says that it was sealed (ISO 8601, UTC), or empty."""
    file_count: int
    """Files that the sealed list names."""

    @property
    def verdict(self) -> PackVerdict:
        """What all checks say together."""
        statuses = {check.status for check in self.checks}
        if statuses == {CheckStatus.PROVED}:
            return PackVerdict.GENUINE
        if statuses == {CheckStatus.PROVED, CheckStatus.TO_COMPARE}:
            return PackVerdict.TO_COMPARE
        if {check.code for check in self.checks if check.status is not CheckStatus.PROVED} == {_CHECKS[-1]}:
            return PackVerdict.OTHER_CERTIFICATE
        return PackVerdict.REFUSED

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the pack."""
        return self.verdict in (PackVerdict.GENUINE, PackVerdict.TO_COMPARE)

    @property
    def intact(self) -> bool:
        """Whether every byte is as it was sealed; by whom is for the last check to say."""
        return self.verdict is not PackVerdict.REFUSED

    def sentence(self, lang: Lang = "fr") -> str:
        """The verdict for people."""
        return load("archive").text(f"verdict_{self.verdict}", lang, nombre=str(self.file_count))

    def lines(self, lang: Lang = "fr") -> list[str]:
        """The numbered checks, then the verdict."""
        return [*(check.sentence(lang) for check in self.checks), self.sentence(lang)]

    def to_json(self) -> dict[str, object]:
        """The same for software."""
        return {
            "verdict": self.verdict.value,
            "certificat_sha256": self.fingerprint,
            "certificat_sujet": self.subject,
            "scelle_le": self.sealed_at,
            "fichiers": self.file_count,
            "controles": [
                {
                    "numero": check.number,
                    "code": check.code,
                    "statut": check.status.value,
                    "constats": [{"code": d.code, **dict(d.params)} for d in check.details],
                }
                for check in self.checks
            ],
        }


def verify_pack(source: BinaryIO | Path, *, expected_fingerprint: str | None = None) -> PackReport:
    """Check a proof pack, given as a path or an open seekable file; constant memory.

    `expected_fingerprint` is the SHA-256 of the certificate that should have sealed it (hex, with or without
    colons). Without it the best verdict is `TO_COMPARE`: the report says which key sealed.
    Raises OSError where the file can't be read; whatever its content, there is a report.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        try:
            content = _read_zip(stream)
        except _NotOurs as error:
            return _report([(CheckStatus.FALSE, [error.detail])])
    return _judge(content, expected_fingerprint)


class _NotOurs(Exception):
    """The bytes around the files are not those that we write."""

    def __init__(self, code: str, **params: str) -> None:
        self.detail = Detail(code, tuple(params.items()))
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a well-formed zip holds."""

    sums: dict[str, str]
    """File to SHA-512, in the zip's order."""
    kept: dict[str, bytes]
    """The small files that the checks read."""
    wrong_crc: tuple[str, ...]


def _read_zip(stream: BinaryIO) -> _Content:
    size = stream.seek(0, io.SEEK_END)
    entries = _read_directory(stream, size)
    stream.seek(0)
    sums, kept, wrong = {}, {}, []
    for entry in entries:
        _expect(stream, entry.local_header, _NotOurs("zip_entete", fichier=entry.name))
        crc, digest, data = 0, hashlib.sha512(), bytearray()
        keep = entry.name in _KEPT and entry.size <= LIST_LIMIT
        for chunk in _pieces(stream, entry):
            crc = zlib.crc32(chunk, crc)
            digest.update(chunk)
            if keep:
                data += chunk
        _expect(stream, entry.descriptor, _NotOurs("zip_fin_de_fichier", fichier=entry.name))
        sums[entry.name] = digest.hexdigest()
        if keep:
            kept[entry.name] = bytes(data)
        if crc != entry.crc:
            wrong.append(entry.name)
    return _Content(sums, kept, tuple(wrong))


def _read_directory(stream: BinaryIO, size: int) -> list[_Entry]:
    """The files that the zip's directory names; every byte from the directory on is checked here."""
    if size < _END.size:
        raise _NotOurs("pas_un_zip")
    stream.seek(size - _END.size)
    mark, *_, central_size, central_offset, _ = _END.unpack(stream.read(_END.size))
    if (
        mark != b"PK\x05\x06"
        or central_offset + central_size + _END.size != size
        or central_size > LIST_LIMIT
    ):
        raise _NotOurs("pas_un_zip")
    stream.seek(central_offset)
    tail = stream.read(central_size + _END.size)
    entries = _parse_central(tail[:central_size])
    if sum(entry.length for entry in entries) != central_offset or _directory(entries) != tail:
        raise _NotOurs("zip_repertoire")
    return entries


def _parse_central(central: bytes) -> list[_Entry]:
    entries: dict[str, _Entry] = {}
    place = 0
    while place < len(central):
        header = central[place : place + _CENTRAL.size]
        if len(header) < _CENTRAL.size:
            raise _NotOurs("zip_repertoire")
        fields = _CENTRAL.unpack(header)
        crc, size, name_length = fields[7], fields[9], fields[10]
        place += _CENTRAL.size
        try:
            name = central[place : place + name_length].decode()
        except UnicodeDecodeError:
            raise _NotOurs("zip_repertoire") from None
        if not fit_path(name) or name in entries or len(entries) == FILES_LIMIT:
            raise _NotOurs("zip_repertoire")
        entries[name] = _Entry(name, crc, size)
        place += name_length
    return list(entries.values())


def _expect(stream: BinaryIO, wanted: bytes, otherwise: _NotOurs) -> None:
    if stream.read(len(wanted)) != wanted:
        raise otherwise


def _pieces(stream: BinaryIO, entry: _Entry) -> Iterator[bytes]:
    left = entry.size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise _NotOurs("zip_coupe", fichier=entry.name)
        left -= len(chunk)
        yield chunk


_CHECKS = (
    "verif_archive",
    "verif_liste",
    "verif_empreintes",
    "verif_sceau",
    "verif_date",
    "verif_certificat",
)
_Finding = tuple[CheckStatus, list[Detail]]


def _judge(content: _Content, expected_fingerprint: str | None) -> PackReport:
    archive = [Detail("zip_controle", (("fichier", name),)) for name in content.wrong_crc]
    sums, listing = _check_list(content)
    if sums is None:
        return _report([_verdict(archive), (CheckStatus.FALSE, listing)])
    hashes = [
        Detail("empreinte_fausse", (("fichier", name),))
        for name, sha512 in sums.items()
        if content.sums.get(name, sha512) != sha512
    ]
    seal = verify_seal(
        content.kept[MANIFEST], content.kept.get(SIGNATURE, b""), content.kept.get(CERTIFICATE, b"")
    )
    sealed_at = _sealed_at(content.kept.get(INVENTORY, b""))
    findings = [
        _verdict(archive),
        _verdict(listing),
        _verdict(hashes),
        _check_seal(seal),
        _check_date(seal, sealed_at),
        _check_certificate(seal, expected_fingerprint),
    ]
    return _report(findings, seal, sealed_at, len(sums))


def _verdict(faults: list[Detail]) -> _Finding:
    return (CheckStatus.FALSE if faults else CheckStatus.PROVED, faults)


def _check_list(content: _Content) -> tuple[dict[str, str] | None, list[Detail]]:
    """The sealed list, or None where there is none to go by; and what is wrong with it."""
    for name in (MANIFEST, SIGNATURE):
        if name not in content.kept:
            return None, [Detail("liste_absente", (("fichier", name),))]
    try:
        sums = read_manifest(content.kept[MANIFEST])
    except RecordBroken:
        return None, [Detail("liste_illisible")]
    held = [name for name in content.sums if name not in (MANIFEST, SIGNATURE)]
    faults = [Detail("liste_fichier_manquant", (("fichier", n),)) for n in sums if n not in content.sums]
    faults += [Detail("liste_fichier_en_trop", (("fichier", n),)) for n in held if n not in sums]
    if not faults and list(content.sums) != [MANIFEST, SIGNATURE, *sums]:
        faults.append(Detail("liste_desordre"))
    return sums, faults


def _check_seal(seal: SealVerdict) -> _Finding:
    if seal.status is SealStatus.NO_CERTIFICATE:
        return CheckStatus.FALSE, [Detail("sceau_sans_certificat")]
    if not seal.genuine:
        return CheckStatus.FALSE, [Detail("sceau_faux")]
    return CheckStatus.PROVED, [Detail("sceau_par", (("sujet", _common_name(seal.subject)),))]


def _common_name(subject: str) -> str:
    """The common name in a subject (RFC 4514), without its escapes; the whole subject where it has none."""
    try:
        names = x509.Name.from_rfc4514_string(subject).get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError):  # a stranger's certificate may hold any name
        return subject
    return str(names[0].value) if names else subject


def _check_date(seal: SealVerdict, sealed_at: datetime | None) -> _Finding:
    if not seal.genuine or seal.not_before is None or seal.not_after is None:
        return CheckStatus.NOT_EXAMINED, []
    if sealed_at is None:
        return CheckStatus.FALSE, [Detail("date_illisible")]
    when = (("scelle_le", sealed_at.isoformat()),)
    if not seal.not_before <= sealed_at <= seal.not_after:
        bounds = (("debut", seal.not_before.isoformat()), ("fin", seal.not_after.isoformat()))
        return CheckStatus.FALSE, [Detail("date_hors_validite", (*when, *bounds))]
    return CheckStatus.PROVED, [Detail("date_bonne", when)]


def _check_certificate(seal: SealVerdict, expected: str | None) -> _Finding:
    if not seal.genuine:
        return CheckStatus.NOT_EXAMINED, []
    shown = (("empreinte", seal.fingerprint),)
    if expected is None:
        return CheckStatus.TO_COMPARE, [Detail("certificat_a_comparer", shown)]
    wanted = expected.replace(":", "").replace(" ", "").lower()
    if wanted != seal.fingerprint:
        return CheckStatus.FALSE, [Detail("certificat_autre", (*shown, ("attendue", wanted)))]
    return CheckStatus.PROVED, [Detail("certificat_attendu", shown)]


def _sealed_at(inventory: bytes) -> datetime | None:
    try:
        moment = datetime.fromisoformat(json.loads(inventory)["scelle_le"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return moment if moment.tzinfo is not None else None


def _report(
    findings: Sequence[_Finding],
    seal: SealVerdict | None = None,
    sealed_at: datetime | None = None,
    file_count: int = 0,
) -> PackReport:
    missing: list[_Finding] = [(CheckStatus.NOT_EXAMINED, [])] * (len(_CHECKS) - len(findings))
    checks = tuple(
        Check(number, code, status, tuple(details))
        for number, (code, (status, details)) in enumerate(
            zip(_CHECKS, [*findings, *missing], strict=True), 1
        )
    )
    return PackReport(
        checks,
        fingerprint=seal.fingerprint if seal else "",
        subject=seal.subject if seal else "",
        sealed_at=sealed_at.isoformat() if sealed_at else "",
        file_count=file_count,
    )
