"""Forms of pages: what is wrong with one, and the page that asks before something grave is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from fastapi import Request, Response

from api.pages.render import page


@dataclass(frozen=True, slots=True)
class FormProblem:
    """Something to correct in a form."""

    field: str
    """Id of the field that the error summary leads to; empty where the whole form is meant."""
    sentence: str
    remedy: str = ""


def by_field(problems: Iterable[FormProblem]) -> dict[str, list[str]]:
    """The sentences to show at each field."""
    told: dict[str, list[str]] = {}
    for problem in problems:
        if problem.field:
            told.setdefault(problem.field, []).append(f"{problem.sentence} {problem.remedy}".strip())
    return told


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer among several, with what follows from it."""

    value: str
    words: str
    consequence: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question of its own page, so that it works without JavaScript."""

    question: str
    paragraph: str
    button: str
    action: str
    """Where the answer is sent."""
    back: str
    """Where a person who would rather not goes."""
    trail: tuple[tuple[str, str], ...]
    """Breadcrumbs: address and words."""
    key: str = ""
    """Idempotency key of what the answer creates."""
    choices: tuple[Choice, ...] = ()
    choice_legend: str = ""
    reason_label: str = ""
    reason_required: bool = False
    reason: str = ""
    problems: tuple[FormProblem, ...] = ()
    grave: bool = False
    """Whether something is ended by it."""


def ask(request: Request, confirmation: Confirmation) -> Response:
    """The page of a confirmation; 422 where it comes back with problems."""
    context = {f.name: getattr(confirmation, f.name) for f in fields(confirmation)}
    context["errors"] = by_field(confirmation.problems)
    return page(request, "confirmer.html", context, status=422 if confirmation.problems else 200)
