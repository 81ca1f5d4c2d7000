"""Migrations bring an empty database to the tables that the code describes."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from ops.postgres import Place, ensure_database
from registry.migrate import upgrade
from registry.models import Base


def test_migrations_and_models_agree_and_a_second_run_changes_nothing(postgres: Place) -> None:
    ensure_database(postgres, "migrations")
    url = postgres.url("migrations")
    upgrade(url)
    upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
