"""Writing the configuration file: in one step, only when it is right, and only the value that was meant."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from tq_core.errors import BrokerConfigError
from tq_core.settings import config_file, read_config


def change(edit: Callable[[str], str]) -> Path:
    """Rewrites the file; it is made where there is none, readable by its owner only.

    Args:
        edit: Makes the new text of the old one.

    Raises:
        InvalidInputError: the edit refused.
        BrokerConfigError: the file is no TOML, or cannot be written.
    """
    path = config_file().resolve()
    read_config(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    new = edit(text)
    tomllib.loads(new)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, new)
    except OSError as error:
        raise BrokerConfigError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _replace(path: Path, text: str) -> None:
    """Writes a file in one step: never half of it, also when the disk is full."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        new = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            new.unlink(missing_ok=True)
            raise
    if path.exists():
        new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)
