"""The rules of a deposit, for software and for pages: what is accepted, once, and what starts from it.

Order of an acceptance: the files are checked; an intent is written, so that a crash leaves no orphan unseen;
the objects are stored; one transaction writes the envelope; the workflow is started; only then the caller
hears yes. A caller who got no answer sends the same request with the same key and finds the same envelope.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal
from zoneinfo import ZoneInfo

import structlog
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    RPCError,
    RPCStatusCode,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from api.problems import Problem, conflict, finding_of
from api.services import Principal, Services
from api.uploads import Upload, spool_file
from archive.store import StoreError
from registry import accounts, envelopes, flow, reference
from registry.door import Conflict
from registry.models import Collectivite
from schemas.actes.classification import Classification
from schemas.actes.model import Acte, Emetteur, Piece
from schemas.actes.opening import open_package
from schemas.actes.package import id_acte
from schemas.actes.rules import Context, check_acte
from schemas.content import identify
from schemas.findings import Finding, Refused
from schemas.identifiers import new_id
from schemas.states import Etat
from schemas.tar import Member
from workflows.names import TASK_QUEUE, Decision, EnvelopeInput, Withdrawal

PARIS = ZoneInfo("Europe/Paris")
WORKFLOW = "EnvelopeWorkflow"
MAX_KEY = 200
ENGINE_TIMEOUT = timedelta(seconds=15)
UNRECOGNISED = "application/octet-stream"
ABOUT_FORMAT = frozenset({"document_format", "annexe_format", "piece_vide"})

log = structlog.get_logger("api.deposits")

Matiere = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?(\.[1-9][0-9]?){0,4}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,50}$")]
Short = Annotated[str, StringConstraints(max_length=4000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnnexeDeposee(_Strict):
    """An annex as declared: the n-th declaration is about the n-th part `annexe`."""

    type_piece: Short | None = None


class ActeDepose(_Strict):
    """What a depositor says of an act; the norm's rules judge it."""

    numero: Short
    date_decision: date
    nature: int
    matiere: Matiere
    objet: Short
    type_piece: Short | None = None
    """Type of the main document; without it the generic one of the nature."""
    annexes: tuple[AnnexeDeposee, ...] = ()
    document_papier: bool = False
    precedente: Name | None = None
    """The refused envelope that this one corrects."""
    date_classification: date | None = None
    """Version of the classification that the values were chosen from; without it the current one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An envelope that is durable and on its way."""

    enveloppe_id: str
    replayed: bool = False
    """True where an earlier request with the same key made it."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A deposit that the rules have nothing against."""

    acte: Acte
    emetteur: Emetteur
    pieces: tuple[tuple[Upload, Piece], ...]


def read_metadata(raw: bytes) -> ActeDepose:
    """The act's JSON; raises `Problem` (422) with a pointer for every wrong field."""
    try:
        return ActeDepose.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise Problem("parametre_invalide", findings=findings_of(error)) from error


def findings_of(error: ValidationError) -> list[Finding]:
    """A model's errors as findings, their places JSON pointers into the act's metadata."""
    return [finding_of(dict(item), skip=()) for item in error.errors(include_url=False)]


def checked_key(key: str | None) -> str:
    """The caller's `Idempotency-Key`; raises `Problem` (400) where it is missing or not plain."""
    if key is None:
        raise Problem("cle_idempotence_absente")
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise Problem("cle_idempotence_invalide")
    return key


async def deposit(
    services: Services,
    principal: Principal,
    key: str,
    acte: ActeDepose,
    document: Upload,
    annexes: Sequence[Upload] = (),
) -> Accepted:
    """Accept an act (1-1) once for this caller and `key`.

    Raises `Problem`: 422 with every finding of the rules, 422 for a key that served another request, 409 for
    a number in use or an envelope that can't be corrected, 503 where a service is out of reach (the same
    request may then be sent again). Nothing is left behind by a refusal.
    """
    accepted = await run_in_threadpool(_deposit, services, principal, key, acte, document, tuple(annexes))
    await start(services, accepted.enveloppe_id, body_id(principal), "1-1")
    return accepted


