"""One envelope: its page, its live stream, its files and proof, and what people decide about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from secrets import token_urlsafe
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from api import deposits
from api.auth import services_of
from api.files import send_file, send_proof
from api.live import ANYTHING, Live, event_stream, message
from api.pages.choices import classification_for
from api.pages.forms import Choice, Confirmation, FormProblem, ask
from api.pages.render import fragment, language, page, words
from api.pages.routing import pages, redirect
from api.pages.sight import ACKNOWLEDGED, Sight, see, title
from api.problems import Problem
from api.services import Right
from api.sign_in import CheckedForm, Reader, Visitor, allowed, field
from registry import envelopes
from registry.envelopes import Line
from schemas.catalogue import Lang
from schemas.states import Etat

router = pages()

WITHDRAWABLE = frozenset({Etat.DEPOSE, Etat.PRET})

Depositor = Annotated[Visitor, Depends(allowed(Right.DEPOSIT))]
Decider = Annotated[Visitor, Depends(allowed(Right.DECIDE))]


def _sight(request: Request, visitor: Visitor, enveloppe_id: str, lang: Lang) -> Sight:
    with services_of(request).register.session(visitor.principal.scope) as session:
        whole = envelopes.whole(session, enveloppe_id)
        classification = classification_for(session, whole.line.collectivite_id)
    return see(whole, visitor, classification, lang)


def _line(request: Request, visitor: Visitor, enveloppe_id: str) -> Line:
    with services_of(request).register.session(visitor.principal.scope) as session:
        return envelopes.line(session, enveloppe_id)


@router.get("/actes/{enveloppe_id}")
def envelope_page(request: Request, visitor: Reader, enveloppe_id: str, depose: str = "") -> Response:
    """The page of an envelope."""
    sight = _sight(request, visitor, enveloppe_id, language(request))
    just_deposited = depose == "1" and sight.envelope.line.etat is Etat.DEPOSE
    return page(request, "acte.html", {"sight": sight, "just_deposited": just_deposited, "visitor": visitor})


@router.get("/actes/{enveloppe_id}/flux")
def envelope_stream(request: Request, visitor: Reader, enveloppe_id: str, vu: str = "") -> StreamingResponse:
    """Redraws the page's living part after each event; `vu` is how many events the page shows."""
    live: Live = request.app.state.live
    lang = language(request)
    _line(request, visitor, enveloppe_id)
    seen = request.headers.get("last-event-id") or vu

    async def redraws() -> AsyncIterator[str]:
        shown = seen
        async with live.watch(visitor.principal.scope) as queue:
            while True:
                sight = await run_in_threadpool(_sight, request, visitor, enveloppe_id, lang)
                if str(len(sight.machine)) != shown:
                    shown = str(len(sight.machine))
                    yield message(_living_part(sight, visitor, lang), id_=shown)
                if not sight.moving:
                    yield message("", event="fin")
                    return
                change = await queue.get()
                while change is not None and change.enveloppe_id not in (enveloppe_id, ANYTHING.enveloppe_id):
                    change = await queue.get()
                if change is None:
                    return

    return event_stream(redraws())


def _living_part(sight: Sight, visitor: Visitor, lang: Lang) -> str:
    html = fragment("acte_vivant.html", lang, {"sight": sight, "visitor": visitor})
    state = words().text(f"etat_{sight.envelope.line.etat}", lang)
    spoken = Markup("<hx-partial hx-target='#annonce' hx-swap='innerHTML'>{}</hx-partial>").format(
        words().text("annonce", lang, titre=sight.short_title, etat=state)
    )
    return html + str(spoken)


@router.get("/actes/{enveloppe_id}/pieces/{file_id}")
def file(request: Request, visitor: Reader, enveloppe_id: str, file_id: str) -> Response:
    """A file of the envelope, streamed."""
    services = services_of(request)
    with services.register.session(visitor.principal.scope) as session:
        found = envelopes.file(session, enveloppe_id, file_id)
    return send_file(request, services, found)


@router.get("/actes/{enveloppe_id}/preuve")
def proof(request: Request, visitor: Reader, enveloppe_id: str) -> Response:
    """The proof pack of the latest sealed record."""
    services = services_of(request)
    with services.register.session(visitor.principal.scope) as session:
        line = envelopes.line(session, enveloppe_id)
        record = envelopes.latest_record(session, enveloppe_id)
    return send_proof(services, record, f"preuve-{line.numero or line.id}.zip")


