"""The body and the platform for administrators: people, tokens (shown once), facts of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from api import deposits
from api.auth import services_of
from api.pages.forms import Confirmation, FormProblem, ask, by_field
from api.pages.render import language, page, words
from api.pages.routing import pages, redirect
from api.services import Right
from api.sign_in import CheckedForm, Visitor, allowed, checked_form, field
from registry import accounts, facts
from registry.accounts import AccountRefused
from registry.door import NotFound
from schemas.catalogue import Lang

router = pages()

SOFTWARE_RIGHTS = ("actes:deposer", "actes:lire", "actes:decider", "archives:lire")

Administrator = Annotated[Visitor, Depends(allowed(Right.BODY_ADMIN))]


@router.get("/administration")
def administration_page(request: Request, visitor: Administrator) -> Response:
    """The body chosen, its people and tokens; all bodies for an administrator of the platform."""
    return _page(request, visitor)


def _page(
    request: Request,
    visitor: Visitor,
    *,
    secret: str = "",
    values: dict[str, Any] | None = None,
    problems: Sequence[FormProblem] = (),
    status: int = 200,
) -> Response:
    services, lang = services_of(request), language(request)
    own = visitor.principal.collectivite_id
    with services.register.session(visitor.principal.scope) as session:
        context: dict[str, Any] = {
            "body": accounts.collectivite(session, own) if own else None,
            "users": accounts.users_of(session, own) if own else [],
            "tokens": accounts.tokens_of(session, own) if own else [],
            "bodies": accounts.collectivites(session) if visitor.may(Right.PLATFORM_ADMIN) else [],
        }
    if context["body"] is not None:
        context["nature"] = _nature_of_body(context["body"].nature, lang)
    context |= {
        "facts": platform_facts(facts.known(services.register), lang),
        "software_rights": SOFTWARE_RIGHTS,
        "secret": secret,
        "values": values or {"libelle": "", "droits": ["actes:deposer", "actes:lire"]},
        "problems": problems,
        "errors": by_field(problems),
    }
    return page(request, "administration.html", context, status=status)


def _nature_of_body(nature: str, lang: Lang) -> str:
    key = f"nature_collectivite_{nature}"
    return words().text(key, lang) if key in set(words()) else nature


def platform_facts(known: dict[str, Any], lang: Lang) -> list[tuple[str, str]]:
    """What the installation says of itself, in plain words; what nobody has checked yet is said so."""
    text = words().text
    told = []
    for fact, name, yes, no in (
        ("object_lock", "fait_verrou", "verrou_oui", "verrou_non"),
        ("antivirus", "fait_antivirus", "antivirus_oui", "antivirus_non"),
    ):
        sentence = "fait_inconnu" if fact not in known else yes if known[fact] else no
        told.append((text(name, lang), text(sentence, lang)))
    return told


@router.post("/administration/jetons")
def create_token(request: Request, visitor: Administrator, form: CheckedForm) -> Response:
    """Make a token; the answer to this very form is the only page that ever shows it."""
    lang, text = language(request), words().text
    label = field(form, "libelle", 80)
    rights = [right for right in SOFTWARE_RIGHTS if right in form.getlist("droit")]
    problems = []
    if not label:
        problems.append(FormProblem("libelle", text("jeton_manque_libelle", lang)))
    if not rights:
        problems.append(FormProblem("droits", text("jeton_manque_droit", lang)))
    if problems:
        values = {"libelle": label, "droits": rights}
        return _page(request, visitor, values=values, problems=problems, status=422)
    try:
        with services_of(request).register.session(visitor.principal.scope) as session:
            made = accounts.create_token(
                session,
                datetime.now(UTC),
                collectivite_id=deposits.body_id(visitor.principal),
                label=label,
                rights=rights,
                responsible_user_id=visitor.user_id,
            )
    except AccountRefused:
        # The rights are chosen among ours: what is left to refuse is the person.
        values = {"libelle": label, "droits": rights}
        problems = [FormProblem("", text("jeton_hors_collectivite", lang))]
        return _page(request, visitor, values=values, problems=problems, status=422)
    return _page(request, visitor, secret=made.secret)


@router.get("/administration/jetons/{token_id}/revocation")
def revoke_page(request: Request, visitor: Administrator, token_id: str) -> Response:
    """Ask before a token is revoked."""
    lang, text = language(request), words().text
    own = deposits.body_id(visitor.principal)
    with services_of(request).register.session(visitor.principal.scope) as session:
        token = next((t for t in accounts.tokens_of(session, own) if t.id == token_id), None)
    if token is None:
        raise NotFound(token_id)
    question = Confirmation(
        question=text("revoquer_question", lang),
        paragraph=text("revoquer_texte", lang, nom=token.label),
        button=text("revoquer", lang),
        action=f"/administration/jetons/{token_id}/revocation",
        back="/administration",
        trail=(("/administration", text("nav_administration", lang)),),
        grave=True,
    )
    return ask(request, question)


@router.post("/administration/jetons/{token_id}/revocation", dependencies=[Depends(checked_form)])
def revoke(request: Request, visitor: Administrator, token_id: str) -> Response:
    """Shut a token for ever."""
    own = deposits.body_id(visitor.principal)
    with services_of(request).register.session(visitor.principal.scope) as session:
        accounts.revoke_token(session, own, token_id, datetime.now(UTC))
    return redirect("/administration")
