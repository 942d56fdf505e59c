"""What an embedded broker's folder remembers: which server runs now, and which one wrote the data."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tq_core.broker.binaries import UNRECORDED, ServerVersion
from tq_core.broker.folder import BrokerFolder
from tq_core.broker.processes import ProcessMark

FIRST_VERSION_WITH_FOLDER = (7, 0)
"""From this Redis on, append-only files lie in a folder that older ones do not look into."""


@dataclass(frozen=True)
class RunningServer:
    """The server that runs now; written by its keeper once it listens."""

    server: ProcessMark
    keeper: ProcessMark
    socket: Path
    version: ServerVersion
    binary: str
    is_kept: bool


def write_running(folder: BrokerFolder, running: RunningServer) -> None:
    """Tell others about the server that runs now."""
    _write(folder.running, {**asdict(running), "socket": str(running.socket)})


def read_running(folder: BrokerFolder) -> RunningServer | None:
    """The server that runs, or that ran when its keeper died; None where there is none."""
    record = _read(folder.running)
    try:
        return RunningServer(
            server=ProcessMark(**record["server"]),
            keeper=ProcessMark(**record["keeper"]),
            socket=Path(record["socket"]),
            version=_version(record["version"]),
            binary=str(record["binary"]),
            is_kept=bool(record["is_kept"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def write_writer(folder: BrokerFolder, version: ServerVersion) -> None:
    """Record the version of the server that is about to write the data; called before it starts."""
    _write(folder.written_by, asdict(version))


def read_writer(folder: BrokerFolder) -> ServerVersion | None:
    """The version of the server that wrote the data; None where there is no data.

    Without a record, as after a copy by hand, the files themselves tell the oldest version that can have written them.
    """
    if not has_data(folder):
        return None
    try:
        return _version(_read(folder.written_by))
    except (KeyError, TypeError, ValueError):
        is_folder = (folder.data / "appendonlydir").is_dir()
        return ServerVersion(product="redis", numbers=FIRST_VERSION_WITH_FOLDER) if is_folder else UNRECORDED


def has_data(folder: BrokerFolder) -> bool:
    """Whether a server has ever kept anything in this folder."""
    return any((folder.data / name).exists() for name in ("appendonlydir", "appendonly.aof", "dump.rdb"))


def _version(record: dict[str, Any]) -> ServerVersion:
    return ServerVersion(product=str(record["product"]), numbers=tuple(int(number) for number in record["numbers"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write(path: Path, record: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
