"""Between how many worker processes a node scales itself: MIN:MAX, as people write it."""

from __future__ import annotations

import re
from typing import Self

import msgspec

from tq_core.errors import InvalidInputError

MAX_PROCESSES = 256
_NUMBER = re.compile("[0-9]{1,4}", re.ASCII)


class Bounds(msgspec.Struct, frozen=True):
    """The least and the most."""

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads MIN:MAX.

        Raises:
            InvalidInputError: it is no such pair.
        """
        least, _, most = text.partition(":")
        if _NUMBER.fullmatch(least) and _NUMBER.fullmatch(most):
            bounds = cls(int(least), int(most))
            if bounds.is_valid:
                return bounds
        raise InvalidInputError(
            f"{text!r} is no MIN:MAX: write two numbers up to {MAX_PROCESSES}, the smaller one first, as in 1:8"
        )

    @property
    def is_valid(self) -> bool:
        """Whether a node can have so many workers."""
        return 0 <= self.least <= self.most and 1 <= self.most <= MAX_PROCESSES

    def __str__(self) -> str:
        return f"{self.least}:{self.most}"
