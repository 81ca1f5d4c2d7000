"""Byte quotas towards the ministry (ACTES fact sheet §6.1 by hour, §6.2 by window of the day)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from registry.models import TransmissionWindow, WindowUse

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True)
class Period:
    """The running period of a quota."""

    window_id: int
    limit_bytes: int
    start: datetime
    end: datetime


def running_periods(windows: Iterable[TransmissionWindow], now: datetime) -> list[Period]:
    """The periods that `now` falls into; a moment in none of them is free of quota (§6.2)."""
    periods = []
    for window in windows:
        start, end = _bounds(window, now)
        if start <= now < end:
            periods.append(Period(window.id, window.limit_bytes, start, end))
    return periods


def _bounds(window: TransmissionWindow, now: datetime) -> tuple[datetime, datetime]:
    if window.kind == "hour":
        start = now.replace(minute=0, second=0, microsecond=0)
        return start, start + timedelta(hours=1)
    assert window.begins is not None
    assert window.ends is not None
    local = now.astimezone(PARIS)
    begins, ends = time.fromisoformat(window.begins), time.fromisoformat(window.ends)
    start = datetime.combine(local.date(), begins, PARIS)
    if begins >= ends and local.time() < ends:
        start = datetime.combine(local.date() - timedelta(days=1), begins, PARIS)
    end_day = start.date() + timedelta(days=1 if begins >= ends else 0)
    # In UTC: two instants of one zone are compared by their wall clocks, which repeat an hour in October.
    return start.astimezone(now.tzinfo), datetime.combine(end_day, ends, PARIS).astimezone(now.tzinfo)


def reserve(session: Session, size: int, now: datetime) -> datetime | None:
    """Take `size` bytes of every running quota; where one has no room, take nothing and give the instant at
    which its period ends. The quota's rows stay locked until the transaction ends.

    A file larger than a whole quota goes alone at the start of a period, or it would never leave.
    """
    windows = session.scalars(select(TransmissionWindow).order_by(TransmissionWindow.id)).all()
    uses: list[WindowUse] = []
    for period in running_periods(windows, now):
        session.execute(
            insert(WindowUse)
            .values(window_id=period.window_id, period_start=period.start, consumed_bytes=0)
            .on_conflict_do_nothing(constraint="window_use_period")
        )
        use = session.scalars(
            select(WindowUse)
            .where(WindowUse.window_id == period.window_id, WindowUse.period_start == period.start)
            .with_for_update()
        ).one()
        if use.consumed_bytes and use.consumed_bytes + size > period.limit_bytes:
            return period.end
        uses.append(use)
    for use in uses:
        use.consumed_bytes += size
    return None


def release(session: Session, size: int, reserved_at: datetime) -> None:
    """Give bytes back that certainly did not leave."""
    windows = session.scalars(select(TransmissionWindow)).all()
    for period in running_periods(windows, reserved_at):
        session.execute(
            update(WindowUse)
            .where(WindowUse.window_id == period.window_id, WindowUse.period_start == period.start)
            .values(consumed_bytes=WindowUse.consumed_bytes - size)
        )
