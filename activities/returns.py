"""Collecting what the ministry sends back: stored whole, matched, applied, and told to the workflow.

message ──► seen before? ──► signal again (the crash may have come before the signal)
   └──► stored ──► read ──► matched ──► applied to the envelope ──► signalled
                     └────────┴──────► quarantine: kept, shown, never dropped
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from email import policy
from email.parser import BytesHeaderParser

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities import contracts
from activities.alive import kept_alive
from activities.common import PARIS, ActesSettings, file_ref, fresh_id, now
from activities.contracts import POSITIVE, Collected, ReturnArrived
from archive.store import ObjectStore, Ref
from gateways.mailbox import Mailbox
from registry import flow, reference
from registry.door import Platform, Register
from registry.models import Enveloppe, ReturnMail
from schemas.actes.classification import parse_classification
from schemas.actes.naming import parse_file_name, parse_id_acte
from schemas.actes.returns import ReturnMessage, parse_return
from schemas.findings import Refused
from schemas.states import AWAITING_STATE, Etat

QUARANTINE_REASONS = {
    "retour_non_traite": "quarantaine_non_traite",
    "retour_multicanal": "quarantaine_multicanal",
}
"""Reasons that deserve a word of their own; any other refusal is an unreadable message."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Where a return belongs."""

    enveloppe_id: str | None
    reason: str | None = None
    """Why it belongs nowhere."""