def _deposit(
    services: Services,
    principal: Principal,
    key: str,
    said: ActeDepose,
    document: Upload,
    annexes: tuple[Upload, ...],
) -> Accepted:
    now = datetime.now(UTC)
    fingerprint = _fingerprint("1-1", said.model_dump(mode="json"), (document, *annexes))
    known = _known(services, principal, key, fingerprint)
    if known is not None:
        return known
    body, classification = _reference_data(services, principal)
    checked = check(said, document, annexes, body, classification, now)
    new = _new_acte(principal, key, fingerprint, checked, body, said.precedente, now)
    return _take(services, principal, new, checked.pieces, now)


def _new_acte(
    principal: Principal,
    key: str,
    fingerprint: str,
    checked: _Checked,
    body: Collectivite,
    precedente: str | None,
    now: datetime,
) -> flow.NewEnveloppe:
    acte = checked.acte
    return flow.NewEnveloppe(
        id=_id("acte", now),
        transaction="1-1",
        collectivite_id=body.id,
        numero=acte.numero,
        nature=str(acte.nature),
        date_decision=acte.date_decision,
        objet=acte.objet,
        matiere=".".join(str(level) for level in acte.matiere),
        classification_date=acte.classification_date,
        document_papier=acte.document_papier,
        id_acte=id_acte(acte, checked.emetteur),
        precedente_id=precedente,
        deposited_by=principal.name,
        responsible_user_id=principal.responsible_user_id,
        caller=principal.caller,
        idempotency_key=key,
        fingerprint=fingerprint,
    )


async def deposit_package(
    services: Services, principal: Principal, key: str, archive: Upload, into: Path
) -> Accepted:
    """Accept the act (1-1) of a ready-made archive, unpacked into the spool folder `into`; as `deposit`.

    The archive is opened as the ministry would, the act judged by the same rules, and packaged again under
    the platform's own name and rank. Raises `Problem` (403) where its SIREN is not that of the caller's body.
    """
    accepted = await run_in_threadpool(_deposit_package, services, principal, key, archive, into)
    await start(services, accepted.enveloppe_id, body_id(principal), "1-1")
    return accepted


def _deposit_package(
    services: Services, principal: Principal, key: str, archive: Upload, into: Path
) -> Accepted:
    now = datetime.now(UTC)
    fingerprint = _fingerprint("1-1", {}, (archive,))
    known = _known(services, principal, key, fingerprint)
    if known is not None:
        return known
    body, classification = _reference_data(services, principal)
    unpacked: dict[str, Upload] = {}

    def keep(member: Member, data: BinaryIO) -> None:
        unpacked[member.name] = spool_file(into / f"m{len(unpacked)}", member.name, data)

    with archive.path.open("rb") as source:
        opened = open_package(source, keep=keep)
    if opened.emetteur.siren != body.siren:
        raise Problem("siren_etranger")
    if opened.acte is None:
        params = {"transaction": opened.transaction}
        raise Problem("depot_refuse", findings=[Finding("enveloppe_sans_acte", opened.message_name, params)])
    emetteur = _emetteur(body)
    findings = check_acte(opened.acte, _context(emetteur, classification, now))
    if findings:
        raise Problem("depot_refuse", findings=findings)
    pieces = tuple((unpacked[piece.nom], piece) for piece in opened.acte.pieces)
    checked = _Checked(opened.acte, emetteur, pieces)
    new = _new_acte(principal, key, fingerprint, checked, body, None, now)
    return _take(services, principal, new, pieces, now)


