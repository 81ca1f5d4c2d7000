"""Hostile requests and mails that once got through, or got a 500."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from activities.returns import _row
from api.pages import door
from api.sign_in import Attempts
from archive.store import Ref
from registry import accounts
from registry.door import Platform
from schemas.actes.classification import parse_classification
from schemas.content import identify
from schemas.findings import Refused
from tests.api.conftest import Doors
from tests.api.deposit import deposit, nothing_left
from tests.api.test_pages import EMAIL, PASSWORD, sign_in, token_in
from tests.samples.actes import pdf


@pytest.fixture(autouse=True)
def fresh_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of sign-ins is the process's: these tests must not use up the others'."""
    monkeypatch.setattr(door, "attempts", Attempts())


@pytest.fixture
def person(doors: Doors) -> Iterator[httpx2.Client]:
    """A browser that follows no redirect by itself."""
    doors.client.follow_redirects = False
    yield doors.client
    doors.client.cookies.clear()


def test_a_digest_that_is_not_ascii_is_unreadable(doors: Doors) -> None:
    raw = b"sha-256=:\xe9\xe9:"
    answer = deposit(doors, headers={"Content-Digest": raw})  # type: ignore[dict-item]
    assert (answer.status_code, answer.json()["code"]) == (400, "empreinte_illisible")
    nothing_left(doors)


def test_days_before_1970_filter_as_any_other(doors: Doors) -> None:
    assert deposit(doors).status_code == 202
    assert len(doors.get("/v1/actes?depose_du=1969-01-01").json()["elements"]) == 1
    assert doors.get("/v1/actes?depose_au=1969-01-01").json()["elements"] == []


@pytest.mark.parametrize("path", ["/v1/actes", "/v1/archives"])
@pytest.mark.parametrize("query", ["depose_au=9999-12-31", "depose_du=0001-01-01"])
def test_days_at_the_ends_of_the_calendar(doors: Doors, path: str, query: str) -> None:
    assert doors.get(f"{path}?{query}").status_code < 500


@pytest.mark.parametrize(
    "path",
    ["/envois?depose_au=9999-12-31", "/envois?depose_du=0001-01-01", "/envois?texte=%00", "/envois?apres=%00",
     "/envois?avant=%00", "/actes/%00", "/actes/x%00/flux", "/actes/%00/preuve", "/actes/x/pieces/%00",
     "/actes/%00/annulation", "/actes/nouveau?corrige=%00"],
)  # fmt: skip
def test_pages_survive_nul_and_far_days(person: httpx2.Client, path: str) -> None:
    assert sign_in(person).status_code == 303
    assert person.get(path).status_code < 500


@pytest.mark.parametrize("path", ["/quarantaine?apres=%00", "/quarantaine/%00", "/quarantaine/%00/message"])
def test_administrators_pages_survive_nul(doors: Doors, person: httpx2.Client, path: str) -> None:
    with doors.services.register.session(Platform("test")) as session:
        user = accounts.user_by_email(session, EMAIL)
        assert user is not None
        accounts.grant(session, user.id, "administrateur", None)
    sign_in(person)
    assert person.get(path).status_code < 500


def test_nul_in_forms(doors: Doors, person: httpx2.Client) -> None:
    form = person.get("/connexion")
    data = {"email": "a\0b", "mot_de_passe": "x", "jeton": token_in(form.text)}
    assert person.post("/connexion", data=data).status_code < 500
    with doors.services.register.session(Platform("test")) as session:
        accounts.grant(session, doors.mine.user_id, "administrateur_collectivite", doors.mine.id)
    sign_in(person)
    data = {"jeton": token_in(person.get("/aide").text), "libelle": "a\0b", "droit": "actes:lire"}
    assert person.post("/administration/jetons", data=data).status_code < 500
    parts = [("jeton", (None, data["jeton"])), ("cle", (None, "une-cle")), ("corrige", (None, "\0"))]
    assert person.post("/actes/nouveau", files=parts).status_code < 500


