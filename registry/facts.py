"""Facts about the installation that start-up and pages say aloud."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from registry.door import Platform, Register
from registry.models import PlatformFact


def say(register: Register, **facts: Any) -> None:
    """Write facts down, e.g. ``object_lock=False, antivirus=True``."""
    with register.session(Platform("facts")) as session:
        for name, value in facts.items():
            row = {"value": {"value": value}}
            session.execute(
                insert(PlatformFact)
                .values(name=name, **row)
                .on_conflict_do_update(index_elements=[PlatformFact.name], set_=row)
            )


def known(register: Register) -> dict[str, Any]:
    """All facts by name."""
    with register.session(Platform("facts")) as session:
        return {fact.name: fact.value["value"] for fact in session.scalars(select(PlatformFact))}
