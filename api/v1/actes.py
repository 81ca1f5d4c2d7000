"""Acts: deposit, list, timeline, files, proof; withdrawal, cancellation, decision."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api import deposits, files, uploads
from api.auth import Decider, Depositor, Provided, Reader
from api.problems import Problem
from api.services import Principal, Services
from api.v1 import views
from api.v1.common import EnvelopeId, IdempotencyKey, Identifier, StrictQuery, lang_of, problems, whole
from registry import envelopes
from registry.door import NotFound
from registry.envelopes import Filters
from schemas.catalogue import Lang
from schemas.states import Etat, Famille

router = APIRouter(tags=["actes"])

MAX_WAIT = 30
"""Seconds of `Prefer: wait` at most."""
LOOK_AGAIN = 0.5
"""Seconds between two looks while a caller waits."""
GZIP = frozenset({"application/gzip", "application/x-gzip"})
_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,4})(?:$|[,;\s])")
_PLAIN = r"^[^\x00-\x1f\x7f]*$"

Language = Annotated[Lang, Depends(lang_of)]


class Recherche(StrictQuery):
    """Filters of the list, the same as the page's."""

    q: Annotated[str, Field(max_length=200, pattern=_PLAIN)] | None = None
    transaction: Literal["1-1", "6-1", "7-1"] = "1-1"
    etat: Etat | None = None
    famille: Famille | None = None
    nature: Annotated[int, Field(ge=1, le=9)] | None = None
    matiere: deposits.Matiere | None = None
    depose_du: date | None = None
    depose_au: date | None = None
    ar_du: date | None = None
    ar_au: date | None = None
    apres: Annotated[str, Field(max_length=50, pattern=r"^[a-z]+_[0-9a-f-]+$")] | None = None
    limite: Annotated[int, Field(ge=1, le=100)] = 50
    total: Literal["oui", "non"] = "non"

    def filters(self) -> Filters:
        """The register's filters."""
        return Filters(
            transaction=self.transaction,
            q=self.q,
            etat=self.etat,
            famille=self.famille,
            nature=self.nature,
            matiere=self.matiere,
            depose_du=self.depose_du,
            depose_au=self.depose_au,
            ar_du=self.ar_du,
            ar_au=self.ar_au,
        )


