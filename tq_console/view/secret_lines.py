"""Whether a line that somebody typed holds a secret, and so is not to be kept."""

from __future__ import annotations

import re

from tq_console.view.secrets import Masker

_FIELD = re.compile(r"""([\w.-]+)\\?["']?\s*[=:]\s*[^\s=:]""")
"""A field of arguments: `name=value`, `"name": value`."""
_OPTION_VALUE = re.compile(r"--([\w-]+)[= ]\S")


def holds_secret(line: str, masker: Masker) -> bool:
    """Whether a line gives a value to a field whose name is secret, or has a password in an address."""
    names = (*_FIELD.findall(line), *_OPTION_VALUE.findall(line))
    return any(map(masker.is_secret, names)) or str(masker.masked(line)) != line
