"""Keeps a set of programs running: starts them in order, restarts what dies, ends all in reverse order.

Nothing outlives it: each program is tied to the life of the thread that called `Supervisor.start` and runs in
a group of its own (`ops/child.py`). That thread must therefore stay; it is the one that watches.

    StackError      a program can't be started; the message holds the end of its log
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from threading import Event
from urllib.request import urlopen

from ops import child

POLL = 0.05
"""Seconds between two looks at a program that is starting."""
START_PATIENCE = 60.0
LOG_TAIL = 12
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a program that died is started again; doubled each time that it dies young."""
YOUNG = 30.0


class StackError(Exception):
    """A program can't be started."""


@dataclass(frozen=True)
class Part:
    """One program of the stack."""

    name: str
    """For people, and as the name of its log."""
    command: Sequence[str | Path]
    ready: Callable[[], bool]
    """Whether it serves by now; asked again and again while it starts."""
    environment: Mapping[str, str]
    """All that it is told."""
    user: str | None = None
    ending: signal.Signals = signal.SIGTERM
    """What asks it to end in order."""
    orphaned: signal.Signals = signal.SIGKILL
    """What the kernel sends to it where we were killed."""
    before: Callable[[], None] | None = None
    """Done before each start."""


@dataclass
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    since: float
    pause: float = FIRST_PAUSE
    died_at: float | None = field(default=None)


class Supervisor:
    """Programs of one stack, in the order in which they were started."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self.logs = logs
        self._say = say
        self._running: list[_Running] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, *parts: Part, patience: float = START_PATIENCE) -> list[float]:
        """Start `parts` side by side and wait until all serve.

        Returns the seconds that each took; raises `StackError` where one can't be started.
        """
        started = [self._launch(part) for part in parts]
        self._running += started
        return [self._await(running, patience) for running in started]

    def watch(self, until: Event) -> None:
        """Restart whatever dies, until `until` is set."""
        while not until.wait(0.2):
            for running in self._running:
                self._look_after(running)

    def log_of(self, name: str) -> Path:
        """Where the part `name` writes."""
        return self.logs / f"{name.lower().replace(' ', '-')}.log"

    def pid(self, name: str) -> int:
        """Process number of the part `name` as it runs now."""
        return self._find(name).process.pid

    def serves(self, name: str) -> bool:
        """Whether the part `name` runs and serves now."""
        running = self._find(name)
        return running.process.poll() is None and running.part.ready()

    def kill(self, name: str) -> None:
        """Kill the part `name` as a power cut would; `watch` or `restart` brings it back."""
        child.kill(self._find(name).process)

    def restart(self, name: str) -> float:
        """Start the part `name` again and wait until it serves; gives the seconds that it took."""
        running = self._find(name)
        child.kill(running.process)
        renewed = self._launch(running.part)
        self._running[self._running.index(running)] = renewed
        return self._await(renewed, START_PATIENCE)

    def stop(self) -> None:
        """End every program, the last started first; one that does not listen is killed."""
        while self._running:
            running = self._running.pop()
            child.end(running.process, running.part.ending)
            child.kill(running.process)

    def _find(self, name: str) -> _Running:
        return next(running for running in self._running if running.part.name == name)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if (status := running.process.poll()) is None:
            return
        if running.died_at is None:
            running.died_at = now
            running.pause = (
                FIRST_PAUSE if now - running.since > YOUNG else min(running.pause * 2, LONGEST_PAUSE)
            )
            self._say(f"{running.part.name} ended ({_how(status)}); starting it again")
        elif now - running.died_at >= running.pause:
            child.kill(running.process)
            renewed = self._launch(running.part)
            running.process, running.since, running.died_at = renewed.process, renewed.since, None

    def _launch(self, part: Part) -> _Running:
        if part.before is not None:
            part.before()
        with self.log_of(part.name).open("ab") as output:
            process = child.spawn(
                part.command,
                user=part.user,
                environment=part.environment,
                output=output,
                orphaned=part.orphaned,
            )
        return _Running(part, process, time.monotonic())

    def _await(self, running: _Running, patience: float) -> float:
        part = running.part
        while not part.ready():
            waited = time.monotonic() - running.since
            if running.process.poll() is not None:
                raise StackError(f"{part.name} ended at once:\n{self._tail(part)}")
            if waited > patience:
                raise StackError(f"{part.name} does not serve after {waited:.0f} s:\n{self._tail(part)}")
            time.sleep(POLL)
        return time.monotonic() - running.since

    def _tail(self, part: Part) -> str:
        lines = self.log_of(part.name).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL:])


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something takes connections on `port`."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def answers_http(url: str) -> bool:
    """Whether a GET of `url` (http) gives 200."""
    with suppress(OSError, HTTPException), urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
        return bool(answer.status == HTTPStatus.OK)
    return False


def choose_port(wanted: int) -> int:
    """`wanted` if it is free on 127.0.0.1, else another one."""
    for port in (wanted, 0):
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StackError("no free port on 127.0.0.1")


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
