"""Users' code that starts a thread as it is imported: its process cannot be forked."""

from __future__ import annotations

import os
import threading

from tq_core import TaskQueue

tq = TaskQueue()
threading.Thread(target=threading.Event().wait, daemon=True).start()


@tq.task(isolate=True)
def own_pid() -> int:
    return os.getpid()
