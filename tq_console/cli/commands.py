"""The shapes of our commands: shared options, help with examples, groups that load their commands when asked."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import click

from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value == "":
        # As by "$VARIABLE" that is not set: to go on with another broker would surprise.
        raise click.BadParameter("it is empty", context, parameter)
    if value and parameter.name:
        setattr(context.ensure_object(Invocation), parameter.name, value)


def _shared_option(flag: str, name: str, text: str, **settings: Any) -> click.Option:
    return click.Option([flag, name], expose_value=False, callback=_remember, help=text, **settings)


def _broker_options() -> list[click.Parameter]:
    return [
        _shared_option("--url", "url", "The broker: redis://…, rediss://…, unix://…, embedded://NAME. Beats TQ_URL."),
        _shared_option("--context", "context", "A broker named in the configuration file; see `tq config`."),
        _shared_option(
            "--unlock",
            "unlock",
            "Write to a protected context, and say why; this is written down. TQ_UNLOCK does the same.",
            metavar="REASON",
        ),
    ]


def _json_option() -> click.Option:
    return _shared_option("--json", "is_json", "Print JSON: one object, or one on each line of a list.", is_flag=True)


def _reveal_option() -> click.Option:
    return _shared_option(
        "--reveal",
        "is_revealed",
        "Show secrets instead of ***; this is written into the log of people's acts.",
        is_flag=True,
    )


class _WithExamples(click.Command):
    """A command whose help ends with examples."""

    examples: str

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what else is to be known, and the examples, as they stand."""
        del ctx
        for line in (self.epilog or "").splitlines():
            formatter.write(f"  {line}\n")
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"  {line}\n")


class Command(_WithExamples):
    """A command with the options that all commands share."""

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        has_broker: bool = True,
        has_json: bool = True,
        has_reveal: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = inspect.cleandoc(examples)
        if has_reveal:
            self.params.append(_reveal_option())
        if has_json:
            self.params.append(_json_option())
        if has_broker:
            self.params += _broker_options()


class Group(_WithExamples, click.Group):
    """Commands about one thing; knows what was meant when a name is mistyped."""

    command_class = Command

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = inspect.cleandoc(examples)
        self.params += [_json_option(), *_broker_options()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Answers a group without a command with its help, on stderr: nothing was asked for that could be data."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which they are best learnt."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands, each with the first line of its help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def summary(self, ctx: click.Context, name: str) -> str:
        """The first line of a command's help."""
        command = self.get_command(ctx, name)
        return (command.help or "").strip().partition("\n")[0] if command else ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command, or refuses with the nearest names."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=3)
            hint = f": did you mean {' or '.join(near)}?" if near else f": see `{ctx.command_path} --help`"
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are imported when they are called, so that each pays for itself only."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        """Makes the group.

        Args:
            args: As for click.Group.
            kwargs: As for click.Group.
            lazy: Name -> ("module:attribute", one line of help).
        """
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which they are best learnt."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def summary(self, ctx: click.Context, name: str) -> str:
        """The first line of a command's help, without importing the command."""
        return self._lazy[name][1] if name in self._lazy else super().summary(ctx, name)


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command with the shared options; `settings` as for Command."""
    return click.command(name, cls=Command, **settings)
