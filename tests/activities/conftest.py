"""A world for each test; servers and keys once a session."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from archive.s3 import S3Store
from registry.door import Register
from signing.seal import SealKey
from tests.activities.world import World, seal_for_tests
from tests.s3 import RunningS3, start_s3

_buckets = itertools.count(1)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    """A real S3 server."""
    with start_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def seal_key() -> SealKey:
    """Making an RSA key takes a while: once is enough."""
    return seal_for_tests()


@pytest.fixture
def world(register: Register, s3: RunningS3, seal_key: SealKey) -> World:
    """Real register, real store, a wire that does as it is told."""
    store = S3Store(s3.endpoint, f"essai{next(_buckets)}", s3.access_key, s3.secret_key, secure=False)
    return World(register, store, seal_key)
