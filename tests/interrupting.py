"""Ctrl-C at a chosen moment of a command's loading or ending, which no clock could hit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

_AT_IMPORT = """\
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
"""
_AT_EXIT = """\
import atexit, os, signal

atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""


@dataclass(frozen=True)
class Interrupted:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def interrupted_at(module: str, program: str, *words: str) -> Interrupted:
    """Runs a program that gets SIGINT when it begins to import a module."""
    return _run(f"MODULE = {module!r}\n{_AT_IMPORT}{program}", words)


def interrupted_at_its_end(program: str, *words: str) -> Interrupted:
    """Runs a program that gets SIGINT when it has done its work and Python takes down what is left."""
    return _run(f"{_AT_EXIT}{program}", words)


def _run(program: str, words: tuple[str, ...]) -> Interrupted:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=30, check=False
    )
    return Interrupted(done.returncode, done.stdout, done.stderr)
