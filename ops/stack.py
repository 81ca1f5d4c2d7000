"""The whole platform on one machine, from wheels: what `pli up` and the end-to-end tests run.

    PostgreSQL ─ S3 ─ Temporal ─ (clamd) ─ mailbox ─ ministry's stand-in ─ worker ─ API

Everything that it makes lives in one folder: data, logs, certificates, and the secrets (drawn by chance at
the first start, readable by their owner alone). Nothing of it serves a production: see `docs/production.md`.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ops import postgres
from ops.codec import new_key_line
from ops.sample import Samples, ensure_samples
from ops.supervisor import Part, StackError, Supervisor, answers_http, choose_port, listens
from registry import facts
from registry.door import Register
from registry.migrate import upgrade
from sandbox.pki import Pki, make_pki
from signing.seal import make_sandbox_seal

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "pli"
BUCKET = "pli"
MAILBOX_USER = "pli"
QUADRIGRAMME = "TACT"
RETURN_ADDRESS = "retours@pli.test"
WORKER_READY = b"worker_ready"
"""Event in a worker's log once it takes work."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1; the usual ones, or others where those are taken."""

    api: int
    temporal: int
    temporal_page: int
    postgres: int
    store: int
    mailbox: int
    ministry: int
    ministry_control: int
    """Where the stand-in is told to misbehave (`sandbox/control.py`)."""

    @classmethod
    def choose(cls) -> Ports:
        """The usual ports where they are free."""
        return cls(*(choose_port(usual) for usual in range(8430, 8438)))

    @classmethod
    def elsewhere(cls) -> Ports:
        """Ports that no other stack has, below those that the kernel gives to outgoing connections: a client
        that knocks while its server is down would otherwise meet itself there."""
        return cls(*(choose_port(port) for port in random.SystemRandom().sample(range(12000, 32000), 8)))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running stack can be looked at."""

    page: str
    temporal: str
    mailbox: str


class Stack:
    """The local stack in one folder.

    Args:
        folder: everything that it makes; a second stack on the same folder is refused.
        say: takes lines for people (a part started, a part died).
        workers: worker processes.
        overrides: settings (`PLI_…`) that win over the stack's own, for tests.
        ports: where its parts listen; the usual ones if not given.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        *,
        workers: int = 1,
        overrides: Mapping[str, str] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.ports = ports or Ports.choose()
        self.supervisor = Supervisor(self.folder / "logs", say)
        self._say = say
        self._workers = workers
        self._overrides = dict(overrides or {})
        self._lock = _take(self.folder)
        self._secrets = Secrets(self.folder / "secrets")
        self.pki: Pki = make_pki(self.folder / "pki")
        self.samples: Samples | None = None

    @property
    def addresses(self) -> Addresses:
        """Where to look."""
        return Addresses(
            page=f"http://127.0.0.1:{self.ports.api}",
            temporal=f"http://127.0.0.1:{self.ports.temporal_page}",
            mailbox=f"imap://{MAILBOX_USER}@127.0.0.1:{self.ports.mailbox}",
        )

    @property
    def accounts_file(self) -> Path:
        """Where the secrets of the sample accounts are kept."""
        return self.folder / "secrets" / "accounts.json"

    @property
    def _maildir(self) -> Path:
        return self.folder / "mailbox" / "maildir"

    @property
    def database(self) -> postgres.Place:
        """The stack's PostgreSQL."""
        return postgres.Place(
            self.folder / "postgres", self.ports.postgres, self._secrets.text("postgres-password")
        )

    @property
    def seal_fingerprint(self) -> str:
        """SHA-256 of the certificate that seals this stack's records, hex."""
        pem = (self.folder / "secrets" / "seal.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()

    def start(self) -> bool:
        """Start every part and make the samples; True where these were made now. Raises `StackError`."""
        self._prepare_folders()
        self._start(self._postgres(), self._store(), self._temporal(), self._mailbox(), self._ministry())
        made_now = self._prepare_register()
        self._start(*(self._worker(number) for number in range(1, self._workers + 1)), self._api())
        return made_now

    def facts(self) -> dict[str, Any]:
        """What the worker found of this installation at its start (`registry/facts.py`)."""
        register = Register(self.database.url(DATABASE), pool_size=1)
        try:
            return facts.known(register)
        finally:
            register.close()

    def stop(self) -> None:
        """End everything, in reverse order, and let the folder go."""
        self.supervisor.stop()
        self._lock.close()

    def settings(self) -> dict[str, str]:
        """The settings of our own processes on this stack, as environment variables."""
        at, kept = self.ports, self._secrets
        return {
            "PLI_MODE": "sandbox",
            "PLI_DATABASE_URL_FILE": kept.keep("database-url", self.database.url(DATABASE)),
            "PLI_STORE_ENDPOINT": f"127.0.0.1:{at.store}",
            "PLI_STORE_BUCKET": BUCKET,
            "PLI_STORE_ACCESS_KEY_FILE": kept.path("store-access-key"),
            "PLI_STORE_SECRET_KEY_FILE": kept.path("store-secret-key"),
            "PLI_STORE_SECURE": "false",
            "PLI_STORE_REGION": "us-east-1",
            "PLI_TEMPORAL_ADDRESS": f"127.0.0.1:{at.temporal}",
            "PLI_CODEC_KEYS_FILE": kept.path("codec-keys", lambda: new_key_line("local-1")),
            "PLI_MINISTRY_URL": f"https://localhost:{at.ministry}/actes",
            "PLI_MINISTRY_CERTIFICATE": str(self.pki.client_certificate),
            "PLI_MINISTRY_KEY": str(self.pki.client_key),
            "PLI_MINISTRY_CA": str(self.pki.ca),
            "PLI_TRIGRAMME": "PLI",
            "PLI_QUADRIGRAMME": QUADRIGRAMME,
            "PLI_RETURN_ADDRESS": RETURN_ADDRESS,
            "PLI_MAILBOX_HOST": "127.0.0.1",
            "PLI_MAILBOX_PORT": str(at.mailbox),
            "PLI_MAILBOX_USER": MAILBOX_USER,
            "PLI_MAILBOX_PASSWORD_FILE": kept.path("mailbox-password"),
            "PLI_MAILBOX_TLS": "false",
            "PLI_COLLECT_EVERY": "2",
            "PLI_SEAL_KEY_FILE": str(self.folder / "secrets" / "seal.key"),
            "PLI_SEAL_CERTIFICATE_FILE": str(self.folder / "secrets" / "seal.pem"),
            "PLI_PUBLIC_URL": self.addresses.page,
            "PLI_LISTEN_PORT": str(at.api),
            "PLI_SPOOL": str(self.folder / "tmp"),
            "PLI_LOG_FORMAT": "json",
            **self._antivirus(),
            **self._overrides,
        }

    def _start(self, *parts: Part) -> None:
        for part, seconds in zip(parts, self.supervisor.start(*parts), strict=True):
            self._say(f"{part.name} serves after {seconds:.1f} s")

    def _prepare_folders(self) -> None:
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        for name in ("tmp", "home", "objects", "temporal", "mailbox", "ministry", "proofs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        seal_key, seal_certificate = (self.folder / "secrets" / name for name in ("seal.key", "seal.pem"))
        if not seal_certificate.exists():
            key_pem, certificate_pem = make_sandbox_seal(
                "Pli, cachet de la plateforme locale", datetime.now(UTC)
            )
            _write(seal_key, key_pem.decode())
            _write(seal_certificate, certificate_pem.decode())

    def _prepare_register(self) -> bool:
        postgres.ensure_database(self.database, DATABASE)
        url = self.database.url(DATABASE)
        upgrade(url)
        register = Register(url, pool_size=1)
        try:
            self.samples, made_now = ensure_samples(register, self.accounts_file, datetime.now(UTC))
        finally:
            register.close()
        return made_now

    def _environment(self, **more: str) -> dict[str, str]:
        """Nothing of the environment that started us but where programs are: it may hold secrets."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            **more,
        }

    def _postgres(self) -> Part:
        place = self.database
        return Part(
            name="PostgreSQL",
            command=postgres.command(place),
            ready=lambda: postgres.answers(place),
            environment=self._environment(),
            user=postgres.user(),
            ending=signal.SIGINT,
            orphaned=signal.SIGQUIT,
            before=lambda: postgres.prepare(place),
        )

    def _store(self) -> Part:
        # In quotes: rclone reads the variable as a list with commas between its elements.
        keys = f'"{self._secrets.text("store-access-key")},{self._secrets.text("store-secret-key")}"'
        return Part(
            name="S3",
            command=[
                program("rclone"),
                *("serve", "s3", "--addr", f"127.0.0.1:{self.ports.store}", "--no-cleanup"),
                *("--config", "/dev/null", self.folder / "objects"),
            ],
            ready=lambda: listens(self.ports.store),
            # By the environment: a command line can be read by every user of the machine.
            environment=self._environment(RCLONE_AUTH_KEY=keys),
        )

    def _temporal(self) -> Part:
        address = f"127.0.0.1:{self.ports.temporal}"
        temporal = program("temporal")
        environment = self._environment()

        def ready() -> bool:
            asked: list[str | Path] = [
                temporal,
                "operator",
                "namespace",
                "describe",
                "default",
                "--address",
                address,
            ]
            return (
                listens(self.ports.temporal)
                and subprocess.run(asked, capture_output=True, env=environment, check=False).returncode == 0
            )

        return Part(
            name="Temporal",
            command=[
                temporal,
                *("server", "start-dev", "--ip", "127.0.0.1", "--port", str(self.ports.temporal)),
                *(
                    "--ui-port",
                    str(self.ports.temporal_page),
                    "--db-filename",
                    self.folder / "temporal" / "temporal.db",
                ),
                *("--log-level", "warn"),
            ],
            ready=ready,
            environment=environment,
        )

    def _mailbox(self) -> Part:
        return Part(
            name="Mailbox",
            command=[
                *(sys.executable, "-m", "sandbox.mailbox", "--maildir", self._maildir),
                *("--user", MAILBOX_USER, "--port", str(self.ports.mailbox)),
            ],
            ready=lambda: listens(self.ports.mailbox),
            environment=self._own_environment(PLI_MAILBOX_PASSWORD=self._secrets.text("mailbox-password")),
        )

    def _ministry(self) -> Part:
        return Part(
            name="Ministry stand-in",
            command=[
                *(sys.executable, "-m", "sandbox.ministry"),
                *("--state", self.folder / "ministry", "--maildir", self._maildir),
                *("--certificate", self.pki.server_certificate, "--key", self.pki.server_key),
                *("--ca", self.pki.ca, "--quadrigramme", QUADRIGRAMME),
                *("--port", str(self.ports.ministry), "--control-port", str(self.ports.ministry_control)),
            ],
            # Not its own port: a connection there uses up a rule that cuts the next one.
            ready=lambda: listens(self.ports.ministry_control),
            environment=self._own_environment(),
        )

    def _antivirus(self) -> dict[str, str]:
        address = os.environ.get("PLI_ANTIVIRUS")
        return {"PLI_ANTIVIRUS": address} if address else {}

    def _worker(self, number: int) -> Part:
        name = "Worker" if self._workers == 1 else f"Worker {number}"
        log = self.supervisor.log_of(name)
        # What an earlier run wrote does not count.
        begin = log.stat().st_size if log.exists() else 0

        def ready() -> bool:
            return WORKER_READY in log.read_bytes()[begin:]

        return self._own(name, "worker", ready)

    def _api(self) -> Part:
        return self._own("API", "api", lambda: answers_http(f"{self.addresses.page}/sante"))

    def _own(self, name: str, command: str, ready: Callable[[], bool]) -> Part:
        return Part(
            name=name,
            command=[sys.executable, "-m", "ops.cli", command],
            ready=ready,
            environment=self._own_environment(**self.settings()),
        )

    def _own_environment(self, **more: str) -> dict[str, str]:
        return self._environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", **more)


class Secrets:
    """Secrets of one stack: one file each, made by chance when first asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def path(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
        """The file of the secret `name`."""
        path = self._folder / name
        if not path.exists():
            _write(path, make())
        return str(path)

    def text(self, name: str) -> str:
        """The secret `name` itself."""
        return Path(self.path(name)).read_text(encoding="utf-8")

    def keep(self, name: str, value: str) -> str:
        """Keep `value`, whatever was kept under `name` before; gives its file."""
        _write(self._folder / name, value)
        return str(self._folder / name)


def program(name: str) -> Path:
    """A program that a wheel brought; raises `StackError` where it is not installed."""
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if found is None:
        raise StackError(f"the program {name} is not installed: `make run` installs it")
    return Path(found)


def _take(folder: Path) -> IO[str]:
    """Take `folder` for ourselves, until the file that is given back is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "?"
        lock.close()
        raise StackError(f"a stack runs on {folder} already (process {holder})") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _write(path: Path, text: str) -> None:
    """Write whole or not at all, readable by its owner alone."""
    partial = path.with_name(path.name + ".part")
    with suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.rename(path)
