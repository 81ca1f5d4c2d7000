"""Names of archives, envelopes, messages and pieces (fact sheet §1.2, §1.3, §1.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from schemas.actes.classification import national
from schemas.actes.model import Acte, Emetteur

EXTENSIONS = {
    "application/pdf": "pdf",
    "application/xml": "xml",
    "image/png": "png",
    "image/jpeg": "jpg",
}
"""The extension comes from what the file is, never from the name that it was given."""

_ENVELOPE = re.compile(r"([A-Z0-9]{4})--([0-9]{9})--([0-9]{8})-([0-9]{1,6})\.xml")
_ARCHIVE = re.compile(r"[A-Za-z0-9]{3}-(.+)\.tar\.gz")
_BASE = re.compile(
    r"(?:(?P<code_pj>[A-Z0-9_]{5})-)?(?P<departement>[0-9][0-9][0-9AB])-(?P<siren>[0-9]{9})-(?P<jour>[0-9]{8})?"
    r"-(?P<numero>.*?)-(?P<nature>[A-Z]{2})?-(?P<transaction>[1-7]-[1-5])(?:_(?P<rang>[0-9]+))?"
    r"\.(?P<extension>[A-Za-z0-9]{1,5})",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class EnvelopeName:
    """What an envelope's name says."""

    quadrigramme: str
    siren: str
    jour: date
    rang: int


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a message or of a piece says; empty where the norm leaves the part empty."""

    departement: str
    siren: str
    jour: date | None
    numero: str
    nature: str
    transaction: str
    rang: int | None
    extension: str
    code_pj: str = ""


@dataclass(frozen=True, slots=True)
class IdActe:
    """The parts of the unique identifier of an act (fact sheet §1.5)."""

    departement: str
    siren: str
    jour: date
    numero: str
    nature: str

    def __str__(self) -> str:
        return f"{self.departement}-{self.siren}-{_compact(self.jour)}-{self.numero}-{self.nature}"


def envelope_name(quadrigramme: str, siren: str, jour: date, rang: int) -> str:
    """Name of the envelope's XML; `jour` is the day it is built, `rang` its number of the day from 1."""
    return f"{quadrigramme}--{siren}--{_compact(jour)}-{rang}.xml"


def archive_name(trigramme: str, envelope: str) -> str:
    """Name of the archive that carries `envelope`."""
    return f"{trigramme}-{envelope.removesuffix('.xml')}.tar.gz"


def envelope_of_archive(archive: str) -> str | None:
    """Name of the envelope inside `archive`: all behind the first hyphen; None for another shape."""
    found = _ARCHIVE.fullmatch(archive)
    return f"{found[1]}.xml" if found else None


def message_name(
    emetteur: Emetteur, transaction: str, jour: date | None = None, numero: str = "", nature: str = ""
) -> str:
    """Name of a message's XML; a request for the classification has no date, number or nature (7-1)."""
    return f"{_base(emetteur, transaction, jour, numero, nature)}_0.xml"


def piece_names(acte: Acte, emetteur: Emetteur) -> tuple[str, ...]:
    """Names of the main document and of the annexes, in their order."""
    base = _base(emetteur, "1-1", acte.date_decision, acte.numero, abbreviation(acte.nature))
    return tuple(
        f"{piece.code_pj}-{base}_{rang}.{EXTENSIONS[piece.media_type]}"
        for rang, piece in enumerate(acte.pieces, start=1)
    )


def id_acte(acte: Acte, emetteur: Emetteur) -> str:
    """Unique identifier that the ministry will give the act (fact sheet §1.5)."""
    parts = IdActe(
        emetteur.departement, emetteur.siren, acte.date_decision, acte.numero, abbreviation(acte.nature)
    )
    return str(parts)


def abbreviation(nature: int) -> str:
    """Two letters of a nature (fact sheet §3.1); raises KeyError for a nature that the norm lacks."""
    return national().nature(nature).abrege


def parse_envelope_name(name: str) -> EnvelopeName | None:
    """What the envelope's name `name` says; None for another shape."""
    found = _ENVELOPE.fullmatch(name)
    jour = found and _day(found[3])
    return EnvelopeName(found[1], found[2], jour, int(found[4])) if found and jour else None


def parse_file_name(name: str) -> FileName | None:
    """What the name of a message or of a piece says; None for another shape."""
    found = _BASE.fullmatch(name)
    if found is None:
        return None
    jour = _day(found["jour"]) if found["jour"] else None
    if found["jour"] and jour is None:
        return None
    return FileName(
        departement=found["departement"],
        siren=found["siren"],
        jour=jour,
        numero=found["numero"],
        nature=found["nature"] or "",
        transaction=found["transaction"],
        rang=int(found["rang"]) if found["rang"] else None,
        extension=found["extension"],
        code_pj=found["code_pj"] or "",
    )


def parse_id_acte(text: str) -> IdActe | None:
    """The parts of an IDActe, hyphens in the number included (seen in production); None for another shape."""
    found = re.fullmatch(
        r"([0-9][0-9][0-9AB])-([0-9]{9})-([0-9]{8})-(.+)-([A-Z]{2})", text.strip(), flags=re.DOTALL
    )
    jour = found and _day(found[3])
    return IdActe(found[1], found[2], jour, found[4], found[5]) if found and jour else None


def _base(emetteur: Emetteur, transaction: str, jour: date | None, numero: str, nature: str) -> str:
    day = _compact(jour) if jour else ""
    return f"{emetteur.departement}-{emetteur.siren}-{day}-{numero}-{nature}-{transaction}"


def _compact(jour: date) -> str:
    # Not strftime: %Y drops leading zeros on some systems, and the norm wants the calendar's year.
    return jour.isoformat().replace("-", "")


def _day(compact: str) -> date | None:
    try:
        return date(int(compact[:4]), int(compact[4:6]), int(compact[6:]))
    except ValueError:
        return None
