"""Which event loop a worker gets."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tq_core.errors import RefusedError
from tq_worker.worker.event_loop import ProcessOver, new_event_loop, run_to_end


def test_where_uvloop_is_not_installed_asyncio_is_used_unless_uvloop_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    loop = new_event_loop("auto")
    loop.close()

    assert type(loop).__module__.startswith("asyncio")
    with pytest.raises(RefusedError, match=r"tq-console\[fast\]"):
        new_event_loop("uvloop")


@pytest.mark.parametrize("kind", ["asyncio", "auto"])
def test_nothing_that_a_handler_does_to_the_loop_costs_its_neighbours_a_run(kind: str) -> None:
    loop = new_event_loop(kind)
    said: list[str] = []

    async def leave(error: type[BaseException]) -> None:
        raise error

    def stop() -> None:
        raise SystemExit(3)

    async def neighbours() -> list[int]:
        async def work(n: int) -> int:
            for _ in range(20):
                await asyncio.sleep(0.001)
            return n

        working = asyncio.gather(*map(work, range(3)))
        with pytest.raises(SystemExit):
            await asyncio.create_task(leave(SystemExit))
        with pytest.raises(KeyboardInterrupt):
            await asyncio.create_task(leave(KeyboardInterrupt))
        loop.call_soon(stop)
        await asyncio.sleep(0.002)
        loop.stop()
        return await working

    async def fault() -> None:
        loop.call_soon(end)
        await asyncio.sleep(5)

    def end() -> None:
        raise ProcessOver(1)

    assert run_to_end(loop, neighbours(), said.append) == [0, 1, 2]
    assert [text.rpartition("raised ")[2][:8] for text in said] == ["SystemEx", "Keyboard", "SystemEx", "a handle"]
    with pytest.raises(ProcessOver):
        run_to_end(loop, fault(), said.append)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
