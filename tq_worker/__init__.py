"""Runs tasks: the daemon `tq-worker`, and `InlineWorker` for tests and first steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_worker.inline import InlineReport, InlineWorker

__all__ = ["InlineReport", "InlineWorker"]


def __getattr__(name: str) -> Any:
    # Imported when first used: the daemon's supervisor runs no users' code and need not load what does.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tq_worker import inline

    return getattr(inline, name)
