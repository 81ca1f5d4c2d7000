"""What a collectivité transmits: the values that packaging and the rules work on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

ACTES = "http://www.interieur.gouv.fr/ACTES#v1.1-20040216"
INSEE = "http://xml.insee.fr/schema"
NAMESPACES = {"actes": ACTES, "insee": INSEE}


def a(name: str) -> str:
    """`name` in the namespace of ACTES, as lxml writes it; attributes are qualified too."""
    return f"{{{ACTES}}}{name}"


SIREN = f"{{{INSEE}}}SIREN"


@dataclass(frozen=True, slots=True)
class Emetteur:
    """The collectivité that transmits, as the préfecture knows it (ACTES v1.1, type IDCL)."""

    siren: str
    departement: str
    """Three characters: ``034``, ``02A``, ``971``."""
    arrondissement: str
    """One digit."""
    nature: str
    """Two digits: ``31`` for a commune (fact sheet §3.2)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One document of an act, by what the rules need to know of it."""

    nom: str
    """Name given by the depositor, for people only."""
    media_type: str
    """Found by content (`schemas.content.identify`), never by name."""
    size: int
    """Bytes."""
    code_pj: str
    """Type of the piece, five characters: ``99_DE``."""


@dataclass(frozen=True, slots=True)
class Acte:
    """An act to be transmitted (1-1; ACTES v1.1, type DonneesActe)."""

    numero: str
    date_decision: date
    nature: int
    matiere: tuple[int, ...]
    """Two to five levels: ``(7, 10)``."""
    objet: str
    classification_date: date
    """Date of the RetourClassification that nature, matière and piece types were chosen from."""
    document: Piece
    annexes: tuple[Piece, ...] = ()
    document_papier: bool = False
    """Whether a part goes to the préfecture on paper."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The main document, then the annexes, in the order of the message."""
        return (self.document, *self.annexes)
