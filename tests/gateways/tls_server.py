"""A TLS server that a test scripts byte by byte: one connection, one script."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandbox.pki import Pki

Script = Callable[[ssl.SSLSocket], None]


@dataclass
class Scripted:
    """Where the server listens, and what went wrong in it."""

    port: int
    errors: list[BaseException] = field(default_factory=list)


def server_context(pki: Pki, *, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server_certificate, pki.server_key)
    context.load_verify_locations(pki.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = highest
    return context


@contextmanager
def scripted(context: ssl.SSLContext, script: Script) -> Iterator[Scripted]:
    """Accept one connection and play `script` on it; errors of the handshake are kept, not raised."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = Scripted(listener.getsockname()[1])

        def serve() -> None:
            try:
                plain, _ = listener.accept()
                plain.settimeout(10)
                with plain, context.wrap_socket(plain, server_side=True) as connection:
                    script(connection)
            except OSError as error:
                server.errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            thread.join(timeout=10)
            assert not thread.is_alive()


def read_request(connection: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """Head and body of one request, read whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(length.split(b":")[1]):
        body += receive(connection)
    return head, body


def receive(connection: ssl.SSLSocket) -> bytes:
    more = connection.recv(65536)
    if not more:
        raise ConnectionError("closed")
    return more


def reset(connection: ssl.SSLSocket) -> None:
    """Close with RST, as a machine that dies does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
