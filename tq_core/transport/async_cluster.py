"""A cluster behind the face of one client, for asyncio: one round trip to all nodes that are meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import redis.exceptions as redis_errors

from tq_core.transport.cluster_slots import (
    BLOCKING,
    REDIRECTIONS_MAX,
    REPLY,
    XREAD_LINGER_S,
    Args,
    Place,
    SlotMap,
    by_slot,
    is_moved,
    judged,
    key_of,
    makes_doubt,
    merged,
    raised,
)

_Node: TypeAlias = Any
"""A client of redis-py for one node; its methods have no types."""


class AsyncClusterClient:
    """A cluster for asyncio; belongs to one event loop."""

    def __init__(self, seeds: Sequence[Place], open_node: Callable[[Place], _Node]) -> None:
        self._map, self._open_node = SlotMap(seeds), open_node
        self._nodes: dict[Place, _Node] = {}
        self._asking = asyncio.Lock()

    async def execute_command(self, *args: Any) -> Any:
        """Runs one command where its key is; SCRIPT LOAD runs on every node, waiting ones wait on all they name."""
        if args[0] in BLOCKING:
            return await self._first(args)
        if args[0] == "SCRIPT LOAD":
            return raised(await self._everywhere(args))
        return raised((await self.send([args]))[0])

    async def info(self, section: str) -> Any:
        """INFO of the node that has the fleet's keys."""
        return await self.execute_command("INFO", section)

    def pipeline(self, *, transaction: bool = False) -> AsyncPipeline:
        """Collects commands and sends them together; never as a transaction."""
        assert not transaction
        return AsyncPipeline(self)

    async def aclose(self) -> None:
        nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            await node.aclose()

    def abandon(self) -> None:
        """Leaves the connections to the garbage collector: their loop is closed."""
        for node in self._nodes.values():
            node.connection = None
        self._nodes.clear()

    async def send(self, commands: Sequence[Args]) -> list[Any]:
        """The replies, errors among them, in the order of the commands; each node is asked once, all at once."""
        replies: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for round_trip in range(REDIRECTIONS_MAX):
            groups: dict[Place, list[int]] = {}
            try:
                await self._know()
            except (redis_errors.RedisError, OSError):
                if round_trip == 0:
                    raise
                break  # what was done must be told; what was not has its redirection for an answer
            for i in left:
                try:
                    groups.setdefault(self._map.place(key_of(commands[i])), []).append(i)
                except redis_errors.ClusterDownError as error:
                    replies[i] = error
            if len(groups) == 1:
                ((place, indices),) = groups.items()
                await self._ask(place, indices, commands, replies)
            else:
                await asyncio.gather(*[self._ask(p, indices, commands, replies) for p, indices in groups.items()])
            if any(makes_doubt(replies[i]) or is_moved(replies[i]) for i in left):
                self._map.doubt()
            left = [i for i in left if is_moved(replies[i])]
            if not left:
                break
        return [judged(reply) for reply in replies]

    async def _ask(self, place: Place, indices: Sequence[int], commands: Sequence[Args], replies: list[Any]) -> None:
        node = self._node(place)
        try:
            if len(indices) == 1:
                replies[indices[0]] = await node.execute_command(*commands[indices[0]])
                return
            async with node.pipeline(transaction=False) as pipeline:
                for i in indices:
                    pipeline.execute_command(*commands[i])
                answers = await pipeline.execute(raise_on_error=False)
        except (redis_errors.RedisError, OSError) as error:
            told: Exception = error
            if len(indices) > 1 and isinstance(error, REPLY):
                # redis-py raises LOADING out of a pipeline, whatever the other commands were answered.
                told = redis_errors.ConnectionError(f"{error} (to a part of what was sent)")
            for i in indices:
                replies[i] = told
        else:
            for i, answer in zip(indices, answers, strict=True):
                replies[i] = answer

    async def _first(self, args: Args) -> Any:
        """What the first of several waiting commands is answered with; None when time is up for all."""
        parts = by_slot(args)
        await self._know()
        if len(parts) == 1:
            return await self._wait(parts[0])
        waiting = {asyncio.ensure_future(self._wait(part)) for part in parts}
        found: Any = None
        error: BaseException | None = None
        try:
            while waiting and not found:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(not one.exception() and one.result() for one in done) and waiting and args[0] == "XREAD":
                    more, waiting = await asyncio.wait(waiting, timeout=XREAD_LINGER_S)
                    done |= more
                for one in done:
                    error = one.exception() or error
                    if not one.exception():
                        found = merged(found, one.result())
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if not found and error is not None:
            raise error
        return found

    async def _wait(self, args: Args) -> Any:
        try:
            return await self._node(self._map.place(key_of(args))).execute_command(*args)
        except (redis_errors.RedisError, OSError) as error:
            if makes_doubt(error) or is_moved(error):
                self._map.doubt()
            told = judged(error)
            if told is error:
                raise
            raise told from error

    async def _everywhere(self, args: Args) -> Any:
        """Runs a command on each primary; the error of one counts only where all have one."""
        await self._know()
        answers: list[Any] = await asyncio.gather(
            *[self._node(place).execute_command(*args) for place in self._map.primaries()], return_exceptions=True
        )
        if any(map(makes_doubt, answers)):
            self._map.doubt()
        return next((answer for answer in answers if not isinstance(answer, Exception)), answers[0])

    def _node(self, place: Place) -> _Node:
        if place not in self._nodes:
            self._nodes[place] = self._open_node(place)
        return self._nodes[place]

    async def _know(self) -> None:
        """Asks one node after the other for the map, where it is not known or in doubt."""
        if self._map.is_known():
            return
        async with self._asking:
            if self._map.is_known():
                return
            problem: Exception | None = None
            for place in self._map.places():
                try:
                    reply = await self._node(place).execute_command("CLUSTER SLOTS")
                except (redis_errors.RedisError, OSError) as error:
                    problem = problem or error
                    continue
                if reply:
                    self._map.learn(reply, place)
                    return
            raise problem or redis_errors.ClusterDownError("CLUSTERDOWN no slot is served")


class AsyncPipeline:
    """As `Pipeline`."""

    def __init__(self, client: AsyncClusterClient) -> None:
        self._client = client
        self._commands: list[Args] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    async def execute(self, *, raise_on_error: bool = False) -> list[Any]:
        assert not raise_on_error
        return await self._client.send(self._commands)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._commands.clear()
