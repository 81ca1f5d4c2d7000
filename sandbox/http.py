"""Just enough HTTP/1.1 over asyncio streams for the stand-in's two doors; one request a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import h11

_READ = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """Head of a request."""

    method: str
    path: str
    headers: dict[str, str]


class Exchange:
    """One request and its answer on a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def request(self) -> Request:
        """The head; raises `h11.RemoteProtocolError` or `ConnectionError` where none comes."""
        event = await self._next()
        if not isinstance(event, h11.Request):
            raise ConnectionResetError("closed before a request")
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        return Request(event.method.decode("ascii"), event.target.decode("ascii"), headers)

    async def body(self) -> AsyncIterator[bytes]:
        """The body, as it comes in; ends only once its last byte was read."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionResetError("cut in the body")

    async def answer(self, status: int, body: bytes = b"", content_type: str = "text/plain") -> None:
        """Send an answer and close."""
        headers = [
            ("Content-Length", str(len(body))),
            ("Content-Type", content_type),
            ("Connection", "close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
        self.close()

    def close(self) -> None:
        """Close in order."""
        self._writer.close()

    def cut(self) -> None:
        """Close as a machine that dies does."""
        self._writer.transport.abort()

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ))
        return event  # type: ignore[return-value]
