"""What stands on screen for values that are secret or too large to edit, and how it becomes the value again.

A form shows `***` for a secret and `⟪1.0 MiB of text, kept whole⟫` for what no line can hold. Left as it is, it means
the value; changed in part it means nothing, and is refused before it can be enqueued as if it were one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tq_console.view.formats import plural, size
from tq_console.view.secrets import MASK, Masker
from tq_core.errors import InvalidArgumentsError

LONGEST_TEXT = 2000
"""Longer texts are kept, not edited."""
MOST_ENTRIES = 500
"""Longer lists, and objects below the first level, are kept."""
DEEPEST = 20
"""What is nested more deeply is kept."""
LOOKED_AT_DEPTH = 100

_MARK = re.compile(r"⟪[^⟫]*kept whole⟫")
_URL_MASK = re.compile(r"://[^\s/:@]*:" + re.escape(MASK) + "@")


class _Nothing:
    """The type of NOTHING."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()
"""There is no value; None is one."""


class StandIns:
    """Shows values without their secrets and at a size that can be edited, and knows them again."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def is_secret(self, name: str) -> bool:
        """Whether a field's value is nobody's business."""
        return self._masker.is_secret(name)

    def shown(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The value as it may be on screen."""
        whole = self._in_place_of(value, name, depth)
        if whole is not None:
            return whole
        if isinstance(value, Mapping):
            return {key: self.shown(inner, str(key), depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.shown(inner, "", depth + 1) for inner in value]
        return value

    def restored(self, new: Any, original: Any, name: str = "", depth: int = 0) -> Any:
        """The value that is meant by what was edited: where a stand-in is as it was, what it stands for.

        Args:
            new: What was read from the screen.
            original: What had been shown there; NOTHING where there was nothing.

        Raises:
            InvalidArgumentsError: a stand-in was changed, or moved to where it stands for nothing.
        """
        if depth > LOOKED_AT_DEPTH:
            return new
        if isinstance(new, str):
            if original is not NOTHING and new == self._in_place_of(original, name, depth):
                return original
            self._refuse_left_over(new, name)
        elif isinstance(new, dict):
            before = original if isinstance(original, Mapping) else {}
            return {k: self.restored(v, before.get(k, NOTHING), str(k), depth + 1) for k, v in new.items()}
        elif isinstance(new, list):
            old = original if isinstance(original, (list, tuple)) else ()
            return [self.restored(v, old[i] if i < len(old) else NOTHING, "", depth + 1) for i, v in enumerate(new)]
        return new

    def _in_place_of(self, value: Any, name: str, depth: int) -> str | None:
        """The text that stands for a value; None where the value itself is shown."""
        if name and value is not None and not isinstance(value, bool) and self._masker.is_secret(name):
            return MASK
        if isinstance(value, str):
            if len(value) > LONGEST_TEXT:
                return f"⟪{size(len(value.encode('utf-8', 'replace')))} of text, kept whole⟫"
            masked = str(self._masker.masked(value))
            return masked if masked != value else None
        if isinstance(value, (Mapping, list, tuple)):
            if depth >= DEEPEST:
                return "⟪nested deeply, kept whole⟫"
            if len(value) > MOST_ENTRIES and depth > 0:
                what = plural(len(value), "field" if isinstance(value, Mapping) else "item")
                return f"⟪{what}, kept whole⟫"
        return None

    def _refuse_left_over(self, text: str, name: str) -> None:
        if _MARK.search(text):
            problem = "what is kept whole can only be left as it is: write the value anew"
        elif _URL_MASK.search(text) or (MASK in text and name and self._masker.is_secret(name)):
            problem = f"{MASK} hides a secret and can only be left as it is: write the value anew"
        else:
            return
        raise InvalidArgumentsError(f"{name}: {problem}", {name: problem})
