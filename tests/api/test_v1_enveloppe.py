"""A ready-made archive of business software."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Doors
from tests.api.deposit import nothing_left
from tests.samples import actes


def send(doors: Doors, data: bytes, *, token: str | None = None, kind: str = "application/gzip") -> Any:
    headers = {
        "Authorization": f"Bearer {token or doors.other.token}",
        "Idempotency-Key": "k",
        "Content-Type": kind,
    }
    return doors.client.post("/v1/actes/enveloppe", content=data, headers=headers)


def test_a_ready_made_archive_is_an_act_like_any_other(doors: Doors) -> None:
    answer = send(doors, actes.sample_archive())
    assert answer.status_code == 202, answer.text
    envoi = answer.json()
    assert (envoi["numero"], envoi["matiere"], envoi["nature"]) == ("2026_042", "7.10", 1)
    assert [p["role"] for p in envoi["pieces"]] == ["document", "annexe", "annexe"]
    assert [p["type_piece"] for p in envoi["pieces"]] == ["99_DE", "99_SE", "99_DE"]
    assert len(doors.objects()) == 3
    again = send(doors, actes.sample_archive())
    assert again.json()["id"] == envoi["id"]
    assert again.headers["idempotent-replayed"] == "true"


def test_it_comes_as_a_part_of_a_form_too(doors: Doors) -> None:
    headers = {**doors.other.headers, "Idempotency-Key": "k"}
    files = {"enveloppe": ("a.tar.gz", actes.sample_archive(), "application/gzip")}
    assert doors.client.post("/v1/actes/enveloppe", files=files, headers=headers).status_code == 202


def test_another_bodys_siren_is_refused(doors: Doors) -> None:
    answer = send(doors, actes.sample_archive(), token=doors.mine.token)
    assert (answer.status_code, answer.json()["code"]) == (403, "siren_etranger")
    nothing_left(doors)


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"pas du gzip", "application/gzip", 422, "depot_refuse"),
        (b"", "application/gzip", 422, "depot_refuse"),
        (actes.sample_archive()[:-50], "application/gzip", 422, "depot_refuse"),
        (actes.gzip_bomb(), "application/gzip", 422, "depot_refuse"),
        (actes.sample_archive(), "application/zip", 415, "type_de_contenu_non_admis"),
    ],
    ids=["not gzip", "empty", "cut", "bomb", "zip"],
)
def test_a_broken_archive_is_refused(doors: Doors, data: bytes, kind: str, status: int, code: str) -> None:
    answer = send(doors, data, kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    nothing_left(doors)
