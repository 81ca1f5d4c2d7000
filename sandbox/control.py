"""The stand-in's control door: plain HTTP with JSON on the loopback, for tests and demonstrations only.

GET    /recus            archives received whole: how often each, and how often its act
GET    /reglages         rules in force, version of the classification, breakdown
POST   /reglages         one more rule (`sandbox.rules`)
DELETE /reglages         no rule, national classification, listener open
PUT    /classification   {"date": "2027-01-01"}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from typing import Any, Protocol

import h11

from sandbox.errors import BadRule
from sandbox.http import Exchange, Request
from sandbox.rules import Reglage, parse_reglage

_MAX_BODY = 64 * 1024


class Controlled(Protocol):
    """What the door steers."""

    def received(self) -> list[dict[str, Any]]: ...
    def settings(self) -> dict[str, Any]: ...
    def add_rule(self, rule: Reglage) -> None: ...
    def lift_rules(self) -> None: ...
    def put_classification(self, version: date) -> None: ...


class Control:
    """The door; `start`, then `stop`."""

    def __init__(self, ministry: Controlled) -> None:
        self._ministry = ministry
        self._server: asyncio.Server | None = None
        self._routes: dict[tuple[str, str], Callable[[bytes], object]] = {
            ("GET", "/recus"): lambda _: ministry.received(),
            ("GET", "/reglages"): lambda _: ministry.settings(),
            ("POST", "/reglages"): self._add_rule,
            ("DELETE", "/reglages"): self._lift_rules,
            ("PUT", "/classification"): self._put_classification,
        }

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1; gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange(reader, writer)
        try:
            request = await exchange.request()
            status, answer = self._answer(request, await _body(exchange))
            await exchange.answer(status, json.dumps(answer).encode(), "application/json")
        except (OSError, h11.RemoteProtocolError):
            exchange.cut()

    def _answer(self, request: Request, body: bytes) -> tuple[int, object]:
        route = self._routes.get((request.method, request.path))
        if route is None:
            return 404, {"erreur": "unknown path"}
        try:
            return 200, route(body)
        except (BadRule, ValueError) as error:
            return 400, {"erreur": str(error)}

    def _add_rule(self, body: bytes) -> object:
        self._ministry.add_rule(parse_reglage(json.loads(body)))
        return self._ministry.settings()

    def _lift_rules(self, _: bytes) -> object:
        self._ministry.lift_rules()
        return self._ministry.settings()

    def _put_classification(self, body: bytes) -> object:
        given = json.loads(body)
        if not isinstance(given, dict) or not isinstance(given.get("date"), str):
            raise BadRule('the classification is {"date": "YYYY-MM-DD"}')
        self._ministry.put_classification(date.fromisoformat(given["date"]))
        return self._ministry.settings()


async def _body(exchange: Exchange) -> bytes:
    body = b""
    async for data in exchange.body():
        body += data
        if len(body) > _MAX_BODY:
            raise ConnectionResetError("too much for a rule")
    return body
