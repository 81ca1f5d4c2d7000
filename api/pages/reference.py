"""The classification in force for the body, and the request for a new one (7-1)."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Annotated

from fastapi import Depends, Request, Response

from api import deposits
from api.auth import services_of
from api.pages.choices import classification_for, dotted
from api.pages.forms import Confirmation, ask
from api.pages.render import language, page, words
from api.pages.routing import pages, redirect
from api.services import Right
from api.sign_in import CheckedForm, Reader, Visitor, allowed, field
from registry import envelopes
from registry.envelopes import Filters
from schemas.actes.classification import Classification
from schemas.states import TERMINAL

router = pages()

Depositor = Annotated[Visitor, Depends(allowed(Right.DEPOSIT))]


@dataclass(frozen=True, slots=True)
class Node:
    """A matière with those below it."""

    code: str
    label: str
    children: tuple[Node, ...]


def tree(classification: Classification, above: tuple[int, ...] = ()) -> tuple[Node, ...]:
    """The matières below `above`, as a tree."""
    return tuple(
        Node(dotted(path), label, tree(classification, path))
        for path, label in classification.children(above).items()
    )


@router.get("/classification")
def classification_page(request: Request, visitor: Reader) -> Response:
    """Matières, natures and piece types of the body's classification."""
    body = visitor.principal.collectivite_id
    with services_of(request).register.session(visitor.principal.scope) as session:
        classification = classification_for(session, body)
        own = envelopes.current_classification(session, body) if body is not None else None
        asked = envelopes.search(session, Filters(transaction="7-1"), limit=1).lines
    pending = next((line.id for line in asked if line.etat not in TERMINAL), None)
    context = {
        "classification": classification,
        "tree": tree(classification),
        "own": own,
        "pending": pending,
        "may_ask": body is not None and visitor.may(Right.DEPOSIT) and pending is None,
    }
    return page(request, "classification.html", context)


@router.get("/classification/demande")
def ask_page(request: Request, visitor: Depositor) -> Response:
    """Ask before a request leaves."""
    lang, text = language(request), words().text
    deposits.body_id(visitor.principal)
    question = Confirmation(
        question=text("classification_question", lang),
        paragraph=text("classification_texte", lang),
        button=text("classification_demander", lang),
        action="/classification/demande",
        back="/classification",
        trail=(("/classification", text("nav_classification", lang)),),
        key=token_urlsafe(24),
    )
    return ask(request, question)


@router.post("/classification/demande")
async def send(request: Request, visitor: Depositor, form: CheckedForm) -> Response:
    """Send the request (7-1) and show its envelope."""
    key = deposits.checked_key(field(form, "cle", 64) or None)
    accepted = await deposits.ask_classification(services_of(request), visitor.principal, key)
    return redirect(f"/actes/{accepted.enveloppe_id}?depose=1")
