"""The classification, the vault's search, and what a caller may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import deposits
from api.auth import Archivist, CurrentPrincipal, Depositor, Provided, Reader
from api.v1 import views
from api.v1.actes import Recherche, link_next
from api.v1.common import IdempotencyKey, lang_of, problems, whole
from registry import accounts, envelopes
from registry.door import Platform
from schemas.catalogue import Lang

router = APIRouter()


@router.post(
    "/classifications/demande",
    status_code=202,
    operation_id="demander_classification",
    tags=["classification"],
    summary="Demander au ministère la classification en vigueur (7-1)",
    responses=problems(
        "cle_idempotence_absente", "cle_idempotence_invalide", "cle_idempotence_reutilisee", "cle_en_cours"
    ),
)
async def ask_classification(
    response: Response,
    principal: Depositor,
    services: Provided,
    lang: Annotated[Lang, Depends(lang_of)],
    idempotency_key: IdempotencyKey = None,
) -> views.Envoi:
    """Rend l’envoi à suivre ; la réponse (7-2 ou 7-3) met la classification à jour."""
    key = deposits.checked_key(idempotency_key)
    accepted = await deposits.ask_classification(services, principal, key)
    response.headers["Location"] = f"/v1/actes/{accepted.enveloppe_id}"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return await run_in_threadpool(whole, services, principal, accepted.enveloppe_id, lang)


@router.get(
    "/classification",
    operation_id="lire_classification",
    tags=["classification"],
    summary="La classification en vigueur : natures, types de pièces, matières",
    responses=problems("collectivite_a_choisir"),
)
def read_classification(principal: Reader, services: Provided) -> views.ClassificationVue:
    """Celle que la préfecture a envoyée à la collectivité, ou la nationale en attendant."""
    return views.classification(deposits.current_classification(services, principal))


@router.get(
    "/archives",
    operation_id="chercher_archives",
    tags=["archives"],
    summary="Chercher dans le coffre",
    responses=problems("parametre_invalide"),
)
def search_archives(
    request: Request,
    response: Response,
    principal: Archivist,
    services: Provided,
    recherche: Annotated[Recherche, Query()],
) -> views.ListeArchives:
    """Dossiers scellés, du plus récent dépôt au plus ancien ; mêmes filtres que la liste des envois."""
    with services.register.session(principal.scope) as session:
        page = envelopes.search_records(
            session, recherche.filters(), limit=recherche.limite, after=recherche.apres
        )
    link_next(request, response, page.suivant)
    return views.ListeArchives(elements=[views.archive(line) for line in page.lines], suivant=page.suivant)


@router.get(
    "/introspection",
    operation_id="introspection",
    tags=["acces"],
    summary="Ce que cet accès peut faire",
    responses=problems(),
)
def introspect(principal: CurrentPrincipal, services: Provided) -> views.Introspection:
    """Qui appelle, pour quelle collectivité, avec quels droits."""
    body = None
    if principal.collectivite_id is not None:
        with services.register.session(Platform("introspection")) as session:
            body = accounts.collectivite(session, principal.collectivite_id)
    return views.Introspection(
        appelant=principal.caller,
        nom=principal.name,
        collectivite=body.nom if body else None,
        siren=body.siren if body else None,
        droits=sorted(right.value for right in principal.rights),
    )
