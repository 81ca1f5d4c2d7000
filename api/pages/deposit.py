"""The deposit form: one page with fieldsets, complete without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from secrets import token_urlsafe
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from api import deposits, problems
from api.auth import services_of
from api.deposits import ActeDepose, AnnexeDeposee
from api.pages.choices import classification_for, matiere_choices, nature_choices, type_choices
from api.pages.forms import FormProblem, by_field
from api.pages.render import PARIS, day, language, page, words
from api.pages.routing import pages, redirect
from api.pages.sight import CORRECTABLE, title
from api.problems import Problem
from api.services import Right
from api.sign_in import CSRF_FIELD, Visitor, allowed, check_origin, check_token
from api.uploads import Form, receive_form, spool
from registry import envelopes
from registry.envelopes import Whole
from schemas.catalogue import Lang

router = pages()

ANNEXE_ROWS = 8
"""Annexes that the form offers; software may send more."""

ROWS = range(1, ANNEXE_ROWS + 1)
TEXT_FIELDS = ("numero", "date_decision", "objet", "nature", "matiere", "document_papier", "type_document")
HIDDEN_FIELDS = (CSRF_FIELD, "cle", "corrige")
TYPE_FIELDS = tuple(f"type_annexe_{n}" for n in ROWS)
FILE_FIELDS = ("document", *(f"annexe_{n}" for n in ROWS))
REQUIRED = ("numero", "date_decision", "objet", "nature", "matiere")

ABOUT_THE_FORM = {"numero_deja_utilise": "numero", "depot_trop_volumineux": "document"}
"""Problems of the doors, and the field that they are about."""

PLACES = {"/type_piece": "type_document", "/date_classification": "matiere"}

Depositor = Annotated[Visitor, Depends(allowed(Right.DEPOSIT))]


@dataclass(frozen=True, slots=True)
class Corrected:
    """The refused envelope that a deposit corrects."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class State:
    """What the form shows."""

    values: Mapping[str, str]
    key: str
    corrected: Corrected | None = None
    problems: Sequence[FormProblem] = ()


@router.get("/actes/nouveau")
def deposit_page(request: Request, visitor: Depositor, corrige: str = "") -> Response:
    """The form, empty or filled in from the refused envelope that it corrects."""
    lang = language(request)
    whole = _refused(request, visitor, corrige) if corrige else None
    state = State(
        values=_blank() if whole is None else _values_of(whole),
        key=token_urlsafe(24),
        corrected=None if whole is None else Corrected(whole.line.id, title(whole.line, lang)),
    )
    return _form_page(request, visitor, state)


def _refused(request: Request, visitor: Visitor, enveloppe_id: str) -> Whole:
    with services_of(request).register.session(visitor.principal.scope) as session:
        whole = envelopes.whole(session, enveloppe_id)
    if whole.line.etat not in CORRECTABLE or whole.corrigee_par is not None:
        raise Problem("precedente_invalide")
    return whole


def _blank() -> dict[str, str]:
    return dict.fromkeys((*TEXT_FIELDS, *TYPE_FIELDS), "")


def _values_of(whole: Whole) -> dict[str, str]:
    line, values = whole.line, _blank()
    values |= {
        "numero": line.numero or "",
        "date_decision": line.date_decision.isoformat() if line.date_decision else "",
        "objet": line.objet,
        "nature": str(line.nature or ""),
        "matiere": line.matiere or "",
        "document_papier": "1" if whole.document_papier else "",
    }
    annexes = [f for f in whole.files if f.role == "annexe"]
    for file in (f for f in whole.files if f.role == "document"):
        values["type_document"] = file.code_pj or ""
    for name, file in zip(TYPE_FIELDS, annexes, strict=False):
        values[name] = file.code_pj or ""
    return values


def _form_page(request: Request, visitor: Visitor, state: State) -> Response:
    lang = language(request)
    own = deposits.body_id(visitor.principal)
    with services_of(request).register.session(visitor.principal.scope) as session:
        classification = classification_for(session, own)
    errors = by_field(state.problems)
    later_rows = [f"{kind}{n}" for n in ROWS if n > 2 for kind in ("annexe_", "type_annexe_")]
    context = {
        "values": state.values,
        "key": state.key,
        "corrected": state.corrected,
        "problems": state.problems,
        "errors": errors,
        "files_again": bool(state.problems),
        "more_annexes_open": any(errors.get(name) or state.values.get(name) for name in later_rows),
        "annexe_rows": ANNEXE_ROWS,
        "natures": nature_choices(classification),
        "matieres": matiere_choices(classification),
        "piece_types": type_choices(classification),
        "classification_date": day(classification.date_version, lang),
        "today": datetime.now(PARIS).date().isoformat(),
    }
    return page(request, "acte_nouveau.html", context, status=422 if state.problems else 200)


