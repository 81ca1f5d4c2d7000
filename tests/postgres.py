"""A real PostgreSQL for tests: one server a session, one fresh database a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.postgres import Place, drop_database, ensure_database, running
from registry.migrate import upgrade

TEMPLATE = "gabarit"
_numbers = itertools.count(1)


@contextmanager
def start_postgres(folder: Path) -> Iterator[str]:
    """A server with one empty database for the length of the block; gives its SQLAlchemy URL."""
    with running(folder, durable=False) as server:
        ensure_database(server.place, "essai")
        yield server.place.url("essai")


@contextmanager
def start_template(folder: Path) -> Iterator[Place]:
    """A server whose template database has the register's schema; `fresh_database` copies it."""
    with running(folder, durable=False) as server:
        ensure_database(server.place, TEMPLATE)
        upgrade(server.place.url(TEMPLATE))
        yield server.place


@contextmanager
def fresh_database(place: Place) -> Iterator[str]:
    """A copy of the template for the length of the block; gives its SQLAlchemy URL."""
    name = f"essai_{next(_numbers)}"
    ensure_database(place, name, template=TEMPLATE)
    yield place.url(name)
    drop_database(place, name)
