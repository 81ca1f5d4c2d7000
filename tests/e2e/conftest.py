"""One platform for the end-to-end tests, with days that last seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.platform import Platform, platform_up

SHORT = {
    "PLI_COLLECT_EVERY": "1",
    "PLI_DELAY_ANSWER": "8",
    "PLI_DELAY_UNCERTAIN": "6",
    "PLI_DELAY_REMINDER": "30",
}


@pytest.fixture(scope="session")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Started once."""
    with platform_up(tmp_path_factory.mktemp("platform"), **SHORT) as platform:
        yield platform


@pytest.fixture
def platform(shared_platform: Platform) -> Iterator[Platform]:
    """The platform, its ministry well-behaved before and after."""
    shared_platform.ministry.behave()
    yield shared_platform
    shared_platform.ministry.behave()
