"""What the wire is sure of: `NotLeft` before the last byte, `MayHaveLeft` after it."""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateways import ministry
from gateways.errors import BadSettings, MayHaveLeft, NotLeft, Reason
from gateways.ministry import MinistryWire
from sandbox.pki import Pki, certificate_pem, make_authority, make_pki
from schemas.catalogue import LANGUAGES, load
from tests.gateways.tls_server import Script, read_request, receive, reset, scripted, server_context

NAME = "SLO-EACT--123456782--20261123-1.tar.gz"
LARGE = 64 * 2**20
"""More than the kernel's buffers hold, so that the server stops us while we write."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def wire(pki: Pki, port: int, host: str = "localhost", timeout: float = 10) -> MinistryWire:
    return MinistryWire(
        f"https://{host}:{port}/actes",
        certificate=pki.client_certificate,
        key=pki.client_key,
        ca=pki.ca,
        connect_timeout=5,
        timeout=timeout,
    )


def zeros(size: int) -> Iterator[bytes]:
    while size:
        chunk = bytes(min(size, 2**20))
        size -= len(chunk)
        yield chunk


def outcome(
    pki: Pki, script: Script, size: int = 1000, timeout: float = 10
) -> tuple[type, Reason, int | None]:
    with scripted(server_context(pki), script) as server:
        with pytest.raises((NotLeft, MayHaveLeft)) as caught:
            wire(pki, server.port, timeout=timeout).send(NAME, size, zeros(size))
        return type(caught.value), caught.value.reason, caught.value.status


def await_news(connection: ssl.SSLSocket) -> None:
    """What the server said takes a moment, even on the loopback."""
    select.select([connection], [], [], 0.05)


def await_reset(connection: ssl.SSLSocket) -> None:
    poll = select.poll()
    poll.register(connection, 0)  # errors and hang-ups only
    assert poll.poll(5000)


def answering(answer: bytes) -> Script:
    def script(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return script


# The way it should go


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_file_part_named_as_the_archive(pki: Pki, highest: ssl.TLSVersion) -> None:
    requests = list[tuple[bytes, bytes]]()

    def script(connection: ssl.SSLSocket) -> None:
        requests.append(read_request(connection))
        connection.sendall(OK)

    with scripted(server_context(pki, highest=highest), script) as server:
        wire(pki, server.port).send(NAME, 6, [b"abc", b"", b"def"])
    [(head, body)] = requests
    assert head.startswith(b"POST /actes HTTP/1.1\r\n")
    found = re.search(rb"multipart/form-data; boundary=(\S+)", head)
    assert found
    parts = body.split(b"--" + found[1])
    assert parts[0] == b""
    assert parts[2] == b"--\r\n"
    assert f'name="{NAME}"; filename="{NAME}"'.encode() in parts[1]
    assert parts[1].endswith(b"\r\n\r\nabcdef\r\n")


def test_interim_answers_are_passed_over(pki: Pki) -> None:
    with scripted(server_context(pki), answering(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)) as server:
        wire(pki, server.port).send(NAME, 10, zeros(10))


def test_a_server_without_session_tickets_is_served_too(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.ministry._HANDSHAKE_ECHO", 0.01)
    context = server_context(pki)
    context.num_tickets = 0
    with scripted(context, answering(OK)) as server:
        wire(pki, server.port).send(NAME, 10, zeros(10))


# Certain: it did not leave


def test_refused_connection_did_not_leave(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotLeft) as caught:
        wire(pki, port, host="127.0.0.1").send(NAME, 10, zeros(10))
    assert caught.value.reason is Reason.UNREACHABLE


def test_unknown_name_did_not_leave(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(NotLeft) as caught:
        wire(pki, 1).send(NAME, 10, zeros(10))
    assert caught.value.reason is Reason.NAME_UNKNOWN


def test_server_of_another_authority_did_not_get_it(pki: Pki, tmp_path: Path) -> None:
    other = make_pki(tmp_path)
    with scripted(server_context(other), answering(OK)) as server, pytest.raises(NotLeft) as caught:
        wire(pki, server.port).send(NAME, 10, zeros(10))
    assert caught.value.reason is Reason.TLS_REFUSED


def test_server_of_another_name_did_not_get_it(tmp_path: Path) -> None:
    pki = make_pki(tmp_path, hosts=("another.example",))
    with scripted(server_context(pki), answering(OK)) as server, pytest.raises(NotLeft) as caught:
        wire(pki, server.port).send(NAME, 10, zeros(10))
    assert caught.value.reason is Reason.TLS_REFUSED


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_refusal_of_our_certificate_is_certain(pki: Pki, tmp_path: Path, highest: ssl.TLSVersion) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(certificate_pem(make_authority("other", datetime.now(UTC)).certificate))
    with scripted(server_context(replace(pki, ca=other), highest=highest), answering(OK)) as server:
        with pytest.raises(NotLeft) as caught:
            wire(pki, server.port).send(NAME, 10, zeros(10))
        assert caught.value.reason is Reason.TLS_REFUSED
    assert server.errors


def test_silence_in_the_handshake_is_certain(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = MinistryWire(
            f"https://localhost:{listener.getsockname()[1]}/",
            certificate=pki.client_certificate,
            key=pki.client_key,
            ca=pki.ca,
            connect_timeout=0.2,
        )
        with pytest.raises(NotLeft) as caught:
            silent.send(NAME, 10, zeros(10))
    assert caught.value.reason is Reason.TLS_REFUSED


@pytest.mark.parametrize("how", [reset, ssl.SSLSocket.close])
def test_cut_while_sending_did_not_leave(pki: Pki, how: Callable[[ssl.SSLSocket], None]) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        receive(connection)
        how(connection)

    assert outcome(pki, script, LARGE) == (NotLeft, Reason.CUT_WHILE_SENDING, None)


def test_server_that_stops_reading_did_not_get_it(pki: Pki) -> None:
    gone = threading.Event()

    def script(_connection: ssl.SSLSocket) -> None:
        gone.wait(5)

    try:
        assert outcome_of_stalled(pki, script, gone) == (NotLeft, Reason.CUT_WHILE_SENDING, None)
    finally:
        gone.set()


def outcome_of_stalled(pki: Pki, script: Script, gone: threading.Event) -> tuple[type, Reason, int | None]:
    with scripted(server_context(pki), script) as server:
        with pytest.raises((NotLeft, MayHaveLeft)) as caught:
            wire(pki, server.port, timeout=0.2).send(NAME, LARGE, zeros(LARGE))
        gone.set()
        return type(caught.value), caught.value.reason, caught.value.status


@pytest.mark.parametrize("status", [413, 503])
def test_answer_while_writing_did_not_leave(pki: Pki, status: int) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        receive(connection)
        connection.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        # Reads on, so that the answer and not a reset is what stops the sender.
        while connection.recv(65536):
            pass

    assert outcome(pki, script, LARGE) == (NotLeft, Reason.EARLY_ANSWER, status)


@pytest.mark.parametrize("status", [200, 503])
def test_answer_before_the_last_byte_alone_did_not_leave(
    pki: Pki, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has everything but the closing boundary and answers: still not received whole."""
    answered = threading.Event()
    look = ministry._check_silent

    def look_until_it_is_there(connection: ssl.SSLSocket) -> None:
        # The first news may be a session ticket.
        deadline = time.monotonic() + 5
        look(connection)
        while answered.is_set() and time.monotonic() < deadline:
            await_news(connection)
            look(connection)

    monkeypatch.setattr(ministry, "_check_silent", look_until_it_is_there)

    def script(connection: ssl.SSLSocket) -> None:
        while not receive(connection).endswith(b"last"):
            pass
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        answered.set()

    def chunks() -> Iterator[bytes]:
        yield b"last"
        assert answered.wait(5)

    with scripted(server_context(pki), script) as server, pytest.raises(NotLeft) as caught:
        wire(pki, server.port).send(NAME, 4, chunks())
    assert (caught.value.reason, caught.value.status) == (Reason.EARLY_ANSWER, status)


