"""A real clamd for tests, with one signature of our own: EICAR."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLAMD = Path("/usr/sbin/clamd")
# In two parts, so that no antivirus takes this file for the test file itself.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = "Pli-Test-EICAR"
_START_SECONDS = 60


def why_no_clamd() -> str | None:
    """The reason to skip, or None where clamd is installed."""
    return None if CLAMD.exists() else "needs Debian's clamav-daemon"


@contextmanager
def start_clamd(folder: Path, stream_max: str = "200M") -> Iterator[str]:
    """Run clamd with its files under `folder`, as whoever runs the tests; gives its address.

    Args:
        folder: for the signature database, the configuration and the log.
        stream_max: clamd's StreamMaxLength.
    """
    # Paths of unix sockets are short: the folder of a test may be too long for one.
    socket_folder = Path(tempfile.mkdtemp(prefix="pli-clamd-"))
    address = socket_folder / "clamd.sock"
    process = subprocess.Popen(
        [CLAMD, "--foreground", f"--config-file={_write_files(folder, address, stream_max)}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_pong(process, address, folder)
        yield f"unix:{address}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(socket_folder)


def _write_files(folder: Path, address: Path, stream_max: str) -> Path:
    database = folder / "signatures"
    database.mkdir(parents=True)
    (database / "pli.ndb").write_text(f"{SIGNATURE}:0:*:{EICAR.hex()}\n", encoding="ascii")
    scratch = folder / "scratch"
    scratch.mkdir()
    lines = [
        f"DatabaseDirectory {database}",
        f"LocalSocket {address}",
        f"TemporaryDirectory {scratch}",
        f"LogFile {folder / 'clamd.log'}",
        f"StreamMaxLength {stream_max}",
        f"MaxScanSize {stream_max}",
        f"MaxFileSize {stream_max}",
        "MaxThreads 2",
        "Foreground yes",
    ]
    if os.geteuid() == 0:
        lines.append(f"User {pwd.getpwuid(os.geteuid()).pw_name}")
    configuration = folder / "clamd.conf"
    configuration.write_text("\n".join(lines) + "\n", encoding="ascii")
    return configuration


def _await_pong(process: subprocess.Popen[bytes], address: Path, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(5)
                probe.connect(str(address))
                probe.sendall(b"zPING\0")
                if probe.recv(16).startswith(b"PONG"):
                    return
        except OSError:
            time.sleep(0.02)
    log = folder / "clamd.log"
    raise RuntimeError(f"clamd did not start: {log.read_text() if log.exists() else 'no log'}")
