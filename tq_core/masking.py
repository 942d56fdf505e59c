"""Masks what the names of fields say is secret, wherever task data is shown or searched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
DEEPEST = 300
"""Levels of objects and lists in one another that are shown; Python itself ends not far beyond."""
TOO_DEEP = "… nested too deeply to be shown"
EXTRA_NAMES_VARIABLE = "TQ_SECRET_NAMES"
"""Environment variable: more names of secret fields, separated by commas."""

_ANYWHERE = (
    "accesskey",
    "apikey",
    "authorization",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
)
"""A field whose name holds one of these, whatever separates its words."""
_AS_WORD = frozenset({"auth", "bearer", "cookie", "cookies", "cvc", "cvv", "jwt", "otp", "pin", "pwd", "ssn", "token"})
"""A field whose name has one of these among its words: `refreshToken`, but not `max_tokens`."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)


class Masker:
    """Replaces the values of secret fields, at any depth, and the passwords inside URLs."""

    def __init__(self, extra_names: Iterable[str] = ()) -> None:
        self._anywhere = (*_ANYWHERE, *filter(None, map(_squeezed, extra_names)))

    @classmethod
    def from_environment(cls) -> Masker:
        return cls(os.environ.get(EXTRA_NAMES_VARIABLE, "").split(","))

    def is_secret(self, name: str) -> bool:
        """Whether a field's name says that its value is nobody's business."""
        squeezed = _squeezed(name)
        if any(part in squeezed for part in self._anywhere):
            return True
        return any(word.lower() in _AS_WORD for word in _WORDS.findall(name))

    def masked(self, value: Any) -> Any:
        """The value, or a copy of it with its secrets replaced; what is nested deeper than DEEPEST is left out."""
        return self._masked(value, DEEPEST)

    def _masked(self, value: Any, levels: int) -> Any:
        if isinstance(value, str):
            return _URL_PASSWORD.sub(rf"\1{MASK}", value) if "://" in value else value
        if not isinstance(value, (Mapping, list, tuple)):
            return value
        if not levels:
            return TOO_DEEP
        if isinstance(value, Mapping):
            return {
                k: MASK
                if v is not None and not isinstance(v, bool) and self.is_secret(str(k))
                else self._masked(v, levels - 1)
                for k, v in value.items()
            }
        return [self._masked(v, levels - 1) for v in value]


def _squeezed(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
