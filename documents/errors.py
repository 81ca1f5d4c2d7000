"""What may go wrong when a document is made.

DocumentError        `code` is a key of `documents/messages.toml`
"""

from __future__ import annotations


class DocumentError(Exception):
    """A document could not be made; `code` is stable and a key of `documents/messages.toml`."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)
