"""The keys that clients show: which there are, whose they are, what they may do. A file holds digests, never a key.

    # name  role  digest  [requests per second]
    web     operator  sha256:9f86d081…  100
    grafana viewer    sha256:60303ae2…

A key is 256 random bits, so its digest needs no salt and no slow hash. The file is read again when it has changed.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import logging
import math
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from tq_core.errors import InvalidInputError

_log = logging.getLogger("tq.gateway")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
LOOK_AGAIN_S = 1.0
MAX_FILE_BYTES = 1024 * 1024
ENVIRONMENT_NAME = "api-key"
"""Whose the key of the environment is."""


class KeyRole(enum.IntEnum):
    """What a key may do; each may do what those before it may."""

    VIEWER = 1
    """Look at everything; secrets are masked."""
    OPERATOR = 2
    """Submit tasks, and steer tasks, queues and workers."""
    ADMIN = 3
    """Empty queues, and see what is masked."""

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Key:
    """One key."""

    name: str
    role: KeyRole
    digest: bytes
    rate_per_s: float | None = None


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        InvalidInputError: a line is none; says which.
    """
    found: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        key = _key(words)
        if key is None or key.name in found:
            why = f"the name {words[0]!r} is there twice" if key else "write NAME viewer|operator|admin sha256:… [RATE]"
            raise InvalidInputError(f"line {number} of the key file: {why}")
        found[key.name] = key
    return tuple(found.values())


def _key(words: list[str]) -> Key | None:
    if len(words) not in (3, 4):
        return None
    name, role, digest, *rest = words
    told = _DIGEST.match(digest)
    known = {each.word: each for each in KeyRole}
    if not _NAME.match(name) or role not in known or not told or name == ENVIRONMENT_NAME:
        return None
    try:
        rate = float(rest[0]) if rest else None
    except ValueError:
        return None
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        return None
    return Key(name, known[role], bytes.fromhex(told[1]), rate)


def add_key(path: Path, name: str, role: KeyRole, rate_per_s: float | None = None) -> str:
    """Adds a new key to a file, which is made for its owner alone where it is missing; returns the key.

    Raises:
        InvalidInputError: the name cannot be one or is taken, or the file cannot be used.
        OSError: it cannot be written.
    """
    if not _NAME.match(name) or name == ENVIRONMENT_NAME:
        raise InvalidInputError(f"{name!r} cannot be a key's name: use 1 to 64 letters, digits, '.', '_' or '-'")
    known = read_keys(path) if path.exists() else ()
    if any(key.name == name for key in known):
        raise InvalidInputError(f"there is a key {name!r} already: take its line out of {path} first, or choose a name")
    key = f"tq_{secrets.token_urlsafe(32)}"
    words = [name, role.word, f"sha256:{digest_of(key).hex()}", *([f"{rate_per_s:g}"] if rate_per_s else [])]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = " ".join(words) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = "\n" + line
        file.write(line.encode())
    return key


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        InvalidInputError: others may write it, or a line is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise InvalidInputError(f"others may write the key file {path}: `chmod go-w` it")
        text = file.read(MAX_FILE_BYTES)
    return parse_keys(text.decode("utf-8", "replace"))


class KeyRing:
    """All keys that count now."""

    def __init__(self, *, api_key: str = "", file: Path | None = None) -> None:
        """Reads them.

        Raises:
            InvalidInputError: the file cannot be used.
            OSError: it cannot be read.
        """
        own = (Key(ENVIRONMENT_NAME, KeyRole.ADMIN, digest_of(api_key)),) if api_key else ()
        self._of_environment, self._file = own, file
        self._of_file: tuple[Key, ...] = read_keys(file) if file else ()
        self._version = self._stamp()
        self._look_at = 0.0

    @property
    def asks_writers(self) -> bool:
        """Whether who writes must show a key, wherever he is."""
        return bool(self._of_environment or self._file)

    @property
    def asks_readers(self) -> bool:
        """Whether who reads must show a key: where there is a file, that is what viewers are for."""
        return self._file is not None

    def find(self, shown: str) -> Key | None:
        """The key that was shown; takes the same time whichever it is, and whether there is one."""
        self._refresh()
        digest, found = digest_of(shown), None
        for key in (*self._of_environment, *self._of_file):
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._file is None or now < self._look_at:
            return
        self._look_at = now + LOOK_AGAIN_S
        version = self._stamp()
        if version == self._version:
            return
        self._version = version
        try:
            self._of_file = read_keys(self._file)
        except (InvalidInputError, OSError) as error:
            # Half a file, as an editor leaves for a moment, must neither lock everybody out nor let anybody in.
            _log.warning("the keys stay as they were: %s", error)

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
