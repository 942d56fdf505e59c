"""The outermost layer: what every request and every answer goes through, whatever the route.

Plain ASGI, since each layer of a framework costs as much as all that is done here. Requests that come by the thousand
are answered from a table of their own (`express`), by the same functions as the framework's routes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tq_console.gateway import problems
from tq_console.gateway.access import Caller, Doorkeeper
from tq_console.gateway.problems import ProblemError
from tq_console.gateway.settings import GatewaySettings
from tq_core.errors import TqError

_log = logging.getLogger("tq.gateway")
Endpoint = Callable[[Request], Awaitable[Response]]
CALLER: Final = "tq.caller"
"""Where a request's scope holds who asks."""
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
EVENTS_PATH: Final = "/v1/events"
_ENCODE = msgspec.json.Encoder().encode


def caller_of(request: Request) -> Caller:
    """Who asks."""
    found: Caller = request.scope[CALLER]
    return found


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer as JSON."""
    return Response(_ENCODE(value), status, headers=headers, media_type="application/json")


def problem_answer(error: ProblemError, path: str) -> Response:
    """The answer that says what is wrong."""
    status = problems.status_at(error.status, path)
    body = _ENCODE(problems.document(error, status))
    return Response(body, status, headers=error.headers, media_type=problems.MEDIA_TYPE)


class Edge:
    """Lets in who may, bounds what is read and how long that takes, and answers errors."""

    def __init__(
        self,
        inner: Starlette,
        *,
        doorkeeper: Doorkeeper,
        settings: GatewaySettings,
        express: Mapping[tuple[str, str], Endpoint],
    ) -> None:
        self._inner, self._doorkeeper, self._settings, self._express = inner, doorkeeper, settings, express

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _not_http(scope, receive, send, self._inner)
            return
        path, method = scope["path"], scope["method"]
        if path[-1:] == "/" and len(path) > 1:
            path = path.rstrip("/") or "/"
            scope = {**scope, "path": path, "raw_path": scope.get("raw_path", b"").rstrip(b"/") or b"/"}
        if method == "HEAD" and path != EVENTS_PATH:
            # The server leaves the body out.
            scope, method = {**scope, "method": "GET"}, "GET"
        headers = dict(scope["headers"])
        answer = _Answer(send)
        answer.has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        try:
            remote = scope["client"][0] if scope.get("client") else ""
            scope[CALLER] = self._doorkeeper.caller(method=method, path=path, headers=headers, remote=remote)
            body = answer.body = self._body(headers, receive)
            read: Receive = body or receive
            endpoint = self._express.get((method, path))
            if endpoint is not None:
                scope["app"] = self._inner  # as the framework does
                response = await endpoint(Request(scope, read))
                await response(scope, read, answer)
            else:
                await self._inner(scope, read, answer)
        except _GoneError:
            return
        except ProblemError as error:
            await answer.problem(error, scope, receive)
        except TqError as error:
            await answer.problem(problems.problem_of(error), scope, receive)
        except Exception:  # noqa: BLE001 - the seam: a bug in one request is one answer
            _log.exception("%s %s failed", method, path)
            await answer.problem(ProblemError(500, "an error of the gateway: its log says more"), scope, receive)

    def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> _Body | None:
        limit = self._settings.max_body_bytes
        told = headers.get(b"content-length", b"0")
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return None
        if not told.isdigit() or int(told[:20]) > limit:
            raise _too_large(limit)
        return _Body(receive, limit, self._settings.body_timeout_s)


async def _not_http(scope: Scope, receive: Receive, send: Send, inner: ASGIApp) -> None:
    if scope["type"] == "lifespan":
        await inner(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})


def _too_large(limit: int) -> ProblemError:
    headers = {"Connection": "close"}
    return ProblemError(413, f"the body has more than {limit:,} bytes", code="body_too_large", headers=headers)


class _Body:
    """The body of one request, piece by piece, within its bounds."""

    def __init__(self, receive: Receive, limit: int, timeout_s: float) -> None:
        self._receive, self._left, self._limit = receive, limit, limit
        self._timeout_s, self._deadline, self.is_whole = timeout_s, 0.0, False

    async def __call__(self) -> Message:
        """The next piece.

        Raises:
            ProblemError: 413 or 408.
        """
        if self.is_whole:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self._timeout_s
        try:
            async with asyncio.timeout(self._deadline - now):
                message = await self._receive()
        except TimeoutError:
            raise ProblemError(
                408, f"the body did not come within {self._timeout_s:g} s", headers={"Connection": "close"}
            ) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._limit)
        self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message


class _GoneError(Exception):
    """The client has closed its connection."""


class _Answer:
    """Sends an answer, with the headers that each has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = self._is_whole = False
        self.has_body = False
        self.body: _Body | None = None

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            own = {name for name, _ in message["headers"]}
            headers = [*message["headers"], *(each for each in HEADERS if each[0] not in own)]
            if self.has_body and not (self.body and self.body.is_whole) and b"connection" not in own:
                # Whoever was refused before his body was read must not send the rest of it.
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        else:
            self._is_whole = not message.get("more_body", False)
        try:
            await self._send(message)
        except RuntimeError as error:
            # The server tells of a client that went only while it answers his last request; uvloop then objects.
            if "closed" not in str(error):
                raise
            raise _GoneError from error

    async def problem(self, error: ProblemError, scope: Scope, receive: Receive) -> None:
        if self._is_whole:
            return  # the framework has told already
        if self._has_begun:
            raise error  # half an answer: the server cuts the connection
        await problem_answer(error, scope["path"])(scope, receive, self)
