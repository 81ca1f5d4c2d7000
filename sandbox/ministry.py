"""The ministry's stand-in: takes archives over mutual TLS, answers by mail into a Maildir.

    python -m sandbox.ministry --state DIR --maildir DIR --certificate PEM --key PEM --ca PEM [--port N] …

It promises what the ministry promises and no more: HTTP 200 says that the archive came in whole; what
became of it is said by mail alone, and nothing can be asked. A second, plain door on the loopback
(`sandbox.control`) is for tests and demonstrations.

    TCP accept ─► [coupe_avant] ─► TLS ─► archive's name ─► [coupe_avant, refus_http early]
      ─► last byte ─► [refus_http, coupe_apres] ─► journal: archive + due mails ─► 200 ─► Maildir
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import h11

from sandbox import answers
from sandbox.control import Control
from sandbox.errors import BadForm
from sandbox.form import ArchiveForm
from sandbox.http import Exchange
from sandbox.journal import Journal, Outgoing, Receipt
from sandbox.maildir import Maildir
from sandbox.rules import Comportement, Reglage, RuleBook, parse_reglage
from schemas.actes.classification import national
from schemas.actes.opening import OpenedPackage

_PARIS = ZoneInfo("Europe/Paris")
_HANDSHAKE_SECONDS = 30
_ACCEPT_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stand-in lives."""

    state: Path
    """Folder of its journal and spool."""
    maildir: Path
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    quadrigramme: str = "TACT"


