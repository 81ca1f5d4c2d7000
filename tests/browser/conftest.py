"""The pages in a real Chromium, served by the real application on real parts."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from temporalio.client import Client

from api.app import create_app
from api.services import ApiSettings, Services
from archive.s3 import S3Store
from ops.postgres import Place
from registry import accounts
from registry.door import Platform, Register
from tests.api.conftest import engine as engine
from tests.api.conftest import s3 as s3
from tests.browser.story import CLERK, Story, tell
from tests.postgres import fresh_database
from tests.s3 import RunningS3

CHROMIUM = Path("/usr/bin/chromium")
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
READY_SECONDS = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder drives a browser; without one it is skipped, and says so."""
    for item in items:
        if "browser" in Path(item.path).parts:
            item.add_marker("browser")
            if not CHROMIUM.exists():
                item.add_marker(pytest.mark.skip(reason="needs Debian's chromium (/usr/bin/chromium)"))


@dataclass
class Site:
    """The running application."""

    url: str
    story: Story


@contextmanager
def _serving(services: Services) -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(services),
        log_level="error",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    ends = time.monotonic() + READY_SECONDS
    while not server.started and time.monotonic() < ends:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(READY_SECONDS)
    listener.close()


@pytest.fixture(scope="session")
def site(
    postgres: Place, s3: RunningS3, engine: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The application with a town hall's week in it, for all tests of the folder."""
    with fresh_database(postgres) as url:
        register = Register(url, pool_size=10)
        store = S3Store(s3.endpoint, "navigateur", s3.access_key, s3.secret_key, secure=False)
        settings = ApiSettings(
            public_url="http://127.0.0.1",
            spool=tmp_path_factory.mktemp("spool"),
            secure_cookies=False,
            sandbox=True,
        )
        services = Services(register, store, engine, settings)
        story = tell(services)
        with _serving(services) as address:
            yield Site(address, story)
        register.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One Chromium for the folder: while it is there its event loop runs in the main thread, which no other
    test could bear."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--lang=fr-FR"]
        )
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def visit(site: Site, chromium: Browser) -> Iterator[Open]:
    """Opens a page as a person: `visit("/envois")`, `visit("/", as_=ADMIN, dark=True, narrow=True)`."""
    contexts = []

    def open_page(
        path: str | None,
        *,
        as_: str | None = CLERK,
        narrow: bool = False,
        dark: bool = False,
        javascript: bool = True,
        lang: str = "fr-FR",
    ) -> Page:
        context = chromium.new_context(
            base_url=site.url,
            locale=lang,
            timezone_id="Europe/Paris",
            viewport=NARROW if narrow else WIDE,
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        if as_ is not None:
            context.add_cookies([{"name": "session", "value": _session(site, as_), "url": site.url}])
        page = context.new_page()
        if path is not None:
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def _session(site: Site, email: str) -> str:
    with site.story.services.register.session(Platform("test")) as session:
        user = accounts.user_by_email(session, email)
        assert user is not None
        return accounts.open_web_session(session, user.id, datetime.now(UTC)).cookie


@pytest.fixture(scope="session")
def axe() -> Axe:
    """axe-core."""
    return Axe()


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture of the page for the README, when `PLI_PICTURES=1` asks for it."""

    def take(page: Page, name: str) -> None:
        if os.environ.get("PLI_PICTURES") == "1":
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    return take
