"""The form that the ministry takes: one archive in a multipart body, spooled while it comes in."""

from __future__ import annotations

import re
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sandbox.errors import BadForm

_IN_MEMORY = 1024 * 1024
_ARCHIVE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}\.tar\.gz", re.ASCII)


class ArchiveForm:
    """Reads one multipart body piece by piece.

    The archive is the part whose field or file name is an archive's: one file part named as the archive,
    or a part ``file`` beside text fields, as both known senders write it (fact sheet §6.1).

    Raises:
        BadForm: the content type is no multipart form.
    """

    def __init__(self, content_type: str, folder: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise BadForm("not a multipart form")
        self.archive_name: str | None = None
        """Known as soon as its part begins."""
        self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=folder)  # noqa: SIM115 — closed by `close`
        self._complete = False
        self._in_archive = False
        self._field = self._value = b""
        self._disposition = b""
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """More of the body; raises `BadForm` where it is broken."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadForm("broken multipart") from error

    def finish(self) -> str:
        """The archive's name once the body ended; raises `BadForm` where it is not whole."""
        if not self._complete or self.archive_name is None:
            raise BadForm("no whole archive in the form")
        self._spool.seek(0)
        return self.archive_name

    @property
    def archive(self) -> BinaryIO:
        """The archive's bytes."""
        return cast(BinaryIO, self._spool)

    def close(self) -> None:
        """Forget the archive."""
        self._spool.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        names = [options.get(key, b"").decode("latin-1") for key in (b"filename", b"name")]
        archive = next((name for name in names if _ARCHIVE_NAME.fullmatch(name)), None)
        self._in_archive = archive is not None and b"filename" in options
        if self._in_archive:
            if self.archive_name is not None:
                raise BadForm("two archives in the form")
            self.archive_name = archive

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_archive:
            self._spool.write(data[start:end])

    def _end(self) -> None:
        self._complete = True