def test_last_record_that_the_kernel_refuses_did_not_leave(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server dies between our last look and the last record."""
    dead = threading.Event()

    def look_away(connection: ssl.SSLSocket) -> None:
        if dead.is_set():
            await_reset(connection)

    monkeypatch.setattr(ministry, "_check_silent", look_away)

    def script(connection: ssl.SSLSocket) -> None:
        receive(connection)
        reset(connection)
        dead.set()

    def nothing() -> Iterator[bytes]:
        assert dead.wait(5)
        yield from ()

    with scripted(server_context(pki), script) as server, pytest.raises(NotLeft) as caught:
        wire(pki, server.port).send(NAME, 0, nothing())
    assert caught.value.reason is Reason.CUT_WHILE_SENDING


@pytest.mark.parametrize("chunks", [[b"ab"], [b"abc", b"d"], []])
def test_archive_of_another_size_did_not_leave(pki: Pki, chunks: list[bytes]) -> None:
    bodies = list[bytes]()

    def script(connection: ssl.SSLSocket) -> None:
        bodies.append(read_request(connection)[1])

    with scripted(server_context(pki), script) as server, pytest.raises(NotLeft) as caught:
        wire(pki, server.port).send(NAME, 3, chunks)
    assert caught.value.reason is Reason.SOURCE_FAILED
    assert bodies == []


def test_archive_that_cannot_be_read_did_not_leave(pki: Pki) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise OSError("storage")

    with scripted(server_context(pki), read_request) as server, pytest.raises(NotLeft) as caught:  # type: ignore[arg-type]
        wire(pki, server.port).send(NAME, 4, broken())
    assert caught.value.reason is Reason.SOURCE_FAILED
    assert isinstance(caught.value.__cause__, OSError)


# It may have left


@pytest.mark.parametrize("status", [201, 204, 302, 400, 413, 500, 503])
def test_any_status_but_200_may_have_left(pki: Pki, status: int) -> None:
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    assert outcome(pki, answering(answer)) == (MayHaveLeft, Reason.UNEXPECTED_STATUS, status)


@pytest.mark.parametrize("how", [reset, ssl.SSLSocket.close])
def test_cut_after_the_last_byte_may_have_left(pki: Pki, how: Callable[[ssl.SSLSocket], None]) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        how(connection)

    assert outcome(pki, script) == (MayHaveLeft, Reason.NO_ANSWER, None)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 20", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 102 X\r\n\r\n"])
def test_answer_that_is_none_may_have_left(pki: Pki, answer: bytes) -> None:
    assert outcome(pki, answering(answer)) == (MayHaveLeft, Reason.NO_ANSWER, None)


def test_silence_after_the_last_byte_may_have_left(pki: Pki) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        connection.recv(1)

    assert outcome(pki, script, timeout=0.2) == (MayHaveLeft, Reason.NO_ANSWER, None)


def test_endless_interim_answers_end(pki: Pki) -> None:
    def script(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        while True:
            connection.sendall(b"HTTP/1.1 102 X\r\n\r\n" * 1000)

    assert outcome(pki, script, timeout=0.3) == (MayHaveLeft, Reason.NO_ANSWER, None)


# Settings and words


@pytest.mark.parametrize("url", ["http://localhost/", "https://", "https://u:p@localhost/", "ftp://x"])
def test_only_https_addresses(pki: Pki, url: str) -> None:
    with pytest.raises(BadSettings):
        MinistryWire(url, certificate=pki.client_certificate, key=pki.client_key, ca=pki.ca)


def test_unusable_certificate_says_so_without_its_path(pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        MinistryWire("https://localhost/", certificate=tmp_path / "none", key=pki.client_key, ca=pki.ca)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "", "é.tar.gz", "a/b"])
def test_names_that_would_break_the_header_are_refused(pki: Pki, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        wire(pki, 1).send(name, 0, [])


def test_each_reason_has_its_sentences() -> None:
    catalogue = load("gateways")
    assert set(catalogue) == set(Reason)
    for reason in Reason:
        for lang in LANGUAGES:
            assert catalogue.text(reason, lang)
            assert catalogue.remedy(reason, lang)
