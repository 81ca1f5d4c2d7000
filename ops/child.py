"""Start a program so that nothing of it outlives the one who started it.

Run as a script (`python -I -S ops/child.py [--as USER] -- PROGRAM ARG…`), it asks the kernel to end the
program when its parent dies, gives up root where asked, and becomes the program. A script of its own
instead of a hook between fork and exec: such a hook can hang where the parent has threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def spawn(
    program: Sequence[str | Path],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int | None = subprocess.DEVNULL,
    output: int | IO[bytes] | None = None,
    orphaned: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `program` in a process group of its own, tied to the life of the calling thread.

    Args:
        program: path and arguments.
        user: system user to become; None keeps ours.
        environment: the whole environment; None passes ours on.
        stdin: as for `Popen`; by default nothing can be typed into it.
        output: where both its output streams go; None: to ours.
        orphaned: what the kernel sends to it when the thread that called `spawn` ends.
    """
    launcher = [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), str(int(orphaned))]
    identity = ["--as", user] if user else []
    return subprocess.Popen(
        [*launcher, *identity, "--", *map(str, program)],
        env=environment,
        stdin=stdin,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        process_group=0,
    )


def end(child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience: float = 10) -> int:
    """Ask `child` to end with `how`; after `patience` seconds its whole group is killed.

    Returns its exit status (negative: the signal that ended it).
    """
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            kill(child)
    return child.wait()


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill `child` and whatever runs in its group, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _become(user: str, libc: ctypes.CDLL) -> None:
    """Give up root for `user`, keeping only the right to reach files below folders that are root's.

    Without that right a server could not even read its own program when the checkout lies below a folder
    of mode 0700 (root's home, a temporary folder). The securebit is for access(2), which PostgreSQL asks
    about its own program: it would answer without regard to the capability (capabilities(7)).
    Where the kernel refuses one of them, we go on without.
    """
    entry = pwd.getpwnam(user)
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    wanted = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(wanted, wanted, wanted, 0, 0, 0)
    if libc.capset(header, sets) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _main(arguments: list[str]) -> None:
    parent, orphaned = int(arguments[0]), int(arguments[1])
    cut = arguments.index("--")
    identity, program = arguments[2:cut], arguments[cut + 1 :]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if identity:
            _become(identity[1], libc)
        # After the change of user, which clears it.
        libc.prctl(PR_SET_PDEATHSIG, orphaned, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent is gone")
    if identity and not os.access(program[0], os.X_OK):
        sys.exit(
            f"{identity[1]} can't reach {program[0]}: run this as an ordinary user, or from a folder that "
            "other users may pass through"
        )
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted here


if __name__ == "__main__":
    _main(sys.argv[1:])