def check(
    said: ActeDepose,
    document: Upload,
    annexes: Sequence[Upload],
    body: Collectivite,
    classification: Classification,
    now: datetime,
) -> _Checked:
    """Judge a deposit; raises `Problem` (422) with every finding, places pointing into the act's metadata."""
    if len(annexes) != len(said.annexes):
        params = {"declarees": str(len(said.annexes)), "recues": str(len(annexes))}
        raise Problem("depot_refuse", findings=[Finding("annexes_discordantes", "/annexes", params)])
    default = classification.default_type(said.nature) or ""
    findings: list[Finding] = []
    pieces = []
    places = ["/document", *(f"/annexes/{rank}" for rank in range(len(annexes)))]
    types = [said.type_piece, *(annexe.type_piece for annexe in said.annexes)]
    for upload, place, type_piece in zip((document, *annexes), places, types, strict=True):
        pieces.append(
            Piece(upload.nom, _media_type(upload, place, findings), upload.size, type_piece or default)
        )
    acte = Acte(
        numero=said.numero,
        date_decision=said.date_decision,
        nature=said.nature,
        matiere=parse_matiere(said.matiere),
        objet=said.objet,
        classification_date=said.date_classification or classification.date_version,
        document=pieces[0],
        annexes=tuple(pieces[1:]),
        document_papier=said.document_papier,
    )
    emetteur = _emetteur(body)
    unreadable = {finding.place for finding in findings}
    findings += [
        replace(finding, place=_place_in_request(finding))
        for finding in check_acte(acte, _context(emetteur, classification, now))
        # What is no known format was said already, in plainer words.
        if not (finding.code in ABOUT_FORMAT and finding.place in unreadable)
    ]
    if findings:
        raise Problem("depot_refuse", findings=findings)
    return _Checked(acte, emetteur, tuple(zip((document, *annexes), pieces, strict=True)))


def _emetteur(body: Collectivite) -> Emetteur:
    return Emetteur(body.siren, body.departement, body.arrondissement, body.nature)


def _context(emetteur: Emetteur, classification: Classification, now: datetime) -> Context:
    return Context(emetteur, now.astimezone(PARIS).date(), classification)


def _place_in_request(finding: Finding) -> str:
    """The rules point into their own view of the act; software sent another."""
    if finding.code == "type_pj_interdit":
        return "/type_piece" if finding.place == "/document" else f"{finding.place}/type_piece"
    return "/date_classification" if finding.place == "/classification_date" else finding.place


def _media_type(upload: Upload, place: str, findings: list[Finding]) -> str:
    try:
        return identify(*upload.edges(), place=place)
    except Refused as refused:
        findings += [
            replace(finding, params={**finding.params, "fichier": upload.nom}) for finding in refused.findings
        ]
        return UNRECOGNISED


def parse_matiere(text: str) -> tuple[int, ...]:
    """`7.10` as (7, 10)."""
    return tuple(int(level) for level in text.split("."))


def current_classification(services: Services, principal: Principal) -> Classification:
    """The body's latest classification (7-2), or the national one while its préfecture has sent none."""
    return _reference_data(services, principal)[1]


def _reference_data(services: Services, principal: Principal) -> tuple[Collectivite, Classification]:
    own = body_id(principal)
    with services.register.session(principal.scope) as session:
        return accounts.collectivite(session, own), reference.classification(session, own)


def body_id(principal: Principal) -> str:
    """The body that the caller acts for; raises `Problem` (409) where none is chosen."""
    if principal.collectivite_id is None:
        raise Problem("collectivite_a_choisir")
    return principal.collectivite_id


# Cancelling, asking for the classification, deciding


async def cancel(services: Services, principal: Principal, key: str, enveloppe_id: str) -> Accepted:
    """Take an envelope back before it left, or ask the ministry to cancel an acknowledged act (6-1).

    Gives the envelope to follow: the same one where it was withdrawn, the cancellation's otherwise.
    Raises `NotFound`, or `Problem` (409) where the state allows neither.
    """
    fingerprint = _fingerprint("6-1", {"acte": enveloppe_id}, ())
    known = await run_in_threadpool(_known, services, principal, key, fingerprint)
    if known is not None:
        await start(services, known.enveloppe_id, body_id(principal), "6-1")
        return known
    line = await run_in_threadpool(_line, services, principal, enveloppe_id)
    if line.etat is Etat.RETIRE:
        return Accepted(enveloppe_id, replayed=True)
    if line.etat in (Etat.DEPOSE, Etat.PRET):
        await _withdraw(services, principal, line)
        return Accepted(enveloppe_id)
    if line.transaction != "1-1" or line.etat not in (Etat.ACQUITTE, Etat.SCELLE):
        raise Problem("annulation_impossible", etat=line.etat)
    accepted = await run_in_threadpool(_accept_cancellation, services, principal, key, fingerprint, line)
    await start(services, accepted.enveloppe_id, line.collectivite_id, "6-1")
    return accepted


