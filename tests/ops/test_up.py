"""`pli up --once` and `pli verify`, as a newcomer runs them: the whole platform, one act, its proof."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.house import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `pli up --once` has run."""
    folder = tmp_path_factory.mktemp("pli") / "var"
    first = pli("up", "--once", "--folder", str(folder))
    assert first.returncode == 0, first.stdout
    assert "Sealed in the vault" in first.stdout
    assert "Vault: " in first.stdout
    assert "Antivirus: " in first.stdout
    return folder


@pytest.fixture
def pack(folder: Path) -> Path:
    """The proof pack that the run left."""
    return next((folder / "proofs").glob("*.zip"))


def test_nothing_is_left_running(folder: Path) -> None:
    assert processes_of(folder) == []


def test_a_second_run_finds_what_the_first_one_made(folder: Path) -> None:
    second = pli("up", "--once", "--folder", str(folder))
    assert second.returncode == 0, second.stdout
    assert "1 act from earlier runs is there" in second.stdout
    assert processes_of(folder) == []


def test_the_proof_is_verified_without_any_server(pack: Path) -> None:
    verified = pli("verify", str(pack))
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.999])
def test_a_changed_byte_is_found(pack: Path, part: float, tmp_path: Path) -> None:
    altered = bytearray(pack.read_bytes())
    altered[int(len(altered) * part)] ^= 1
    (tmp_path / "altered.zip").write_bytes(altered)
    assert pli("verify", str(tmp_path / "altered.zip")).returncode == 1


def test_secrets_are_for_their_owner_alone(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder / "secrets").iterdir()}
    assert set(modes.values()) == {0}


def pli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its own process, its output read whole."""
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "LANG": "C.UTF-8", "PLI_LANG": "en"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(folder) in line:
                found.append(line)
    return found
