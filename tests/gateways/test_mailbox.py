"""The collector on a real IMAP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from gateways.errors import BadSettings, MailboxRefused, MailboxUnavailable
from gateways.mailbox import Mailbox
from sandbox.maildir import Maildir
from sandbox.pki import Pki
from tests.sandbox.processes import PASSWORD, USER, mail_server, mailbox


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("courrier")
    with mail_server(folder) as port:
        yield folder / "courrier", port


@pytest.fixture
def post(server: tuple[Path, int]) -> tuple[Path, int]:
    """An empty mailbox."""
    folder, port = server
    mailbox(port, done_folder=None).collect(lambda _: None, limit=10_000)
    return folder, port


def deliver(folder: Path, count: int, size: int = 10, first: int = 0) -> list[bytes]:
    mails = [(f"m{first + n:05d}", f"Subject: {first + n}\n\n{'x' * size}\n".encode()) for n in range(count)]
    Maildir(folder).deliver(mails)
    return [raw.replace(b"\n", b"\r\n") for _, raw in mails]


def subject(raw: bytes) -> str:
    return str(message_from_bytes(raw)["Subject"])


def test_messages_come_whole_and_once_oldest_first(post: tuple[Path, int]) -> None:
    folder, port = post
    sent = deliver(folder, 120)
    got = list[bytes]()
    assert mailbox(port).collect(got.append) == 120
    assert [raw.replace(b"\r\n", b"\n") for raw in got] == [raw.replace(b"\r\n", b"\n") for raw in sent]
    assert mailbox(port).collect(got.append) == 0


def test_handled_messages_wait_in_the_done_folder(post: tuple[Path, int]) -> None:
    folder, port = post
    deliver(folder, 3, first=1000)
    mailbox(port, done_folder="Faits").collect(lambda _: None)
    again = list[bytes]()
    assert mailbox(port, folder="Faits", done_folder=None).collect(again.append) == 3
    assert mailbox(port, folder="Faits", done_folder=None).collect(again.append) == 0


def test_a_server_without_move_gets_copy_and_delete(
    post: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, port = post
    deliver(folder, 3, first=2000)
    monkeypatch.setattr("gateways.mailbox._capabilities", lambda _: ("IMAP4REV1",))
    got = list[bytes]()
    assert mailbox(port, done_folder="Copies").collect(got.append) == 3
    assert mailbox(port).collect(got.append) == 0
    assert mailbox(port, folder="Copies", done_folder=None).collect(lambda _: None) == 3


def test_what_cannot_be_handled_stays_and_the_rest_goes_on(post: tuple[Path, int]) -> None:
    folder, port = post
    deliver(folder, 5, first=3000)
    handled = list[str]()

    def handle(raw: bytes) -> None:
        if subject(raw) in {"3001", "3003"}:
            raise KeyError(subject(raw))
        handled.append(subject(raw))

    with pytest.raises(KeyError, match="3001"):
        mailbox(port).collect(handle)
    assert handled == ["3000", "3002", "3004"]
    left = list[bytes]()
    assert mailbox(port).collect(left.append) == 2
    assert [subject(raw) for raw in left] == ["3001", "3003"]


def test_limit_bounds_a_round(post: tuple[Path, int]) -> None:
    folder, port = post
    deliver(folder, 70, first=4000)
    got = list[bytes]()
    assert mailbox(port).collect(got.append, limit=60) == 60
    assert mailbox(port).collect(got.append, limit=60) == 10
    assert [subject(raw) for raw in got] == [str(4000 + n) for n in range(70)]


def test_of_an_oversize_message_only_the_header_is_handed_over(post: tuple[Path, int]) -> None:
    folder, port = post
    deliver(folder, 1, size=5000, first=5000)
    deliver(folder, 1, first=5001)
    got = list[bytes]()
    assert mailbox(port, max_bytes=1000, done_folder="Gros").collect(got.append) == 2
    assert sorted(len(raw) < 100 for raw in got) == [True, True]
    assert {subject(raw) for raw in got} == {"5000", "5001"}
    whole = list[bytes]()
    mailbox(port, folder="Gros", done_folder=None).collect(whole.append)
    assert max(map(len, whole)) > 5000


def test_large_messages_come_in_their_own_batches(post: tuple[Path, int]) -> None:
    folder, port = post
    deliver(folder, 3, size=5 * 2**20, first=6000)
    sizes = list[int]()
    assert mailbox(port, done_folder=None).collect(lambda raw: sizes.append(len(raw))) == 3
    assert min(sizes) > 5 * 2**20


def test_over_tls(tmp_path: Path, pki: Pki) -> None:
    deliver(tmp_path / "courrier", 1)
    certificate = ("--certificate", pki.server_certificate, "--key", pki.server_key)
    with mail_server(tmp_path, *certificate) as port:
        got = list[bytes]()
        assert mailbox(port, tls=True, ca=pki.ca).collect(got.append) == 1
        with pytest.raises(MailboxUnavailable):
            mailbox(port, tls=True).collect(got.append)


def test_wrong_password_and_folder_are_refused(post: tuple[Path, int]) -> None:
    _, port = post
    with pytest.raises(MailboxRefused):
        Mailbox("127.0.0.1", port, USER, "wrong", tls=False, ca=None).collect(lambda _: None)
    with pytest.raises(MailboxRefused):
        mailbox(port, folder="Nulle part").collect(lambda _: None)


def test_nobody_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MailboxUnavailable):
        mailbox(port).collect(lambda _: None)


@pytest.mark.parametrize("greeting", [b"", b"* BYE not today\r\n", b"220 an SMTP server\r\n"])
def test_a_server_that_breaks_off_is_unavailable_or_refuses(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises((MailboxUnavailable, MailboxRefused)):
            mailbox(listener.getsockname()[1]).collect(lambda _: None)
        thread.join()


def test_unusable_authorities_file_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        Mailbox("127.0.0.1", 1, USER, PASSWORD, tls=True, ca=tmp_path / "none")


def test_the_sandbox_mailbox_keeps_its_done_folder_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(tmp_path) as port:
        for first in (0, 250, 500):
            deliver(tmp_path / "courrier", 250, first=first)
            assert mailbox(port).collect(lambda _: None, limit=250) == 250
        newest = list[bytes]()
        mailbox(port, folder="Traites", done_folder=None).collect(newest.append, limit=1000)
    assert 200 <= len(newest) <= 450
    assert subject(newest[-1]) == "749"
