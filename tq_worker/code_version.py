"""Which version of the users' code ran: kept with every failed attempt, to tell a bad release from bad luck."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
import sysconfig
from collections.abc import Iterator

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})


def code_version(module: str = "") -> str:
    """The version of the code that a module belongs to.

    Args:
        module: A handler's `__module__`; empty for the node as a whole.

    Returns:
        TQ_CODE_VERSION where it is set (a release, a commit: whatever the deployment calls it), else the version of the
        module's package or distribution, else "".
    """
    return os.environ.get("TQ_CODE_VERSION", "") or (_package_version(module.partition(".")[0]) if module else "")


@functools.cache
def _package_version(package: str) -> str:
    declared = getattr(sys.modules.get(package), "__version__", None)
    if isinstance(declared, str):
        return declared
    for distribution in (package, *_distributions_of(package)):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _distributions_of(package: str) -> Iterator[str]:
    """Distributions under another name than the package's; found only by reading all there are, which takes a while."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file and file.startswith(_INSTALLED):
        yield from importlib.metadata.packages_distributions().get(package, ())
