"""`pli admin`: bodies, people, tokens and quotas, made and shown; what can't be is said in plain words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops import admin
from ops.words import messages
from registry import accounts
from registry.door import Platform, Register
from schemas.identifiers import Siren

SIREN = Siren("219900016")
BODY = (
    "collectivite", "add", SIREN, "--nom", "Saint-Exemple", "--departement", "999", "--nature", "31",
    "--email", "mairie@saint-exemple.test",
)  # fmt: skip
AGENT = ("user", "add", "a@saint-exemple.test", "--nom", "Agnès")


@pytest.fixture
def pli(register_url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("PLI_DATABASE_URL", register_url)
    monkeypatch.setenv("PLI_LANG", "en")
    return CliRunner()


def run(pli: CliRunner, *arguments: str) -> Result:
    result = pli.invoke(admin.app, arguments)
    assert result.exit_code == 0, result.output
    return result


def test_from_an_empty_register_to_a_token_that_opens(pli: CliRunner, register: Register) -> None:
    run(pli, *BODY)
    run(pli, *AGENT)
    run(pli, "user", "grant", "a@saint-exemple.test", "agent", "--siren", SIREN)
    made = run(
        pli,
        "token",
        "add",
        SIREN,
        "--label",
        "Logiciel",
        "--responsible",
        "a@saint-exemple.test",
        "--days",
        "30",
    )
    secret = made.output.split()[-1]
    with register.session(Platform("essai")) as session:
        access = accounts.find_token(session, secret, admin._now())
    assert access is not None
    assert set(access.rights) == {"actes:deposer", "actes:lire"}
    assert secret not in run(pli, "token", "list", SIREN).output


def test_a_password_is_shown_once_and_works(pli: CliRunner, register: Register) -> None:
    password = run(pli, *AGENT).output.split()[-1]
    signed_in = accounts.sign_in(register, "a@saint-exemple.test", password, None, admin._now())
    assert signed_in.outcome is accounts.Outcome.SIGNED_IN


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("collectivite", "add", "123456789", *BODY[3:]), "Luhn key"),
        (("collectivite", "add", "12345", *BODY[3:]), "nine digits"),
        ((*BODY[:-1], "mairie@commune.example"), "not an address that the norm takes"),
        (("user", "password", "inconnu@x.fr"), "Nobody has the address"),
        (("user", "grant", "a@x.fr", "maire", "--siren", SIREN), "Roles: agent, signataire"),
        (("user", "grant", "a@x.fr", "agent"), "add --siren"),
        (("user", "grant", "a@x.fr", "administrateur", "--siren", SIREN), "without --siren"),
        (
            ("token", "add", SIREN, "--label", "x", "--responsible", "a@x.fr", "--right", "tout"),
            "Rights: actes:decider, actes:deposer",
        ),
        (("token", "list", SIREN), "No body has the SIREN"),
        (("quota", "add", "1000", "--window", "25:00-26:00"), "HH:MM-HH:MM"),
    ],
)
def test_what_can_not_be_is_said_in_plain_words(
    pli: CliRunner, arguments: tuple[str, ...], said: str
) -> None:
    result = pli.invoke(admin.app, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_the_same_body_twice_is_refused(pli: CliRunner) -> None:
    run(pli, *BODY)
    again = pli.invoke(admin.app, BODY)
    assert again.exit_code == 2
    assert "has this SIREN already" in again.output


def test_the_same_address_twice_is_refused(pli: CliRunner) -> None:
    run(pli, *AGENT)
    assert "has this address already" in pli.invoke(admin.app, AGENT).output


def test_who_has_no_role_in_the_body_can_not_answer_for_its_software(
    pli: CliRunner, register: Register
) -> None:
    run(pli, *BODY)
    run(pli, *AGENT)
    asked = ("token", "add", SIREN, "--label", "Logiciel", "--responsible", "a@saint-exemple.test")
    refused = pli.invoke(admin.app, asked)
    assert refused.exit_code == 2
    assert "no role in this body" in refused.output
    assert len(run(pli, "token", "list", SIREN).output.splitlines()) == 1


def test_lists_for_programs_have_tabs_and_whole_values(pli: CliRunner) -> None:
    email = "prenom.compose.et.nom.tres.long@" + "tres-long." * 8 + "saint-exemple.test"
    run(pli, "user", "add", email, "--nom", "Agnès")
    heads, line = run(pli, "user", "list").output.splitlines()
    assert heads.split("\t")[0] == "e-mail"
    assert line.split("\t")[0] == email


def test_every_refusal_of_the_register_has_its_sentence() -> None:
    source = Path(accounts.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'AccountRefused\("(\w+)"\)', source)) - {"code_refuse"}
    assert {f"admin_{code}" for code in codes} <= set(messages())


def test_quotas_are_listed_and_removed(pli: CliRunner) -> None:
    run(pli, "quota", "add", "100000000")
    run(pli, "quota", "add", "5000", "--window", "22:00-06:00")
    assert "22:00-06:00" in run(pli, "quota", "list").output
    run(pli, "quota", "remove", "2")
    assert "22:00-06:00" not in run(pli, "quota", "list").output


def test_without_a_register_it_says_what_to_do(
    pli: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("PLI_DATABASE_URL")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = pli.invoke(admin.app, ["collectivite", "list"])
    assert result.exit_code == 2
    assert "make run" in result.output