class DecisionPrise(BaseModel):
    """What a named person decides about an act without answer."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"choix": "renvoyer", "motif": "Le ministère confirme au téléphone n’avoir rien reçu."}
            ]
        },
    )

    choix: Literal["renvoyer", "abandonner"]
    motif: Annotated[str, Field(max_length=500, pattern=_PLAIN)] = ""


_EXAMPLE_ACTE = {
    "numero": "2026_041",
    "date_decision": "2026-11-20",
    "nature": 1,
    "matiere": "7.10",
    "objet": "Vote du budget primitif",
    "type_piece": "99_DE",
    "annexes": [{"type_piece": "99_DE"}],
    "document_papier": False,
}
_DEPOSIT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["acte", "document"],
                    "properties": {
                        "acte": {"$ref": "#/components/schemas/ActeDepose"},
                        "document": {"type": "string", "format": "binary"},
                        "annexe": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    },
                },
                "encoding": {"acte": {"contentType": "application/json"}},
                "examples": {
                    "deliberation": {
                        "summary": "Une délibération et une annexe",
                        "value": {"acte": _EXAMPLE_ACTE, "document": "(PDF)", "annexe": ["(PDF)"]},
                    }
                },
            }
        },
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PACKAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/gzip": {**_BINARY, "example": "(abc-TACT--213502388--20261120-1.tar.gz)"},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["enveloppe"],
                    "properties": {"enveloppe": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
_UNREADABLE = (
    "corps_illisible",
    "multipart_inacheve",
    "entete_de_partie_trop_long",
    "empreinte_differente",
    "empreinte_illisible",
    "taille_depassee",
    "champ_trop_long",
    "trop_de_parties",
    "type_de_contenu_non_admis",
    "partie_inconnue",
    "partie_manquante",
    "partie_en_double",
    "nom_fichier_invalide",
)
_ONCE = ("cle_idempotence_absente", "cle_idempotence_invalide", "cle_idempotence_reutilisee", "cle_en_cours")


@router.post(
    "/actes",
    status_code=202,
    operation_id="deposer_acte",
    summary="Déposer un acte",
    responses=problems(
        "depot_refuse",
        "parametre_invalide",
        "numero_deja_utilise",
        "precedente_invalide",
        *_ONCE,
        *_UNREADABLE,
    ),
    openapi_extra=_DEPOSIT_BODY,
)
async def deposit_acte(
    request: Request,
    response: Response,
    principal: Depositor,
    services: Provided,
    lang: Language,
    idempotency_key: IdempotencyKey = None,
) -> views.Envoi:
    """Un seul appel : la partie `acte` (JSON), la partie `document`, les parties `annexe`.

    202 : l’acte est enregistré durablement et son traitement commencé. La même requête avec la même
    `Idempotency-Key` rend le même envoi, avec `Idempotent-Replayed: true`.
    """
    key = deposits.checked_key(idempotency_key)
    deposits.body_id(principal)
    settings = services.settings
    with uploads.spool(settings.spool) as folder:
        form = await uploads.receive_form(
            request, folder, limit=settings.deposit_limit, fields={"acte"}, files={"document", "annexe"}
        )
        acte = deposits.read_metadata(_field(form, "acte"))
        accepted = await deposits.deposit(
            services, principal, key, acte, _only(form, "document"), form.named("annexe")
        )
    return await _accepted(services, principal, accepted, response, lang)


@router.post(
    "/actes/enveloppe",
    status_code=202,
    operation_id="deposer_enveloppe",
    summary="Déposer une enveloppe toute faite (tar.gz de la norme)",
    responses=problems("depot_refuse", "siren_etranger", "numero_deja_utilise", *_ONCE, *_UNREADABLE),
    openapi_extra=_PACKAGE_BODY,
)
async def deposit_package(
    request: Request,
    response: Response,
    principal: Depositor,
    services: Provided,
    lang: Language,
    idempotency_key: IdempotencyKey = None,
) -> views.Envoi:
    """L’archive d’un logiciel métier (ACTES, une transaction 1-1), telle quelle ou en partie `enveloppe`.

    Le SIREN de l’enveloppe doit être celui de la collectivité de l’appelant.
    """
    key = deposits.checked_key(idempotency_key)
    deposits.body_id(principal)
    settings = services.settings
    with uploads.spool(settings.spool) as folder:
        kind = uploads.media_type(request)
        if kind in GZIP:
            archive = await uploads.receive_body(
                request, folder, limit=settings.deposit_limit, nom="archive.tar.gz"
            )
        elif kind == "multipart/form-data":
            form = await uploads.receive_form(
                request, folder, limit=settings.deposit_limit, fields=(), files={"enveloppe"}
            )
            archive = _only(form, "enveloppe")
        else:
            raise Problem("type_de_contenu_non_admis", admis="application/gzip, multipart/form-data")
        accepted = await deposits.deposit_package(services, principal, key, archive, folder)
    return await _accepted(services, principal, accepted, response, lang)


def _field(form: uploads.Form, name: str) -> bytes:
    if name not in form.fields:
        raise Problem("partie_manquante", nom=name)
    return form.fields[name]


def _only(form: uploads.Form, name: str) -> uploads.Upload:
    found = form.named(name)
    if not found:
        raise Problem("partie_manquante", nom=name)
    if len(found) > 1:
        raise Problem("partie_en_double", nom=name)
    return found[0]


async def _accepted(
    services: Services, principal: Principal, accepted: deposits.Accepted, response: Response, lang: Lang
) -> views.Envoi:
    response.headers["Location"] = f"/v1/actes/{accepted.enveloppe_id}"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return await run_in_threadpool(whole, services, principal, accepted.enveloppe_id, lang)


@router.get(
    "/actes",
    operation_id="lister_actes",
    summary="Lister les envois",
    responses=problems("parametre_invalide"),
)
def list_actes(
    request: Request,
    response: Response,
    principal: Reader,
    services: Provided,
    lang: Language,
    recherche: Annotated[Recherche, Query()],
) -> views.ListeEnvois:
    """Du plus récent au plus ancien, par curseur ; mêmes filtres que la page de suivi."""
    with services.register.session(principal.scope) as session:
        page = envelopes.search(
            session,
            recherche.filters(),
            limit=recherche.limite,
            after=recherche.apres,
            total=recherche.total == "oui",
        )
    link_next(request, response, page.suivant)
    return views.ListeEnvois(
        elements=[views.resume(line, lang) for line in page.lines], suivant=page.suivant, total=page.total
    )


def link_next(request: Request, response: Response, suivant: str | None) -> None:
    """`Link: <…>; rel="next"` (RFC 8288), with the filters of this request."""
    if suivant is not None:
        url = request.url.include_query_params(apres=suivant)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


@router.get(
    "/actes/{id}",
    operation_id="lire_acte",
    summary="Un envoi, ses fichiers et sa chronologie",
    responses=problems("introuvable"),
)
async def read_acte(
    enveloppe_id: EnvelopeId,
    request: Request,
    response: Response,
    principal: Reader,
    services: Provided,
    lang: Language,
) -> views.Envoi:
    """`Prefer: wait=30` attend un changement jusqu’à 30 secondes (RFC 7240)."""
    seconds = _wait(request.headers.get("prefer", ""))
    found = await run_in_threadpool(whole, services, principal, enveloppe_id, lang)
    if seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"
        end = time.monotonic() + seconds
        while time.monotonic() < end and not await request.is_disconnected():
            await asyncio.sleep(LOOK_AGAIN)
            latest = await run_in_threadpool(whole, services, principal, enveloppe_id, lang)
            if latest.etat != found.etat:
                return latest
    return found


def _wait(prefer: str) -> int:
    match = _WAIT.search(prefer)
    return min(int(match[1]), MAX_WAIT) if match else 0


@router.get(
    "/actes/{id}/evenements",
    operation_id="lire_evenements",
    summary="La chronologie d’un envoi",
    responses=problems("introuvable"),
)
def read_events(
    enveloppe_id: EnvelopeId, principal: Reader, services: Provided, lang: Language
) -> views.ListeEvenements:
    """De la plus ancienne à la plus récente étape."""
    with services.register.session(principal.scope) as session:
        envelopes.line(session, enveloppe_id)
        events = envelopes.timeline(session, enveloppe_id)
    return views.ListeEvenements(elements=[views.evenement(event, lang) for event in events])


@router.get(
    "/actes/{id}/pieces/{piece_id}/contenu",
    operation_id="lire_piece",
    summary="Le contenu d’un fichier",
    response_class=Response,
    responses={
        200: {"description": "Le fichier.", "content": {"application/octet-stream": _BINARY}},
        206: {"description": "La plage demandée.", "content": {"application/octet-stream": _BINARY}},
        304: {"description": "Inchangé."},
        **problems("introuvable", "plage_invalide", "fichier_altere"),
    },
)
def read_piece(
    enveloppe_id: EnvelopeId,
    piece_id: Identifier,
    request: Request,
    principal: Reader,
    services: Provided,
) -> Response:
    """En flux, avec plages (`Range`), `ETag`, `Content-Digest` et nom de fichier."""
    with services.register.session(principal.scope) as session:
        file = envelopes.file(session, enveloppe_id, piece_id)
    return files.send_file(request, services, file)


@router.get(
    "/actes/{id}/preuve",
    operation_id="lire_preuve",
    summary="Le dossier de preuve (ZIP)",
    response_class=Response,
    responses={
        200: {"description": "Le dossier de preuve.", "content": {"application/zip": _BINARY}},
        **problems("introuvable", "preuve_pas_encore", "fichier_altere"),
    },
)
def read_proof(enveloppe_id: EnvelopeId, principal: Reader, services: Provided) -> Response:
    """À vérifier sans Pli : sha512sum, openssl et le texte à l’intérieur ; ou `pli verify`."""
    return proof(services, principal, enveloppe_id)


def proof(services: Services, principal: Principal, enveloppe_id: str) -> Response:
    """The proof pack of the latest sealed record; shared with the pages."""
    with services.register.session(principal.scope) as session:
        line = envelopes.line(session, enveloppe_id)
        try:
            record = envelopes.latest_record(session, enveloppe_id)
        except NotFound:
            raise Problem("preuve_pas_encore") from None
    name = f"preuve-{line.id_acte or line.id}-v{record.version}.zip"
    return files.send_proof(services, record, name)


@router.post(
    "/actes/{id}/annulation",
    status_code=202,
    operation_id="annuler_acte",
    summary="Retirer un envoi avant son départ, ou annuler un acte acquitté (6-1)",
    responses=problems("introuvable", "annulation_impossible", "annulation_en_cours", "deja_parti", *_ONCE),
)
async def cancel_acte(
    enveloppe_id: EnvelopeId,
    response: Response,
    principal: Depositor,
    services: Provided,
    lang: Language,
    idempotency_key: IdempotencyKey = None,
) -> views.Envoi:
    """Rend l’envoi à suivre : le même s’il a été retiré, celui de l’annulation sinon."""
    accepted = await deposits.cancel(services, principal, deposits.checked_key(idempotency_key), enveloppe_id)
    return await _accepted(services, principal, accepted, response, lang)


@router.post(
    "/actes/{id}/decision",
    operation_id="decider_acte",
    summary="Décider d’un envoi resté sans réponse : renvoyer ou abandonner",
    responses=problems("introuvable", "decision_impossible", "parametre_invalide"),
)
async def decide_acte(
    enveloppe_id: EnvelopeId, decision: DecisionPrise, principal: Decider, services: Provided, lang: Language
) -> views.Envoi:
    """Possible seulement à l’état « a_decider » ; la décision est nominative et reste dans la chronologie."""
    await deposits.decide(services, principal, enveloppe_id, decision.choix, decision.motif)
    return await run_in_threadpool(whole, services, principal, enveloppe_id, lang)