def _confirmation(request: Request, line: Line, kind: str, *, grave: bool = False) -> Confirmation:
    lang, text, base = language(request), words().text, f"/actes/{line.id}"
    return Confirmation(
        question=text(f"{kind}_question", lang),
        paragraph=text(f"{kind}_texte", lang, titre=title(line, lang)),
        button=text(f"{kind}_bouton", lang),
        action=f"{base}/{kind}",
        back=base,
        trail=(("/envois", text("nav_envois", lang)), (base, line.numero or line.id)),
        key=token_urlsafe(24),
        grave=grave,
    )


@router.get("/actes/{enveloppe_id}/decision")
def decision_page(request: Request, visitor: Decider, enveloppe_id: str) -> Response:
    """Send again or give up, with what each means."""
    return _decision_form(request, _line(request, visitor, enveloppe_id))


def _decision_form(request: Request, line: Line, *, reason: str = "", missing: bool = False) -> Response:
    if line.etat is not Etat.A_DECIDER:
        raise Problem("decision_impossible", etat=line.etat)
    lang, text = language(request), words().text
    question = replace(
        _confirmation(request, line, "decision"),
        choices=tuple(
            Choice(choice, text(f"decision_{choice}", lang), text(f"decision_{choice}_aide", lang))
            for choice in ("renvoyer", "abandonner")
        ),
        choice_legend=text("decision_legende", lang),
        reason_label=text("decision_motif", lang),
        reason=reason,
        problems=(FormProblem("choix", text("decision_choisir", lang)),) if missing else (),
    )
    return ask(request, question)


@router.post("/actes/{enveloppe_id}/decision")
async def decide(request: Request, visitor: Decider, form: CheckedForm, enveloppe_id: str) -> Response:
    """Record the decision of this named person."""
    choice, reason = field(form, "choix"), field(form, "motif", 500)
    if choice not in {"renvoyer", "abandonner"}:
        line = await run_in_threadpool(_line, request, visitor, enveloppe_id)
        return _decision_form(request, line, reason=reason, missing=True)
    await deposits.decide(
        services_of(request),
        visitor.principal,
        enveloppe_id,
        "renvoyer" if choice == "renvoyer" else "abandonner",
        reason,
    )
    return redirect(f"/actes/{enveloppe_id}")


@router.get("/actes/{enveloppe_id}/retrait")
def withdrawal_page(request: Request, visitor: Depositor, enveloppe_id: str) -> Response:
    """Ask before an envelope is withdrawn."""
    line = _line(request, visitor, enveloppe_id)
    if line.etat not in WITHDRAWABLE:
        raise Problem("deja_parti")
    return ask(request, _confirmation(request, line, "retrait", grave=True))


@router.post("/actes/{enveloppe_id}/retrait")
async def withdraw(request: Request, visitor: Depositor, form: CheckedForm, enveloppe_id: str) -> Response:
    """Withdraw an envelope that has not left; never turns into a cancellation at the ministry."""
    line = await run_in_threadpool(_line, request, visitor, enveloppe_id)
    if line.etat not in WITHDRAWABLE:
        raise Problem("deja_parti")
    await deposits.cancel(services_of(request), visitor.principal, _key(form), enveloppe_id)
    return redirect(f"/actes/{enveloppe_id}")


@router.get("/actes/{enveloppe_id}/annulation")
def cancellation_page(request: Request, visitor: Depositor, enveloppe_id: str) -> Response:
    """Ask before an acknowledged act is cancelled."""
    line = _line(request, visitor, enveloppe_id)
    if line.transaction != "1-1" or line.etat not in ACKNOWLEDGED:
        raise Problem("annulation_impossible", etat=line.etat)
    return ask(request, _confirmation(request, line, "annulation", grave=True))


@router.post("/actes/{enveloppe_id}/annulation")
async def cancel(request: Request, visitor: Depositor, form: CheckedForm, enveloppe_id: str) -> Response:
    """Ask the ministry to cancel an acknowledged act (6-1)."""
    line = await run_in_threadpool(_line, request, visitor, enveloppe_id)
    if line.etat not in ACKNOWLEDGED:
        raise Problem("annulation_impossible", etat=line.etat)
    accepted = await deposits.cancel(services_of(request), visitor.principal, _key(form), enveloppe_id)
    return redirect(f"/actes/{accepted.enveloppe_id}?depose=1")


def _key(form: CheckedForm) -> str:
    return deposits.checked_key(field(form, "cle", 64) or None)
