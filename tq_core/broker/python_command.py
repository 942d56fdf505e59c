"""Starting our own modules as programs, with no more of the environment than they need."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

import tq_core

PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUTF8",
    "TZ",
)


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a keeper or a server gets: no settings of tq, no secrets of its user."""
    return {name: environ[name] for name in PASSED_ON if name in environ}


def module_command(module: str, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a module of ours.

    The working directory stays off the module path, so a `redis.py` that lies there is not imported; where this package
    itself was found through it, its place is passed on.
    """
    root = str(Path(tq_core.__file__).resolve().parent.parent)
    changed = dict(environ)
    installed = {str(Path(folder).resolve()) for folder in (*site.getsitepackages(), site.getusersitepackages())}
    if root not in installed:
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH", ""))))
    return [sys.executable, "-P", "-m", module], changed
