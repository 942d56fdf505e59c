"""Replaces workers by fresh ones: the new one runs before the old one stops claiming, so capacity never falls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tq_core.errors import BrokerError
from tq_core.roles.registry import Ack
from tq_worker.exits import describe_exit
from tq_worker.supervisor.child import WorkerChild
from tq_worker.supervisor.seat import NO_DEADLINE_S, Seat

if TYPE_CHECKING:
    from tq_worker.supervisor.node import Node

LOADING_S = 120.0
TRY_AGAIN_S = 30.0
ADOPT_AGAIN_S = 1.0


class Rolling:
    """Replaces one worker at a time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._turn = asyncio.Lock()
        self._recycling = asyncio.Lock()
        self._is_reloading = True
        """Also while the node starts: it loads the code for the first time."""
        self._wish = ""
        """Why to reload once more; "" = nobody wants it."""

    def start(self) -> None:
        """Reloads from now on: the node has begun to start its workers."""
        self._end_reload()

    def reload_soon(self, why: str) -> None:
        """Reloads for somebody who waits for no answer; after the reload that is under way, if there is one.

        What has changed since that one began may be in none of the workers that it has replaced.
        """
        if self._is_reloading:
            self._wish = why
            self._node.log.write("info", "node", text=f"{why}: the code is being loaded, and will be once more then")
        else:
            self._node.spawn(self._reload_for(why))

    def _end_reload(self) -> None:
        self._is_reloading = False
        why, self._wish = self._wish, ""
        if why and not self._node.is_leaving:
            self._node.spawn(self._reload_for(why))

    async def reload(self, deadline_s: float) -> Ack:
        """Replaces every worker by one that loads the code anew; the old ones stay when that cannot be used."""
        if self._is_reloading:
            return Ack(ok=False, text="the code is being loaded already: try again when that is done")
        self._is_reloading = True
        try:
            async with self._turn:
                return await self._reload(deadline_s)
        finally:
            self._end_reload()

    async def _reload_for(self, why: str) -> None:
        """Reloads, and tells the log how it went: nobody waits for an answer."""
        node = self._node
        node.log.write("info", "node", text=f"{why}: loading the code anew")
        ack = await self.reload(node.settings.drain_timeout_s)
        node.log.write("info" if ack.ok or node.is_leaving else "error", "node", text=f"reload: {ack.text}")

    async def _reload(self, deadline_s: float) -> Ack:
        node = self._node
        seats = node.open_seats()
        done = 0
        for seat in seats:
            if seat.is_closed:
                continue
            fresh, problem = await self._replace(seat, deadline_s=deadline_s, why="the code was reloaded")
            if problem:
                kept = f"{done} of {len(seats)} workers were replaced, the others stay" if done else "all workers stay"
                return Ack(ok=False, text=f"{kept}: {problem}")
            done += 1
            if done == 1 and fresh is not None:
                await self._adopt(fresh)
        version = node.describe().code_version
        said = f"{done} workers run the code as it is now" + (f", version {version}" if version else "")
        return Ack(ok=True, text=said if done else "there is no worker: the next one loads the code as it is then")

    async def _adopt(self, fresh: WorkerChild) -> None:
        assert fresh.ready is not None
        while not self._node.is_leaving:
            try:
                await self._node.adopt(fresh.ready)
            except BrokerError:
                await asyncio.sleep(ADOPT_AGAIN_S)
            else:
                return

    async def recycle(self, worn: WorkerChild, why: str) -> None:
        """Replaces a worker that has done enough; returns when it is dead.

        Of such workers one at a time finishes its tasks beside its successor: else tasks that take long, and a limit
        that is small, would make processes without end.
        """
        node = self._node
        async with self._recycling:
            while not node.is_leaving:
                async with self._turn:
                    seat = next((seat for seat in node.open_seats() if seat.child is worn), None)
                    if seat is None:
                        return
                    _, problem = await self._replace(seat, deadline_s=NO_DEADLINE_S, why=why)
                if not problem:
                    node.log.write("info", "worker", text=f"is replaced: {why}", worker_id=worn.worker_id)
                    await worn.dead.wait()
                    return
                text = f"cannot be replaced and goes on: {problem}; the next try is in {TRY_AGAIN_S:g} s"
                node.log.write("error", "worker", text=text, worker_id=worn.worker_id)
                await asyncio.sleep(TRY_AGAIN_S)

    async def _replace(self, seat: Seat, *, deadline_s: float, why: str) -> tuple[WorkerChild | None, str]:
        """The worker that took the place of that in the seat, or why none could."""
        node = self._node
        if node.is_leaving:
            return None, "the node is leaving"
        fresh = node.open_seat(is_trial=True)
        child = await fresh.first_child
        problem = await self._begun(fresh, child)
        if problem:
            fresh.hurry(problem)
            return None, problem
        await seat.leave(deadline_s=deadline_s, why=why)
        # The number of workers may have been changed meanwhile.
        node.fill_seats()
        if len(node.open_seats()) > node.processes:
            await fresh.leave(deadline_s=deadline_s, why="the node was scaled down")
        node.beat_soon()
        return child, ""

    async def _begun(self, fresh: Seat, child: WorkerChild) -> str:
        """Waits for a new worker to begin; returns why it does not."""
        try:
            async with asyncio.timeout(LOADING_S):
                await child.decided.wait()
                if child.refused is not None:
                    return f"the new code is refused: {child.refused.message}"
                if child.ready is not None:
                    ended = asyncio.ensure_future(child.dead.wait())
                    working = asyncio.ensure_future(fresh.working.wait())
                    try:
                        await asyncio.wait({ended, working}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        ended.cancel()
                        working.cancel()
                    if fresh.working.is_set():
                        return ""
                await child.dead.wait()
        except TimeoutError:
            return f"the new worker has not begun within {LOADING_S:g} s"
        if self._node.is_leaving:
            return "the node is leaving"
        return f"the new worker {describe_exit(child.exit_code)} while it loaded the code"
