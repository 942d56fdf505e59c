"""The server of the page: textual-serve's, with our own routes around its terminal.

Its templates load a font from elsewhere, its pages are open to whoever asks, and it starts programs by a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
import textual_serve.server
from aiohttp import WSMsgType, web

from tq_console.web.access import COOKIE, TOKEN_PARAMETER, Access
from tq_console.web.visit import Visit

VISITS_MAX = 10
"""Consoles at once: each is a process of some 60 MB."""
LONGEST_MESSAGE = 65_536
"""Bytes of one message of a page; a paste is one."""
_HERE = Path(__file__).parent
_STATIC = Path(textual_serve.server.__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebConsole:
    """Serves consoles of one broker until it is told to end."""

    def __init__(
        self,
        access: Access,
        *,
        title: str,
        is_read_only: bool,
        environment: Callable[[str], Mapping[str, str]],
        log: Callable[[str], None],
    ) -> None:
        """Opens nothing yet.

        Args:
            environment: What a console is told, by the address of its visitor.
            log: Where a line about each visit goes.
        """
        self._access, self._title, self._is_read_only = access, title, is_read_only
        self._environment, self._log = environment, log
        self._visits: set[Visit] = set()
        self._ending = asyncio.Event()

    def application(self) -> web.Application:
        """The routes, each behind the checks."""
        app = web.Application(middlewares=[self._checked], client_max_size=LONGEST_MESSAGE)
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(_HERE), autoescape=True)
        app.add_routes(
            [
                web.get("/", self._page),
                web.post("/", self._enter),
                web.get("/ws", self._terminal),
                web.get("/health", self._health),
                web.static("/static", _STATIC),
                web.static("/own", _HERE / "own"),
            ]
        )
        app.on_shutdown.append(self._end_visits)
        return app

    async def serve(self, host: str, port: int, *, ready: Callable[[int], None]) -> None:
        """Serves until SIGINT or SIGTERM.

        Args:
            ready: Called with the port, once it is open.

        Raises:
            OSError: the port cannot be had.
        """
        runner = web.AppRunner(self.application(), handle_signals=False, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        loop = asyncio.get_running_loop()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._ending.set)
            ready(runner.addresses[0][1])
            await self._ending.wait()
        finally:
            await runner.cleanup()

    # --- every request ---

    @web.middleware
    async def _checked(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not self._access.has_our_host(request.headers):
            answer: web.StreamResponse = web.Response(status=421, text="this server is not known by that name\n")
        elif not self._access.is_of_our_page(request.headers):
            answer = web.Response(status=403, text="a page of somebody else asks\n")
        elif request.path not in ("/", "/health") and not self._is_let_in(request):
            answer = web.Response(status=401, text="open the address that the server has printed, with its token\n")
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                answer = error
        if not answer.prepared:
            answer.headers.update(_HEADERS)
        return answer

    def _is_let_in(self, request: web.Request) -> bool:
        return self._access.is_pass_word(request.cookies.get(COOKIE, ""))

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok", "visits": len(self._visits)})

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if TOKEN_PARAMETER in request.query:
            # The token does not stay in the address, where it would be copied along.
            return self._let_in(request, request.query[TOKEN_PARAMETER])
        return self._painted(request, is_wrong=False)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        given = (await request.post()).get(TOKEN_PARAMETER)
        return self._let_in(request, given if isinstance(given, str) else "")

    def _let_in(self, request: web.Request, given: str) -> web.StreamResponse:
        if not self._access.is_token(given):
            return self._painted(request, is_wrong=True)
        answer = web.HTTPSeeOther("/")
        is_https = self._access.is_https(request.headers)
        answer.set_cookie(COOKIE, self._access.pass_word, httponly=True, samesite="Strict", secure=is_https, path="/")
        return answer

    def _painted(self, request: web.Request, *, is_wrong: bool) -> web.StreamResponse:
        is_let_in = not is_wrong and self._is_let_in(request)
        told = {"title": self._title, "is_let_in": is_let_in, "is_wrong": is_wrong}
        return aiohttp_jinja2.render_template("page.html", request, told, status=200 if is_let_in else 401)

    # --- the terminal ---

    async def _terminal(self, request: web.Request) -> web.StreamResponse:
        if len(self._visits) >= VISITS_MAX:
            return web.Response(status=503, text=f"{VISITS_MAX} consoles are open: close one\n")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=LONGEST_MESSAGE)
        await socket.prepare(request)
        visitor = request.remote or "?"
        visit = Visit(
            environment=self._environment(visitor),
            is_read_only=self._is_read_only,
            write_bytes=socket.send_bytes,
            write_str=_unheard,
            close=socket.close,
            download_manager=_NoDownloads(),
        )
        self._visits.add(visit)
        self._log(f"{visitor} has opened a console ({len(self._visits)} open)")
        try:
            await visit.start(_number(request.query.get("width"), 80), _number(request.query.get("height"), 24))
            await self._listen(socket, visit)
        finally:
            self._visits.discard(visit)
            await asyncio.shield(visit.stop())
            with contextlib.suppress(ConnectionError):
                await socket.close()
            self._log(f"{visitor} has left ({len(self._visits)} open)")
        return socket

    async def _listen(self, socket: web.WebSocketResponse, visit: Visit) -> None:
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                continue
            match _envelope(message.data):
                case ["stdin", str(keys)]:
                    await visit.send_bytes(keys.encode())
                case ["resize", {"width": int(width), "height": int(height)}]:
                    await visit.set_terminal_size(width, height)
                case ["ping", (str() | int() | float()) as what]:
                    await socket.send_json(["pong", what])
                case ["blur", *_]:
                    await visit.blur()
                case ["focus", *_]:
                    await visit.focus()

    async def _end_visits(self, _: web.Application) -> None:
        await asyncio.gather(*(visit.stop() for visit in list(self._visits)))


class _NoDownloads:
    """In place of the library's downloads: a console over the web writes no files."""

    async def cancel_app_downloads(self, app_service_id: str) -> None:
        """Nothing: there are none."""

    async def create_download(self, **_: Any) -> None:
        """Refuses: nobody asks for its chunks."""

    async def chunk_received(self, *_: Any) -> None:
        """Nothing."""


async def _unheard(_: str) -> None:
    """What a console says to the page besides what it draws: addresses to open, and files."""


def _envelope(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 5 else otherwise
