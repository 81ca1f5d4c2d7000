from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateways.antivirus import ClamdScanner, NoScanner, Scan, Verdict
from gateways.errors import BadSettings, ScanTooLarge, ScanUnavailable
from tests.clamd import EICAR, SIGNATURE

pytestmark = pytest.mark.debian


def test_eicar_is_found_with_the_name_of_its_signature(clamd: str) -> None:
    found = ClamdScanner(clamd).scan([b"before ", EICAR[:20], EICAR[20:], b" after"])
    assert found.verdict is Verdict.INFECTED
    assert found.signature is not None
    assert SIGNATURE in found.signature


def test_a_clean_file_passes(clamd: str) -> None:
    assert ClamdScanner(clamd).scan(["une délibération".encode()]) == Scan(Verdict.CLEAN)


def test_an_empty_file_and_empty_chunks_pass(clamd: str) -> None:
    assert ClamdScanner(clamd).scan([]) == Scan(Verdict.CLEAN)
    assert ClamdScanner(clamd).scan([b"", b"a", b""]) == Scan(Verdict.CLEAN)


def test_thirty_megabytes_pass(clamd: str) -> None:
    assert ClamdScanner(clamd).scan(b"\1" * 2**20 for _ in range(30)) == Scan(Verdict.CLEAN)


def test_what_is_over_the_stream_limit_is_an_error_of_its_own(small_clamd: str) -> None:
    with pytest.raises(ScanTooLarge):
        ClamdScanner(small_clamd).scan(b"\1" * 2**20 for _ in range(40))


def test_an_error_of_the_source_passes_through(clamd: str) -> None:
    def broken() -> object:
        yield b"a"
        raise KeyError("storage")

    with pytest.raises(KeyError):
        ClamdScanner(clamd).scan(broken())  # type: ignore[arg-type]


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ScanUnavailable):
        ClamdScanner(f"unix:{tmp_path / 'nobody'}").scan([b"a"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ScanUnavailable):
        ClamdScanner(f"tcp:127.0.0.1:{port}").scan([b"a"])


@pytest.mark.parametrize("answer", [b"", b"INSTREAM: read error ERROR\0", b"stream: \xff ERROR\0"])
def test_an_answer_without_verdict_is_unavailable(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while not connection.recv(4096).endswith(b"\0\0\0\0"):
                    pass
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ScanUnavailable):
            ClamdScanner(f"tcp:127.0.0.1:{server.getsockname()[1]}").scan([b"a"])
        thread.join()


def test_silence_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        scanner = ClamdScanner(f"tcp:127.0.0.1:{server.getsockname()[1]}", timeout=0.1)
        with pytest.raises(ScanUnavailable):
            scanner.scan([b"a"])


@pytest.mark.parametrize("address", ["", "unix:", "tcp:host", "tcp::1", "tcp:host:x", "http:host:1"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(BadSettings):
        ClamdScanner(address)


def test_no_antivirus_says_so_once() -> None:
    scanner = NoScanner()
    with capture_logs() as logs:
        assert scanner.scan([b"a"]) == Scan(Verdict.NOT_SCANNED)
        assert scanner.scan([EICAR]) == Scan(Verdict.NOT_SCANNED)
    assert [entry["log_level"] for entry in logs] == ["warning"]
