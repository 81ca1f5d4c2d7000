from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pki import Pki, make_pki
from tests.sandbox.processes import RunningMinistry, ministry


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[tuple[Path, RunningMinistry]]:
    folder = tmp_path_factory.mktemp("ministere")
    with ministry(folder, pki) as started:
        yield folder, started
