"""Asking before what takes many tasks away: on a terminal with the exact count, elsewhere only with --yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tq_core.errors import RefusedError

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation

YES = click.option("--yes", "-y", "is_sure", is_flag=True, help="Do not ask; needed where there is no terminal.")


def confirm(invocation: Invocation, *, what: str, is_sure: bool, can_undo: bool = False) -> None:
    """Returns only when somebody is sure.

    Args:
        what: The act with its exact count, as `delete 1,234 failed tasks of mail`.
        is_sure: Whether --yes was given.
        can_undo: Whether `tq undo` can put back what it takes.

    Raises:
        UsageError: there is nobody to ask.
        RefusedError: the answer was no, or the context is for reading only.
    """
    invocation.must_be_writable()
    answer = invocation.sure(what, can_undo=can_undo)
    if answer is False:
        raise RefusedError("not confirmed: nothing was done")
    if answer or is_sure:
        return
    hint = "" if can_undo else ", which cannot be undone"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"this would {what}{hint}; there is no terminal to ask at: add --yes")
    context = invocation.address.context
    wanted = context.name if context is not None and context.is_protected else "yes"
    end = "`tq undo` can put them back for a while." if can_undo else "It cannot be undone."
    print(f"This would {what} on {invocation.address.display_url}. {end}", file=sys.stderr)
    if _ask(f"Type {wanted!r} to do it: ").strip() != wanted:
        raise RefusedError("not confirmed: nothing was done")


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()
