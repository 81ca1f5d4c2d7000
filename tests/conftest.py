"""Servers that tests of several rooms share: started once a session, where a test asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from ops.postgres import Place
from registry.door import Register
from tests.postgres import fresh_database, start_template

# No deadline: how long an example takes says more about the machine's other work than about ours.
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size of the kill tests."""
    parser.addoption("--chaos", choices=("small", "full"), default="small", help="size of the kill tests")


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
