"""People at the door: the session cookie, who is reading, and forms that only our own pages can send.

SignInError
├── NotSignedIn     no session: the page leads to the sign-in form and back
├── NoBodyChosen    the person works for several bodies and has chosen none yet
├── NotAllowed      signed in, but the role lacks the right
└── ForgedForm      the form does not come from our page (CSRF), or its page is too old
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from api import auth
from api.auth import services_of
from api.problems import Problem
from api.services import Principal, Right, Services
from registry import accounts
from registry.door import Platform

FORM_COOKIE = "formulaire"
"""Holds the token of the sign-in form, before there is a session to hold it."""

CSRF_FIELD = "jeton"
MAX_FIELDS = 400

ATTEMPTS = 20
ATTEMPTS_WINDOW = 600.0
"""Seconds; sign-in attempts of one address, whatever the account (an account locks after five on its own)."""
REMEMBERED_ADDRESSES = 10_000


class SignInError(Exception):
    """Root of what keeps a person from a page."""


class NotSignedIn(SignInError):
    """No session behind the cookie."""


class NoBodyChosen(SignInError):
    """Several bodies, none chosen."""


class NotAllowed(SignInError):
    """The role lacks the right."""


class ForgedForm(SignInError):
    """The form was not sent from a page of ours in this session."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person who reads a page."""

    user_id: str
    nom: str
    email: str
    csrf_token: str
    body_name: str | None
    principal: Principal
    several_bodies: bool

    def may(self, right: Right) -> bool:
        """Whether the person's roles hold `right` in the chosen body."""
        return right in self.principal.rights


def form_cookie_name(services: Services) -> str:
    """Name of the sign-in form's own cookie, bound to the host like the session's."""
    return f"__Host-{FORM_COOKIE}" if services.settings.secure_cookies else FORM_COOKIE


def keep_cookie(
    response: Response, services: Services, name: str, value: str, *, strict: bool = False
) -> None:
    """Set a cookie of ours on `response`; it ends with the browser, the session itself in the register."""
    response.set_cookie(
        name,
        value,
        path="/",
        httponly=True,
        secure=services.settings.secure_cookies,
        samesite="strict" if strict else "lax",
    )


def find_visitor(request: Request) -> Visitor | None:
    """Who is behind the cookie, or None. Kept on the request so that the page's frame can show it."""
    person = auth.signed_in(request)
    if person is None:
        return None
    name = next(
        (r.collectivite_nom for r in person.roles if r.collectivite_id == person.collectivite_id), None
    )
    if name is None and person.collectivite_id is not None:
        with services_of(request).register.session(Platform("sign-in")) as session:
            name = accounts.collectivite(session, person.collectivite_id).nom
    try:
        principal = auth.principal_of(person)
    except Problem:
        principal = Principal(f"user:{person.user_id}", person.nom, person.user_id, None, frozenset())
    bodies = {r.collectivite_id for r in person.roles}
    visitor = Visitor(
        user_id=person.user_id,
        nom=person.nom,
        email=person.email,
        csrf_token=person.csrf_token,
        body_name=name,
        principal=principal,
        several_bodies=len(bodies) > 1 or Right.PLATFORM_ADMIN in principal.rights,
    )
    request.state.visitor = visitor
    return visitor


def signed_in(request: Request) -> Visitor:
    """The person who reads, once a session is open and a body is chosen.

    Raises `NotSignedIn`, or `NoBodyChosen` for a person of several bodies (a platform administrator may
    read without body).
    """
    visitor = find_visitor(request)
    if visitor is None:
        raise NotSignedIn
    if visitor.principal.collectivite_id is None and not visitor.may(Right.PLATFORM_ADMIN):
        raise NoBodyChosen
    return visitor


Reader = Annotated[Visitor, Depends(signed_in)]


