"""Which tq this is."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version


@functools.cache
def tq_version() -> str:
    """The version as it was installed; empty where it is run without."""
    try:
        return version("tq-console")
    except PackageNotFoundError:
        return ""
