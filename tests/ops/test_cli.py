"""`pli` at the terminal: its own words, and exit codes that scripts can trust."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops import cli, timeline
from ops.client import Api, Deposited, Piece, RefusedByApi
from ops.house import ROOT

EVENT = {
    "date": "2026-11-23T09:00:00Z",
    "code": "refuse",
    "etat": "refuse",
    "texte": "Refusé",
    "acteur": "Pli",
}


def envelope(etat: str) -> dict[str, Any]:
    return {
        "id": "acte_1", "numero": "A1", "objet": "Tarifs", "etat": etat, "libelle_etat": etat,
        "prochaine_etape": "", "echeance": None, "refus": [], "evenements": [EVENT],
    }  # fmt: skip


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The fields of the deposit that the command sent."""
    fields: dict[str, object] = {}

    def submit(_api: Api, given: dict[str, object], _pieces: list[Piece], _key: str) -> Deposited:
        fields.update(given)
        return Deposited("acte_1", replayed=False)

    monkeypatch.setattr(Api, "submit", submit)
    return fields


def submit(tmp_path: Path, *more: str) -> Result:
    (tmp_path / "acte.pdf").write_bytes(b"%PDF-1.7")
    options = ("--numero", "A1", "--objet", "Tarifs", "--matiere", "7.10", "--token", "t", *more)
    return CliRunner().invoke(cli.app, ["submit", str(tmp_path / "acte.pdf"), *options])


@pytest.mark.parametrize(
    ("etat", "status"), [("scelle", 0), ("refuse", 1), ("anomalie", 1), ("abandonne", 1)]
)
def test_watching_a_deposit_that_fails_exits_1(
    etat: str, status: int, sent: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "envelope", lambda _api, _id: envelope(etat))
    assert submit(tmp_path, "--watch").exit_code == status
    assert sent["numero"] == "A1"


def test_a_correction_names_what_it_corrects(sent: dict[str, object], tmp_path: Path) -> None:
    assert submit(tmp_path, "--precedente", "acte_0").exit_code == 0
    assert sent["precedente"] == "acte_0"


@pytest.mark.parametrize("code", ["depot_refuse", "cle_idempotence_reutilisee", "numero_deja_utilise"])
def test_a_refusal_is_told_in_the_command_s_own_words(
    code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLI_LANG", "fr")
    cli._explain(RefusedByApi(422, code, "Refusé", "Corrigez « erreurs » avec une Idempotency-Key."))
    said = capsys.readouterr().err
    assert "→" in said
    assert "erreurs" not in said
    assert "Idempotency" not in said


def test_a_correction_that_followed_is_no_failure_in_the_timeline() -> None:
    assert timeline.step(EVENT).plain.startswith("  ✕")
    assert timeline.step({**EVENT, "code": "corrige_par"}).plain.startswith("  ●")


def test_a_rule_without_source_is_said_to_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLI_LANG", "fr")
    lines = CliRunner().invoke(cli.app, ["rules"]).output.splitlines()
    assert all(line.strip() for line in lines)
    assert "    Règle de Pli" in lines


def test_checking_a_proof_does_not_load_the_register() -> None:
    code = "import sys, ops.cli, archive.proof; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_help_lists_admin() -> None:
    assert "admin" in CliRunner().invoke(cli.app, ["--help"]).output