def allowed(right: Right) -> Callable[[Visitor], Visitor]:
    """A dependency that lets in only who holds `right`; raises `NotAllowed`."""

    def check(visitor: Reader) -> Visitor:
        if not visitor.may(right):
            raise NotAllowed
        return visitor

    return check


def check_origin(request: Request) -> None:
    """Refuse an unsafe request that another site caused (Fetch Metadata; `Origin` for older browsers).

    Raises `ForgedForm`.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise ForgedForm
        return
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise ForgedForm


def check_token(given: object, expected: str | None) -> None:
    """Compare a form's synchroniser token in constant time; raises `ForgedForm`."""
    if (
        not isinstance(given, str)
        or not expected
        or not hmac.compare_digest(given.encode(), expected.encode())
    ):
        raise ForgedForm


async def _small_form(request: Request, max_fields: int) -> FormData:
    # A charset of the sender's choice would be decoded by whatever codec it names; ours are UTF-8.
    if "charset" in request.headers.get("content-type", "").lower().replace("charset=utf-8", ""):
        raise ForgedForm
    return await request.form(max_files=0, max_fields=max_fields)


async def checked_form(request: Request, visitor: Reader) -> FormData:
    """The small form of a page, once it is proved to come from that page; raises `ForgedForm`."""
    check_origin(request)
    form = await _small_form(request, MAX_FIELDS)
    check_token(form.get(CSRF_FIELD), visitor.csrf_token)
    return form


CheckedForm = Annotated[FormData, Depends(checked_form)]


async def sign_in_form(request: Request) -> FormData:
    """The sign-in form, matched with the cookie that came with its page; raises `ForgedForm`."""
    check_origin(request)
    form = await _small_form(request, 20)
    check_token(form.get(CSRF_FIELD), request.cookies.get(form_cookie_name(services_of(request))))
    return form


def field(form: FormData, name: str, limit: int = 2000) -> str:
    """A text field of a form, trimmed and cut at `limit` characters; empty where it is missing."""
    value = form.get(name)
    return value.replace("\0", "").strip()[:limit] if isinstance(value, str) else ""


def safe_next(target: str | None) -> str:
    """`target` if it is a path of ours, else the home page: no way to send a person to another site."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return "/"
    if any(ord(c) < 0x20 for c in target) or urlsplit(target).netloc:
        return "/"
    return target


def new_form_token() -> str:
    """A token for a form that is shown before there is a session."""
    return secrets.token_urlsafe(32)


def address_of(request: Request) -> str:
    """Where a browser calls from: the connection's other end, or what a trusted proxy says of it
    (the last address of `X-Forwarded-For` that is not a trusted proxy itself)."""
    peer = request.client.host if request.client is not None else "unix"
    trusted = services_of(request).settings.trusted_proxies
    if peer not in trusted:
        return peer
    said = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    return next((part for part in reversed(said) if part and part not in trusted), peer)


class Attempts:
    """Sign-in attempts of the last minutes, by address: slows down guessing over many accounts."""

    def __init__(self, limit: int = ATTEMPTS, window: float = ATTEMPTS_WINDOW) -> None:
        self._limit = limit
        self._window = window
        self._seen: dict[str, deque[float]] = {}
        self._lock = Lock()

    def take(self, address: str, at: float | None = None) -> bool:
        """Count one attempt; False where the address has used up its window (seconds of a steady clock)."""
        now = monotonic() if at is None else at
        with self._lock:
            seen = self._seen.pop(address, deque())
            while seen and seen[0] <= now - self._window:
                seen.popleft()
            free = len(seen) < self._limit
            if free:
                seen.append(now)
            # Put back last, so that the dictionary's order is by last use and the oldest is forgotten first.
            self._seen[address] = seen
            if len(self._seen) > REMEMBERED_ADDRESSES:
                self._seen.pop(next(iter(self._seen)))
            return free

    def give_back(self, address: str) -> None:
        """The attempt succeeded: only failures use the window up."""
        with self._lock:
            if seen := self._seen.get(address):
                seen.pop()
