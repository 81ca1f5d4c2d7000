"""The one door to the register.

Every session has a scope: one body, or the whole platform for a stated reason. The body's filter is added
here to every SELECT, UPDATE and DELETE on rows of a body, and every insert is checked, so that no query can
forget it. A session without scope can't be made.

    RegistryError
    ├── OutOfScope      a row of another body was about to be written (a bug of ours)
    ├── NotFound        no such row in this scope (also for rows of other bodies)
    └── Conflict        a rule of the database refused (duplicate number, state already changed…)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, sessionmaker, with_loader_criteria

from registry.models import OfBody


class RegistryError(Exception):
    """Root of the register's errors."""


class OutOfScope(RegistryError):
    """A row of another body was about to be written."""


class NotFound(RegistryError):
    """No such row in this scope."""


class Conflict(RegistryError):
    """A rule of the database refused; `code` is a key of the catalogue."""

    def __init__(self, code: str, **params: str) -> None:
        self.code = code
        self.params = params
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class OneBody:
    """The rows of one collectivité."""

    collectivite_id: str


@dataclass(frozen=True, slots=True)
class Platform:
    """All rows, for a stated reason (`collector`, `administrateur`, `sign-in`…)."""

    reason: str


Scope = OneBody | Platform


class Register:
    """PostgreSQL behind scoped sessions."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=10,
            pool_pre_ping=True,
            # Filters of a list differ by orders of magnitude in what they leave: a plan made once for all
            # values (as PostgreSQL does after five executions) is the wrong one for most.
            connect_args={"options": "-c plan_cache_mode=force_custom_plan"},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """One transaction in `scope`: committed at the end, rolled back on any error."""
        with self._sessions.begin() as session:
            session.info["scope"] = scope
            yield session

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@event.listens_for(Session, "do_orm_execute")
def _keep_to_scope(state: ORMExecuteState) -> None:
    scope = state.session.info.get("scope")
    if scope is None:
        raise OutOfScope("a session of the register needs a scope")
    if isinstance(scope, OneBody) and (state.is_select or state.is_update or state.is_delete):
        wanted = scope.collectivite_id
        state.statement = state.statement.options(
            with_loader_criteria(
                OfBody,
                lambda cls: cls.collectivite_id == wanted,
                include_aliases=True,
                track_closure_variables=True,
            )
        )


@event.listens_for(Session, "before_flush")
def _refuse_foreign_rows(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    scope = session.info.get("scope")
    if scope is None:
        raise OutOfScope("a session of the register needs a scope")
    if isinstance(scope, OneBody):
        for row in (*session.new, *session.dirty):
            if isinstance(row, OfBody) and row.collectivite_id != scope.collectivite_id:
                raise OutOfScope(type(row).__name__)
