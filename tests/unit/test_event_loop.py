"""Which event loop a worker gets."""

from __future__ import annotations

import sys

import pytest

from tq_core.errors import RefusedError
from tq_worker.worker.event_loop import new_event_loop


def test_where_uvloop_is_not_installed_asyncio_is_used_unless_uvloop_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    loop = new_event_loop("auto")
    loop.close()

    assert type(loop).__module__.startswith("asyncio")
    with pytest.raises(RefusedError, match=r"tq-console\[fast\]"):
        new_event_loop("uvloop")
