"""Tasks that have a process of their own."""

from __future__ import annotations

from tq_worker import frames
from tq_worker.worker.coroutines import Ended
from tq_worker.worker.run import Execution, Run


class ProcessIsolation:
    """Starts the processes."""

    def __init__(self, setup: frames.Setup, *, ended: Ended) -> None:
        self._setup, self._ended = setup, ended

    def start(self, run: Run) -> Execution:
        """Runs the task in a new process."""
        raise NotImplementedError
