"""Queries with a name, which their user keeps in the configuration file.

# $XDG_CONFIG_HOME/tq/config.toml
[views]
stuck = "state:running age:>1h"
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tq_core.errors import InvalidInputError, NotFoundError, TqError
from tq_core.names import nearest
from tq_core.query.query import TaskQuery, parse_query
from tq_core.settings import config_file, read_config

TABLE = "views"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)


def saved_views(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Name -> query, in the order of the file; what is no text is left out.

    Raises:
        BrokerConfigError: the file cannot be read.
    """
    table = read_config(config_file(environ)).get(TABLE)
    return {name: text for name, text in table.items() if isinstance(text, str)} if isinstance(table, dict) else {}


def view_named(name: str) -> TaskQuery:
    """The query of a view.

    Raises:
        NotFoundError: there is none of the name.
        InvalidInputError: its query cannot be read.
    """
    found = saved_views()
    if name not in found:
        near = nearest(name, found)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(found) or 'none'}"
        raise NotFoundError(f"there is no view {name!r} in {config_file()}: {hint}")
    try:
        return parse_query(found[name])
    except InvalidInputError as error:
        raise InvalidInputError(f"the view {name!r} of {config_file()}: {error.message}") from error


def check_view(name: str, words: str) -> None:
    """Refuses what cannot be a view.

    Raises:
        InvalidInputError: the name is none, or the query cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot name a view: use 1 to 40 letters, digits, '.', '_' or '-'")
    parse_query(words)


def save_view(name: str, words: str) -> Path:
    """Writes a view into the configuration file, in the place of one of the same name.

    Raises:
        InvalidInputError: it cannot be a view, or the file is laid out in a way that cannot be changed here.
        BrokerConfigError: the file cannot be read or written.
    """
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import with_value

    check_view(name, words)
    return change(lambda text: with_value(text, (TABLE, name), words))


def view_problems(config: Mapping[str, Any]) -> list[str]:
    """What is wrong with the views of a configuration, each in one sentence."""
    table = config.get(TABLE, {})
    if not isinstance(table, dict):
        return ['views must be a table: [views] and lines such as stuck = "state:running age:>1h"']
    problems = []
    for name, text in table.items():
        if not isinstance(text, str):
            problems.append(f"[views] {name}: must be a query in quotes")
            continue
        try:
            check_view(name, text)
        except TqError as error:
            problems.append(f"[views] {name}: {error.message}")
    return problems
