"""Byte quotas towards the ministry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry import quotas
from registry.door import Platform, Register
from registry.models import TransmissionWindow


def at(hour: int, minute: int = 0, day: int = 23, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def window(register: Register) -> Register:
    with register.session(Platform("test")) as session:
        session.add(TransmissionWindow(kind="window", begins="08:00", ends="18:00", limit_bytes=100))
    return register


def reserve(register: Register, size: int, now: datetime) -> datetime | None:
    with register.session(Platform("test")) as session:
        return quotas.reserve(session, size, now)


def test_without_quota_everything_may_leave(register: Register) -> None:
    assert reserve(register, 10**9, at(12)) is None


def test_a_full_window_puts_off_to_its_end(window: Register) -> None:
    assert reserve(window, 60, at(9)) is None
    assert reserve(window, 60, at(9)) == at(17), "18:00 in Paris in winter"
    assert reserve(window, 40, at(9)) is None


def test_outside_the_window_nothing_is_counted(window: Register) -> None:
    assert reserve(window, 1000, at(20)) is None
    assert reserve(window, 100, at(9, day=24)) is None


def test_bytes_that_did_not_leave_are_given_back(window: Register) -> None:
    assert reserve(window, 100, at(9)) is None
    with window.session(Platform("test")) as session:
        quotas.release(session, 100, at(9))
    assert reserve(window, 100, at(10)) is None


def test_a_file_larger_than_the_quota_goes_alone(window: Register) -> None:
    assert reserve(window, 1000, at(9)) is None
    assert reserve(window, 1, at(9)) == at(17)


def test_an_hourly_quota_starts_anew_on_the_hour(register: Register) -> None:
    with register.session(Platform("test")) as session:
        session.add(TransmissionWindow(kind="hour", begins=None, ends=None, limit_bytes=100))
    assert reserve(register, 100, at(9, 59)) is None
    assert reserve(register, 100, at(9, 59)) == at(10)
    assert reserve(register, 100, at(10)) is None


@pytest.mark.parametrize("now", [at(22), at(2, day=24)])
def test_a_window_over_midnight_is_one_period(register: Register, now: datetime) -> None:
    with register.session(Platform("test")) as session:
        session.add(TransmissionWindow(kind="window", begins="20:00", ends="06:00", limit_bytes=100))
    assert reserve(register, 100, now) is None
    assert reserve(register, 1, at(23)) == at(5, day=24)


def test_the_night_that_lasts_an_hour_longer_is_one_period(register: Register) -> None:
    with register.session(Platform("test")) as session:
        session.add(TransmissionWindow(kind="window", begins="20:00", ends="06:00", limit_bytes=100))
    assert reserve(register, 100, at(19, day=24, month=10)) is None
    assert reserve(register, 1, at(1, 30, day=25, month=10)) == at(5, day=25, month=10)
