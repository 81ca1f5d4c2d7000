"""Opening every file of an envelope, scanning it, and holding the act against the norm's rules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from temporalio import activity

from activities import contracts
from activities.alive import kept_alive
from activities.common import PARIS, acte_of, emetteur_of, now, ref_of
from activities.contracts import Checked, EnvelopeRef
from archive.store import ObjectStore
from gateways.antivirus import Scanner, Verdict
from registry import flow, reference
from registry.door import OneBody, Register
from registry.models import StoredFile
from schemas.actes.rules import Context, check_acte
from schemas.content import inspect
from schemas.findings import Finding
from schemas.states import Etat


class Checking:
    """The checks before anything is packaged."""

    def __init__(self, register: Register, store: ObjectStore, scanner: Scanner) -> None:
        self._register = register
        self._store = store
        self._scanner = scanner

    @activity.defn(name=contracts.CHECK)
    @kept_alive
    def check(self, ref: EnvelopeRef) -> Checked:
        """Open every file, scan it, and hold the act against the norm's rules."""
        with self._register.session(OneBody(ref.collectivite_id)) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if envelope.etat != Etat.DEPOSE:
                return Checked(accepted=envelope.etat != Etat.REFUSE)
            files = flow.pieces_of(session, ref.enveloppe_id)
            findings: list[Finding] = []
            if envelope.transaction == "1-1":
                context = Context(
                    emetteur=emetteur_of(flow.body_of(session, envelope)),
                    today=now().astimezone(PARIS).date(),
                    classification=reference.classification(session, ref.collectivite_id),
                )
                findings += check_acte(acte_of(envelope, files), context)
        scanned = True
        for file in files:
            found, was_scanned = self._check_file(file)
            findings += found
            scanned = scanned and was_scanned
        with self._register.session(OneBody(ref.collectivite_id)) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if envelope.etat != Etat.DEPOSE:
                return Checked(accepted=envelope.etat != Etat.REFUSE)
            if findings:
                flow.refuse(session, envelope, findings, now())
                return Checked(accepted=False)
            if files:
                code = "controle" if scanned else "controle_sans_antivirus"
                flow.note(session, envelope, code, flow.PLI, now())
        return Checked(accepted=True)

    def _check_file(self, file: StoredFile) -> tuple[list[Finding], bool]:
        place = _place(file)
        with tempfile.TemporaryFile() as spool:
            self._store.fetch(ref_of(file), spool)
            spool.seek(0)
            findings = inspect(spool, file.media_type, place=place)
            spool.seek(0)
            scan = self._scanner.scan(_chunks(spool))
        if scan.verdict is Verdict.INFECTED:
            findings.append(Finding("virus_trouve", place, {"virus": scan.signature or "?"}))
        return findings, scan.verdict is not Verdict.NOT_SCANNED


def _place(file: StoredFile) -> str:
    return "/document" if file.role == "document" else f"/annexes/{file.position - 2}"


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(2**16):
        yield chunk