@pytest.mark.parametrize("origin", ["http://[", "http://a:b@[::"])
def test_an_origin_that_is_no_address_is_foreign(person: httpx2.Client, origin: str) -> None:
    form = person.get("/connexion")
    answer = person.post("/connexion", data={"jeton": token_in(form.text)}, headers={"Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "idna", "utf-7"])
def test_a_form_in_an_odd_charset_is_no_form_of_ours(person: httpx2.Client, charset: str) -> None:
    person.get("/connexion")
    body = b'--b\r\nContent-Disposition: form-data; name="jeton"\r\n\r\n\\ud800\xff\r\n--b--\r\n'
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    answer = person.post("/connexion", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer pli_faux"}])
def test_a_body_of_json_is_bounded_before_it_is_kept(doors: Doors, headers: dict[str, str]) -> None:
    answer = doors.client.post(
        "/v1/actes/x/decision",
        content=(b"x" * 65536 for _ in range(64)),
        headers={"Content-Type": "application/json", **headers},
    )
    assert answer.status_code in (401, 413), answer.text


def test_one_address_cannot_lock_everybody_out(
    doors: Doors, person: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the reverse proxy of `trusted_proxies`, every browser has the proxy's address."""
    services = doors.app.state.services
    settings = replace(services.settings, trusted_proxies=frozenset({"testclient"}))
    monkeypatch.setattr(doors.app.state, "services", replace(services, settings=settings))
    for n in range(25):
        form = person.get("/connexion")
        data = {"email": f"personne{n}@exemple.fr", "mot_de_passe": "x", "jeton": token_in(form.text)}
        person.post("/connexion", data=data, headers={"X-Forwarded-For": "203.0.113.9"})
    form = person.get("/connexion")
    answer = person.post(
        "/connexion",
        data={"email": EMAIL, "mot_de_passe": PASSWORD, "jeton": token_in(form.text)},
        headers={"X-Forwarded-For": "198.51.100.7"},
    )
    assert answer.status_code == 303


def test_every_answer_forbids_sniffing(doors: Doors) -> None:
    for path in ("/v1/rien", "/sante", "/openapi.json", "/problemes/introuvable", "/static/rien"):
        assert doors.client.get(path).headers.get("x-content-type-options") == "nosniff", path


@pytest.mark.parametrize("path", ["/v1/actes", "/connexion", "/sante"])
def test_head_is_answered_where_get_is(doors: Doors, path: str) -> None:
    assert doors.client.head(path, headers=doors.mine.headers).status_code == 200


def test_a_decision_of_the_first_century_is_no_date(doors: Doors) -> None:
    assert deposit(doors, date_decision="0001-01-01").status_code == 422


@pytest.mark.parametrize("changes", [{"date_decision": 1763596800}, {"nature": True}])
def test_a_value_of_another_json_type_is_refused(doors: Doors, changes: dict[str, object]) -> None:
    assert deposit(doors, **changes).status_code == 422


def test_html_behind_a_pdf_is_a_polyglot() -> None:
    whole = pdf() + b"<script>alert(1)</script>\n%%EOF"
    with pytest.raises(Refused):
        identify(whole[:4096], whole[-4096:], place="a.pdf")


# Returns

REF = Ref("b", "k", "0" * 64, "0" * 128, 1)
NS = b'xmlns:actes="http://www.interieur.gouv.fr/ACTES#v1.1-20040216"'


def nested(depth: int) -> bytes:
    parts = (b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    return b"From: a@b\nSubject: profond\n" + b"".join(parts) + b"\nhi\n"


@pytest.mark.parametrize(
    "raw",
    [nested(1500), b"Subject: profond\n" + b"Content-Type: message/rfc822\n\n" * 3000,
     b"Subject: profond\nContent-Type: multipart/mixed; boundary*=idna''%ff\n\nx"],
    ids=["multiparts", "messages", "boundary"],
)  # fmt: skip
def test_a_mail_that_no_parser_reads_still_gets_its_row(raw: bytes) -> None:
    assert _row(raw, REF, "quarantined", reason="quarantaine_illisible").subject == "profond"


@pytest.mark.parametrize("inner", [b"", b"<actes:NaturesActes/><actes:Matieres/>"])
def test_a_classification_without_content_is_refused(inner: bytes) -> None:
    raw = (
        b"<actes:RetourClassification " + NS + b"><actes:DateClassification>2026-11-23"
        b"</actes:DateClassification>" + inner + b"</actes:RetourClassification>"
    )
    with pytest.raises(Refused):
        parse_classification(raw)
