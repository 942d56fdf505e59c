"""What others may see of a node while it runs: over HTTP where `--http` asks for it, and its service manager.

    /healthz   200 while the node lives
    /readyz    200 when it can do work, else 503 and why: broker_unreachable, no_worker, draining
    /metrics   what this node has done, for Prometheus

A paused node is ready, and so is one with no workers because it was scaled to none (its state is scaled_to_zero): that
was somebody's purpose, and neither a restart nor a roll-back would help.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from tq_core.errors import InvalidInputError
from tq_worker import frames

if TYPE_CHECKING:
    from tq_worker.supervisor.child import WorkerChild
    from tq_worker.supervisor.http_server import Answer, HttpServer
    from tq_worker.supervisor.node import Node
    from tq_worker.supervisor.node_metrics import NodeMetrics
    from tq_worker.supervisor.systemd import ServiceManager

JSON = "application/json"
LEAVES_WITHIN_S = 30.0
"""How long a node may take past the deadline of its tasks: killing what does not leave, the last word to the broker."""
SILENT_S = 10.0


class ListenError(InvalidInputError):
    """The address of `--http` cannot be listened on."""

    code = "listen"


class Exposure:
    """The windows of one node."""

    def __init__(self, node: Node, manager: ServiceManager | None) -> None:
        self._node, self._manager = node, manager
        self.metrics: NodeMetrics | None = None
        """Only where there is somebody to see them."""
        self._server: HttpServer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_ready = self._is_stopping = False

    async def open(self) -> None:
        """Takes the port and answers from now on, before any worker is started.

        Raises:
            ListenError: the address cannot be used.
        """
        address = self._node.settings.http
        if address is not None:
            from tq_worker.supervisor import http_server
            from tq_worker.supervisor.node_metrics import NodeMetrics

            self.metrics = NodeMetrics()
            self._server = http_server.HttpServer(http_server.listen(address), self._answer, self._node.log)
            await self._server.start()
            text = f"listens on {self._server.url} for /healthz, /readyz and /metrics"
            self._node.log.write("info", "http", text=text)
        if self._manager is not None and self._manager.watchdog_s is not None:
            self._watching = asyncio.create_task(self._answer_watchdog(self._manager, self._manager.watchdog_s / 2))

    def close(self) -> None:
        """Shows nothing any more."""
        if self._watching is not None:
            self._watching.cancel()
        if self._server is not None:
            self._server.close()

    # --- what the node tells ---

    def heard(self, child: WorkerChild, frame: frames.FromWorker) -> None:
        """A worker said something."""
        if self.metrics is not None and isinstance(frame, frames.Counted):
            self.metrics.heard(child.worker_id, frame)

    def gone(self, child: WorkerChild) -> None:
        """A worker is dead and has said its last."""
        if self.metrics is not None:
            self.metrics.gone(child.worker_id)
        self.changed()

    def changed(self, within_s: float = 0.0) -> None:
        """Something changed that people watch.

        Args:
            within_s: How long a node that leaves lets its tasks run.
        """
        node, manager = self._node, self._manager
        if manager is None:
            return
        working = sum(seat.working.is_set() for seat in node.seats)
        text = f"{node.state}: {working} of {node.processes} workers, {node.slots} slots each"
        if node.is_leaving:
            if not self._is_stopping:
                self._is_stopping = True
                manager.stopping(text, within_s + LEAVES_WITHIN_S)
        elif working and not self._is_ready:
            self._is_ready = True
            manager.ready(text)
        else:
            manager.status(text)

    # --- what others ask ---

    def _answer(self, path: str) -> Answer:
        from tq_core.exposition import CONTENT_TYPE
        from tq_worker.supervisor.http_server import Answer

        if path == "/healthz":
            return Answer(200, b'{"status":"alive"}\n', JSON)
        if path == "/readyz":
            return self._readiness()
        if path == "/metrics" and self.metrics is not None:
            return Answer(200, self.metrics.text(self._node), CONTENT_TYPE)
        return Answer(404, b"/healthz, /readyz and /metrics are here\n")

    def _readiness(self) -> Answer:
        from tq_worker.supervisor.http_server import Answer

        node = self._node
        missing = [
            reason
            for reason, is_so in (
                ("broker_unreachable", not node.pulse.is_reached),
                ("no_worker", node.processes > 0 and not any(seat.working.is_set() for seat in node.seats)),
                ("draining", node.is_leaving),
            )
            if is_so
        ]
        state = node.state if node.is_serving else "starting"
        if state == "running" and node.processes == 0:
            state = "scaled_to_zero"
        body = {"ready": not missing, "state": state, "node": node.node_id, "reasons": missing}
        return Answer(503 if missing else 200, msgspec.json.encode(body) + b"\n", JSON)

    async def _answer_watchdog(self, manager: ServiceManager, every_s: float) -> None:
        """Answers while the loop turns and, of the workers that are at work, at least one is heard; never returns."""
        while True:
            if self._hears_workers():
                manager.alive()
            await asyncio.sleep(every_s)

    def _hears_workers(self) -> bool:
        at_work = [seat.child for seat in self._node.seats if seat.child is not None and seat.child.is_working]
        heard_since = time.monotonic() - max(SILENT_S, self._node.settings.lease_s)
        return not at_work or any(child.alive_at >= heard_since for child in at_work)
