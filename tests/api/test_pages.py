"""The pages without a browser: who may open what, forged forms, headers, and the words behind every code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

import api.pages
from api.pages.deposit import field_of, read_date
from api.pages.render import instant, size, words
from api.pages.sight import tell
from api.pages.timeline import Look, event_sentence, main_line
from api.sign_in import Attempts, safe_next
from registry import accounts, flow
from registry.door import Platform
from registry.envelopes import Event, Line, Whole
from schemas.catalogue import LANGUAGES, load
from schemas.states import Etat, Famille
from tests.api.conftest import SIREN, Doors
from tests.api.deposit import deposit
from tests.samples.pdf import plain_pdf

EMAIL, PASSWORD = f"agent@{SIREN}.fr", "un mot de passe long"
TEMPLATES = Path(api.pages.__file__).parents[1] / "templates"
NOW = datetime(2026, 11, 23, 10, 5, tzinfo=UTC)


@pytest.fixture
def person(doors: Doors) -> Iterator[httpx2.Client]:
    """A browser that follows no redirect by itself."""
    doors.client.follow_redirects = False
    yield doors.client
    doors.client.cookies.clear()


def token_in(html: str) -> str:
    """The synchroniser token of a page's form."""
    found = re.search(r'name="jeton" value="([^"]+)"', html)
    assert found is not None
    return found[1]


def sign_in(person: httpx2.Client, *, password: str = PASSWORD, suite: str = "/") -> httpx2.Response:
    """Open the form and send it."""
    form = person.get("/connexion", params={"suite": suite})
    return person.post(
        "/connexion",
        data={"email": EMAIL, "mot_de_passe": password, "suite": suite, "jeton": token_in(form.text)},
    )


def test_a_stranger_is_led_to_the_sign_in_form_and_back(person: httpx2.Client) -> None:
    answer = person.get("/envois?famille=anomalie")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/connexion?suite=/envois%3Ffamille%3Danomalie"


def test_every_page_but_the_open_ones_asks_who_is_reading(doors: Doors, person: httpx2.Client) -> None:
    open_to_all = {"/connexion", "/aide", "/accessibilite", "/mentions-legales"}
    seen = 0
    for route in _page_routes():
        if route.path in open_to_all:
            continue
        path = re.sub(r"\{[a-z_]+\}", "x", route.path)
        for method in route.methods or ():
            answer = person.request(method, path)
            assert answer.status_code == 303, (method, path, answer.status_code)
            assert answer.headers["location"].startswith("/connexion")
            seen += 1
    assert seen > 20


def _page_routes() -> list[APIRoute]:
    modules = (
        "administration", "archives", "deposit", "door", "envelope", "home", "lists", "quarantine",
        "reference", "texts",
    )  # fmt: skip
    return [
        route
        for name in modules
        for route in getattr(api.pages, name).router.routes
        if isinstance(route, APIRoute)
    ]


def test_signing_in_leads_on_with_a_cookie_that_scripts_cannot_read(person: httpx2.Client) -> None:
    answer = sign_in(person, suite="/envois")
    assert (answer.status_code, answer.headers["location"]) == (303, "/envois")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert person.get("/envois").status_code == 200


def test_behind_tls_the_cookie_is_bound_to_its_host(
    doors: Doors, person: httpx2.Client, change: Callable[..., None]
) -> None:
    change(lambda settings: replace(settings, secure_cookies=True))
    person.base_url = httpx2.URL("https://testserver")
    answer = sign_in(person)
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-session="))
    assert "Secure" in cookie
    assert "Path=/" in cookie


def test_a_wrong_password_says_the_same_as_an_unknown_person(person: httpx2.Client) -> None:
    wrong = sign_in(person, password="autre")
    assert wrong.status_code == 401
    assert "Adresse ou mot de passe incorrect" in wrong.text


