"""Memory of the API process while 145 MiB come in."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from bench.load import stack_up
from bench.table import Bar, Table
from tests.samples.large import large_pdf

MIB = 2**20
SIZE = 145 * MIB


def run() -> Table:
    """Upload once and read the peak."""
    with stack_up() as stack:
        assert stack.samples is not None
        pid = stack.supervisor.pid("API")
        _upload(stack.addresses.page, stack.samples.token, MIB)
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        idle = _memory(pid, "VmRSS")
        began = time.monotonic()
        _upload(stack.addresses.page, stack.samples.token, SIZE)
        seconds = time.monotonic() - began
        peak = _memory(pid, "VmHWM")
    return Table(
        "Upload of 145 MiB: memory of the API process",
        ("idle MiB", "peak MiB", "more MiB", "seconds"),
        [(f"{idle:.1f}", f"{peak:.1f}", f"{peak - idle:.1f}", f"{seconds:.1f}")],
        [Bar("televersement", peak - idle, 32, at_least=False)],
    )


def _memory(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def _upload(page: str, token: str, size: int) -> None:
    boundary = uuid.uuid4().hex
    acte = {
        "numero": f"T{uuid.uuid4().hex[:8].upper()}",
        "date_decision": datetime.now(UTC).date().isoformat(),
        "nature": 1,
        "matiere": "7.10",
        "objet": "Un document volumineux",
        "type_piece": "99_DE",
    }
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="acte"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(acte)}\r\n--{boundary}\r\n"
        'Content-Disposition: form-data; name="document"; filename="grand.pdf"\r\n'
        "Content-Type: application/pdf\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        yield from large_pdf(size)
        yield tail

    answer = httpx2.post(
        f"{page}/v1/actes",
        content=body(),
        headers={
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": str(uuid.uuid4()),
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        },
        timeout=120,
    )
    if answer.status_code != 202:
        raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
