"""Hostile and broken requests: a clear refusal, its code, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Doors
from tests.api.deposit import ACTE, annexe, deposit, document, nothing_left
from tests.samples.pdf import plain_pdf

BOUNDARY = "frontiere"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(disposition: str, content: bytes, *more: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n".encode()
    return head + b"".join(line + b"\r\n" for line in more) + b"\r\n" + content + b"\r\n"


def acte_part(acte: bytes | None = None) -> bytes:
    return part('form-data; name="acte"', json.dumps(ACTE).encode() if acte is None else acte)


def file_part(name: bytes = b"a.pdf", field: bytes = b"document") -> bytes:
    disposition = b'form-data; name="' + field + b'"; filename="' + name + b'"'
    return (
        part(disposition.decode("latin-1"), plain_pdf())
        if name.isascii()
        else (
            b"--"
            + BOUNDARY.encode()
            + b"\r\nContent-Disposition: "
            + disposition
            + b"\r\n\r\n"
            + plain_pdf()
            + b"\r\n"
        )
    )


END = f"--{BOUNDARY}--\r\n".encode()
LONG_HEADER = part('form-data; name="acte"', b"{}", b"X: " + b"y" * 9000) + END
MANY_HEADERS = part('form-data; name="acte"', b"{}", *[b"X: y"] * 20) + END


def send(doors: Doors, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/actes") -> Any:
    every = {**doors.mine.headers, "Idempotency-Key": doors.key(), **HEADERS, **(headers or {})}
    return doors.client.post(path, content=body, headers=every)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"pas un formulaire", {}, 400, "corps_illisible"),
        (b"", {}, 400, "multipart_inacheve"),
        (acte_part() + file_part(), {}, 400, "multipart_inacheve"),
        (acte_part()[:-30], {}, 400, "multipart_inacheve"),
        (acte_part() + END, {}, 422, "partie_manquante"),
        (file_part() + END, {}, 422, "partie_manquante"),
        (acte_part() + acte_part() + file_part() + END, {}, 422, "partie_en_double"),
        (acte_part() + file_part() + file_part() + END, {}, 422, "partie_en_double"),
        (acte_part() + file_part(field=b"autre") + END, {}, 422, "partie_inconnue"),
        (acte_part() + file_part(b"..") + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part(b"a\x07.pdf") + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part(b"a/b.pdf") + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part("a\u202efdp.exe".encode()) + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part(b"\xff\xfe.pdf") + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part(b"a" * 300) + END, {}, 422, "nom_fichier_invalide"),
        (acte_part() + file_part(b"") + END, {}, 422, "nom_fichier_invalide"),
        (acte_part(b"{" + b" " * 70_000 + b"}") + file_part() + END, {}, 413, "champ_trop_long"),
        (acte_part(b"pas du json") + file_part() + END, {}, 422, "parametre_invalide"),
        (acte_part(b'{"objet": "\\ud800"}') + file_part() + END, {}, 422, "parametre_invalide"),
        (LONG_HEADER, {}, 400, "entete_de_partie_trop_long"),
        (MANY_HEADERS, {}, 400, "entete_de_partie_trop_long"),
        (b"{}", {"Content-Type": "application/json"}, 415, "type_de_contenu_non_admis"),
        (b"{}", {"Content-Type": "multipart/form-data"}, 400, "corps_illisible"),
        (b"{}", {"Content-Type": "multipart/form-data; boundary=" + "x" * 300}, 400, "corps_illisible"),
        (acte_part() + file_part() + END, {"Content-Length": "2147483648"}, 413, "taille_depassee"),
        (acte_part() + file_part() + END, {"Idempotency-Key": ""}, 400, "cle_idempotence_invalide"),
        (acte_part() + file_part() + END, {"Idempotency-Key": "k" * 201}, 400, "cle_idempotence_invalide"),
    ],
)  # fmt: skip
def test_an_unreadable_request_is_refused(
    doors: Doors, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = send(doors, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    nothing_left(doors)


@pytest.mark.parametrize(
    ("changes", "pointeur", "code"),
    [
        ({"numero": "a-b"}, "/numero", "numero_invalide"),
        ({"date_decision": "2030-01-01"}, "/date_decision", "date_future"),
        ({"nature": 9}, "/nature", "nature_inconnue"),
        ({"matiere": "7.99"}, "/matiere", "matiere_inconnue"),
        ({"matiere": "7"}, "/matiere", "matiere_incomplete"),
        ({"objet": " "}, "/objet", "objet_vide"),
        ({"objet": "x" * 600}, "/objet", "objet_trop_long"),
        ({"type_piece": "99_XX"}, "/type_piece", "type_pj_interdit"),
        ({"date_classification": "2001-01-01"}, "/date_classification", "classification_perimee"),
        ({"annexes": [{}]}, "/annexes", "annexes_discordantes"),
        ({"files": [document(b"pas un PDF")]}, "/document", "format_inconnu"),
        ({"files": [document(b"MZ" + b"\0" * 100)]}, "/document", "fichier_executable"),
        ({"files": [document(b"")]}, "/document", "fichier_vide"),
        ({"files": [document(), annexe(b"GIF89a")], "annexes": [{}]}, "/annexes/0", "format_inconnu"),
    ],
)
def test_a_rule_of_the_norm_that_is_broken_is_named(
    doors: Doors, changes: dict[str, Any], pointeur: str, code: str
) -> None:
    answer = deposit(doors, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "depot_refuse"), answer.text
    assert (pointeur, code) in [(e["pointeur"], e["code"]) for e in answer.json()["erreurs"]]
    assert all(e["message"] for e in answer.json()["erreurs"])
    nothing_left(doors)


def test_every_finding_comes_at_once_and_in_the_callers_language(doors: Doors) -> None:
    answer = deposit(doors, numero="-", matiere="7.99", headers={"Accept-Language": "en-GB,fr;q=0.5"})
    assert {e["code"] for e in answer.json()["erreurs"]} == {"numero_invalide", "matiere_inconnue"}
    assert answer.headers["content-language"] == "en"
    assert answer.json()["title"] == "The deposit is refused by the checks"


@pytest.mark.parametrize(
    ("changes", "erreur"),
    [
        ({"inconnu": 1}, ("/inconnu", "champ_inconnu")),
        ({"objet": None}, ("/objet", "champ_manquant")),
        ({"date_decision": "hier"}, ("/date_decision", "champ_invalide")),
        ({"annexes": [{"x/y": 1}]}, ("/annexes/0/x~1y", "champ_inconnu")),
        ({"matiere": "sept"}, ("/matiere", "champ_invalide")),
    ],
)
def test_a_wrong_field_is_named_by_its_pointer(
    doors: Doors, changes: dict[str, Any], erreur: tuple[str, str]
) -> None:
    answer = deposit(doors, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "parametre_invalide")
    assert [(e["pointeur"], e["code"]) for e in answer.json()["erreurs"]] == [erreur]
    nothing_left(doors)


def test_a_key_is_required_on_everything_that_creates(doors: Doors) -> None:
    for path in ("/v1/actes", "/v1/actes/enveloppe", "/v1/actes/x/annulation", "/v1/classifications/demande"):
        answer = doors.client.post(path, headers=doors.mine.headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "cle_idempotence_absente")


async def test_two_gigabytes_are_refused_while_they_stream(doors: Doors) -> None:
    doors.use(replace(doors.services, settings=replace(doors.settings, deposit_limit=4 * 1024 * 1024)))
    status, read, largest = await stream(doors, endless())
    assert status == 413
    assert read < 6 * 1024 * 1024
    assert largest <= 5 * 1024 * 1024
    nothing_left(doors)


def endless() -> Iterator[bytes]:
    yield acte_part()
    yield part('form-data; name="document"; filename="a.pdf"', b"")[:-2]
    for _ in range(2 * 1024 * 16):
        yield b"x" * 65536


async def stream(doors: Doors, chunks: Iterator[bytes]) -> tuple[int, int, int]:
    """Send a body chunk by chunk; gives the status, the bytes taken, and the spool's largest size."""
    sent: list[dict[str, Any]] = []
    taken = largest = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken, largest
        chunk = next(chunks, b"")
        taken += len(chunk)
        spool = doors.settings.spool
        assert spool is not None
        largest = max(largest, sum(f.stat().st_size for f in spool.rglob("*") if f.is_file()))
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    headers = {**doors.mine.headers, **HEADERS, "Idempotency-Key": doors.key()}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/actes", "raw_path": b"/v1/actes", "query_string": b"", "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    await doors.app(scope, receive, send)
    return int(sent[0]["status"]), taken, largest