@pytest.mark.parametrize(
    "target",
    ["https://mal.example/", "//mal.example", "/\\mal.example", "javascript:alert(1)", "", None, "/a\nb"],
)
def test_a_foreign_destination_becomes_the_home_page(target: str | None) -> None:
    assert safe_next(target) == "/"


@given(st.text())
def test_a_destination_never_leaves_the_site(target: str) -> None:
    led_to = safe_next(target)
    assert led_to.startswith("/")
    assert not led_to.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://mal.example"}],
)
def test_a_form_that_another_site_sends_is_refused(person: httpx2.Client, headers: dict[str, str]) -> None:
    sign_in(person)
    token = token_in(person.get("/").text)
    answer = person.post("/deconnexion", data={"jeton": token}, headers=headers)
    assert answer.status_code == 403
    assert person.get("/").status_code == 200, "still signed in"


def test_a_form_without_its_token_is_refused(person: httpx2.Client) -> None:
    sign_in(person)
    assert person.post("/deconnexion", data={"jeton": "autre"}).status_code == 403
    assert person.post("/deconnexion").status_code == 403


def test_pages_say_what_a_browser_may_load(person: httpx2.Client) -> None:
    answer = person.get("/connexion")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|\sstyle=", answer.text)


def test_the_envelope_of_another_body_does_not_exist(doors: Doors, person: httpx2.Client) -> None:
    theirs = deposit(doors, token=doors.other.token).json()["id"]
    sign_in(person)
    for path in ("", "/flux", "/preuve", "/decision", "/retrait", "/annulation", "/pieces/fic_x"):
        answer = person.get(f"/actes/{theirs}{path}")
        assert answer.status_code in (403, 404), path
        assert "Vote du budget primitif" not in answer.text


def test_a_deposit_that_was_sent_twice_is_one_envelope(doors: Doors, person: httpx2.Client) -> None:
    sign_in(person)
    page = person.get("/actes/nouveau").text
    key = re.search(r'name="cle" value="([^"]+)"', page)
    assert key is not None
    fields = {
        "jeton": token_in(page), "cle": key[1], "numero": "2026_1", "date_decision": "20/11/2026",
        "objet": "Deux clics", "nature": "1", "matiere": "7.10",
    }  # fmt: skip
    parts = [(name, (None, value)) for name, value in fields.items()]
    parts += [("document", ("acte.pdf", plain_pdf(), "application/pdf"))]
    first = person.post("/actes/nouveau", files=parts)
    again = person.post("/actes/nouveau", files=parts)
    assert first.status_code == again.status_code == 303, first.text
    assert first.headers["location"] == again.headers["location"]


def test_an_address_that_tries_too_often_waits() -> None:
    attempts = Attempts(limit=3, window=60)
    assert [attempts.take("a", float(n)) for n in range(4)] == [True, True, True, False]
    assert attempts.take("b", 4.0)
    assert attempts.take("a", 61.0)


def test_five_failures_close_the_account_for_a_while(doors: Doors) -> None:
    at = NOW
    for _ in range(accounts.ALLOWED_FAILURES):
        accounts.sign_in(doors.services.register, EMAIL, "faux", None, at)
    locked = accounts.sign_in(doors.services.register, EMAIL, PASSWORD, None, at)
    later = accounts.sign_in(doors.services.register, EMAIL, PASSWORD, None, at + timedelta(hours=1))
    assert (locked.outcome, later.outcome) == (accounts.Outcome.REFUSED, accounts.Outcome.SIGNED_IN)


def test_a_reader_without_the_right_is_told_so(doors: Doors, person: httpx2.Client) -> None:
    with doors.services.register.session(Platform("test")) as session:
        accounts.withdraw_role(session, doors.mine.user_id, "agent", doors.mine.id)
        accounts.grant(session, doors.mine.user_id, "signataire", doors.mine.id)
    sign_in(person)
    assert person.get("/actes/nouveau").status_code == 403
    assert person.get("/quarantaine").status_code == 403
    assert "Déposer un acte" not in person.get("/").text


