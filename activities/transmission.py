"""Sending an envelope once, and what people decide when no answer comes."""

from __future__ import annotations

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import contracts
from activities.alive import kept_alive
from activities.common import PARIS, ActesSettings, now, ref_of
from activities.contracts import DecisionTaken, Departure, EnvelopeRef, Silence, Transmitted, Withdrawal
from archive.store import ObjectStore
from gateways.ministry import MayHaveLeft, MinistryWire, NotLeft
from registry import flow, quotas, reference
from registry.door import OneBody, Register
from registry.models import Enveloppe, StoredFile
from schemas.states import Etat


class Transmission:
    """The wire to the ministry, with its memory."""

    def __init__(
        self, register: Register, store: ObjectStore, wire: MinistryWire, settings: ActesSettings
    ) -> None:
        self._register = register
        self._store = store
        self._wire = wire
        self._settings = settings

    @activity.defn(name=contracts.TRANSMIT)
    @kept_alive
    def transmit(self, ref: EnvelopeRef) -> Transmitted:
        """Send the archive once: intent first, then the wire, then what is known of it.

        Raises a retryable `ApplicationError` of type ``not_left`` only where nothing can have left.
        """
        scope = OneBody(ref.collectivite_id)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            last = flow.last_attempt(session, envelope.id)
            if last is not None and last.outcome is None:
                # A worker died between intent and outcome: it may have left.
                flow.end_attempt(last, "unknown", now())
                self._uncertain(session, envelope, "arret_pendant_envoi")
                return Transmitted(Departure.UNKNOWN)
            if envelope.etat != Etat.PRET:
                return Transmitted(
                    Departure.UNKNOWN if envelope.etat == Etat.INCERTAIN else Departure.ANSWERED
                )
            (archive,) = flow.files_of(session, envelope.id, "archive")
            not_before = quotas.reserve(session, archive.size, now())
            if not_before is not None:
                if envelope.echeance != not_before:
                    flow.note(
                        session,
                        envelope,
                        "quota_atteint",
                        flow.PLI,
                        now(),
                        {"date": not_before.astimezone(PARIS).strftime("%d/%m/%Y %H:%M")},
                    )
                    envelope.echeance = not_before
                return Transmitted(Departure.LATER, not_before)
            number = flow.begin_attempt(session, envelope, archive.size, now()).number
        failure, departure, detail = self._send(archive)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            attempt = flow.last_attempt(session, envelope.id)
            assert attempt is not None
            assert attempt.number == number
            if departure is None:
                flow.end_attempt(attempt, "not_left", now(), detail)
                quotas.release(session, archive.size, attempt.started_at)
                self._put_off(session, envelope, detail or "")
            elif departure is Departure.UNKNOWN:
                flow.end_attempt(attempt, "unknown", now(), detail)
                self._uncertain(session, envelope, detail or "")
            else:
                flow.end_attempt(attempt, "answered", now())
                self._sent(session, envelope)
        if departure is None:
            raise ApplicationError(detail or "not_left", type="not_left") from failure
        return Transmitted(departure)

    def _send(self, archive: StoredFile) -> tuple[Exception | None, Departure | None, str | None]:
        """What the wire says; None as departure: nothing left."""
        try:
            with self._store.open(ref_of(archive)) as chunks:
                self._wire.send(archive.nom, archive.size, chunks)
        except NotLeft as error:
            return error, None, error.reason.value
        except MayHaveLeft as error:
            return error, Departure.UNKNOWN, error.reason.value
        return None, Departure.ANSWERED, None

    def _put_off(self, session: Session, envelope: Enveloppe, reason: str) -> None:
        if envelope.etat != Etat.PRET:
            return
        timeline = flow.timeline_of(session, envelope.id)
        if timeline[-1].code != "transmission_differee":
            flow.note(session, envelope, "transmission_differee", flow.PLI, now(), {"raison": reason})
        envelope.echeance = now() + self._settings.look_again

    def _sent(self, session: Session, envelope: Enveloppe) -> None:
        envelope.date_transmission = now()
        # Its answer may have been faster than this transaction.
        if envelope.etat == Etat.PRET:
            flow.move(
                session,
                envelope,
                Etat.TRANSMIS,
                "transmis",
                flow.PLI,
                now(),
                echeance=now() + self._settings.answer,
            )

    def _uncertain(self, session: Session, envelope: Enveloppe, reason: str) -> None:
        if envelope.date_transmission is None:
            envelope.date_transmission = now()
        if envelope.etat == Etat.PRET:
            flow.move(
                session,
                envelope,
                Etat.INCERTAIN,
                "incertain",
                flow.PLI,
                now(),
                echeance=now() + self._settings.uncertain,
                params={"raison": reason},
            )

    @activity.defn(name=contracts.RECORD_SILENCE)
    def record_silence(self, silence: Silence) -> None:
        """The set date passed without answer: it is the named person's turn, and is said again later."""
        with self._register.session(OneBody(silence.collectivite_id)) as session:
            envelope = flow.locked(session, silence.enveloppe_id)
            responsable = {"responsable": reference.user_name(session, envelope.responsible_user_id)}
            if envelope.etat == Etat.A_DECIDER:
                if envelope.echeance != silence.next_reminder:
                    flow.note(session, envelope, "rappel", flow.PLI, now(), responsable)
                    envelope.echeance = silence.next_reminder
            elif envelope.etat in (Etat.PRET, Etat.TRANSMIS, Etat.INCERTAIN):
                flow.move(
                    session,
                    envelope,
                    Etat.A_DECIDER,
                    "injoignable" if silence.delivery_failed else "silence",
                    flow.PLI,
                    now(),
                    echeance=silence.next_reminder,
                    params=responsable,
                )

    @activity.defn(name=contracts.RECORD_DECISION)
    def record_decision(self, taken: DecisionTaken) -> bool:
        """Apply a person's decision; False where the ministry's answer came first."""
        decision = taken.decision
        etat = Etat.PRET if decision.choice == "renvoyer" else Etat.ABANDONNE
        with self._register.session(OneBody(taken.collectivite_id)) as session:
            envelope = flow.locked(session, taken.enveloppe_id)
            if envelope.etat == etat:
                return True
            if envelope.etat != Etat.A_DECIDER:
                return False
            flow.move(
                session,
                envelope,
                etat,
                f"decision_{decision.choice}",
                decision.user_name,
                now(),
                echeance=now() + self._settings.look_again if etat is Etat.PRET else None,
                params={"motif": decision.reason, "user": decision.user_id},
            )
            return True

    @activity.defn(name=contracts.WITHDRAW)
    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Take the envelope back before it leaves."""
        with self._register.session(OneBody(withdrawal.collectivite_id)) as session:
            envelope = flow.locked(session, withdrawal.enveloppe_id)
            if envelope.etat in (Etat.DEPOSE, Etat.PRET):
                flow.move(session, envelope, Etat.RETIRE, "retire", withdrawal.user_name, now())