def test_a_caller_who_hangs_up_leaves_nothing(doors: Doors) -> None:
    answer = send(doors, acte_part() + file_part()[:200])
    assert answer.status_code == 400
    nothing_left(doors)


@pytest.mark.parametrize("path", ["/v1/actes/%00", "/v1/actes/x%00y/evenements", "/v1/actes/" + "a" * 5000])
def test_an_impossible_identifier_names_nothing(doors: Doors, path: str) -> None:
    answer = doors.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "introuvable")


@pytest.mark.parametrize(
    "query",
    ["q=%00", "apres=%00", "apres=zz", "limite=0", "limite=101", "nature=x", "matiere=a", "inconnu=1",
     "etat=rien", "depose_du=hier", "total=1"],
)  # fmt: skip
def test_a_wrong_parameter_is_named(doors: Doors, query: str) -> None:
    answer = doors.get(f"/v1/actes?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "parametre_invalide")
    assert answer.json()["erreurs"][0]["pointeur"] == "/" + query.partition("=")[0]


def test_methods_and_addresses_that_do_not_exist_are_problems(doors: Doors) -> None:
    answer = doors.client.delete("/v1/actes", headers=doors.mine.headers)
    assert (answer.status_code, answer.json()["code"]) == (405, "methode_non_admise")
    assert "GET" in answer.headers["allow"]
    answer = doors.get("/v1/rien")
    assert (answer.status_code, answer.json()["code"]) == (404, "introuvable")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), cut=st.integers(0, 600), at=st.integers(0, 600))
def test_no_bytes_bring_the_door_down(doors: Doors, body: bytes, cut: int, at: int) -> None:
    whole = acte_part() + file_part() + END
    answer = send(doors, whole[:at] + body + whole[at + cut :])
    assert answer.status_code < 500, answer.text


def test_reasons_are_told_in_the_caller_s_language(doors: Doors) -> None:
    wrong = deposit(doors, date_decision="23/11/2026", nature="x").json()["erreurs"]
    assert [e["message"] for e in wrong] == [
        "Date attendue sous la forme AAAA-MM-JJ",
        "Nombre entier attendu",
    ]
    english = deposit(doors, date_decision="x", headers={"Accept-Language": "en"}).json()["erreurs"]
    assert english[0]["message"] == "A date is expected, as YYYY-MM-DD"


def test_a_wrong_piece_type_names_the_nature_and_those_allowed(doors: Doors) -> None:
    said = deposit(doors, type_piece="99_XX").json()["erreurs"][0]["message"]
    assert "Délibérations" in said
    assert "99_DE, " in said
