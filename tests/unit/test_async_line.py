"""The line over which an event loop sends its scripts, against a server that answers as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
import redis.exceptions as redis_errors
from redis.asyncio.connection import Connection

from tq_core.transport.async_line import AsyncLine

Answer = Callable[[int, bytes], bytes | None]
"""What to answer to the nth thing that comes; None = hang up."""


@contextlib.asynccontextmanager
async def line_to(answer: Answer, *, answer_timeout_s: float = 5.0) -> AsyncIterator[AsyncLine]:
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                if data.startswith(b"*2\r\n$6\r\nCLIENT") or b"SETINFO" in data:
                    writer.write(b"+OK\r\n" * data.count(b"SETINFO"))
                    continue
                count += 1
                said = answer(count, data)
                if said is None:
                    return
                writer.write(said)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = AsyncLine(lambda: Connection(port=port, protocol=2), answer_timeout_s=answer_timeout_s)
    try:
        yield line
    finally:
        await line.aclose()
        server.close()
        await server.wait_closed()


async def test_many_ask_at_once_and_each_gets_its_own_answers() -> None:
    def echo(_: int, data: bytes) -> bytes:
        return b"".join(b":%s\r\n" % word for word in data.split(b"\r\n") if word.isdigit())

    async with line_to(echo) as line:
        answers = await asyncio.gather(*(line.ask([(str(n),), (str(n + 1),)]) for n in range(0, 40, 2)))
    assert answers == [[n, n + 1] for n in range(0, 40, 2)]


async def test_an_error_is_an_answer_and_of_the_kind_that_redis_py_makes_of_it() -> None:
    async with line_to(lambda *_: b"-NOSCRIPT none\r\n-LOADING wait\r\n+OK\r\n") as line:
        missing, loading, fine = await line.ask([("A",), ("B",), ("C",)])
    assert isinstance(missing, redis_errors.NoScriptError)
    assert isinstance(loading, redis_errors.BusyLoadingError)
    assert fine == b"OK"


async def test_who_lost_interest_leaves_its_answer_to_nobody() -> None:
    first_came = asyncio.Event()

    def late(n: int, _: bytes) -> bytes:
        first_came.set()
        return b"" if n == 1 else b":1\r\n:2\r\n"

    async with line_to(late) as line:
        first = asyncio.ensure_future(line.ask([("A",)]))
        await first_came.wait()
        first.cancel()
        assert await line.ask([("B",)]) == [2]


@pytest.mark.parametrize("said", [b"*hello\r\n", b":1\r\n:2\r\n", None], ids=["nonsense", "too much", "hung up"])
async def test_a_line_that_is_out_of_step_is_given_up_and_made_anew(said: bytes | None) -> None:
    async with line_to(lambda n, _: said if n <= 1 else b":7\r\n") as line:
        with contextlib.suppress(redis_errors.RedisError):
            await line.ask([("A",)])
        for _ in range(50):
            try:
                again = await line.ask([("B",)])
                break
            except redis_errors.ConnectionError:
                continue
    assert again == [7]


async def test_no_answer_in_time_is_an_error_of_all_who_wait() -> None:
    async with line_to(lambda *_: b"", answer_timeout_s=0.05) as line:
        asked = await asyncio.gather(line.ask([("A",)]), line.ask([("B",)]), return_exceptions=True)
    assert [type(one) for one in asked] == [redis_errors.TimeoutError] * 2


async def test_what_is_asked_while_a_line_breaks_goes_over_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    async with line_to(lambda _, data: b":7\r\n" * data.count(b"*1\r\n")) as line:
        assert await line.ask([("A",)]) == [7]
        # As a write does that finds the connection gone; the loop tells the line of it in its next round only.
        asyncio.get_running_loop().call_soon(line._transport.abort)  # type: ignore[union-attr]
        assert await asyncio.gather(*(line.ask([("B",)]) for _ in range(10))) == [[7]] * 10
    assert caplog.text == ""  # asyncio complains of what is written to a lost connection
