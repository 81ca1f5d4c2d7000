"""The wire from the ministry: its returns, collected from any IMAP server (ACTES, fact sheet §6.3).

A message leaves the inbox only after it was handled: killed in between, it is handled again, so the
handler has to know what it has already taken. Nothing beyond RFC 3501 is asked of the server; MOVE
(RFC 6851) is used where it is offered.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, UnexpectedCommandStatusError

from gateways.errors import BadSettings, GatewayError, MailboxRefused, MailboxUnavailable

__all__ = ["GatewayError", "Mailbox", "MailboxRefused", "MailboxUnavailable"]

_BATCH_MESSAGES = 50
_BATCH_BYTES = 8 * 1024 * 1024
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


class Mailbox:
    """One mailbox of ours, seen from its owner.

    Args:
        host: name or address of the IMAP server.
        port: its port (993 with TLS, 143 without).
        user: login.
        password: password.
        tls: TLS from the first byte, certificate and host name checked; without it only on a network
            that nobody else hears.
        ca: PEM of the authorities to trust, None for the system's.
        folder: where returns arrive.
        done_folder: where handled messages are moved to, made where it is missing;
            None: handled messages are deleted.
        max_bytes: the largest message that is fetched whole. IMAP clients hold a whole message in memory,
            so this bounds the memory of `collect`; of a larger one only the header is handed over.
        timeout: seconds without an answer before the server counts as unavailable.

    Raises:
        BadSettings: the authorities' file cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        password: str,
        *,
        tls: bool,
        ca: Path | None,
        folder: str = "INBOX",
        done_folder: str | None = "Traites",
        max_bytes: int = 200 * 1024 * 1024,
        timeout: float = 60,
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._tls = _server_context(ca) if tls else None
        self._folder = folder
        self._done_folder = done_folder
        self._max_bytes = max_bytes
        self._timeout = timeout

    def collect(self, handle: Callable[[bytes], None], limit: int = 200) -> int:
        """Hand over the oldest messages one by one and move each batch away once it is handled.

        Args:
            handle: takes the raw message; its return means that the message is safe with us. One whose
                handling raises stays where it is and the rest go on.
            limit: how many messages to handle at most; also how many failures end the round.

        Returns:
            How many messages were handled.

        Raises:
            MailboxUnavailable: the server cannot be reached or broke off; what was handled before may
                come again.
            MailboxRefused: the server refuses the login, a folder or a command.
            Exception: the first error of `handle`, after the rest were handled.
        """
        handled, errors = 0, list[Exception]()
        with self._session() as session:
            for batch in _batches(_sizes(session), self._max_bytes):
                done = list[str]()
                for uid, raw in _fetch(session, batch[: limit - handled], self._max_bytes):
                    try:
                        handle(raw)
                    except Exception as error:
                        errors.append(error)
                    else:
                        done.append(uid)
                self._put_away(session, done)
                handled += len(done)
                if handled >= limit or len(errors) >= limit:
                    break
        if errors:
            errors[0].add_note(f"{len(errors)} message(s) stay in the mailbox, {handled} handled")
            raise errors[0]
        return handled

    @contextmanager
    def _session(self) -> Iterator[BaseMailBox]:
        """A logged-in session on the folder."""
        with _translated():
            session = self._connect()
        try:
            with _translated():
                session.login(self._user, self._password, initial_folder=self._folder)
                # Many servers say what they can do only after the login.
                session.client.capabilities = _capabilities(session)
            yield session
        finally:
            _log_out(session)

    def _connect(self) -> BaseMailBox:
        if self._tls is None:
            return MailBoxUnencrypted(self._host, self._port, timeout=self._timeout)
        return MailBox(self._host, self._port, timeout=self._timeout, ssl_context=self._tls)

    def _put_away(self, session: BaseMailBox, uids: list[str]) -> None:
        if not uids:
            return
        with _translated():
            if self._done_folder is None:
                session.delete(uids)
                return
            if not session.folder.exists(self._done_folder):
                session.folder.create(self._done_folder)
            session.move(uids, self._done_folder)


def _server_context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise BadSettings("the authorities' file of the mail server cannot be used") from error


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the sockets and libraries as ours, without what the server said."""
    try:
        yield
    except UnexpectedCommandStatusError as error:
        raise MailboxRefused("the mail server refuses a command") from error
    except (imaplib.IMAP4.abort, OSError) as error:
        raise MailboxUnavailable("the mail server is out of reach or broke off") from error
    except (imaplib.IMAP4.error, ImapToolsError) as error:
        raise MailboxRefused("the mail server refuses a command") from error


def _capabilities(session: BaseMailBox) -> tuple[str, ...]:
    _, lines = session.client.capability()
    return tuple(b" ".join(line for line in lines if line).decode("ascii", "replace").upper().split())


def _log_out(session: BaseMailBox) -> None:
    """End the session; a server that is already gone needs no good-bye, and must not hide an error."""
    try:
        session.client.logout()
    except (imaplib.IMAP4.error, OSError):
        session.client.shutdown()


def _sizes(session: BaseMailBox) -> list[tuple[str, int]]:
    """Every message of the folder, oldest first: its UID and its size in bytes."""
    with _translated():
        _, lines = session.client.uid("FETCH", "1:*", "(UID RFC822.SIZE)")
    sizes = [_uid_and_size(line) for line in lines if isinstance(line, bytes)]
    return sorted((found for found in sizes if found), key=lambda one: int(one[0]))


def _uid_and_size(line: bytes) -> tuple[str, int] | None:
    uid, size = _UID.search(line), _SIZE.search(line)
    return (uid[1].decode("ascii"), int(size[1])) if uid and size else None


def _batches(messages: Sequence[tuple[str, int]], max_bytes: int) -> Iterator[list[tuple[str, int]]]:
    """Messages in batches of at most 50 and about 8 MiB; a larger message goes alone."""
    batch, total = list[tuple[str, int]](), 0
    for uid, size in messages:
        weight = size if size <= max_bytes else 0
        if batch and (len(batch) == _BATCH_MESSAGES or total + weight > _BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append((uid, size))
        total += weight
    if batch:
        yield batch


def _fetch(session: BaseMailBox, batch: list[tuple[str, int]], max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The raw messages of a batch, of oversize ones only the header; what vanished meanwhile is left out."""
    whole = [uid for uid, size in batch if size <= max_bytes]
    header_only = [uid for uid, size in batch if size > max_bytes]
    for uids, part in ((whole, "(UID BODY.PEEK[])"), (header_only, "(UID BODY.PEEK[HEADER])")):
        if uids:
            with _translated():
                _, answer = session.client.uid("FETCH", ",".join(uids), part)
            yield from _literals(answer)


def _literals(answer: Sequence[object]) -> Iterator[tuple[str, bytes]]:
    """UID and literal of each message in a FETCH answer; the UID may stand before or after the literal."""
    for index, item in enumerate(answer):
        if not isinstance(item, tuple):
            continue
        after = answer[index + 1] if index + 1 < len(answer) else b""
        uid = _UID.search(item[0]) or (_UID.search(after) if isinstance(after, bytes) else None)
        if uid:
            yield uid[1].decode("ascii"), item[1]
