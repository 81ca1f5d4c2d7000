"""Reading our PDFs back."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def text_of(pdf: bytes) -> str:
    """What `pdftotext` (Debian's poppler-utils) reads, blanks made plain; skips where it is missing."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs Debian's poppler-utils (pdftotext)")
    text = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
    ).stdout
    return text.decode().replace("\u00a0", " ").replace("\u202f", " ")
