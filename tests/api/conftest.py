"""The doors on a real register, a real store and a real engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import func, select
from starlette.testclient import TestClient
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from api.app import create_app
from api.services import ApiSettings, Services
from archive.s3 import S3Store
from registry import accounts, flow
from registry.door import Platform, Register
from registry.models import Enveloppe, IdempotencyKey, StoredFile, UploadIntent
from schemas.states import TERMINAL, Etat
from tests.s3 import RunningS3, start_s3
from tests.temporal import program

SIREN, OTHER_SIREN = "213502388", "214400152"
ALL_RIGHTS = ("actes:deposer", "actes:lire", "actes:decider", "archives:lire")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    """A real S3 server."""
    with start_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def plain_logs() -> None:
    """Tracebacks without every local value: a page of them costs more than a test."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost nothing: tests of the doors make many people."""
    monkeypatch.setattr(accounts, "_PASSWORDS", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


_buckets = iter(range(1, 100_000))


@pytest.fixture
def store(s3: RunningS3) -> S3Store:
    """A bucket of this test's own."""
    return S3Store(s3.endpoint, f"essai-{next(_buckets)}", s3.access_key, s3.secret_key, secure=False)


@pytest.fixture(scope="session")
def engine() -> Iterator[Client]:
    """A client of a time-skipping Temporal server without worker: workflows start and wait."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, loop)
        return future.result(30)

    environment = run(
        WorkflowEnvironment.start_time_skipping(test_server_existing_path=program("temporal-test-server"))
    )
    yield environment.client
    run(environment.shutdown())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@dataclass
class Body:
    """A collectivité with one of each kind of caller."""

    id: str
    user_id: str
    token: str
    reader: str
    """A token that may only read."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of its software."""
        return {"Authorization": f"Bearer {self.token}"}


def make_body(register: Register, siren: str, nom: str) -> Body:
    """A collectivité, an agent, a token with all rights, and one that reads."""
    now = datetime.now(UTC)
    with register.session(Platform("test")) as session:
        body = accounts.add_collectivite(
            session, now, siren=siren, nom=nom, departement="035", arrondissement="1", nature="31",
            email="mairie@exemple.fr",
        )  # fmt: skip
        user = accounts.add_user(
            session, now, email=f"agent@{siren}.fr", nom=f"Agent de {nom}", password="un mot de passe long"
        )
        accounts.grant(session, user, "agent", body)

        def token(*rights: str) -> str:
            return accounts.create_token(
                session, now, collectivite_id=body, label=f"Logiciel de {nom}", rights=rights,
                responsible_user_id=user,
            ).secret  # fmt: skip

        return Body(body, user, token(*ALL_RIGHTS), token("actes:lire"))


@dataclass
class Doors:
    """The application with its parts and two bodies."""

    app: FastAPI
    client: TestClient
    services: Services
    store: S3Store
    mine: Body
    other: Body
    settings: ApiSettings
    keys: Iterator[int] = field(default_factory=lambda: iter(range(1, 100_000)))

    def key(self) -> str:
        """A fresh idempotency key."""
        return f"cle-{next(self.keys)}"

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET as the first body's software."""
        return self.client.get(path, headers=self.mine.headers | options.pop("headers", {}), **options)

    def post(self, path: str, *, key: str | None = None, **options: Any) -> httpx2.Response:
        """POST as the first body's software."""
        headers = {**self.mine.headers, "Idempotency-Key": key or self.key(), **options.pop("headers", {})}
        return self.client.post(path, headers=headers, **options)

    def use(self, services: Services) -> None:
        """Let the application run on these parts from now on."""
        self.services = services
        self.settings = services.settings
        self.app.state.services = services

    def rows(self) -> dict[str, int]:
        """How many rows a deposit left in each table."""
        with self.services.register.session(Platform("test")) as session:
            return {
                table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
                for table in (Enveloppe, StoredFile, IdempotencyKey, UploadIntent)
            }

    def put_in_state(self, enveloppe_id: str, etat: Etat) -> None:
        """Move an envelope as its workflow would."""
        now = datetime.now(UTC)
        with self.services.register.session(Platform("test")) as session:
            row = flow.locked(session, enveloppe_id)
            flow.move(session, row, etat, "scelle", "Pli", now, echeance=None if etat in TERMINAL else now,
                      params={"version": "1"})  # fmt: skip

    def workflow_type(self, enveloppe_id: str) -> str:
        """Type of the envelope's workflow on the engine."""
        return str(
            self.run(self.services.temporal.get_workflow_handle(enveloppe_id).describe()).workflow_type
        )

    def end_workflow(self, enveloppe_id: str) -> None:
        """End the envelope's workflow on the engine."""
        self.run(self.services.temporal.get_workflow_handle(enveloppe_id).terminate())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a call to the engine."""
        assert self.client.portal is not None

        async def wait() -> Any:
            return await coroutine

        return self.client.portal.call(wait)

    def objects(self) -> list[str]:
        """Every key in the store."""
        return list(self.store.keys(""))


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    """Settings of the doors, with a spool that a test can look into."""
    return ApiSettings(public_url="https://pli.exemple.fr", spool=tmp_path / "spool", secure_cookies=False)


@pytest.fixture
def doors(register: Register, store: S3Store, engine: Client, settings: ApiSettings) -> Iterator[Doors]:
    """The application on real parts, with two bodies."""
    services = Services(register, store, engine, settings)
    app = create_app(services)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Doors(
            app, client, services, store, make_body(register, SIREN, "Montfort"),
            make_body(register, OTHER_SIREN, "Ailleurs"), settings,
        )  # fmt: skip


@pytest.fixture
def change(doors: Doors) -> Callable[[Callable[[ApiSettings], ApiSettings]], None]:
    """Change the settings of the running application."""

    def apply(edit: Callable[[ApiSettings], ApiSettings]) -> None:
        doors.use(replace(doors.services, settings=edit(doors.settings)))

    return apply
