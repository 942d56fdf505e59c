"""A cluster behind the face of one client, for ordinary code: one round trip to all nodes that are meant."""

from __future__ import annotations

import select
import threading
import time
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


class ClusterClient:
    """A cluster for ordinary code; may be shared by threads."""

    def __init__(self, seeds: Sequence[Place], open_node: Callable[[Place], _Node]) -> None:
        self._map, self._open_node = SlotMap(seeds), open_node
        self._nodes: dict[Place, _Node] = {}
        self._lock = threading.Lock()

    def execute_command(self, *args: Any) -> Any:
        """Runs one command where its key is; SCRIPT LOAD runs on every node, waiting ones wait on all they name."""
        if args[0] in BLOCKING:
            return self._first(args)
        if args[0] == "SCRIPT LOAD":
            return raised(self._everywhere(args))
        return raised(self.send([args])[0])

    def info(self, section: str) -> Any:
        """INFO of the node that has the fleet's keys."""
        return self.execute_command("INFO", section)

    def pipeline(self, *, transaction: bool = False) -> Pipeline:
        """Collects commands and sends them together; never as a transaction."""
        assert not transaction
        return Pipeline(self)

    def close(self) -> None:
        with self._lock:
            nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            node.close()

    def send(self, commands: Sequence[Args]) -> list[Any]:
        """The replies, errors among them, in the order of the commands; each node is asked once, all at once."""
        replies: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for round_trip in range(REDIRECTIONS_MAX):
            groups: dict[Place, list[int]] = {}
            try:
                self._know()
            except (redis_errors.RedisError, OSError):
                if round_trip == 0:
                    raise
                break  # what was done must be told; what was not has its redirection for an answer
            for i in left:
                try:
                    groups.setdefault(self._map.place(key_of(commands[i])), []).append(i)
                except redis_errors.ClusterDownError as error:
                    replies[i] = error
            self._ask(groups, commands, replies)
            if any(makes_doubt(replies[i]) or is_moved(replies[i]) for i in left):
                self._map.doubt()
            left = [i for i in left if is_moved(replies[i])]
            if not left:
                break
        return [judged(reply) for reply in replies]

    def _ask(self, groups: dict[Place, list[int]], commands: Sequence[Args], replies: list[Any]) -> None:
        def replies_of(indices: Sequence[int], error: Exception) -> None:
            for i in indices:
                replies[i] = error

        asked: list[tuple[_Node, Any, list[int]]] = []
        for place, indices in groups.items():
            node = self._node(place)
            connection: Any = None
            try:
                connection = node.connection_pool.get_connection()
                connection.send_packed_command(
                    connection.pack_commands([tuple(commands[i]) for i in indices]), check_health=False
                )
            except (redis_errors.RedisError, OSError) as error:
                self._abandon(node, connection)
                replies_of(indices, error)
            except BaseException:
                for other, its, _ in [(node, connection, indices), *asked]:
                    self._abandon(other, its)
                raise
            else:
                asked.append((node, connection, indices))
        while asked:
            node, connection, indices = asked.pop(0)
            try:
                for at, i in enumerate(indices):
                    try:
                        replies[i] = node.parse_response(connection, commands[i][0])
                    except REPLY as error:
                        replies[i] = error
                    except (redis_errors.RedisError, OSError) as error:
                        self._abandon(node, connection)
                        replies_of(indices[at:], error)
                        break
                else:
                    node.connection_pool.release(connection)
            except BaseException:
                for other, its, _ in [(node, connection, indices), *asked]:
                    self._abandon(other, its)
                raise

    @staticmethod
    def _abandon(node: _Node, connection: Any) -> None:
        # What it still gets would be taken for the answers to what is sent next.
        if connection is not None:
            connection.disconnect()
            node.connection_pool.release(connection)

    def _first(self, args: Args) -> Any:
        """What the first of several waiting commands is answered with; None when time is up for all."""
        parts = by_slot(args)
        if len(parts) == 1:
            return raised(self.send(parts)[0])
        waiting: dict[Any, tuple[_Node, Any]] = {}
        connection: Any
        found: Any = None
        error: Exception | None = None
        self._know()
        try:
            for part in parts:
                connection = None
                try:
                    node = self._node(self._map.place(key_of(part)))
                    connection = node.connection_pool.get_connection()
                    waiting[connection] = (node, connection)
                    connection.send_packed_command(connection.pack_command(*part), check_health=False)
                except (redis_errors.RedisError, OSError) as problem:
                    if connection is not None:
                        self._abandon(*waiting.pop(connection))
                    error = self._doubted(problem)
            deadline: float | None = None
            while waiting and (deadline is None or time.monotonic() < deadline):
                sockets = {connection._sock: connection for connection in waiting}  # noqa: SLF001 - redis-py names it nowhere else
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                limit_s = max(c.socket_timeout or 0 for c in waiting) if left_s is None else left_s
                ready, _, _ = select.select(list(sockets), [], [], limit_s)
                if not ready:
                    if deadline is None:
                        error = redis_errors.TimeoutError("no answer in time")
                    break
                for one in ready:
                    connection = sockets[one]
                    node, _ = waiting.pop(connection)
                    try:
                        reply = node.parse_response(connection, args[0])
                        node.connection_pool.release(connection)
                    except (redis_errors.RedisError, OSError) as problem:
                        self._abandon(node, connection)
                        error = self._doubted(problem)
                        continue
                    found = merged(found, reply)
                if found:
                    if args[0] != "XREAD":
                        break
                    deadline = deadline or time.monotonic() + XREAD_LINGER_S
        finally:
            for node, connection in waiting.values():
                self._abandon(node, connection)
        if not found and error is not None:
            raise judged(error)
        return found

    def _doubted(self, error: Exception) -> Exception:
        if makes_doubt(error) or is_moved(error):
            self._map.doubt()
        return error

    def _everywhere(self, args: Args) -> Any:
        """Runs a command on each primary; the error of one counts only where all have one."""
        self._know()
        good, bad = None, None
        for place in self._map.primaries():
            try:
                good = self._node(place).execute_command(*args)
            except (redis_errors.RedisError, OSError) as error:
                bad = self._doubted(error)
        return bad if good is None and bad is not None else good

    def _node(self, place: Place) -> _Node:
        with self._lock:
            if place not in self._nodes:
                self._nodes[place] = self._open_node(place)
            return self._nodes[place]

    def _know(self) -> None:
        """Asks one node after the other for the map, where it is not known or in doubt."""
        if self._map.is_known():
            return
        problem: Exception | None = None
        for place in self._map.places():
            try:
                reply = self._node(place).execute_command("CLUSTER SLOTS")
            except (redis_errors.RedisError, OSError) as error:
                problem = problem or error
                continue
            if reply:
                self._map.learn(reply, place)
                return
        raise problem or redis_errors.ClusterDownError("CLUSTERDOWN no slot is served")


class Pipeline:
    """Commands that are sent together; the face of redis-py's pipelines, as far as the runner uses it."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._commands: list[Args] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    def execute(self, *, raise_on_error: bool = False) -> list[Any]:
        assert not raise_on_error
        return self._client.send(self._commands)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._commands.clear()
