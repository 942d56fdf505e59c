"""Two TaskQueues: which one is meant must be said."""

from __future__ import annotations

from tq_core import TaskQueue

first = TaskQueue()
second = TaskQueue()
nothing = 7
