"""What the routes of v1 share: identifiers, headers, the answer to a deposit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict

from api.problems import Problem, language, responses
from api.services import Principal, Services
from api.v1 import views
from registry import envelopes
from schemas.catalogue import Lang


def _identifier(value: str) -> str:
    """Whatever can't be an identifier of ours names nothing."""
    if not (value.isascii() and value.isprintable() and len(value) <= 50):
        raise Problem("introuvable")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
EnvelopeId = Annotated[Identifier, Path(alias="id")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Obligatoire : clé unique par opération, à répéter telle quelle pour un nouvel essai.",
        examples=["6d1b2f0e-1c1e-4c2e-8d56-2f3f6a4d0b11"],
    ),
]

ALWAYS = (
    "authentification_requise",
    "acces_refuse",
    "certificat_refuse",
    "droit_manquant",
    "service_indisponible",
    "erreur_interne",
)
"""Problems that any operation may answer with."""


class StrictQuery(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation, those of every operation included."""
    return responses(*codes, *ALWAYS)


def whole(services: Services, principal: Principal, enveloppe_id: str, lang: Lang) -> views.Envoi:
    """One envelope of the caller's; raises `NotFound`."""
    with services.register.session(principal.scope) as session:
        found = envelopes.whole(session, enveloppe_id)
    return views.envoi(found, lang)


def lang_of(request: Request) -> Lang:
    """The caller's language, as a dependency."""
    return language(request)
