from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pki import Pki, make_pki
from tests.clamd import start_clamd, why_no_clamd


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def clamd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := why_no_clamd():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("clamd")


@pytest.fixture(scope="session")
def clamd(clamd_folder: Path) -> Iterator[str]:
    with start_clamd(clamd_folder / "large") as address:
        yield address


@pytest.fixture(scope="session")
def small_clamd(clamd_folder: Path) -> Iterator[str]:
    """A clamd that takes no more than 1 MiB."""
    with start_clamd(clamd_folder / "small", stream_max="1M") as address:
        yield address
