"""The wire to the ministry: HTTPS multipart POST of one archive over mutual TLS.

The answer of the law comes later, by mail; this wire has to settle one thing only, and surely:
**did the last byte of the body leave us?** If not, the archive may be sent again; if so, never by itself.

1. Before the last send, every failure is certain: `NotLeft`.
2. The closing boundary of the multipart is held back and sent alone, in one TLS record, after a look
   whether the server has already answered or closed. Without it no server has a whole request.
3. A record that the kernel did not take whole cannot be authenticated by the server: still `NotLeft`.
4. Once the kernel took it, everything but HTTP 200 is `MayHaveLeft`.

Why a plain TLS socket and not httpx2: an HTTP client says that a request failed, but not whether its last
byte had left, nor can it look before that byte. Source of the protocol: ACTES, transport (fact sheet §6.1:
one file part whose field name is the archive's name; success is HTTP 200; the body of the answer is ignored).
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

from gateways.errors import BadSettings, GatewayError, MayHaveLeft, NotLeft, Reason

__all__ = ["GatewayError", "MayHaveLeft", "MinistryWire", "NotLeft", "Reason"]

_ARCHIVE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}", re.ASCII)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r?\n)")
_MAX_HEAD = 64 * 1024
_HANDSHAKE_ECHO = 1.0
"""Seconds to wait for the server's word after a TLS 1.3 handshake; see `_await_verdict`."""


