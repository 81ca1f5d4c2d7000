"""Archives to send to the stand-in, and the mails that come back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path

from gateways.ministry import MinistryWire
from schemas.actes.model import Acte, Emetteur
from schemas.actes.package import Package, package_acte, package_annulation, package_demande_classification
from schemas.actes.returns import ReturnMessage, parse_return
from tests.samples.actes import (
    ADRESSES,
    EMETTEUR,
    QUADRIGRAMME,
    TODAY,
    TRIGRAMME,
    acte,
    archive,
    jpeg,
    pdf,
    png,
)

_rangs = count(1)


def _options() -> dict[str, object]:
    return {
        "jour": TODAY,
        "rang": next(_rangs),
        "adresses_retour": ADRESSES,
        "trigramme": TRIGRAMME,
        "quadrigramme": QUADRIGRAMME,
    }


def an_act(numero: str, *, siren: str = EMETTEUR.siren, **changes: object) -> tuple[str, bytes]:
    """Name and bytes of the archive of an act."""
    wanted = acte(numero=numero, **changes)
    emetteur = replace(EMETTEUR, siren=siren)
    return packed(
        package_acte(wanted, emetteur, **_options()), [pdf(), png(), jpeg()][: 1 + len(wanted.annexes)]
    )  # type: ignore[arg-type]


def a_cancellation(id_acte: str, numero: str) -> tuple[str, bytes]:
    plain: Acte = acte()
    return packed(
        package_annulation(id_acte, numero, plain.nature, plain.date_decision, EMETTEUR, **_options()),
        [],  # type: ignore[arg-type]
    )


def a_classification_request(known: date | None, emetteur: Emetteur = EMETTEUR) -> tuple[str, bytes]:
    return packed(package_demande_classification(emetteur, known, **_options()), [])  # type: ignore[arg-type]


def packed(package: Package, pieces: Sequence[bytes]) -> tuple[str, bytes]:
    return package.archive_name, archive(package, pieces)


def send(wire: MinistryWire, archive: tuple[str, bytes]) -> None:
    wire.send(archive[0], len(archive[1]), [archive[1]])


def mails(folder: Path, wanted: int, seconds: float = 5) -> list[bytes]:
    """Take `wanted` mails out of the Maildir as soon as they are there."""
    new = folder / "courrier" / "new"
    deadline = time.monotonic() + seconds
    while len(found := sorted(new.iterdir())) < wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    raw = [path.read_bytes() for path in found]
    for path in found:
        path.unlink()
    assert len(raw) == wanted
    return raw


def returns(folder: Path, wanted: int = 1) -> list[ReturnMessage]:
    return [parse_return(raw) for raw in mails(folder, wanted)]
