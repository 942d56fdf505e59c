"""Where an embedded broker lies on disk: names, paths, and folders that only this user can have made."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tq_core.errors import BrokerConfigError, InvalidInputError

DEFAULT_NAME = "default"
SOCKET_PATH_LIMIT_BYTES = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PROBE_BYTES = 65536
_PRIVATE = 0o700


@dataclass(frozen=True)
class BrokerFolder:
    """The paths of one embedded broker."""

    name: str
    path: Path

    @property
    def users_lock(self) -> Path:
        """Locked shared by each user; its note is the linger of the last one."""
        return self.path / "users.lock"

    @property
    def start_lock(self) -> Path:
        """Locked while the broker is started or stopped."""
        return self.path / "start.lock"

    @property
    def server_lock(self) -> Path:
        """Locked while a keeper or a server lives."""
        return self.path / "server.lock"

    @property
    def running(self) -> Path:
        """Tells which server runs now and where it listens."""
        return self.path / "running.json"

    @property
    def written_by(self) -> Path:
        """Tells which server version wrote the data."""
        return self.path / "written_by.json"

    @property
    def data(self) -> Path:
        """The working folder of the server."""
        return self.path / "data"

    @property
    def keeper_log(self) -> Path:
        return self.path / "keeper.log"

    @property
    def server_log(self) -> Path:
        return self.path / "server.log"


def check_name(name: str) -> str:
    """Return the name of an embedded or in-memory broker, or refuse it."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"broker name {name!r}: must be 1 to 32 of a-z, 0-9, _ and -, and start with a letter or a digit"
        )
    return name


def state_root(environ: Mapping[str, str]) -> Path:
    """The folder that holds the folders of all embedded brokers of this user."""
    chosen = environ.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored: XDG Base Directory Specification 0.8.
    if chosen.startswith("/"):
        return Path(chosen) / "tq"
    home = environ.get("HOME") or str(Path.home())
    return Path(home) / ".local" / "state" / "tq"


def broker_folder(name: str, environ: Mapping[str, str]) -> BrokerFolder:
    """The paths of a broker, made or not."""
    return BrokerFolder(name=check_name(name), path=state_root(environ) / name)


def make_folder(folder: BrokerFolder) -> None:
    """Make the broker's folder where it is missing, and see that it is ours and can be written.

    Raises:
        BrokerConfigError: It belongs to another user, or the disk is full or read-only.
    """
    try:
        _make_private(folder.path)
        _make_private(folder.data)
        for path in (folder.path, folder.data):
            owner = path.stat().st_uid
            if owner != os.geteuid():
                raise BrokerConfigError(
                    f"the folder {path} of the embedded broker {folder.name!r} belongs to user id {owner}, and this is "
                    f"user id {os.geteuid()}; run as that user, or point XDG_STATE_HOME at a folder of your own"
                )
    except OSError as error:
        raise folder_problem(folder, error) from error


def check_space(folder: BrokerFolder) -> None:
    """Write and delete a small file in the data folder: a server on a full disk starts and then loses writes.

    Raises:
        BrokerConfigError: It cannot be written.
    """
    probe = folder.data / f".probe-{os.getpid()}"
    try:
        try:
            probe.write_bytes(b"\0" * _PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise folder_problem(folder, error) from error


def folder_problem(folder: BrokerFolder, error: OSError) -> BrokerConfigError:
    """Say in one line why the broker's folder cannot be used, and what to do."""
    where = f"the embedded broker {folder.name!r} cannot keep its data in {folder.path}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            cure = "the disk is full; free some space there, or point XDG_STATE_HOME at another disk"
        case errno.EFBIG:
            cure = "a limit on file sizes stops it; raise `ulimit -f`"
        case errno.EROFS:
            cure = "the file system is read-only; point XDG_STATE_HOME at one that can be written"
        case errno.EACCES | errno.EPERM:
            cure = "permission is denied; make the folder yours, or point XDG_STATE_HOME at one that is"
        case errno.ENOTDIR | errno.EEXIST:
            cure = "a part of this path is a file; move it away, or point XDG_STATE_HOME elsewhere"
        case errno.ELOOP:
            cure = "a part of this path is a symbolic link that is not followed here; delete it"
        case _:
            cure = f"{error.strerror or error}; point XDG_STATE_HOME at a folder that can be written"
    return BrokerConfigError(f"{where}: {cure}")


def socket_path(folder: BrokerFolder, environ: Mapping[str, str]) -> Path:
    """Choose where the server listens, in a folder that nobody else can enter; makes that folder.

    The name carries a digest of the data folder, so two state folders never share a socket.

    Raises:
        BrokerConfigError: A folder on the way belongs to somebody else, or every candidate is too long.
    """
    digest = hashlib.blake2s(os.fsencode(folder.path.absolute()), digest_size=4).hexdigest()
    leaf = f"{folder.name}-{digest}.sock"
    candidates = [parent / leaf for parent in _socket_folders(environ)]
    fitting = [path for path in candidates if len(os.fsencode(path)) < SOCKET_PATH_LIMIT_BYTES]
    if not fitting:
        raise BrokerConfigError(
            f"the socket path {candidates[0]} is longer than {SOCKET_PATH_LIMIT_BYTES} bytes; "
            "point XDG_RUNTIME_DIR or TMPDIR at a folder with a short name"
        )
    make_socket_folder(fitting[0].parent)
    return fitting[0]


def _socket_folders(environ: Mapping[str, str]) -> list[Path]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    private = f"tq-{os.geteuid()}"
    temporary = environ.get("TMPDIR", "")
    temporary = temporary if temporary.startswith("/") and Path(temporary).is_dir() else tempfile.gettempdir()
    found = [Path(runtime) / "tq"] if runtime.startswith("/") and _is_own_folder(Path(runtime)) else []
    return [*found, Path(temporary) / private, Path("/tmp") / private]


def _is_own_folder(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    # Kept XDG variables of another user, as after `su`, are passed over: the specification asks for the owner.
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and os.access(path, os.W_OK | os.X_OK)


def make_socket_folder(path: Path) -> None:
    """Make the folder of sockets where it is missing, and refuse one that somebody else could have prepared.

    Raises:
        BrokerConfigError: It is a link, belongs to another user, or others may enter it.
    """
    try:
        try:
            path.mkdir(mode=_PRIVATE)
        except FileExistsError:
            pass
        found = path.lstat()
    except OSError as error:
        raise BrokerConfigError(
            f"the folder {path} for the embedded broker's socket cannot be made: {error.strerror}; "
            "point XDG_RUNTIME_DIR or TMPDIR at a folder of your own"
        ) from error
    if stat.S_ISLNK(found.st_mode):
        problem = "is a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user id {found.st_uid}"
    elif found.st_mode & 0o077:
        problem = f"may be entered by others (mode {stat.S_IMODE(found.st_mode):o})"
    else:
        return
    raise BrokerConfigError(
        f"the folder {path} for the embedded broker's socket {problem}, so it is not safe to use; "
        "delete it if it is yours, or point XDG_RUNTIME_DIR at a folder of your own"
    )


def size_bytes(path: Path) -> int:
    """Sum of the sizes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total


def _make_private(path: Path) -> None:
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
        if path == path.parent:
            break
    for part in reversed(missing):
        try:
            part.mkdir(mode=_PRIVATE)
        except FileExistsError:
            if not part.is_dir():
                raise
