"""Which nodes a command is for: by id, the end of an id, a name, a tag, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tq_console.cli.invocation import Invocation

if TYPE_CHECKING:
    from tq_core.roles.registry import Fleet, Member


class Choice(NamedTuple):
    """What was said of the nodes that are meant."""

    nodes: tuple[str, ...]
    is_all: bool
    tags: tuple[str, ...]


def choosing_nodes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds [NODE]..., --all and --tag to a command, which gets them as `nodes`, `is_all` and `tags`."""
    command = click.option(
        "--tag",
        "tags",
        metavar="TAG",
        multiple=True,
        help="The live nodes with this tag; with several, with all of them.",
    )(command)
    command = click.option("--all", "is_all", is_flag=True, help="All live nodes.")(command)
    return click.argument("nodes", metavar="[NODE]...", nargs=-1)(command)


def chosen(invocation: Invocation, choice: Choice) -> list[str]:
    """The ids of the nodes that are meant.

    Raises:
        click.UsageError: it is not said, or in two ways.
        NotFoundError: there is none.
        InvalidInputError: a name could be several, or a tag is none.
    """
    from tq_core.errors import NotFoundError
    from tq_core.names import check_tag
    from tq_core.roles import registry

    if sum(map(bool, choice)) != 1:
        raise click.UsageError("name nodes, or give --tag or --all; one of the three", click.get_current_context())
    tags = [check_tag(tag) for tag in choice.tags]
    fleet = invocation.run(registry.fleet())
    if choice.nodes:
        return list(dict.fromkeys(match_id(fleet.nodes, name, what="node") for name in choice.nodes))
    found = [node.id for node in fleet.nodes if node.health != "lost"]
    if not found:
        raise NotFoundError("there is no live node: start one with `tq-worker MODULE`")
    if tags:
        found = _tagged(fleet, tags)
    if not found:
        raise NotFoundError(f"no live node has the tag {' and '.join(tags)}: see `tq workers list`")
    return found


def _name_in(member_id: str) -> str:
    """The name of the node in its id, NAME-PID-RANDOM, or in that of one of its workers."""
    return member_id.partition(".")[0].rsplit("-", 2)[0]


def _tagged(fleet: Fleet, tags: Sequence[str]) -> list[str]:
    return [
        node.id for node in fleet.nodes if node.health != "lost" and set(tags) <= set(getattr(node.info, "tags", ()))
    ]


def worker_named(invocation: Invocation, name: str) -> str:
    """The id of the worker that is meant."""
    from tq_core.roles import registry

    return match_id(invocation.run(registry.fleet()).workers, name, what="worker")


def match_id(members: Sequence[Member], name: str, *, what: str) -> str:
    """The id that is meant: itself, or the only one that ends like this or belongs to the node of this name.

    Of several, one that lives is meant rather than those that are lost: a node that died keeps its name for an hour.

    Raises:
        NotFoundError: none is.
        InvalidInputError: several are.
    """
    from tq_core.errors import InvalidInputError, NotFoundError
    from tq_core.names import nearest

    known = [member.id for member in members]
    if name in known:
        return name
    found = [member_id for member_id in known if name and member_id.endswith(name)]
    if not found and name:
        named = [member_id for member_id in known if _name_in(member_id) == name]
        found = [member_id for member_id in named if member_id.rpartition(".")[0] not in named]
    live = {member.id for member in members if member.health != "lost"}
    found = [member_id for member_id in found if member_id in live] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInputError(f"{name!r} could be {' or '.join(found[:5])}: write more of the id")
    near = nearest(name, known)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `tq workers list`"
    raise NotFoundError(f"there is no {what} {name!r}: {hint}")
