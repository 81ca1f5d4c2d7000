"""One sample act, from upload to the verified proof, through the real REST API."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from archive.proof import PackVerdict, verify_pack
from ops import timeline
from ops.client import Api, Piece
from ops.sample import sample_act
from ops.words import messages
from schemas.catalogue import Lang
from schemas.states import TERMINAL, Etat

LOOK_EVERY = 0.25
"""Seconds between two looks at the timeline."""


class WalkError(Exception):
    """The sample did not come to its sealed record; says where it stands."""


def follow(
    api: Api, envelope_id: str, say: Callable[[Text], None], until: float | None = None
) -> dict[str, Any]:
    """Say each step of an envelope as it happens, until nothing more happens by itself.

    Args:
        api: the platform.
        envelope_id: the envelope.
        say: takes one line a step.
        until: instant of `time.monotonic` at which to give up.

    Returns the envelope as it stands at last.
    """
    seen = 0
    while True:
        envelope = api.envelope(envelope_id)
        events = envelope["evenements"]
        for event in events[seen:]:
            say(timeline.step(event))
        seen = len(events)
        if envelope["etat"] in TERMINAL or (until is not None and time.monotonic() > until):
            return envelope
        time.sleep(LOOK_EVERY)


def carry_sample(
    api: Api,
    proofs: Path,
    say: Callable[[Text], None],
    lang: Lang,
    *,
    fingerprint: str,
    patience: float = 300,
) -> Path:
    """Deposit the sample act, follow it to its sealed record, save its proof pack and verify it offline.

    Args:
        api: the platform, as the sample commune's software.
        proofs: folder for the proof pack.
        say: takes lines for people, as things happen.
        lang: their language.
        fingerprint: SHA-256 of the certificate that must have sealed it, known from elsewhere than the pack.
        patience: seconds for the whole way.

    Returns the proof pack's file. Raises `WalkError` where the act did not get there, `ClientError` where the
    platform refused or does not answer.
    """
    until = time.monotonic() + patience
    act = sample_act(datetime.now(UTC))
    deposited = api.submit(act.fields, [Piece("document", act.name, io.BytesIO(act.pdf))], key=act.name)
    say(timeline.heading(api.envelope(deposited.id), lang))
    envelope = follow(api, deposited.id, say, until)
    if envelope["etat"] != Etat.SCELLE:
        raise WalkError(f"{envelope['id']}: {envelope['libelle_etat']}")
    pack = proofs / f"preuve-{act.fields['numero']}.zip"
    api.download(envelope["preuve"], pack)
    say(Text(messages().text("preuve_enregistree", lang, fichier=pack)))
    report = verify_pack(pack, expected_fingerprint=fingerprint)
    if report.verdict is not PackVerdict.GENUINE:
        raise WalkError(messages().text("preuve_alteree", lang))
    say(Text(messages().text("preuve_verifiee", lang), "green"))
    return pack