def _accept_cancellation(
    services: Services, principal: Principal, key: str, fingerprint: str, acte: envelopes.Line
) -> Accepted:
    now = datetime.now(UTC)
    new = flow.NewEnveloppe(
        id=_id("ann", now),
        transaction="6-1",
        collectivite_id=acte.collectivite_id,
        numero=acte.numero,
        nature=None if acte.nature is None else str(acte.nature),
        date_decision=acte.date_decision,
        objet=f"Annulation : {acte.objet}",
        matiere=acte.matiere,
        id_acte=acte.id_acte,
        acte_id=acte.id,
        deposited_by=principal.name,
        responsible_user_id=principal.responsible_user_id,
        caller=principal.caller,
        idempotency_key=key,
        fingerprint=fingerprint,
    )
    return _take(services, principal, new, (), now)


async def _withdraw(services: Services, principal: Principal, line: envelopes.Line) -> None:
    withdrawal = Withdrawal(line.id, line.collectivite_id, principal.responsible_user_id, principal.name)
    await _update(services, line.id, "withdraw", withdrawal, refusal=Problem("deja_parti"))


async def ask_classification(services: Services, principal: Principal, key: str) -> Accepted:
    """Ask the ministry for the body's current classification (7-1)."""
    accepted = await run_in_threadpool(_accept_classification_request, services, principal, key)
    await start(services, accepted.enveloppe_id, body_id(principal), "7-1")
    return accepted


def _accept_classification_request(services: Services, principal: Principal, key: str) -> Accepted:
    now = datetime.now(UTC)
    own = body_id(principal)
    fingerprint = _fingerprint("7-1", {}, ())
    known = _known(services, principal, key, fingerprint)
    if known is not None:
        return known
    with services.register.session(principal.scope) as session:
        received = envelopes.current_classification(session, own)
    new = flow.NewEnveloppe(
        id=_id("cls", now),
        transaction="7-1",
        collectivite_id=own,
        objet="Demande de classification",
        classification_date=None if received is None else received.date_version,
        deposited_by=principal.name,
        responsible_user_id=principal.responsible_user_id,
        caller=principal.caller,
        idempotency_key=key,
        fingerprint=fingerprint,
    )
    return _take(services, principal, new, (), now)


async def decide(
    services: Services,
    principal: Principal,
    enveloppe_id: str,
    choice: Literal["renvoyer", "abandonner"],
    reason: str = "",
) -> None:
    """Record what a named person decided about an envelope without answer.

    Raises `NotFound`, or `Problem` (409) where no decision is awaited.
    """
    line = await run_in_threadpool(_line, services, principal, enveloppe_id)
    refusal = Problem("decision_impossible", etat=line.etat)
    if line.etat is not Etat.A_DECIDER:
        raise refusal
    decision = Decision(choice, principal.responsible_user_id, principal.name, reason)
    await _update(services, enveloppe_id, "decide", decision, refusal=refusal)


def _line(services: Services, principal: Principal, enveloppe_id: str) -> envelopes.Line:
    with services.register.session(principal.scope) as session:
        return envelopes.line(session, enveloppe_id)


# The engine


