"""The quarantine, for administrators of the platform: what matched nothing is shown and never dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request, Response

from api.auth import services_of
from api.files import send_file
from api.pages.forms import Confirmation, FormProblem, ask
from api.pages.render import language, page, words
from api.pages.routing import pages, redirect
from api.services import Right
from api.sign_in import CheckedForm, Visitor, allowed, field
from registry import envelopes, quarantine
from registry.door import Platform
from registry.envelopes import File, Quarantined
from schemas.catalogue import Lang, load

router = pages()

PAGE_SIZE = 50
SCOPE = Platform("quarantaine")
"""A message that matches no envelope belongs to no body."""

only_administrators = Depends(allowed(Right.PLATFORM_ADMIN))
Administrator = Annotated[Visitor, only_administrators]


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in quarantine, with why it is there in words."""

    message: Quarantined
    reason: str


def _reason(code: str, lang: Lang) -> str:
    book = load("registry")
    for key in (code, f"quarantaine_{code}"):
        if key in set(book):
            return book.text(key, lang)
    return words().text("quarantaine_inconnue", lang)


@router.get("/quarantaine", dependencies=[only_administrators])
def quarantine_page(request: Request, apres: str = "") -> Response:
    """Messages in quarantine, newest first."""
    lang = language(request)
    with services_of(request).register.session(SCOPE) as session:
        found = envelopes.quarantine(session, limit=PAGE_SIZE, after=apres or None)
    context = {
        "messages": [Kept(message, _reason(message.reason, lang)) for message in found],
        "older": f"/quarantaine?apres={found[-1].id}" if len(found) == PAGE_SIZE else None,
    }
    return page(request, "quarantaine.html", context)


@router.get("/quarantaine/{message_id}/message", dependencies=[only_administrators])
def download(request: Request, message_id: str) -> Response:
    """The raw message."""
    services = services_of(request)
    with services.register.session(SCOPE) as session:
        row = quarantine.message(session, message_id)
        raw = File(
            id=row.id,
            role="retour_mail",
            position=0,
            nom=f"{row.id}.eml",
            nom_norme=None,
            code_pj=None,
            media_type="message/rfc822",
            size=row.size,
            sha256=row.sha256,
            sha512=row.message_sha512,
            bucket=row.bucket,
            key=row.object_key,
        )
    return send_file(request, services, raw)


@router.get("/quarantaine/{message_id}", dependencies=[only_administrators])
def resolve_page(request: Request, message_id: str) -> Response:
    """Ask what became of a message."""
    return _form(request, message_id)


def _form(request: Request, message_id: str, *, missing: bool = False) -> Response:
    lang, text = language(request), words().text
    with services_of(request).register.session(SCOPE) as session:
        subject = quarantine.message(session, message_id).subject
    question = Confirmation(
        question=text("quarantaine_question", lang),
        paragraph=text("quarantaine_texte", lang, sujet=subject or text("sans_objet", lang)),
        button=text("quarantaine_traiter", lang),
        action=f"/quarantaine/{message_id}",
        back="/quarantaine",
        trail=(("/quarantaine", text("nav_quarantaine", lang)),),
        reason_label=text("quarantaine_motif", lang),
        reason_required=True,
        problems=(FormProblem("motif", text("quarantaine_motif_manque", lang)),) if missing else (),
    )
    return ask(request, question)


@router.post("/quarantaine/{message_id}")
def resolve(request: Request, visitor: Administrator, form: CheckedForm, message_id: str) -> Response:
    """Take a message out of quarantine with what became of it; it stays kept."""
    resolution = field(form, "motif", 500)
    if not resolution:
        return _form(request, message_id, missing=True)
    with services_of(request).register.session(SCOPE) as session:
        quarantine.resolve(session, message_id, visitor.nom, resolution, datetime.now(UTC))
    return redirect("/quarantaine")
