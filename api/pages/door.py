"""Signing in and out, and choosing the body to work for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from api import auth
from api.auth import services_of
from api.pages.forms import FormProblem, by_field
from api.pages.render import language, page, words
from api.pages.routing import pages, redirect
from api.services import Right
from api.sign_in import (
    Attempts,
    NotSignedIn,
    Visitor,
    address_of,
    checked_form,
    field,
    find_visitor,
    form_cookie_name,
    keep_cookie,
    new_form_token,
    safe_next,
    sign_in_form,
)
from registry import accounts
from registry.accounts import Outcome
from registry.door import Platform

router = pages()
attempts = Attempts()


def _form_page(
    request: Request,
    *,
    email: str = "",
    suite: str = "/",
    problem: str = "",
    code_problem: str = "",
    status: int = 200,
) -> Response:
    lang, services, token = language(request), services_of(request), new_form_token()
    problems = []
    if problem:
        problems.append(FormProblem("email", words().text(problem, lang)))
    if code_problem:
        problems.append(FormProblem("code", words().text(code_problem, lang)))
    context = {
        "form_token": token,
        "email": email,
        "suite": suite,
        "problems": problems,
        "errors": by_field(problems),
    }
    response = page(request, "connexion.html", context, status=status)
    keep_cookie(response, services, form_cookie_name(services), token, strict=True)
    return response


@router.get("/connexion")
def sign_in_page(request: Request, suite: str = "/") -> Response:
    """The sign-in form; a person who is signed in already goes on."""
    if find_visitor(request) is not None:
        return redirect(safe_next(suite))
    return _form_page(request, suite=safe_next(suite))


@router.post("/connexion")
def sign_in(request: Request, form: Annotated[FormData, Depends(sign_in_form)]) -> Response:
    """Check address, password and code; one answer for every reason of refusal."""
    services, now = services_of(request), datetime.now(UTC)
    email, suite = field(form, "email", 320), safe_next(field(form, "suite"))
    address = address_of(request)
    if not attempts.take(address):
        return _form_page(request, email=email, suite=suite, problem="connexion_trop", status=429)
    password = form.get("mot_de_passe")
    verdict = accounts.sign_in(
        services.register,
        email,
        password[:1000] if isinstance(password, str) else "",
        field(form, "code", 20) or None,
        now,
    )
    if verdict.outcome is Outcome.CODE_NEEDED:
        return _form_page(request, email=email, suite=suite, code_problem="code_demande", status=401)
    if verdict.outcome is Outcome.CODE_REFUSED:
        return _form_page(request, email=email, suite=suite, code_problem="code_refuse", status=401)
    if verdict.user_id is None:
        return _form_page(request, email=email, suite=suite, problem="connexion_refusee", status=401)
    attempts.give_back(address)
    with services.register.session(Platform("sign-in")) as session:
        opened = accounts.open_web_session(session, verdict.user_id, now)
    response = redirect(suite)
    keep_cookie(response, services, auth.cookie_name(services.settings), opened.cookie)
    response.delete_cookie(
        form_cookie_name(services), path="/", secure=services.settings.secure_cookies, httponly=True
    )
    return response


async def _any_visitor(request: Request) -> Visitor:
    visitor = await run_in_threadpool(find_visitor, request)
    if visitor is None:
        raise NotSignedIn
    return visitor


AnyVisitor = Annotated[Visitor, Depends(_any_visitor)]
"""A person who is signed in, whether or not a body is chosen."""


async def _own_form(request: Request, visitor: AnyVisitor) -> FormData:
    return await checked_form(request, visitor)


OwnForm = Annotated[FormData, Depends(_own_form)]


@router.post("/deconnexion", dependencies=[Depends(_own_form)])
def sign_out(request: Request) -> Response:
    """Close the session here and in the register."""
    services = services_of(request)
    name = auth.cookie_name(services.settings)
    with services.register.session(Platform("sign-in")) as session:
        accounts.close_web_session(session, request.cookies[name])
    response = redirect("/connexion")
    response.delete_cookie(name, path="/", secure=services.settings.secure_cookies, httponly=True)
    return response


@router.get("/organisme")
def choose_page(request: Request, visitor: AnyVisitor, suite: str = "/") -> Response:
    """The bodies that this person may work for."""
    services, lang = services_of(request), language(request)
    person = auth.signed_in(request)
    assert person is not None, "find_visitor found the same session"
    if visitor.may(Right.PLATFORM_ADMIN):
        with services.register.session(Platform("administrateur")) as session:
            bodies = [(body.id, body.nom) for body in accounts.collectivites(session) if body.active]
        bodies.append(("", words().text("organisme_tous", lang)))
    else:
        named = {r.collectivite_id: r.collectivite_nom or "" for r in person.roles if r.collectivite_id}
        bodies = [(key, nom) for key, nom in named.items() if key is not None]
    known = [key for key, _ in bodies]
    current = person.collectivite_id or ""
    context = {
        "bodies": bodies,
        "suite": safe_next(suite),
        "current": current if current in known else known[0] if known else "",
    }
    return page(request, "organisme.html", context)


@router.post("/organisme")
def choose(request: Request, form: OwnForm) -> Response:
    """Work for the chosen body from now on."""
    services = services_of(request)
    cookie = request.cookies[auth.cookie_name(services.settings)]
    with services.register.session(Platform("sign-in")) as session:
        accounts.choose_body(session, cookie, field(form, "organisme", 100) or None, datetime.now(UTC))
    return redirect(safe_next(field(form, "suite")))
