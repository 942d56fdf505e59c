"""The log of keepers, which also takes what Python itself says when one cannot start."""

from __future__ import annotations

import os
from typing import IO

from tq_core.broker.folder import BrokerFolder

LIMIT_BYTES = 1_000_000


def open_keeper_log(folder: BrokerFolder) -> IO[bytes]:
    """Open the log for appending; a log that has grown long is set aside first."""
    path = folder.keeper_log
    try:
        if path.stat().st_size > LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except FileNotFoundError:
        pass
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb")
