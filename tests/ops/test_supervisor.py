"""Programs of the stack: started, restarted, ended; nothing outlives the one who watches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Timer

import pytest

from ops.supervisor import Part, StackError, Supervisor

FOREVER = "import time; open({ready!r}, 'a').write('x'); time.sleep(600)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs", said.append)
    yield supervisor
    supervisor.stop()


def part(name: str, code: str, ready: Callable[[], bool]) -> Part:
    return Part(name, [sys.executable, "-c", code], ready, dict(os.environ))


def runs(pid: int) -> bool:
    """Whether the process is there and has not ended (an ended one waits for its parent as a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def starts(path: Path) -> int:
    return len(path.read_text()) if path.exists() else 0


def test_a_part_that_dies_is_started_again_and_it_is_said(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    supervisor.start(part("Server", FOREVER.format(ready=str(ready)), ready.exists))
    os.kill(supervisor.pid("Server"), signal.SIGKILL)
    done = Event()
    Timer(10, done.set).start()
    supervisor.watch(_until(done, lambda: starts(ready) == 2))
    assert starts(ready) == 2
    assert said == ["Server ended (SIGKILL); starting it again"]


def test_a_part_that_ends_at_once_is_refused_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    with pytest.raises(StackError, match="no such option"):
        supervisor.start(part("Broken", "import sys; sys.exit('no such option')", lambda: False))


def test_what_a_part_started_itself_ends_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    supervisor.start(part("Parent", code, lambda: pid_file.exists() and bool(pid_file.read_text())))
    grandchild = int(pid_file.read_text())
    supervisor.stop()
    _wait(lambda: not runs(grandchild))


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, sys, pathlib, threading\n"
        "from ops.supervisor import Part, Supervisor\n"
        f"ready = pathlib.Path({str(tmp_path / 'ready')!r})\n"
        f"s = Supervisor(pathlib.Path({str(tmp_path / 'logs')!r}), print)\n"
        f"code = {FOREVER!r}.format(ready=str(ready))\n"
        "s.start(Part('Server', [sys.executable, '-c', code], ready.exists, dict(os.environ)))\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(s.pid('Server')))\n"
        "s.watch(threading.Event())\n"
    )
    watcher = subprocess.Popen([sys.executable, "-c", code])
    _wait(lambda: pid_file.exists() and bool(pid_file.read_text()))
    server = int(pid_file.read_text())
    watcher.kill()
    watcher.wait()
    _wait(lambda: not runs(server))


class _until(Event):  # noqa: N801 - reads as a word in the call
    """An event that is also set once a condition holds."""

    def __init__(self, other: Event, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._other, self._condition = other, condition

    def wait(self, timeout: float | None = None) -> bool:
        self._other.wait(0.02)
        return self._other.is_set() or self._condition()


def _wait(condition: Callable[[], bool], patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        Event().wait(0.02)
