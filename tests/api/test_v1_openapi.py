"""The contract: every operation declared, with its problems and their examples, and the app answers so."""

from __future__ import annotations

import re
from typing import Any

from api import problems
from tests.api.conftest import Doors


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_has_words_and_problems_with_examples(doors: Doors) -> None:
    document = doors.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, method, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert re.fullmatch(r"[a-z_]+", operation["operationId"]), path
        refusals = {status: r for status, r in operation["responses"].items() if status >= "4"}
        assert refusals, (path, method)
        for status, response in refusals.items():
            content = response["content"][problems.MEDIA_TYPE]
            for example in content["examples"].values():
                assert str(example["value"]["status"]) == status
                assert set(problems.SCHEMA["required"]) <= set(example["value"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_deposit_declares_its_body_with_an_example(doors: Doors) -> None:
    document = doors.client.get("/openapi.json").json()
    body = document["paths"]["/v1/actes"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert body["schema"]["required"] == ["acte", "document"]
    assert body["examples"]["deliberation"]["value"]["acte"]["numero"] == "2026_041"


def test_every_reference_of_the_document_resolves(doors: Doors) -> None:
    document = doors.client.get("/openapi.json").json()
    references = set(re.findall(r"#/components/schemas/(\w+)", doors.client.get("/openapi.json").text))
    assert references <= set(document["components"]["schemas"])


def test_every_problem_is_described_in_two_languages(doors: Doors) -> None:
    for code in problems.catalogue():
        entry = problems.catalogue().entry(code)
        assert {"fr", "en", "fr_remedy", "en_remedy"} <= set(entry), code
        placeholders = {lang: set(re.findall(r"\{(\w+)\}", entry[lang])) for lang in ("fr", "en")}
        assert placeholders["fr"] == placeholders["en"], code
        assert doors.client.get(f"/problemes/{code}").status_code == 200
    assert doors.client.get("/problemes/rien").status_code == 404


def test_an_unforeseen_error_says_nothing_but_a_number(doors: Doors) -> None:
    @doors.app.get("/casse")
    def broken() -> None:
        raise RuntimeError("secret /chemin")

    answer = doors.client.get("/casse")
    assert (answer.status_code, answer.json()["code"]) == (500, "erreur_interne")
    assert "secret" not in answer.text
    assert answer.json()["correlation"]
