"""A real S3 server for tests: rclone over a folder, with keys, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ACCESS_KEY = "essai"
SECRET_KEY = "essai-secret"


@dataclass(frozen=True)
class RunningS3:
    """Where the server answers, and its process."""

    endpoint: str
    process: subprocess.Popen[str]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY


@contextmanager
def start_s3(folder: Path, port: int = 0) -> Iterator[RunningS3]:
    """Serve `folder` (a sub-folder is a bucket) on `port` (0: any free one) until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    rclone = Path(sysconfig.get_path("scripts")) / "rclone"
    process = subprocess.Popen(
        [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull, folder],
        env={"RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"', "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        endpoint = _announced(process.stderr)
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield RunningS3(endpoint, process)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            drain.join()
            process.stderr.close()


def _announced(log: IO[str]) -> str:
    for line in log:
        if found := re.search(r"https?://(127\.0\.0\.1:\d+)", line):
            return found[1]
    raise RuntimeError("rclone ended before it served")
