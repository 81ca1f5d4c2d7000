"""Servers that tests of several rooms share: started once a session, where a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.postgres import Place
from registry.door import Register
from tests.postgres import fresh_database, start_template


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A real PostgreSQL with the register's schema in a template database."""
    with start_template(tmp_path_factory.mktemp("postgres")) as place:
        yield place


@pytest.fixture
def register_url(postgres: Place) -> Iterator[str]:
    """SQLAlchemy URL of a database of this test's own, with the register's schema and no row."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def register(register_url: str) -> Iterator[Register]:
    """The register on a database of this test's own."""
    register = Register(register_url, pool_size=5)
    yield register
    register.close()