class Ministry:
    """The stand-in itself; `start`, then `stop`."""

    def __init__(self, place: Place, tls: ssl.SSLContext) -> None:
        place.state.mkdir(parents=True, exist_ok=True)
        self._place = place
        self._tls = tls
        self._journal = Journal(place.state / "journal.sqlite")
        self._maildir = Maildir(place.maildir)
        self._rules = RuleBook([parse_reglage(rule) for rule in self._journal.remember("reglages", [])])
        self._port = place.port
        self._listener: asyncio.Task[None] | None = None
        self._back: asyncio.TimerHandle | None = None
        self._connections = set[asyncio.Task[None]]()
        self._new_mail = asyncio.Event()
        self._postman: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Deliver what an earlier run still owes, then listen; gives the port."""
        self._deliver_left_over()
        self._postman = asyncio.create_task(self._deliver_for_ever())
        self._listen()
        return self._port

    async def stop(self) -> None:
        """Close everything; what is owed stays in the journal."""
        self._close_listener()
        tasks = [*self._connections, *([self._postman] if self._postman else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._journal.close()

    # What the control door asks

    @property
    def classification(self) -> date:
        """Version of the classification in force."""
        kept = self._journal.remember("classification", national().date_version.isoformat())
        return date.fromisoformat(kept)

    def put_classification(self, version: date) -> None:
        """Put another version in force."""
        self._journal.keep("classification", version.isoformat())

    def settings(self) -> dict[str, Any]:
        """Rules in force, version of the classification, and whether the listener is closed."""
        return {
            "reglages": self._rules.as_json(),
            "classification": self.classification.isoformat(),
            "panne": self._listener is None,
        }

    def add_rule(self, rule: Reglage) -> None:
        """Put a rule in force; a breakdown begins at once and does not outlive the process."""
        if rule.comportement is Comportement.PANNE:
            self._break_down(rule.secondes)
            return
        self._rules.add(rule)
        self._journal.keep("reglages", self._rules.as_json())

    def lift_rules(self) -> None:
        """No rule any more, the national classification, an open listener."""
        self._rules.clear()
        self._journal.keep("reglages", [])
        self.put_classification(national().date_version)
        self._come_back()

    def received(self) -> list[dict[str, Any]]:
        """The archives received whole."""
        return self._journal.received()

    # Listening

    def _listen(self) -> None:
        listener = socket.create_server((self._place.host, self._port), backlog=256)
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._listener = asyncio.create_task(self._accept_for_ever(listener))

    async def _accept_for_ever(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                except OSError:
                    # Out of descriptors, or a client gone already: the next one may do.
                    await asyncio.sleep(_ACCEPT_PAUSE)
                    continue
                task = asyncio.create_task(self._serve(connection))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)

    def _close_listener(self) -> None:
        if self._back is not None:
            self._back.cancel()
            self._back = None
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    def _break_down(self, seconds: float | None) -> None:
        self._close_listener()
        if seconds is not None:
            self._back = asyncio.get_running_loop().call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        if self._listener is None:
            self._close_listener()
            self._listen()

    # One connection

    async def _serve(self, connection: socket.socket) -> None:
        if self._counted(self._rules.take_at_connection()):
            _reset(connection)
            return
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1024 * 1024)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
        except (OSError, ConnectionError):
            connection.close()
            return
        exchange = Exchange(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        try:
            await self._take_archive(exchange)
        except (OSError, h11.RemoteProtocolError):
            exchange.cut()
        except BaseException:
            exchange.cut()
            raise

    async def _take_archive(self, exchange: Exchange) -> None:
        request = await exchange.request()
        if request.method != "POST":
            await exchange.answer(405)
            return
        try:
            form = ArchiveForm(request.headers.get("content-type", ""), str(self._place.state))
        except BadForm:
            await exchange.answer(400)
            return
        try:
            if await self._strikes_early(exchange, form):
                return
            archive_name = form.finish()
        except BadForm:
            await exchange.answer(400)
            return
        else:
            await self._receive(exchange, form, archive_name)
        finally:
            form.close()

    async def _strikes_early(self, exchange: Exchange, form: ArchiveForm) -> bool:
        """Read the body; True where a rule ended the exchange before its last byte."""
        named = False
        async for data in exchange.body():
            form.feed(data)
            if not named and form.archive_name is not None:
                named = True
                rule = self._counted(self._rules.take_at_name(answers.siren_of(form.archive_name)))
                if rule is not None:
                    await _strike(exchange, rule)
                    return True
        return False

    async def _receive(self, exchange: Exchange, form: ArchiveForm, archive_name: str) -> None:
        opened = await asyncio.to_thread(answers.read, form.archive, archive_name)
        siren = opened.emetteur.siren if opened else answers.siren_of(archive_name) or ""
        numero = opened.acte.numero if opened and opened.acte else None
        rules = self._rules.take_whole(siren, numero)
        end = rules.get(Comportement.COUPE_APRES) or rules.get(Comportement.REFUS_HTTP)
        if end is None or end.keeps():
            self._record(form, archive_name, opened, rules)
        else:
            self._journal.keep("reglages", self._rules.as_json())
        if end is None:
            await exchange.answer(200)
        else:
            await _strike(exchange, end)

    def _record(
        self,
        form: ArchiveForm,
        archive_name: str,
        opened: OpenedPackage | None,
        rules: dict[Comportement, Reglage],
    ) -> None:
        """Write the archive and its answers; once this returns they survive anything."""
        now = datetime.now(UTC)
        id_acte = opened.id_acte if opened else None
        first = self._journal.first_received(id_acte) if opened and opened.acte and id_acte else None
        moment = answers.Moment(
            jour=(datetime.fromisoformat(first) if first else now).astimezone(_PARIS).date(),
            rang=self._journal.count() + 1,
            quadrigramme=self._place.quadrigramme,
            classification=self.classification,
        )
        given = answers.compose(opened, form.archive, archive_name, moment, tuple(rules))
        delay = rules.get(Comportement.DELAI)
        due = now.timestamp() + (delay.secondes or 0 if delay else 0)
        receipt = Receipt(
            archive=archive_name,
            recu_le=now.isoformat(),
            reponse=given[0].transaction if given else "jamais",
            transaction=opened.transaction if opened else None,
            siren=opened.emetteur.siren if opened else answers.siren_of(archive_name),
            numero=opened.acte.numero if opened and opened.acte else None,
            id_acte=id_acte,
        )
        changed = {"reglages": self._rules.as_json()} if rules else {}
        self._journal.receive(receipt, [Outgoing(due, answers.mail(one)) for one in given], **changed)
        self._new_mail.set()

    def _counted(self, rule: Reglage | None) -> Reglage | None:
        """`rule`, that it was used written down."""
        if rule is not None:
            self._journal.keep("reglages", self._rules.as_json())
        return rule

    # Mail

    def _deliver_left_over(self) -> None:
        """Mails that a run before this one wrote down; it may have died between delivery and note."""
        while due := self._journal.due(time.time()):
            self._maildir.deliver(
                [
                    (self._mail_name(number), raw)
                    for number, raw in due
                    if not self._maildir.has(self._mail_name(number))
                ]
            )
            self._journal.delivered([number for number, _ in due])

    async def _deliver_for_ever(self) -> None:
        while True:
            self._new_mail.clear()
            while due := self._journal.due(time.time()):
                named = [(self._mail_name(number), raw) for number, raw in due]
                await asyncio.to_thread(self._maildir.deliver, named)
                self._journal.delivered([number for number, _ in due])
            next_due = self._journal.next_due()
            wait = None if next_due is None else max(0.0, next_due - time.time())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._new_mail.wait(), wait)

    def _mail_name(self, number: int) -> str:
        return f"{self._journal.mark}M{number:09d}.ministere"


async def _strike(exchange: Exchange, rule: Reglage) -> None:
    if rule.comportement is Comportement.REFUS_HTTP:
        await exchange.answer(rule.statut)
    else:
        exchange.cut()


def _reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def server_context(certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """TLS that requires a client certificate of `ca`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def run(place: Place, tls: ssl.SSLContext) -> None:
    """Serve until told to stop; prints one JSON line with both addresses once ready."""
    ministry = Ministry(place, tls)
    port = await ministry.start()
    control = Control(ministry)
    control_port = await control.start(place.control_port)
    addresses = {"url": f"https://localhost:{port}/actes", "reglages": f"http://127.0.0.1:{control_port}"}
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await control.stop()
    await ministry.stop()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.ministry", description="The ministry's stand-in")
    parser.add_argument("--state", type=Path, required=True, help="folder of its journal")
    parser.add_argument("--maildir", type=Path, required=True, help="Maildir that its answers go to")
    parser.add_argument("--certificate", type=Path, required=True, help="PEM of the server's certificate")
    parser.add_argument("--key", type=Path, required=True, help="PEM of its private key")
    parser.add_argument("--ca", type=Path, required=True, help="PEM of the authority of client certificates")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed at the start")
    parser.add_argument("--control-port", type=int, default=0, help="door for tests, on 127.0.0.1")
    parser.add_argument("--quadrigramme", default="TACT")
    given = parser.parse_args()
    place = Place(given.state, given.maildir, given.host, given.port, given.control_port, given.quadrigramme)
    asyncio.run(run(place, server_context(given.certificate, given.key, given.ca)))


if __name__ == "__main__":
    main()
