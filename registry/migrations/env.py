"""Alembic's entry: always on the connection that `registry/migrate.py` gives."""

from alembic import context

from registry.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
