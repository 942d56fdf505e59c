"""The task types that workers have published, read for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_console.view.submission import SubmissionRules
from tq_core.roles import registry

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation


def read_rules(invocation: Invocation, *, is_forced: bool) -> SubmissionRules:
    """Reads the published types; says so where there is none, for then nothing can be checked."""
    types = invocation.run(registry.published_types())
    if not types:
        invocation.out.talk(
            "tq: no worker has published its task types yet: type and arguments are not checked, "
            "and without --queue a task goes to 'default'"
        )
    return SubmissionRules(types, submitted_by=invocation.actor, is_forced=is_forced)