class MinistryWire:
    """Sends archives to one server; may be used from several threads at once.

    Args:
        url: where to post, ``https://host[:port]/path``.
        certificate: PEM of our client certificate with its chain.
        key: PEM of its private key.
        ca: PEM of the authorities that may have signed the server's certificate; no other is trusted,
            and the host name is checked.
        connect_timeout: seconds for the connection and again for the TLS handshake.
        timeout: seconds without progress while writing, and in all for the answer's status line.

    Raises:
        BadSettings: the address is not https, or one of the files cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        certificate: Path,
        key: Path,
        ca: Path,
        connect_timeout: float = 60,
        timeout: float = 180,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username:
            raise BadSettings("the ministry's address must be an https URL without credentials")
        self._host = parts.hostname
        self._port = parts.port or 443
        self._netloc = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._tls = _client_context(certificate, key, ca)

    def send(self, archive_name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Post the archive and return once the server answered HTTP 200.

        Args:
            archive_name: its file name, also the name of the form's field.
            size: bytes that `chunks` will give in all.
            chunks: the archive's bytes; never held together in memory.

        Raises:
            NotLeft: certainly not received whole; also where `chunks` fails (the cause is kept) or gives
                another number of bytes than `size`.
            MayHaveLeft: sent whole, but no HTTP 200 came back.
        """
        head, tail = self._frame(archive_name, size)
        with self._connect() as connection:
            try:
                connection.sendall(head)
                _send_archive(connection, size, chunks)
                _check_silent(connection)
                connection.sendall(tail)
            except OSError as error:
                raise _early_answer(connection) from error
            status = _read_status(connection, time.monotonic() + self._timeout)
        if status != 200:
            raise MayHaveLeft(Reason.UNEXPECTED_STATUS, status)

    def _frame(self, archive_name: str, size: int) -> tuple[bytes, bytes]:
        """What goes before the archive's bytes, and the closing boundary that goes after them."""
        if not _ARCHIVE_NAME.fullmatch(archive_name):
            raise ValueError("not the name of an archive")
        boundary = f"pli-{token_hex(16)}"
        part = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{archive_name}"; filename="{archive_name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        tail = f"\r\n--{boundary}--\r\n"
        head = (
            f"POST {self._target} HTTP/1.1\r\n"
            f"Host: {self._netloc}\r\n"
            f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
            f"Content-Length: {len(part) + size + len(tail)}\r\n"
            "User-Agent: Pli\r\n"
            "Accept: */*\r\n"
            "Connection: close\r\n\r\n"
        )
        return (head + part).encode("ascii"), tail.encode("ascii")

    def _connect(self) -> ssl.SSLSocket:
        try:
            plain = socket.create_connection((self._host, self._port), timeout=self._connect_timeout)
        except socket.gaierror as error:
            raise NotLeft(Reason.NAME_UNKNOWN) from error
        except OSError as error:
            raise NotLeft(Reason.UNREACHABLE) from error
        try:
            # Small sends must not wait for the server's acknowledgement of earlier ones.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._tls.wrap_socket(plain, server_hostname=self._host)
        except OSError as error:
            plain.close()
            raise NotLeft(Reason.TLS_REFUSED) from error
        try:
            _await_verdict(connection)
        except BaseException:
            connection.close()
            raise
        connection.settimeout(self._timeout)
        return connection


def _client_context(certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """A context that trusts `ca` alone and shows our certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca)
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise BadSettings("the certificate, its key or the authorities' file cannot be used") from error
    return context


def _await_verdict(connection: ssl.SSLSocket) -> None:
    """Wait for the server's word on our certificate, so that its refusal comes before any byte of ours.

    In TLS 1.3 the client ends the handshake before the server has judged its certificate. The server's
    next word is a session ticket, or an alert or a close (RFC 8446 §4.6.1, §6.2); a server that says
    nothing within `_HANDSHAKE_ECHO` seconds is taken to agree.
    """
    if connection.version() != "TLSv1.3":
        return
    readable, _, _ = select.select([connection], [], [], _HANDSHAKE_ECHO)
    if readable:
        try:
            _check_silent(connection)
        except (OSError, NotLeft) as error:
            raise NotLeft(Reason.TLS_REFUSED) from error


def _send_archive(connection: ssl.SSLSocket, size: int, chunks: Iterable[bytes]) -> None:
    """Write exactly `size` bytes of `chunks`."""
    left = size
    source = iter(chunks)
    while True:
        try:
            chunk = next(source, None)
        except Exception as error:
            raise NotLeft(Reason.SOURCE_FAILED) from error
        if chunk is None:
            break
        left -= len(chunk)
        if left < 0:
            break
        _check_silent(connection)
        connection.sendall(chunk)
    if left:
        raise NotLeft(Reason.SOURCE_FAILED)


def _check_silent(connection: ssl.SSLSocket) -> None:
    """Raise `NotLeft` where the server has already answered or closed; never waits."""
    timeout = connection.gettimeout()
    connection.setblocking(False)
    try:
        answer = connection.recv(_MAX_HEAD)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return
    finally:
        connection.settimeout(timeout)
    raise _not_left(answer)


def _early_answer(connection: ssl.SSLSocket) -> NotLeft:
    """Why writing failed: an answer that came before the end, where one can still be read."""
    try:
        connection.setblocking(False)
        return _not_left(connection.recv(_MAX_HEAD))
    except OSError:
        return NotLeft(Reason.CUT_WHILE_SENDING)


def _not_left(answer: bytes) -> NotLeft:
    if not answer:
        return NotLeft(Reason.CUT_WHILE_SENDING)
    found = _STATUS_LINE.match(answer)
    return NotLeft(Reason.EARLY_ANSWER, int(found[1]) if found else None)


def _read_status(connection: ssl.SSLSocket, deadline: float) -> int:
    """The final status of the answer, interim ones (1xx) passed over."""
    received = b""
    while len(received) < _MAX_HEAD:
        if found := _STATUS_LINE.match(received):
            status = int(found[1])
            if status >= 200:
                return status
            _, complete, rest = received.partition(b"\r\n\r\n")
            if complete:
                received = rest
                continue
        left = deadline - time.monotonic()
        if left <= 0:
            break
        connection.settimeout(left)
        try:
            more = connection.recv(_MAX_HEAD)
        except OSError as error:
            raise MayHaveLeft(Reason.NO_ANSWER) from error
        if not more:
            break
        received += more
    raise MayHaveLeft(Reason.NO_ANSWER)
