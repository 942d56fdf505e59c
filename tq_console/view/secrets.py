"""Masking as the console shows it: what is secret is decided in the queue layer, since no filter may find it either."""

from __future__ import annotations

from typing import Any

from tq_core.masking import DEEPEST, EXTRA_NAMES_VARIABLE, MASK, TOO_DEEP, Masker

__all__ = ["DEEPEST", "EXTRA_NAMES_VARIABLE", "MASK", "TOO_DEEP", "Masker", "Revealer"]


class Revealer(Masker):
    """Masks nothing: for somebody who asked to see everything, which is written down."""

    def masked(self, value: Any) -> Any:
        return value
