"""Bringing the register's tables to the version that the code needs (Alembic)."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

LOCK = 0x506C69
"""Advisory lock, so that several processes starting at once migrate one after the other."""


def upgrade(url: str) -> None:
    """Migrate the database at `url` to the newest version; does nothing where it is there already."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(files("registry").joinpath("migrations")))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": LOCK})
    finally:
        engine.dispose()
