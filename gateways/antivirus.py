"""The wire to the antivirus: clamd's INSTREAM over a unix or TCP socket.

INSTREAM: ``zINSTREAM\\0``, then chunks of four bytes of length (network order) and that many bytes, then a
length of zero; the answer is ``stream: OK``, ``stream: <signature> FOUND`` or ``… ERROR`` (clamd(8)).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from gateways.errors import BadSettings, GatewayError, ScanTooLarge, ScanUnavailable

__all__ = [
    "ClamdScanner",
    "GatewayError",
    "NoScanner",
    "Scan",
    "ScanTooLarge",
    "ScanUnavailable",
    "Scanner",
    "Verdict",
]

_MAX_ANSWER = 4096
_log = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """What the antivirus says of a file."""

    CLEAN = "clean"
    INFECTED = "infected"
    NOT_SCANNED = "not_scanned"


@dataclass(frozen=True, slots=True)
class Scan:
    """One verdict."""

    verdict: Verdict
    signature: str | None = None
    """Name of the signature that was found."""


class Scanner(Protocol):
    """What Pli asks of an antivirus."""

    def scan(self, chunks: Iterable[bytes]) -> Scan:
        """The verdict on one file; raises `ScanUnavailable` or `ScanTooLarge`."""
        ...


class NoScanner:
    """No antivirus is set: says so once in the log, and of each file."""

    def __init__(self) -> None:
        self._warned = False

    def scan(self, chunks: Iterable[bytes]) -> Scan:  # noqa: ARG002 — the interface's
        """Never looks at the file."""
        if not self._warned:
            self._warned = True
            _log.warning("no antivirus is set: files are not scanned")
        return Scan(Verdict.NOT_SCANNED)


class ClamdScanner:
    """A clamd server; one connection per file.

    Args:
        address: ``unix:/path/of/socket`` or ``tcp:host:port``.
        timeout: seconds without progress before clamd counts as unavailable.

    Raises:
        BadSettings: the address has another form.
    """

    def __init__(self, address: str, timeout: float = 120) -> None:
        kind, _, rest = address.partition(":")
        host, _, port = rest.rpartition(":")
        if not (kind == "unix" and rest) and not (kind == "tcp" and host and port.isdecimal()):
            raise BadSettings("the antivirus's address is unix:/path or tcp:host:port")
        self._path = rest if kind == "unix" else None
        self._peer = (host.strip("[]"), int(port)) if kind == "tcp" else ("", 0)
        self._timeout = timeout

    def scan(self, chunks: Iterable[bytes]) -> Scan:
        """The verdict of clamd on one file; errors of `chunks` itself pass through.

        Raises:
            ScanUnavailable: clamd is out of reach, silent, or answers with an error of its own.
            ScanTooLarge: the file is over clamd's StreamMaxLength.
        """
        with self._connect() as connection:
            if _send(connection, b"zINSTREAM\0"):
                for chunk in chunks:
                    # An empty chunk would end the stream; clamd that closes has its answer ready.
                    if chunk and not _send(connection, struct.pack("!I", len(chunk)), chunk):
                        break
                else:
                    _send(connection, struct.pack("!I", 0))
            return _verdict(_answer(connection))

    def _connect(self) -> socket.socket:
        try:
            if self._path is None:
                return socket.create_connection(self._peer, timeout=self._timeout)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout)
            try:
                connection.connect(self._path)
            except OSError:
                connection.close()
                raise
        except OSError as error:
            raise ScanUnavailable("the antivirus cannot be reached") from error
        return connection


def _send(connection: socket.socket, *parts: bytes) -> bool:
    """Whether clamd still listens."""
    try:
        for part in parts:
            connection.sendall(part)
    except TimeoutError as error:
        raise ScanUnavailable("the antivirus does not read") from error
    except OSError:
        return False
    return True


def _answer(connection: socket.socket) -> bytes:
    """What clamd says, up to its end; may be empty."""
    answer = b""
    try:
        while len(answer) < _MAX_ANSWER and (more := connection.recv(_MAX_ANSWER)):
            answer += more
    except OSError as error:
        # clamd that gave up on the stream resets the connection after its answer.
        if not answer:
            raise ScanUnavailable("the antivirus does not answer") from error
    return answer


def _verdict(answer: bytes) -> Scan:
    text = answer.rstrip(b"\0\n").decode("utf-8", "replace")
    if text == "stream: OK":
        return Scan(Verdict.CLEAN)
    if text.startswith("stream: ") and text.endswith(" FOUND"):
        return Scan(Verdict.INFECTED, text.removeprefix("stream: ").removesuffix(" FOUND"))
    if "size limit exceeded" in text:
        raise ScanTooLarge("the file is over the antivirus's StreamMaxLength")
    raise ScanUnavailable("the antivirus gave no verdict")
