"""`pli up`: the local stack in the foreground, with one act carried through it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from rich.console import Console
from rich.text import Text

from ops.client import Api, ClientError
from ops.postgres import PostgresError
from ops.sample import Samples
from ops.stack import Stack
from ops.supervisor import StackError
from ops.walk import WalkError, carry_sample
from ops.words import messages, protections
from schemas.catalogue import Lang, load


class _Stopped(Exception):
    """SIGINT or SIGTERM."""


def run(folder: Path, lang: Lang, *, once: bool) -> int:
    """Start the stack, carry the sample through, and stay until told to stop (`once`: end when it is sealed).

    Returns the process's exit status. Whatever happens, nothing is left running.
    """
    console = Console(highlight=False, soft_wrap=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    stack: Stack | None = None
    try:
        stack = Stack(folder, lambda line: console.print(Text(line, "dim")))
        made_now = stack.start()
        for sentence in protections(stack.facts(), lang):
            console.print(Text(sentence, "dim"))
        console.print()
        return _serve(stack, console, lang, once=once, made_now=made_now)
    except (StackError, PostgresError) as error:
        console.print(Text(str(error), "red"))
        return 1
    except _Stopped:
        return 130 if once else 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if stack is not None:
            console.print(Text("stopping", "dim"))
            stack.stop()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _serve(stack: Stack, console: Console, lang: Lang, *, once: bool, made_now: bool) -> int:
    samples = stack.samples
    assert samples is not None
    walk = _Walk(stack, samples, console.print, lang)
    walk.start()
    # The programs are tied to this thread, so it watches; the act is followed in another.
    stack.supervisor.watch(walk.done)
    if walk.failure is not None:
        console.print(Text(walk.failure, "red"))
        console.print(Text(f"logs: {stack.supervisor.logs}", "dim"))
    if once:
        return 0 if walk.failure is None else 1
    _show_where_to_look(stack, samples, console, lang, made_now=made_now)
    stack.supervisor.watch(Event())
    return 0


class _Walk(Thread):
    """The sample's way through, beside the watch over the programs."""

    def __init__(self, stack: Stack, samples: Samples, say: Callable[[Text], None], lang: Lang) -> None:
        super().__init__(daemon=True)
        self.done = Event()
        self.failure: str | None = None
        self._stack, self._samples, self._say, self._lang = stack, samples, say, lang

    def run(self) -> None:
        """Carry the sample through; `failure` says why it did not get there."""
        try:
            with Api(self._stack.addresses.page, self._samples.token, self._lang) as api:
                if (before := api.count()) > 0:
                    said = "un_acte_anterieur" if before == 1 else "actes_anterieurs"
                    self._say(Text(messages().text(said, self._lang, nombre=before), "dim"))
                carry_sample(
                    api,
                    self._stack.folder / "proofs",
                    self._say,
                    self._lang,
                    fingerprint=self._stack.seal_fingerprint,
                )
        except (ClientError, WalkError) as error:
            self.failure = str(error)
        except Exception as error:  # a defect of ours must not leave the watch waiting for ever
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self.done.set()


def _show_where_to_look(
    stack: Stack, samples: Samples, console: Console, lang: Lang, *, made_now: bool
) -> None:
    at = stack.addresses
    console.print()
    for what, where in (
        ("status page", at.page),
        ("REST API", f"{at.page}/v1 (description: {at.page}/openapi.json)"),
        ("Temporal", at.temporal),
        ("mailbox", at.mailbox),
        ("proofs", str(stack.folder / "proofs")),
        ("logs", str(stack.supervisor.logs)),
    ):
        console.print(Text.assemble((f"  {what:12}", "bold"), where))
    console.print()
    if made_now:
        _show_accounts(samples, console, lang)
    console.print(Text(f"Secrets of the sample accounts: {stack.accounts_file}", "dim"))
    console.print(Text("Ctrl-C ends everything.", "dim"))


def _show_accounts(samples: Samples, console: Console, lang: Lang) -> None:
    words = load("api")
    for person in samples.people:
        role = words.text(f"role_{person.role}", lang)
        console.print(Text.assemble(("  " + person.nom, "bold"), f", {role}, {person.collectivite}"))
        console.print(Text(f"      {person.email}  {person.password}"))
    console.print(Text.assemble(("  Token of the commune’s software", "bold")))
    console.print(Text(f"      {samples.token}"))
    console.print(Text("These secrets are shown this once.", "dim"))