async def start(services: Services, enveloppe_id: str, collectivite_id: str, transaction: str) -> None:
    """Start the envelope's workflow, whose id is the envelope's; started already is as good.

    Raises `Problem` (503) where the engine can't be reached: the envelope is durable, and the same request
    sent again (or the sweep) starts it.
    """
    try:
        await services.temporal.start_workflow(
            WORKFLOW,
            EnvelopeInput(enveloppe_id, collectivite_id, transaction, services.settings.delays),
            id=enveloppe_id,
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=ENGINE_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        log.debug("workflow has ended already", enveloppe=enveloppe_id)
    except RPCError as error:
        log.warning("engine unavailable", enveloppe=enveloppe_id, error=str(error))
        raise Problem("service_indisponible") from error


async def _update(services: Services, enveloppe_id: str, name: str, arg: object, *, refusal: Problem) -> None:
    handle: WorkflowHandle[Any, Any] = services.temporal.get_workflow_handle(enveloppe_id)
    try:
        await handle.execute_update(name, arg, rpc_timeout=ENGINE_TIMEOUT)
    except WorkflowUpdateFailedError as error:
        raise refusal from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise Problem("service_indisponible") from error
    except RPCError as error:
        # A workflow that has ended takes no update any more.
        raise (
            refusal if error.status is RPCStatusCode.NOT_FOUND else Problem("service_indisponible")
        ) from error


# Once, and nothing left behind


def _known(services: Services, principal: Principal, key: str, fingerprint: str) -> Accepted | None:
    body_id(principal)
    with services.register.session(principal.scope) as session:
        known = flow.known_key(session, principal.caller, key)
    if known is None:
        return None
    if known[0] != fingerprint:
        raise Problem("cle_idempotence_reutilisee")
    return Accepted(known[1], replayed=True)


def _take(
    services: Services,
    principal: Principal,
    new: flow.NewEnveloppe,
    pieces: Sequence[tuple[Upload, Piece]],
    now: datetime,
) -> Accepted:
    """Store the objects and write the envelope; or leave nothing, and give the winner of the same key."""
    if pieces:
        with services.register.session(principal.scope) as session:
            flow.begin_upload(session, new.id, new.collectivite_id, now)
    committing = False
    stored: list[str] = []
    try:
        files = _store(services, new, pieces, stored, now)
        with services.register.session(principal.scope) as session:
            flow.accept(
                session,
                replace(new, files=files),
                now=now,
                echeance=now + timedelta(seconds=services.settings.delays.patience),
            )
            committing = True
    except Conflict as error:
        _undo(services, principal, new, stored)
        known = _known(services, principal, new.idempotency_key, new.fingerprint)
        if known is not None:
            return known
        raise conflict(error) from error
    except BaseException:
        # A commit whose answer was lost may have happened: then the objects belong to an envelope. The
        # intent stays, and the sweep looks again.
        if not committing:
            _undo(services, principal, new, stored)
        raise
    return Accepted(new.id)


def _store(
    services: Services,
    new: flow.NewEnveloppe,
    pieces: Sequence[tuple[Upload, Piece]],
    stored: list[str],
    now: datetime,
) -> tuple[flow.NewFile, ...]:
    files = []
    for position, (upload, piece) in enumerate(pieces, start=1):
        file_id = _id("fic", now)
        key = f"{new.collectivite_id}/{new.id}/{file_id}"
        stored.append(key)
        ref = services.store.put_file(key, upload.path)
        files.append(
            flow.NewFile(
                id=file_id,
                role="document" if position == 1 else "annexe",
                position=position,
                nom=upload.nom,
                media_type=piece.media_type,
                code_pj=piece.code_pj,
                ref=flow.FileRef(ref.bucket, ref.key, upload.sha256, upload.sha512, upload.size),
            )
        )
    return tuple(files)


def _undo(services: Services, principal: Principal, new: flow.NewEnveloppe, stored: Sequence[str]) -> None:
    """Remove the objects of a deposit that did not become an envelope; what can't be now is swept later."""
    if not stored:
        return
    try:
        for key in stored:
            services.store.delete(key)
        with services.register.session(principal.scope) as session:
            flow.end_upload(session, new.id)
    except (StoreError, SQLAlchemyError) as error:
        log.warning("left to the sweep", enveloppe=new.id, error=str(error))


def _fingerprint(transaction: str, said: dict[str, Any], uploads: Sequence[Upload]) -> str:
    content = {
        "transaction": transaction,
        "acte": said,
        "fichiers": [[upload.field, upload.nom, upload.size, upload.sha512] for upload in uploads],
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _id(prefix: str, now: datetime) -> str:
    return new_id(prefix, now, secrets.token_bytes(10))
