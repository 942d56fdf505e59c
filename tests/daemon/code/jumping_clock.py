"""The traced tasks on a machine whose wall clock jumps by a day, back and forth, whenever somebody looks at it."""

from __future__ import annotations

import importlib
import itertools
import time

tq = importlib.import_module("traced_tasks").tq

_jumps_s = itertools.cycle((86_400, -86_400, 0, -3600))
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + next(_jumps_s)
time.time_ns = lambda: _time_ns() + next(_jumps_s) * 1_000_000_000
