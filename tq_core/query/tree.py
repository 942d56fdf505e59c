"""A query as a value: terms, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Operator = Literal[":", "=", ">", "<", ">=", "<="]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on a task."""

    key: str
    """One of `keys.KEYS`; "" = the text may be anywhere."""
    operator: Operator
    """":" as the key understands its value, mostly with * and ?; "=" exactly this value; else a comparison."""
    value: str
    path: tuple[str, ...] = ()
    """Of `args` and `result`: the fields to go through."""


@dataclass(frozen=True, slots=True)
class Not:
    """What the part does not fit."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """What all parts fit."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What at least one part fits."""

    parts: tuple[Node, ...]


Node: TypeAlias = Term | Not | And | Or