@router.post("/actes/nouveau")
async def deposit(request: Request, visitor: Depositor) -> Response:
    """Accept the deposit and show its envelope, or show the form again with what to correct."""
    services, lang = services_of(request), language(request)
    check_origin(request)
    with spool(services.settings.spool) as folder:
        form = await receive_form(
            request,
            folder,
            limit=services.settings.deposit_limit,
            fields=(*HIDDEN_FIELDS, *TEXT_FIELDS, *TYPE_FIELDS),
            files=FILE_FIELDS,
        )
        check_token(_text(form, CSRF_FIELD), visitor.csrf_token)
        values = {name: _text(form, name) for name in (*TEXT_FIELDS, *TYPE_FIELDS)}
        key, corrects = deposits.checked_key(_text(form, "cle") or None), _text(form, "corrige")
        found = missing(values, form, lang)
        if not found:
            rows = [n for n in ROWS if form.named(f"annexe_{n}")]
            try:
                accepted = await deposits.deposit(
                    services,
                    visitor.principal,
                    key,
                    _said(values, rows, corrects),
                    form.named("document")[0],
                    [form.named(f"annexe_{n}")[0] for n in rows],
                )
                return redirect(f"/actes/{accepted.enveloppe_id}?depose=1")
            except ValidationError as error:
                found = told(Problem("parametre_invalide", findings=deposits.findings_of(error)), rows, lang)
            except Problem as problem:
                if problem.status >= 500:
                    raise
                found = told(problem, rows, lang)
                if problem.code == "cle_idempotence_reutilisee":
                    key = token_urlsafe(24)
    corrected = await run_in_threadpool(_corrected, request, visitor, corrects, lang)
    return await run_in_threadpool(_form_page, request, visitor, State(values, key, corrected, found))


def _corrected(request: Request, visitor: Visitor, enveloppe_id: str, lang: Lang) -> Corrected | None:
    if not enveloppe_id:
        return None
    whole = _refused(request, visitor, enveloppe_id)
    return Corrected(whole.line.id, title(whole.line, lang))


def _text(form: Form, name: str) -> str:
    # A textarea's line breaks come as CR LF (HTML §4.10.11.6); an Objet is one line.
    value = form.fields.get(name, b"").decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return " ".join(value.split()) if name == "objet" else value.strip()


def missing(values: Mapping[str, str], form: Form, lang: Lang) -> list[FormProblem]:
    """Compulsory fields that are empty, and a date that is none, in the form's order."""
    text = words().text
    found = [FormProblem(name, text(f"manque_{name}", lang)) for name in REQUIRED if not values[name]]
    if values["date_decision"] and read_date(values["date_decision"]) is None:
        found.append(FormProblem("date_decision", text("date_illisible", lang)))
    if not form.named("document"):
        found.append(FormProblem("document", text("manque_document", lang)))
    return found


def read_date(text: str) -> date | None:
    """`2026-11-23` as date fields send it, or `23/11/2026` as people type it where there is none."""
    french = re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})", text)
    try:
        if french:
            return date(int(french[3]), int(french[2]), int(french[1]))
        return date.fromisoformat(text)
    except ValueError:
        return None


def _said(values: Mapping[str, str], rows: Sequence[int], corrects: str) -> ActeDepose:
    decided = read_date(values["date_decision"])
    assert decided is not None, "`missing` found none"
    return ActeDepose.model_validate(
        {
            "numero": values["numero"].upper(),
            "date_decision": decided,
            "nature": values["nature"],
            "matiere": values["matiere"],
            "objet": values["objet"],
            "type_piece": values["type_document"] or None,
            "annexes": tuple(AnnexeDeposee(type_piece=values[f"type_annexe_{n}"] or None) for n in rows),
            "document_papier": values["document_papier"] == "1",
            "precedente": corrects or None,
        }
    )


def told(problem: Problem, rows: Sequence[int], lang: Lang) -> list[FormProblem]:
    """A refusal as things to correct, each at its field; `rows` are the annex rows that held a file."""
    if not problem.findings:
        book = problems.catalogue()
        return [
            FormProblem(
                ABOUT_THE_FORM.get(problem.code, ""),
                book.text(problem.code, lang, **problem.params),
                book.remedy(problem.code, lang, **problem.params),
            )
        ]
    return [
        FormProblem(field_of(said["pointeur"], rows), said["message"], said.get("remede", ""))
        for said in problems.describe_findings(problem.findings, lang)
    ]


def field_of(pointer: str, rows: Sequence[int]) -> str:
    """The form's field for a place in the act's metadata; empty where the form has none."""
    if pointer in PLACES:
        return PLACES[pointer]
    annexe = re.match(r"/annexes/(\d+)(/type_piece)?", pointer)
    if annexe:
        rank = int(annexe[1])
        row = rows[rank] if rank < len(rows) else 1
        return f"type_annexe_{row}" if annexe[2] else f"annexe_{row}"
    name = pointer.split("/")[1] if pointer.startswith("/") else ""
    return name if name in {*TEXT_FIELDS, "document"} else ""
