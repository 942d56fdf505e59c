"""Every key of the console with its id, and what is wrong with a user's own keys; read off the bindings themselves."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, format_key
from textual.screen import ModalScreen, Screen

import tq_console.tui
from tq_console.tui.panes.pane import Pane
from tq_console.tui.table.table import VirtualTable

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "meta", "super", "hyper"})
_NAMED = frozenset(key.value for key in Keys)
_SAME_AS = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+j": "enter", "ctrl+[": "escape"}
"""What terminals send for two keys alike."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """What one id stands for."""

    id: str
    keys: tuple[str, ...]
    """By default."""
    text: str
    """What it does."""


def key_entries() -> list[KeyEntry]:
    """Every binding that can be given other keys, by id."""
    found: dict[str, KeyEntry] = {}
    for owner in _owners():
        for binding in _own_bindings(owner):
            if binding.id and binding.id not in found:
                text = binding.tooltip or binding.description
                found[binding.id] = KeyEntry(binding.id, tuple(binding.key.split(",")), text)
    return sorted(found.values(), key=lambda entry: (entry.id.partition(".")[0] != "app", entry.id))


def key_problems(keys: Mapping[str, str]) -> list[str]:
    """What is wrong with a user's keys, each in one sentence.

    Args:
        keys: Id of a binding -> its keys, separated by commas.
    """
    known = [entry.id for entry in key_entries()]
    problems = []
    for name, text in keys.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else "`tq config keys` lists them"
            problems.append(f"[keys] {name}: nothing has this id: {hint}")
        problems += [f"[keys] {name} = {key!r}: {why}" for key in text.split(",") if (why := _why_no_key(key.strip()))]
    return problems + _clashes(usable(keys))


def usable(keys: Mapping[str, str]) -> dict[str, str]:
    """Those that name keys; what is wrong with one leaves its binding the keys that it has by itself."""
    return {name: text for name, text in keys.items() if not any(_why_no_key(key.strip()) for key in text.split(","))}


def _why_no_key(key: str) -> str:
    *modifiers, last = key.split("+") if len(key) > 1 and not key.endswith("+") else [key]
    if key in _SAME_AS:
        return f"a terminal sends the same for {_SAME_AS[key]}"
    if (
        not last
        or not key.isprintable()
        or (len(last) > 1 and last not in _NAMED and not re.fullmatch(r"[a-z]+(_[a-z]+)*", last))
    ):
        return "no such key; keys are written as r, R, f5, ctrl+y, enter, space, question_mark"
    if unknown := [m for m in modifiers if m not in _MODIFIERS]:
        return f"no such modifier as {unknown[0]!r}; there are {', '.join(sorted(_MODIFIERS))}"
    return ""


def _clashes(keys: Mapping[str, str]) -> list[str]:
    """Keys that one of ours hides from another, where the user had a hand in it."""
    found: dict[str, None] = {}
    for chain in _places():
        taken: dict[str, str] = {}
        for owner in chain:
            for name, key in _keys_in_force(owner, keys):
                other = taken.setdefault(key, name)
                if other != name and (name in keys or other in keys):
                    found[f"[keys] {format_key(key)} is both {other} and {name}: {other} gets it"] = None
    return list(found)


def _keys_in_force(owner: type[DOMNode], keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    bindings = [b for ancestor in owner.__mro__ if _is_ours(ancestor) for b in _own_bindings(ancestor)]
    # Within one widget Textual lets the user's own key win.
    for binding in sorted(bindings, key=lambda b: b.id not in keys):
        name = binding.id or binding.action
        for key in keys.get(name, binding.key).split(","):
            yield name, next(iter(Binding.make_bindings([(key.strip(), "", "")]))).key


def _places() -> Iterator[list[type[DOMNode]]]:
    """Who is asked for a key, the nearest first: in each pane, and in each screen above them."""
    owners = _owners()
    apps = [owner for owner in owners if issubclass(owner, App)]
    for owner in owners:
        if issubclass(owner, Pane):
            yield [VirtualTable, owner, *apps]
        elif issubclass(owner, Screen):
            yield [owner] if issubclass(owner, ModalScreen) else [owner, *apps]
        else:
            yield [owner]


def _owners() -> list[type[DOMNode]]:
    """All our classes that may have keys, found by looking: a new one need not be entered anywhere."""
    found: dict[type[DOMNode], None] = {}
    for module in pkgutil.walk_packages(tq_console.tui.__path__, f"{tq_console.tui.__name__}."):
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, DOMNode) and _is_ours(thing):
                found[thing] = None
    return list(found)


def _is_ours(owner: type[Any]) -> bool:
    return owner.__module__.startswith(f"{tq_console.tui.__name__}.")


def _own_bindings(owner: type[Any]) -> list[Binding]:
    return [each for each in owner.__dict__.get("BINDINGS", ()) if isinstance(each, Binding)]
