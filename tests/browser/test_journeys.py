"""What people do with the pages, by mouse, by keyboard, and without JavaScript."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from schemas.states import Etat
from tests.browser.conftest import Open, Site
from tests.browser.story import ADMIN, AT_BOTH, CLERK, PASSWORD, advance
from tests.browser.test_looks import check_axe
from tests.samples.pdf import plain_pdf


@pytest.fixture
def act_pdf(tmp_path: Path) -> Path:
    """A document to deposit."""
    path = tmp_path / "délibération.pdf"
    path.write_bytes(plain_pdf("Vote du budget"))
    return path


def fill(page: Page, act_pdf: Path, numero: str, matiere: str = "7.10") -> None:
    """Fill the deposit form in."""
    page.get_by_label("Numéro de l’acte").fill(numero)
    page.get_by_label("Date de la décision").fill("2026-11-20")
    page.get_by_label("Objet").fill("Vote du budget primitif 2027")
    page.get_by_label("Nature", exact=True).select_option("1")
    page.get_by_label("Matière").select_option(matiere)
    page.get_by_label("Document principal").set_input_files(act_pdf)


def tab_to(page: Page, there: str) -> None:
    """Press Tab until the script `there` says that the focus has arrived."""
    for _ in range(60):
        if page.evaluate(there):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard never gets there: {there}")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_clerk_signs_in_deposits_and_signs_out(javascript: bool, visit: Open, act_pdf: Path) -> None:
    page = visit("/actes/nouveau", as_=None, javascript=javascript)
    assert "/connexion" in page.url
    page.get_by_label("Adresse électronique").fill(CLERK)
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.get_by_role("button", name="Se connecter").click()
    assert page.url.endswith("/actes/nouveau"), "back where the person was going"
    fill(page, act_pdf, f"NAV_{int(javascript)}")
    page.get_by_role("button", name="Déposer et transmettre").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Vote du budget primitif 2027")
    expect(page.locator("body")).to_contain_text("Dépôt accepté")
    expect(page.locator("ol.timeline li").first).to_contain_text("Déposé")
    page.get_by_role("button", name="Se déconnecter").click()
    page.goto("/envois")
    assert "/connexion" in page.url


def test_a_wrong_form_says_what_where_and_keeps_what_was_typed(visit: Open, act_pdf: Path, axe: Axe) -> None:
    page = visit("/actes/nouveau")
    fill(page, act_pdf, "2026/41")
    page.get_by_label("Date de la décision").fill("2030-01-01")
    page.get_by_role("button", name="Déposer et transmettre").click()
    assert page.title().startswith("Erreur")
    summary = page.get_by_role("alert")
    expect(summary.get_by_role("link")).to_have_count(2)
    summary.get_by_role("link").first.click()
    expect(page.get_by_label("Numéro de l’acte")).to_be_focused()
    numero = page.get_by_label("Numéro de l’acte")
    expect(numero).to_have_value("2026/41")
    expect(numero).to_have_attribute("aria-invalid", "true")
    described = numero.get_attribute("aria-describedby")
    assert described is not None
    assert "2026/41" in page.locator(f"#{described.split()[0]}").inner_text()
    expect(page.get_by_label("Objet")).to_have_value("Vote du budget primitif 2027")
    check_axe(axe, page)


def test_a_number_in_use_is_refused_at_its_field(visit: Open, act_pdf: Path) -> None:
    page = visit("/actes/nouveau")
    fill(page, act_pdf, "2026_043")
    page.get_by_role("button", name="Déposer et transmettre").click()
    expect(page.locator("#numero-erreur")).to_be_visible()


def test_the_deposit_works_by_keyboard_alone(visit: Open, act_pdf: Path) -> None:
    page = visit("/actes/nouveau")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Aller au contenu")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Numéro de l’acte")).to_be_focused()
    page.keyboard.type("CLAVIER_1")
    page.keyboard.press("Tab")
    # The arrows set day, month and year in whatever order the browser's language shows them.
    for _ in range(3):
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
    tab_to(page, "document.activeElement.id === 'objet'")
    page.keyboard.type("Au clavier")
    tab_to(page, "document.activeElement.id === 'nature'")
    page.keyboard.type("Délib")
    tab_to(page, "document.activeElement.id === 'matiere'")
    page.keyboard.type("7.10")
    tab_to(page, "document.activeElement.id === 'document'")
    # The file dialog is the system's own; the rest of the way is ours.
    page.get_by_label("Document principal").set_input_files(act_pdf)
    tab_to(page, "document.activeElement.textContent.trim() === 'Déposer et transmettre'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Au clavier")


def test_a_refused_act_is_corrected_from_its_page(site: Site, visit: Open, act_pdf: Path) -> None:
    page = visit(f"/actes/{site.story.envelopes['refuse']}")
    expect(page.locator(".findings li")).to_have_count(2)
    page.get_by_role("link", name="Corriger et déposer à nouveau").click()
    expect(page.get_by_label("Numéro de l’acte")).to_have_value("2026_041")
    expect(page.get_by_label("Objet")).to_have_value("Création d’un emploi permanent d’adjoint technique")
    page.get_by_label("Document principal").set_input_files(act_pdf)
    page.get_by_role("button", name="Déposer et transmettre").click()
    expect(page.locator("main")).to_contain_text("Cet envoi corrige un envoi refusé.")
    page.get_by_role("link", name="Voir l’envoi refusé").click()
    expect(page.locator("main")).to_contain_text("Corrigé par un nouvel envoi.")


def test_an_open_page_follows_its_envelope_without_reload(site: Site, visit: Open) -> None:
    page = visit(f"/actes/{site.story.envelopes['pret']}")
    page.evaluate("window.notReloaded = true")
    expect(page.locator(".timeline .current")).to_contain_text("Transmission")
    advance(site.story, site.story.envelopes["pret"], Etat.TRANSMIS, datetime.now(UTC))
    expect(page.locator(".banner")).to_contain_text("Transmis à la préfecture")
    expect(page.locator("#annonce")).to_contain_text("2026_044 : Transmis")
    assert page.evaluate("window.notReloaded") is True
    advance(site.story, site.story.envelopes["pret"], Etat.ACQUITTE, datetime.now(UTC))
    expect(page.locator("#annonce")).to_contain_text("2026_044 : Acquitté")


def test_the_list_says_that_something_new_has_happened(site: Site, visit: Open) -> None:
    page = visit("/envois")
    for etat in (Etat.ACQUITTE, Etat.SCELLE):
        # The page may not be listening yet when the first event happens.
        advance(site.story, site.story.envelopes["transmis"], etat, datetime.now(UTC))
        with suppress(AssertionError):
            expect(page.locator("#nouveautes")).to_contain_text("actualiser")
            break
    expect(page.locator("#nouveautes")).to_contain_text("actualiser")
    page.get_by_role("link", name="actualiser").click()
    assert page.url.endswith("/envois")


def test_filters_are_in_the_address_and_can_be_removed_one_by_one(visit: Open) -> None:
    page = visit("/envois")
    page.get_by_label("Numéro, objet ou identifiant").fill("bibliothèque")
    page.get_by_label("Où en est-on").select_option("anomalie")
    page.get_by_role("button", name="Filtrer").click()
    assert "famille=anomalie" in page.url
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Numéro, objet ou identifiant : « bibliothèque »").click()
    assert "texte" not in page.url
    assert "famille=anomalie" in page.url


def test_another_body_s_envelope_does_not_exist(site: Site, visit: Open) -> None:
    page = visit(f"/actes/{site.story.foreign}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page introuvable")


def test_a_person_of_two_bodies_chooses_first(site: Site, visit: Open) -> None:
    page = visit("/envois", as_=AT_BOTH)
    expect(page.get_by_role("heading", level=1)).to_have_text("Choisir un organisme")
    page.get_by_label("Commune de Montreuil-sur-Vaige").check()
    page.get_by_role("button", name="Continuer").click()
    assert page.url.endswith("/envois")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_token_is_shown_once_and_revoked(visit: Open) -> None:
    page = visit("/administration")
    page.get_by_label("Nom du logiciel").fill("Parapheur")
    page.get_by_role("button", name="Créer le jeton").click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("pli_")
    page.goto("/administration")
    assert secret not in page.content()
    page.get_by_role("link", name="Révoquer Parapheur").click()
    page.get_by_role("button", name="Révoquer").click()
    expect(page.get_by_role("row", name="Parapheur")).to_contain_text("Révoqué le")


def test_a_message_leaves_quarantine_with_a_reason_only(visit: Open) -> None:
    page = visit("/quarantaine", as_=ADMIN)
    with page.expect_download() as got:
        page.get_by_role("link", name="Télécharger").click()
    assert Path(got.value.path()).read_bytes().startswith(b"Subject:")
    page.get_by_role("link", name="Marquer comme traité").click()
    page.get_by_role("button", name="Marquer comme traité").click()
    expect(page.get_by_role("alert")).to_contain_text("Dites en quelques mots")
    page.get_by_label("Ce qu’il en est devenu").fill("Acte d’un essai de la préfecture, sans suite.")
    page.get_by_role("button", name="Marquer comme traité").click()
    expect(page.locator("main")).to_contain_text("La quarantaine est vide.")


def test_english_is_one_click_away_and_kept(visit: Open) -> None:
    page = visit("/")
    page.get_by_role("link", name="In English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, here is what waits for you")
    page.goto("/envois")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_proof_downloads_from_the_act_and_from_the_archives(site: Site, visit: Open) -> None:
    page = visit(f"/actes/{site.story.envelopes['scelle']}")
    with page.expect_download() as got:
        page.get_by_role("link", name="Télécharger la preuve").click()
    assert got.value.suggested_filename == "preuve-2026_038.zip"
    assert Path(got.value.path()).read_bytes().startswith(b"PK")
