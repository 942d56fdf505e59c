"""`tq completion`: what makes a shell complete our commands and options."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation

SHELLS = ("bash", "zsh", "fish")


@command(
    has_broker=False,
    has_json=False,
    examples="""
        echo 'eval "$(tq completion bash)"' >> ~/.bashrc
        echo 'eval "$(tq completion zsh)"' >> ~/.zshrc
        tq completion fish > ~/.config/fish/completions/tq.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_obj
def completion(invocation: Invocation, shell: str) -> None:
    """Print the script that makes a shell complete tq's commands and options."""
    from click.shell_completion import get_completion_class

    from tq_console.cli.main import COMPLETION_VARIABLE, tq

    found = get_completion_class(shell)
    assert found is not None, shell
    invocation.out.line(found(tq, {}, "tq", COMPLETION_VARIABLE).source())
