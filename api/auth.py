"""Who is calling: a token, a client certificate, or a signed-in browser; and what they may do.

A token travels as `Authorization: Bearer pli_…`.
A client certificate travels either as `Client-Cert` (RFC 9440), believed only where the peer is one of
`trusted_proxies` (the address `unix` stands for a Unix socket), or as the ASGI `tls` extension
(`scope["extensions"]["tls"]["client_cert_chain"]`, PEM, leaf first), which a TLS listener of ours may set.
Either way it is verified here again: chain, dates, extended key usage; then looked up by its SHA-256.
The server must not rewrite the peer's address from `X-Forwarded-For` (uvicorn: `proxy_headers=False`).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from fastapi import Depends, Request

from api.problems import Problem
from api.services import ROLE_RIGHTS, ApiSettings, Principal, Right, Services
from registry.accounts import (
    TOKEN_PREFIX,
    Access,
    SignedIn,
    find_certificate,
    find_token,
    find_web_session,
)
from registry.door import Platform

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNIX_PEER = "unix"


def services_of(request: Request) -> Services:
    """What the application was given at its start."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def cookie_name(settings: ApiSettings) -> str:
    """Name of the browsers' cookie; `__Host-` binds it to this host and to TLS (RFC 6265bis §4.1.3.2)."""
    return "__Host-session" if settings.secure_cookies else "session"


def current_principal(request: Request) -> Principal:
    """The caller; raises `Problem` (401) where nobody is known, (409) where no body is chosen yet.

    A caller who shows several credentials is the first of: token, certificate, cookie. A wrong token is
    refused even beside a good cookie.
    """
    known = getattr(request.state, "principal", None)
    if isinstance(known, Principal):
        return known
    principal = _recognise(request, services_of(request))
    request.state.principal = principal
    return principal


def _recognise(request: Request, services: Services) -> Principal:
    now = datetime.now(UTC)
    header = request.headers.get("authorization")
    if header is not None:
        return _software(_by_token(services, header, now))
    certificate = _shown_certificate(request, services.settings)
    if certificate is not None:
        return _software(_by_certificate(services, certificate, now))
    person = signed_in(request)
    if person is None:
        raise Problem("authentification_requise")
    return principal_of(person)


def signed_in(request: Request) -> SignedIn | None:
    """The person behind the browser's cookie, whatever body they chose; None where nobody is signed in."""
    services = services_of(request)
    cookie = request.cookies.get(cookie_name(services.settings))
    if not cookie:
        return None
    with services.register.session(Platform("sign-in")) as session:
        return find_web_session(session, cookie, datetime.now(UTC))


def principal_of(person: SignedIn) -> Principal:
    """The caller that a signed-in person is, for the body chosen.

    Raises `Problem` (409) where a person without role on the platform has chosen no body, (403) where the
    roles in the chosen body are gone.
    """
    roles = [role.role for role in person.roles if role.collectivite_id in (None, person.collectivite_id)]
    rights = frozenset(right for role in roles for right in ROLE_RIGHTS[role])
    if person.collectivite_id is None and Right.PLATFORM_ADMIN not in rights:
        raise Problem("collectivite_a_choisir")
    if not rights:
        raise Problem("droit_manquant", droit=Right.READ)
    return Principal(
        caller=f"user:{person.user_id}",
        name=person.nom,
        responsible_user_id=person.user_id,
        collectivite_id=person.collectivite_id,
        rights=rights,
    )


def _software(access: Access) -> Principal:
    return Principal(
        caller=access.caller,
        name=access.name,
        responsible_user_id=access.responsible_user_id,
        collectivite_id=access.collectivite_id,
        rights=frozenset(Right(right) for right in access.rights),
    )


def _by_token(services: Services, header: str, now: datetime) -> Access:
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip().startswith(TOKEN_PREFIX):
        raise Problem("acces_refuse")
    with services.register.session(Platform("sign-in")) as session:
        access = find_token(session, secret.strip(), now)
    if access is None:
        raise Problem("acces_refuse")
    return access


def _by_certificate(services: Services, certificate: x509.Certificate, now: datetime) -> Access:
    verify_client_certificate(certificate, services.settings.client_ca_pem, now)
    with services.register.session(Platform("sign-in")) as session:
        access = find_certificate(session, certificate.fingerprint(SHA256()).hex())
    if access is None:
        raise Problem("certificat_refuse")
    return access


def _shown_certificate(request: Request, settings: ApiSettings) -> x509.Certificate | None:
    chain = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    try:
        if chain:
            return x509.load_pem_x509_certificate(chain[0].encode())
        peer = request.client.host if request.client is not None else UNIX_PEER
        header = request.headers.get("client-cert", "").strip()
        # Caddy writes `::` for a connection without certificate.
        if peer not in settings.trusted_proxies or header in ("", "::"):
            return None
        if not (header.startswith(":") and header.endswith(":")):
            raise Problem("certificat_refuse")
        return x509.load_der_x509_certificate(b64decode(header[1:-1], validate=True))
    except (ValueError, binascii.Error):
        raise Problem("certificat_refuse") from None


def verify_client_certificate(certificate: x509.Certificate, ca_pem: bytes | None, now: datetime) -> None:
    """Check chain, dates and extended key usage (`clientAuth` must be named); raises `Problem` (401).

    Names in the certificate are not looked at: the register knows certificates by fingerprint.
    Source: RFC 5280 §6.1 and §4.2.1.12.
    """
    if ca_pem is None:
        raise Problem("certificat_refuse")
    leaf = ExtensionPolicy.permit_all().require_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _names_client_authentication
    )
    verifier = (
        PolicyBuilder()
        .store(Store(x509.load_pem_x509_certificates(ca_pem)))
        .time(now)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
        .build_client_verifier()
    )
    try:
        verifier.verify(certificate, [])
    except VerificationError as error:
        raise Problem("certificat_refuse") from error


def _names_client_authentication(
    _policy: object, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage
) -> None:
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("not a certificate for client authentication")


def require(right: Right) -> Callable[..., Principal]:
    """A dependency that gives the caller, or refuses (403) one without `right`."""

    def allowed(principal: CurrentPrincipal) -> Principal:
        if right not in principal.rights:
            raise Problem("droit_manquant", droit=right)
        return principal

    return allowed


def refuse_browser_writes(request: Request, principal: CurrentPrincipal) -> None:
    """The API takes no writes from a cookie, which foreign pages could send (our forms have a token)."""
    if request.method not in SAFE_METHODS and principal.caller.startswith("user:"):
        raise Problem("ecriture_par_navigateur")


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
Reader = Annotated[Principal, Depends(require(Right.READ))]
Depositor = Annotated[Principal, Depends(require(Right.DEPOSIT))]
Decider = Annotated[Principal, Depends(require(Right.DECIDE))]
Archivist = Annotated[Principal, Depends(require(Right.ARCHIVES))]
Provided = Annotated[Services, Depends(services_of)]