class Returns:
    """The mailbox, the register and the engine, brought together."""

    def __init__(
        self,
        register: Register,
        store: ObjectStore,
        mailbox: Mailbox,
        client: Client,
        settings: ActesSettings,
    ) -> None:
        self._register = register
        self._store = store
        self._mailbox = mailbox
        self._client = client
        self._settings = settings

    @activity.defn(name=contracts.COLLECT_RETURNS)
    async def collect(self) -> Collected:
        """Take every message of the mailbox; one that can't be stored stays there for the next look."""
        loop = asyncio.get_running_loop()
        counts = {"matched": 0, "quarantined": 0}

        def handle(raw: bytes) -> None:
            signal = self.take(raw)
            if signal is None:
                counts["quarantined"] += 1
                return
            counts["matched"] += 1
            asyncio.run_coroutine_threadsafe(self._signal(*signal), loop).result()

        @kept_alive
        def look() -> None:
            self._mailbox.collect(handle)

        await asyncio.to_thread(look)
        return Collected(**counts)

    async def _signal(self, enveloppe_id: str, arrived: ReturnArrived | None) -> None:
        if arrived is None:
            return
        handle = self._client.get_workflow_handle(enveloppe_id)
        try:
            await handle.signal("return_arrived", arrived)
        except RPCError as error:
            # An ended workflow needs no signal: the register has the return.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    def take(self, raw: bytes) -> tuple[str, ReturnArrived | None] | None:
        """Store, read, match and apply one message. Gives its envelope and what to signal (None: nothing new
        for the workflow); None where it went to quarantine."""
        digest = hashlib.sha512(raw).hexdigest()
        with self._register.session(Platform("collector")) as session:
            seen = flow.find_return(session, digest)
            if seen is not None:
                return _signal_of(seen)
        mail = self._store.put_bytes(f"retours/{digest}.eml", raw)
        try:
            message = parse_return(raw)
            if message.transaction == "7-2":
                # Before it is matched: one that cannot be loaded belongs in quarantine, not in the inbox.
                parse_classification(message.xml)
        except Refused as refused:
            reason = QUARANTINE_REASONS.get(refused.findings[0].code, "quarantaine_illisible")
            with self._register.session(Platform("collector")) as session:
                session.add(_row(raw, mail, "quarantined", reason=reason))
            return None
        with self._register.session(Platform("collector")) as session:
            matched = match(session, message)
            if matched.enveloppe_id is None:
                session.add(
                    _row(raw, mail, "quarantined", reason=matched.reason, transaction=message.transaction)
                )
                return None
            envelope = flow.locked(session, matched.enveloppe_id)
            if envelope.etat in (Etat.DEPOSE, Etat.PRET) and not flow.may_have_left(session, envelope.id):
                session.add(
                    _row(
                        raw,
                        mail,
                        "quarantined",
                        reason="quarantaine_pas_parti",
                        transaction=message.transaction,
                    )
                )
                return None
            if _contradicts(message, envelope):
                session.add(
                    _row(
                        raw,
                        mail,
                        "quarantined",
                        reason="quarantaine_discordant",
                        transaction=message.transaction,
                    )
                )
                return None
            row = _row(
                raw, mail, "matched", transaction=message.transaction, enveloppe_id=matched.enveloppe_id
            )
            session.add(row)
            xml = self._store.put_bytes(f"retours/{digest}.xml", message.xml)
            applied = self._apply(session, envelope, message, mail, xml)
            row.applied = applied
            return _signal_of(row)

    def _apply(
        self, session: Session, envelope: Enveloppe, message: ReturnMessage, mail: Ref, xml: Ref
    ) -> bool:
        """Change the envelope as the return says, and keep the files; False where nothing changes."""
        kept = self._keep_files(session, envelope, message, mail, xml)
        positive = message.transaction in POSITIVE
        etat = Etat(envelope.etat)
        if etat in AWAITING_STATE or etat is Etat.PRET:
            if positive:
                self._acknowledge(session, envelope, message, kept)
            else:
                self._reject(session, envelope, message, kept)
            return True
        if etat in (Etat.ACQUITTE, Etat.SCELLE, Etat.ANNULE):
            code = "retour_en_double" if positive else "anomalie_apres_ar"
        else:
            code = "retour_tardif"
        flow.note(session, envelope, code, flow.MINISTRY, now(), _words(message), kept)
        return False

    def _keep_files(
        self, session: Session, envelope: Enveloppe, message: ReturnMessage, mail: Ref, xml: Ref
    ) -> str:
        """Add the raw message and its XML to the envelope; gives the XML's file id."""
        position = len(flow.files_of(session, envelope.id, "retour_mail"))
        mail_id, xml_id = fresh_id("fic"), fresh_id("fic")
        flow.add_files(
            session,
            envelope.id,
            envelope.collectivite_id,
            [
                flow.NewFile(
                    mail_id, "retour_mail", position, "courriel.eml", "message/rfc822", file_ref(mail)
                ),
                flow.NewFile(xml_id, "retour", position, message.xml_name, "application/xml", file_ref(xml)),
            ],
        )
        return xml_id

    def _acknowledge(
        self, session: Session, envelope: Enveloppe, message: ReturnMessage, file_id: str
    ) -> None:
        received = message.date_reception or message.date_classification or now().date()
        envelope.date_ar = received
        if envelope.date_transmission is None:
            # The answer proves the departure that was never recorded.
            envelope.date_transmission = now()
        flow.move(
            session,
            envelope,
            Etat.ACQUITTE,
            "acquitte",
            flow.MINISTRY,
            now(),
            echeance=now() + self._settings.look_again,
            params={"transaction": message.transaction, "date": received.strftime("%d/%m/%Y")},
            file_id=file_id,
        )
        if message.transaction == "6-2":
            _cancel_act(session, envelope, received.strftime("%d/%m/%Y"), file_id)
        elif message.transaction == "7-2":
            loaded = reference.load_classification(session, envelope.collectivite_id, message.xml, now())
            flow.note(
                session,
                envelope,
                "classification_recue",
                flow.MINISTRY,
                now(),
                {"date": loaded.date_version.strftime("%d/%m/%Y")},
            )
        elif message.transaction == "7-3":
            reference.confirm_classification(session, envelope.collectivite_id, now())
            flow.note(
                session,
                envelope,
                "classification_inchangee",
                flow.MINISTRY,
                now(),
                {"date": received.strftime("%d/%m/%Y")},
            )

    def _reject(self, session: Session, envelope: Enveloppe, message: ReturnMessage, file_id: str) -> None:
        words = _words(message)
        envelope.refus = [{"code": "anomalie_ministere", "place": message.transaction, "params": words}]
        flow.move(
            session, envelope, Etat.ANOMALIE, "anomalie", flow.MINISTRY, now(), params=words, file_id=file_id
        )


