"""The stand-in's mail server: a real IMAP server (pymap) over a Maildir, in a process of its own.

    PLI_MAILBOX_PASSWORD=… python -m sandbox.mailbox --maildir DIR --user NAME [--port N] [--certificate …]

pymap keeps its list of messages in one file per folder and rewrites it for each message. So that the cost
of a message does not grow with the messages before it, this server forgets in its lists what is no longer
there, and keeps only the newest messages of every folder but the inbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import tempfile
from argparse import Namespace
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.maildir import MaildirBackend
from pymap.backend.maildir import mailbox as maildir_mailbox
from pymap.backend.maildir.mailbox import LoadedMessage
from pymap.backend.maildir.uidlist import Record, UidList
from pymap.backend.maildir.users import PasswordsFile, UsersFile
from pymap.imap import IMAPServer
from pymap.mime import MessageContent
from pymap.parsing.specials import FetchRequirement, ObjectId
from pysasl.hashing import BuiltinHash

from sandbox.maildir import Maildir

_KEPT = 200
"""Messages kept in each folder but the inbox."""
_BATCHES = 400
"""Messages kept taken apart: what a collector asks twice for, first their sizes, then their bytes."""
_SMALL = 64 * 1024


class QuickMessage(maildir_mailbox.Message):
    """pymap's message, read as it is on disk and taken apart once, not for each item of each command."""

    async def load_content(self, requirement: FetchRequirement) -> LoadedMessage:
        """The message's parts, as far as they are asked for."""
        if self._key is None or self._maildir is None or requirement.has_none(FetchRequirement.CONTENT):
            return LoadedMessage(self, requirement, None)
        try:
            return LoadedMessage(self, requirement, _content(self._maildir, self._key))
        except (KeyError, FileNotFoundError):
            return LoadedMessage(self, requirement, None)


def _content(maildir: maildir_mailbox.Maildir, key: str) -> MessageContent:
    content = _recent.get(key)
    if content is None:
        raw = maildir.get_bytes(key)
        content = _parsed(raw.replace(b"\n", b"\r\n"))
        if len(raw) <= _SMALL:
            _recent[key] = content
            if len(_recent) > _BATCHES:
                del _recent[next(iter(_recent))]
    return content


def _parsed(raw: bytes) -> MessageContent:
    try:
        return MessageContent.parse(raw)
    except (ValueError, LookupError, RecursionError):
        # pymap takes every message apart to serve it; one that can't be is served whole, as text.
        return MessageContent.parse(b"Content-Type: text/plain\r\n\r\n" + raw)


_recent: dict[str, MessageContent] = {}
"""Small messages taken apart lately; a message never changes under its key."""


class ListedOnce(UidList):
    """pymap's list of a folder, read from its file only when the file has changed."""

    @classmethod
    def file_read(cls, path: str) -> ListedOnce:
        """The list of the folder `path`, the caller's own."""
        try:
            status = Path(cls.get_file(path)).stat()
        except FileNotFoundError:
            return cls.get_default(path)
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = _lists.get(path)
        if known is None or known[0] != mark:
            # A file renamed in between gives a newer list under an older mark: it is read once more.
            known = _lists[path] = (mark, super().file_read(path))
        kept = known[1]
        own = cls(path, kept.uid_validity, kept.next_uid, kept.global_uid)
        own._records = dict(kept._records)
        return own


_lists: dict[str, tuple[tuple[int, int, int], UidList]] = {}


class TidyMailbox(maildir_mailbox.MailboxData):
    """pymap's folder, without what makes it slower with each message that went through it."""

    async def reset(self) -> TidyMailbox:
        """Bring the list in line with the files; as the original, and forgets what is gone."""
        keys = await self._get_keys()
        async with ListedOnce.with_write(self._path) as listed:
            for record in list(listed.records):
                if keys.pop(record.key, None) is None:
                    listed.remove(record.uid)
            for key in sorted(keys):
                fields = {
                    "E": str(ObjectId.random_email_id()),
                    "T": str(ObjectId.random_thread_id()),
                }
                listed.set(Record(listed.next_uid, fields, f"{key}:{keys[key]}"))
                listed.next_uid += 1
            old = [] if self._is_inbox() else sorted(record.uid for record in listed.records)[:-_KEPT]
        self._uid_validity = listed.uid_validity
        self._next_uid = listed.next_uid
        if len(old) > _KEPT:
            await self.delete(old)
        return self

    def _is_inbox(self) -> bool:
        # A Maildir++ subfolder is a folder whose name begins with a dot.
        return not Path(self._path).name.startswith(".")


async def serve(
    maildir: Path, user: str, password: str, host: str, port: int, certificate: Path | None, key: Path | None
) -> None:
    """Serve one user's Maildir until told to stop; prints one JSON line with the port once ready."""
    base = maildir.with_name(maildir.name + "-imap")
    _prepare(base, maildir, user, password)
    backend, config = await MaildirBackend.init(_settings(base))
    config.apply_context()
    server = IMAPServer(backend.login, config)
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    on_connection = ProxyProtocolReader(config.proxy_protocol).get_callback(server)
    async with AsyncExitStack() as stack:
        await backend.start(stack)
        listener = await stack.enter_async_context(
            await asyncio.start_server(on_connection, host, port, ssl=tls)
        )
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        sys.stdout.write(json.dumps({"port": listener.sockets[0].getsockname()[1]}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def _prepare(base: Path, maildir: Path, user: str, password: str) -> None:
    """Folders, the one user, and no lock of a server that was killed."""
    Maildir(maildir)
    scratch = base / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    # pymap renames its temporary files into the Maildir: they have to be on the same file system.
    tempfile.tempdir = str(scratch)
    for left_over in [*scratch.iterdir(), *maildir.rglob("*.lock")]:
        left_over.unlink()
    # Few rounds: collectors log in every few seconds, and the password of a sandbox guards nothing.
    hashed = BuiltinHash(rounds=1000).hash(password)
    _write_records(UsersFile, base, UsersFile.build_record(user, str(maildir.resolve())))
    _write_records(PasswordsFile, base, PasswordsFile.build_record(user, hashed))


def _write_records(kind: Any, base: Path, record: Any) -> None:
    file = kind(str(base))
    file.set(record)
    file.file_write()


def _settings(base: Path) -> Namespace:
    """What pymap's own command line would give."""
    return Namespace(
        base_dir=str(base),
        layout="++",
        colon=None,
        concurrency=None,
        host=None,
        port=0,
        debug=False,
        cert=None,
        key=None,
        tls=False,
        passlib_cfg=None,
        proxy_protocol=None,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailbox", description="A real IMAP server")
    parser.add_argument("--maildir", type=Path, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed at the start")
    parser.add_argument(
        "--certificate", type=Path, help="PEM; with it the server speaks TLS from the first byte"
    )
    parser.add_argument("--key", type=Path, help="PEM of its private key")
    given = parser.parse_args()
    password = os.environ.get("PLI_MAILBOX_PASSWORD")
    if not password:
        parser.error("the password comes from the environment: PLI_MAILBOX_PASSWORD")
    # pymap makes its folders, messages and lists by these names.
    maildir_mailbox.MailboxData = TidyMailbox  # type: ignore[misc]
    maildir_mailbox.Message = QuickMessage  # type: ignore[misc]
    maildir_mailbox.UidList = ListedOnce  # type: ignore[attr-defined]
    asyncio.run(
        serve(given.maildir, given.user, password, given.host, given.port, given.certificate, given.key)
    )


if __name__ == "__main__":
    main()
