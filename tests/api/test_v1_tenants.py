"""Deny by default, and nobody sees another body: every route is tried."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from schemas.states import Etat
from tests.api.conftest import Doors
from tests.api.deposit import deposit

PUBLIC = {
    ("GET", "/sante"),
    ("GET", "/problemes/{code}"),
    ("GET", "/openapi.json"),
    ("GET", "/connexion"),
    ("POST", "/connexion"),
}
"""Routes that answer anybody. Whoever adds one says so here."""
OPEN_TEXTS = {"/accessibilite", "/aide", "/mentions-legales"}
"""Pages of text without anybody's data."""


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found = []
    for route in iter_route_contexts(app.routes):
        if route.path is not None and route.methods:
            found += [(method, route.path) for method in sorted(route.methods - {"HEAD"})]
    return found


def filled(path: str, **values: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values.get(match[1], values.get("other", "x")), path)


def call(doors: Doors, method: str, path: str, headers: dict[str, str]) -> Any:
    return doors.client.request(
        method, path, headers={**headers, "Idempotency-Key": doors.key()}, follow_redirects=False
    )


def test_every_route_is_public_by_name_or_refuses_a_stranger(doors: Doors) -> None:
    known = routes(doors.app)
    assert {route for route in PUBLIC if route not in known} == set()
    for method, path in known:
        if (method, path) in PUBLIC or path in OPEN_TEXTS:
            continue
        answer = call(doors, method, filled(path), {})
        refused = answer.status_code in (401, 403)
        sent_to_sign_in = answer.status_code in (302, 303) and answer.headers["location"].startswith(
            "/connexion"
        )
        assert refused or sent_to_sign_in, (method, path, answer.status_code)


def test_another_bodys_envelope_is_nowhere_to_be_found(doors: Doors) -> None:
    envoi = deposit(doors).json()
    doors.put_in_state(envoi["id"], Etat.SCELLE)
    values = {"id": envoi["id"], "piece_id": envoi["pieces"][0]["id"], "other": envoi["id"]}
    tried = 0
    for method, path in routes(doors.app):
        if "{" not in path or not path.startswith("/v1/"):
            continue
        options = {"json": {"choix": "renvoyer"}} if path.endswith("/decision") else {}
        headers = {**doors.other.headers, "Idempotency-Key": doors.key()}
        answer = doors.client.request(method, filled(path, **values), headers=headers, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (404, "introuvable"), (method, path)
        assert envoi["objet"] not in answer.text
        tried += 1
    assert tried >= 6
    assert doors.get(f"/v1/actes/{envoi['id']}").json()["annulations"] == []


def test_lists_hold_ones_own_envelopes_only(doors: Doors) -> None:
    mine = deposit(doors).json()["id"]
    theirs = deposit(doors, token=doors.other.token).json()["id"]
    for path in ("/v1/actes", "/v1/actes?total=oui", "/v1/actes?q=budget", "/v1/archives"):
        shown = doors.client.get(path, headers=doors.other.headers).text
        assert mine not in shown, path
    listed = doors.client.get("/v1/actes?total=oui", headers=doors.other.headers).json()
    assert ([e["id"] for e in listed["elements"]], listed["total"]) == ([theirs], 1)


def test_a_piece_is_found_under_its_own_envelope_only(doors: Doors) -> None:
    one, two = deposit(doors, numero="N1").json(), deposit(doors, numero="N2").json()
    answer = doors.get(f"/v1/actes/{one['id']}/pieces/{two['pieces'][0]['id']}/contenu")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("POST", "/v1/actes", "actes:deposer"),
        ("POST", "/v1/actes/enveloppe", "actes:deposer"),
        ("POST", "/v1/actes/{id}/annulation", "actes:deposer"),
        ("POST", "/v1/classifications/demande", "actes:deposer"),
        ("POST", "/v1/actes/{id}/decision", "actes:decider"),
        ("GET", "/v1/archives", "archives:lire"),
    ],
)
def test_each_right_is_asked_for(doors: Doors, method: str, path: str, right: str) -> None:
    answer = call(doors, method, filled(path), {"Authorization": f"Bearer {doors.mine.reader}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "droit_manquant")
    assert right in answer.json()["title"]