def test_every_sentence_is_in_both_languages_and_every_key_that_templates_ask_for_exists() -> None:
    book = words()
    for key in book:
        entry = book.entry(key)
        assert set(LANGUAGES) <= set(entry), key
    asked = set()
    for template in TEMPLATES.glob("*.html"):
        asked |= set(re.findall(r"""\bt\(["']([a-z0-9_]+)["']""", template.read_text(encoding="utf-8")))
    assert {key for key in asked if not key.endswith("_")} <= set(book)
    for etat in Etat:
        assert {f"etat_{etat}", f"phrase_{etat}", f"suite_{etat}"} <= set(book)
    assert {f"famille_{famille}" for famille in Famille} <= set(book)


def test_instants_are_told_in_paris_and_sizes_in_octets() -> None:
    assert instant(NOW, "fr") == "23/11/2026 à 11\u00a0h\u00a005"
    assert size(512, "fr") == "512\u00a0octets"
    assert size(1_500_000, "fr") == "1,4\u00a0Mo"


def _whole(etat: Etat, *events: Event) -> Whole:
    line = Line(
        id="acte_1", transaction="1-1", collectivite_id="col_1", etat=etat, famille=Famille.EN_COURS,
        awaits=flow.TURN.get(etat, "personne"), numero="1", nature=1, matiere="7.10", objet="o",
        date_decision=None, deposited_by="Claire", created_at=NOW, updated_at=NOW,
        echeance=NOW + timedelta(days=5), date_transmission=None, date_ar=None, id_acte=None,
        responsable="Claire Le Goff",
    )  # fmt: skip
    return Whole(
        line=line, document_papier=False, classification_date=None, archive_nom=None,
        responsable="Claire Le Goff", precedente_id=None, corrigee_par=None, acte_id=None, annulations=(),
        refus=(), files=(), timeline=events, version_scellee=None,
    )  # fmt: skip


def _event(code: str, etat: Etat = Etat.PRET, **params: str) -> Event:
    return Event(NOW, code, etat, "Pli", params, None)


def test_what_is_to_come_is_drawn_with_whose_turn_and_only_the_next_has_a_date() -> None:
    steps = main_line(_whole(Etat.TRANSMIS, _event("depose"), _event("transmis")), "fr")
    assert [step.look for step in steps] == [Look.DONE, Look.DONE, Look.CURRENT, Look.TODO]
    assert steps[2].who == "la préfecture"
    assert steps[2].at == NOW + timedelta(days=5)
    assert steps[3].at is None


def test_a_machine_step_is_shown_only_while_it_tells_why_nothing_moves() -> None:
    held = _event("quota_atteint", date="2026-11-23T12:00:00+00:00")
    waiting = main_line(_whole(Etat.PRET, _event("depose"), held), "fr")
    gone = main_line(_whole(Etat.TRANSMIS, _event("depose"), held, _event("transmis")), "fr")
    assert any("13\u00a0h\u00a000" in step.sentence for step in waiting)
    assert not any("Quota" in step.sentence for step in gone)


def test_an_ended_envelope_has_nothing_to_come() -> None:
    steps = main_line(_whole(Etat.REFUSE, _event("depose"), _event("refuse", nombre="2")), "fr")
    assert steps[-1].look is Look.STOPPED


def test_dates_inside_sentences_are_french() -> None:
    event = _event("acquitte", transaction="1-2", date="2026-11-23")
    assert event_sentence(event, "fr").endswith("daté du 23/11/2026")


def test_a_ministry_s_anomaly_is_told_in_its_own_words_and_once() -> None:
    told = tell(
        {
            "code": "anomalie_ministere",
            "place": "1-3",
            "params": {"transaction": "1-3", "nature": "002", "detail": "ODT-VERIF-01"},
        },
        "fr",
    )
    assert "ODT-VERIF-01" in told.sentence
    assert told.place == "Réponse du ministère (1-3)"