def _cancel_act(session: Session, cancellation: Enveloppe, date: str, file_id: str) -> None:
    assert cancellation.acte_id is not None
    act = flow.locked(session, cancellation.acte_id)
    if act.etat in (Etat.ACQUITTE, Etat.SCELLE):
        flow.move(
            session, act, Etat.ANNULE, "annule", flow.MINISTRY, now(), params={"date": date}, file_id=file_id
        )


def _words(message: ReturnMessage) -> dict[str, str]:
    return {
        "transaction": message.transaction,
        "nature": message.anomalie_nature or "",
        "detail": message.anomalie_detail or "",
    }


def match(session: Session, message: ReturnMessage) -> Matched:
    """The envelope that a return answers (§6.4), never by the name of the file that carries it."""
    found: str | None = None
    if message.transaction == "ANO":
        found = _match_refused_envelope(session, message)
    elif message.transaction in ("7-2", "7-3"):
        if message.siren is not None:
            found = flow.match_classification_request(session, message.siren)
    elif message.transaction == "1-3":
        if message.siren is not None and message.numero is not None:
            found = flow.match_by_number(session, message.siren, message.numero)
    elif message.id_acte is not None:
        found = flow.match_by_id_acte(
            session, "6-1" if message.transaction == "6-2" else "1-1", message.id_acte
        )
    return Matched(found, None if found else "quarantaine_sans_envoi")


def _contradicts(message: ReturnMessage, envelope: Enveloppe) -> bool:
    """Whether a return says of itself what can't be true of the envelope that it names: another authority,
    or a day before the decision or after tomorrow."""
    tomorrow = now().astimezone(PARIS).date() + timedelta(days=1)
    days = [day for day in (message.date_reception, message.date_classification) if day is not None]
    if any(day > tomorrow for day in days):
        return True
    first = envelope.date_decision
    if first is not None and message.date_reception is not None and message.date_reception < first:
        return True
    named = parse_id_acte(envelope.id_acte or "")
    return named is not None and message.destinataire not in (None, named.siren)


def _match_refused_envelope(session: Session, message: ReturnMessage) -> str | None:
    """By the name of the refused envelope, else by that of the message inside it (§6.4)."""
    if message.faulty_envelope is not None:
        return flow.match_by_envelope_name(session, message.faulty_envelope)
    name = parse_file_name(message.faulty_message or "")
    if name is None or name.jour is None:
        return None
    id_acte = f"{name.departement}-{name.siren}-{name.jour:%Y%m%d}-{name.numero}-{name.nature}"
    return flow.match_by_id_acte(session, name.transaction, id_acte)


def _signal_of(row: ReturnMail) -> tuple[str, ReturnArrived | None] | None:
    if row.enveloppe_id is None:
        return None
    arrived = ReturnArrived(row.id, row.transaction or "") if row.applied else None
    return row.enveloppe_id, arrived


def _row(
    raw: bytes,
    mail: Ref,
    state: str,
    *,
    reason: str | None = None,
    transaction: str | None = None,
    enveloppe_id: str | None = None,
) -> ReturnMail:
    # The header only: parts are not parsed here, however deep and wrong they are.
    subject = str(BytesHeaderParser(policy=policy.compat32).parsebytes(raw).get("Subject", ""))[:200]
    return ReturnMail(
        id=fresh_id("ret"),
        message_sha512=mail.sha512,
        received_at=now(),
        subject=subject.replace("\x00", ""),
        bucket=mail.bucket,
        object_key=mail.key,
        size=mail.size,
        sha256=mail.sha256,
        state=state,
        reason=reason,
        transaction=transaction,
        enveloppe_id=enveloppe_id,
        applied=False,
    )
