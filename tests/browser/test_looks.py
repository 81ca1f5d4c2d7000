"""Every page in French, wide and light, narrow and dark: no violation of axe-core, and a picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Open, Site
from tests.browser.story import ACTS, ADMIN, ARCHIVIST, AT_BOTH, CLERK

PAGES = {
    "connexion": ("/connexion", None),
    "accueil": ("/", CLERK),
    "envois": ("/envois", CLERK),
    "envois-filtres": ("/envois?famille=anomalie&depose_du=2026-01-01&texte=bibliotheque", CLERK),
    "deposer": ("/actes/nouveau", CLERK),
    **{f"acte-{name}": (f"/actes/{{{name}}}", CLERK) for name in (*ACTS, "annulation")},
    "corriger": ("/actes/nouveau?corrige={anomalie}", CLERK),
    "decision": ("/actes/{a_decider}/decision", CLERK),
    "retrait": ("/actes/{depose}/retrait", CLERK),
    "annuler": ("/actes/{scelle}/annulation", CLERK),
    "archives": ("/archives", ARCHIVIST),
    "quarantaine": ("/quarantaine", ADMIN),
    "organisme": ("/organisme", AT_BOTH),
    "administration": ("/administration", CLERK),
    "plateforme": ("/administration", ADMIN),
    "classification": ("/classification", CLERK),
    "classification-demande": ("/classification/demande", CLERK),
    "aide": ("/aide", None),
    "accessibilite": ("/accessibilite", None),
    "mentions": ("/mentions-legales", None),
    "introuvable": ("/actes/acte_inconnu", CLERK),
    "interdit": ("/quarantaine", CLERK),
}


def check_axe(axe: Axe, page: Page) -> None:
    """No violation of the rules of RGAA, WCAG 2.1 A and AA, and axe's own good practice."""
    tags = ["RGAAv4", "wcag2a", "wcag2aa", "wcag2aaa", "wcag21a", "wcag21aa", "best-practice"]
    results = axe.run(page, options={"runOnly": tags})
    unsure = [i["id"] for i in results.response["incomplete"] if i["id"].startswith("color-contrast")]
    assert results.violations_count == 0, results.generate_report()
    assert unsure == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("how", ["large", "etroit-sombre"])
def test_a_page_breaks_no_rule_of_accessibility(
    name: str, how: str, site: Site, visit: Open, axe: Axe, picture: Callable[[Page, str], None]
) -> None:
    path, reader = PAGES[name]
    problems: list[str] = []
    page = visit(None, as_=reader, narrow=how != "large", dark=how != "large")
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.format(**site.story.envelopes), wait_until="load")
    check_axe(axe, page)
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the page scrolls sideways"
    assert [p for p in problems if "404" not in p and "403" not in p] == []
    picture(page, f"{name}-{how}")