def test_an_envelope_named_in_a_sentence_leads_to_its_page() -> None:
    later = "acte_019ab0f2-7c11-7d2e-9a3b-5f1c2d3e4a5b"
    steps = main_line(_whole(Etat.REFUSE, _event("corrige_par", enveloppe=later)), "fr")
    assert f'<a href="/actes/{later}">{later}</a>' in steps[0].sentence


def test_a_request_for_the_classification_awaits_no_stamp_and_no_slip() -> None:
    act = _whole(Etat.ACQUITTE, _event("depose"))
    request = replace(act, line=replace(act.line, transaction="7-1"))
    assert "tamponné" in main_line(act, "fr")[-1].sentence
    assert main_line(request, "fr")[-1].sentence == "Scellement au coffre"


def test_the_ministry_is_named_in_the_reader_s_language() -> None:
    event = replace(_event("acquitte", transaction="1-2", date="2026-11-23"), actor="Ministère")
    assert main_line(_whole(Etat.SCELLE, event), "en")[0].who == "Ministry"


def test_a_file_is_named_in_words_and_dates_are_french() -> None:
    unknown = {"code": "format_inconnu", "place": "/annexes/1", "params": {"trouve": "?", "fichier": "a.doc"}}
    assert tell(unknown, "fr").sentence.startswith(
        "L’annexe 2 (« a.doc ») n’est d’aucun format accepté (format non"
    )
    empty = {"code": "fichier_vide", "place": "/document", "params": {}}
    assert tell(empty, "fr").sentence == "Le document principal est vide."
    late = {"code": "date_future", "place": "/date_decision", "params": {"date": "2026-12-24"}}
    assert "24/12/2026" in tell(late, "fr").sentence


def test_an_unknown_address_is_a_page_for_people_and_a_problem_for_software(person: httpx2.Client) -> None:
    asked = person.get("/nulle-part", headers={"Accept": "text/html,*/*"})
    assert (asked.status_code, "Page introuvable" in asked.text) == (404, True)
    assert person.get("/v1/nulle-part", headers={"Accept": "text/html"}).json()["code"] == "introuvable"
    assert person.get("/nulle-part").json()["code"] == "introuvable"


def test_the_home_page_names_whose_turn_it_is_and_does_not_say_that_nothing_waits(
    doors: Doors, person: httpx2.Client
) -> None:
    sign_in(person)
    assert "Rien n’attend de vous" in person.get("/").text
    refused = deposit(doors).json()["id"]
    with doors.services.register.session(Platform("test")) as session:
        flow.refuse(session, flow.locked(session, refused), [], NOW)
    home = person.get("/").text
    assert "Rien n’attend de vous" not in home
    assert "Agent de Montfort</td>" in home
    deposit(doors, precedente=refused)
    assert "Rien n’attend de vous" in person.get("/").text
    assert "nouvel envoi" in doors.get(f"/v1/actes/{refused}").json()["prochaine_etape"]


def test_every_finding_that_the_catalogue_knows_can_be_told_even_with_values_missing() -> None:
    for code in load("schemas"):
        assert tell({"code": code, "place": "/x", "params": {}}, "fr").sentence


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("/numero", "numero"),
        ("/type_piece", "type_document"),
        ("/annexes/1", "annexe_4"),
        ("/annexes/1/type_piece", "type_annexe_4"),
        ("/date_classification", "matiere"),
        ("/inconnu", ""),
        ("", ""),
    ],
)
def test_a_finding_leads_to_its_field(pointer: str, field: str) -> None:
    assert field_of(pointer, [2, 4]) == field


def test_dates_are_read_as_people_type_them() -> None:
    assert read_date("2026-11-23") == read_date("23/11/2026") == read_date("23.11.2026") == date(2026, 11, 23)
    assert read_date("32/01/2026") is None
    assert read_date("hier") is None
