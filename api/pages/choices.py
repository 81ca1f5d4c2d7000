"""What a person can choose from: natures, matières and piece types of the body's own classification."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry import reference
from schemas.actes.classification import Classification, national

EM_SPACE = "\N{EM SPACE}"


def classification_for(session: Session, collectivite_id: str | None) -> Classification:
    """The body's current classification; the national one for a reader of the whole platform."""
    return national() if collectivite_id is None else reference.classification(session, collectivite_id)


def nature_choices(classification: Classification) -> list[tuple[str, str]]:
    """Natures by code, as options."""
    return [(str(nature.code), nature.libelle) for nature in classification.natures]


def natures(session: Session, collectivite_id: str | None) -> list[tuple[str, str]]:
    """Natures of the body's classification, as options."""
    return nature_choices(classification_for(session, collectivite_id))


def matiere_choices(classification: Classification) -> list[tuple[str, list[tuple[str, str]]]]:
    """Matières of level 2 and deeper under the one of level 1 that holds them (two levels are compulsory)."""
    groups = []
    for (first,), label in classification.children().items():
        options = [
            (dotted(path), EM_SPACE * (len(path) - 2) + f"{dotted(path)} {name}")
            for path, name in classification.matieres.items()
            if len(path) > 1 and path[0] == first
        ]
        groups.append((f"{first} {label}", options))
    return groups


def type_choices(classification: Classification) -> list[tuple[str, list[tuple[str, str]]]]:
    """Piece types by nature."""
    return [
        (nature.libelle, [(t.code, t.libelle) for t in classification.allowed_types(nature.code)])
        for nature in classification.natures
    ]


def dotted(path: tuple[int, ...]) -> str:
    """(7, 10) as `7.10`."""
    return ".".join(str(level) for level in path)
