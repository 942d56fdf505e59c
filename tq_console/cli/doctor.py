"""`tq doctor`: what is wrong, and what to do about each."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.text import visible

STYLES = {"problem": "red", "warning": "yellow", "note": "dim"}


@command(
    examples="""
        tq doctor                                        # exit code 0: nothing is wrong, 1: something is
        tq doctor --json | jq -r 'select(.severity == "problem") | .what'
    """
)
@click.pass_obj
def doctor(invocation: Invocation) -> int:
    """Look for what is wrong with broker, queues and workers, and say what to do about it.

    Problems (tasks are lost or not run) and warnings (it may come to that) exit with 1; notes, which say what the
    server does not tell, do not. It reads at most a hundred tasks of each state of each queue, whatever they hold, and
    changes nothing.
    """
    from tq_core.roles import doctor as role

    findings = invocation.run(role.examine())
    out = invocation.out
    if out.is_json:
        out.records(
            {"code": f.code, "severity": f.severity, "subject": f.subject or None, "what": f.what, "cure": f.cure}
            for f in findings
        )
    for finding in () if out.is_json else findings:
        out.line(f"{out.paint(finding.severity.ljust(7), STYLES[finding.severity])}  {visible(finding.what)}")
        out.line(f"         {out.paint(visible(finding.cure), 'dim')}")
    is_wrong = any(f.severity != role.NOTE for f in findings)
    if not is_wrong:
        out.talk("tq: nothing is wrong")
    return ExitCode.FAILED if is_wrong else ExitCode.OK
