"""A PDF as large as one likes, made while it is read."""

from __future__ import annotations

import random
from collections.abc import Iterator

CHUNK = 2**16


def large_pdf(size: int) -> Iterator[bytes]:
    """A valid PDF of one page and `size` bytes, most of them an unused stream that does not compress."""
    head = (
        b"%PDF-1.7\n"
        b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>\nendobj\n"
    )
    offsets = [head.index(f"{n} 0 obj".encode()) for n in (1, 2, 3)] + [len(head)]
    after = b"\nendstream\nendobj\n"
    frame = len(head) + len(_opening(size)) + len(after) + len(_ending(offsets, 10**9))
    filler = size - frame
    opening = _opening(filler)
    yield head + opening
    chance = random.Random(7)
    left = filler
    while left:
        step = min(CHUNK, left)
        yield chance.randbytes(step)
        left -= step
    yield after + _ending(offsets, len(head) + len(opening) + filler + len(after))


def _opening(length: int) -> bytes:
    return f"4 0 obj\n<< /Length {length:012} >>\nstream\n".encode()


def _ending(offsets: list[int], xref: int) -> bytes:
    rows = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n{xref:010}\n%%EOF\n"
    return f"xref\n0 5\n0000000000 65535 f \n{rows}{trailer}".encode()
