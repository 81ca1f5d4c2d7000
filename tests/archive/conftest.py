"""A real S3 server for the tests of the archive, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archive.s3 import S3Store
from tests.s3 import RunningS3, start_s3


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    """rclone, serving an empty folder."""
    with start_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def store(s3: RunningS3) -> S3Store:
    """A bucket on it."""
    return S3Store(s3.endpoint, "pli-essais", s3.access_key, s3.secret_key, secure=False)
