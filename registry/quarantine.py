"""What matched nothing: one message of the quarantine, and what a person says became of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.door import NotFound
from registry.models import ReturnMail


def message(session: Session, message_id: str) -> ReturnMail:
    """A message that stands in quarantine; raises `NotFound` for any other."""
    row = session.scalar(
        select(ReturnMail).where(ReturnMail.id == message_id, ReturnMail.state == "quarantined")
    )
    if row is None:
        raise NotFound(message_id)
    return row


def resolve(session: Session, message_id: str, by: str, resolution: str, now: datetime) -> None:
    """Take a message out of quarantine; it is kept. Raises `NotFound` where it no longer stands there."""
    row = session.scalar(
        select(ReturnMail)
        .where(ReturnMail.id == message_id, ReturnMail.state == "quarantined")
        .with_for_update()
    )
    if row is None:
        raise NotFound(message_id)
    row.state = "resolved"
    row.resolved_by = by
    row.resolved_at = now
    row.resolution = resolution
