"""The stand-ins as separate processes, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateways.mailbox import Mailbox
from gateways.ministry import MinistryWire
from sandbox.pki import Pki

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "pli", "mot de passe d'essai"


@dataclass(frozen=True)
class RunningMinistry:
    process: subprocess.Popen[str]
    url: str
    control: str
    pki: Pki

    def wire(self) -> MinistryWire:
        return MinistryWire(
            self.url,
            certificate=self.pki.client_certificate,
            key=self.pki.client_key,
            ca=self.pki.ca,
            connect_timeout=10,
            timeout=10,
        )

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def rule(self, comportement: str, **more: object) -> None:
        self.ask("POST", "/reglages", {"comportement": comportement, **more})

    def received(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/recus"))


def _start(*arguments: object, **environment: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise RuntimeError(f"{arguments[0]} did not start")
    return process, json.loads(line)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()


@contextmanager
def ministry(folder: Path, pki: Pki, *more: object) -> Iterator[RunningMinistry]:
    """The stand-in with its journal and Maildir under `folder`; killed and started again, it finds both."""
    process, said = _start(
        "sandbox.ministry",
        *("--state", folder / "etat", "--maildir", folder / "courrier"),
        *("--certificate", pki.server_certificate, "--key", pki.server_key, "--ca", pki.ca),
        *more,
    )
    try:
        yield RunningMinistry(process, said["url"], said["reglages"], pki)
    finally:
        _stop(process)


@contextmanager
def mail_server(folder: Path, *more: object) -> Iterator[int]:
    """The IMAP server over the same Maildir; gives its port."""
    process, said = _start(
        "sandbox.mailbox",
        *("--maildir", folder / "courrier", "--user", USER),
        *more,
        PLI_MAILBOX_PASSWORD=PASSWORD,
    )
    try:
        yield int(said["port"])
    finally:
        _stop(process)


def mailbox(port: int, **options: Any) -> Mailbox:
    return Mailbox("127.0.0.1", port, USER, PASSWORD, **{"tls": False, "ca": None, **options})
