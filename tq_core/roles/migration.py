"""Leads queues from one version of their keys to the next, in steps that may stop anywhere and be run again.

A step is idempotent and goes in chunks, so that no call holds up the server. Only when nothing is left to do is the new
version written down, in one script that does it once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import msgspec

from tq_core.errors import BrokerError, RefusedError
from tq_core.keyspace import keys, wire
from tq_core.roles import registry
from tq_core.transport.steps import Flow, Script

CHUNK = 500
PASSES_MAX = 5

Progress = Callable[[int], None]
MigrationStep = Callable[[str, Progress | None, bool], Flow[int]]
"""Brings one queue's keys to the next version; with True it only counts what it would change."""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration did, or would do, to one queue."""

    queue: str
    from_version: int
    to_version: int
    changed: int
    """Tasks."""


def _group_failed(queue: str, on_progress: Progress | None, is_dry: bool) -> Flow[int]:
    prefix = keys.queue_prefix(queue)
    if is_dry:
        _, _, _, left = yield Script("migrate_groups", prefix, (0, 0))
        return int(left)
    changed, left = 0, 0
    # Ranks move up while tasks are discarded meanwhile: what was passed over is found in the next pass.
    for _ in range(PASSES_MAX):
        rank: int | None = 0
        while rank is not None:
            _, grouped, following, remaining = yield Script("migrate_groups", prefix, (rank, CHUNK))
            changed, left = changed + int(grouped), int(remaining)
            rank = int(following) if following != b"" else None
            if on_progress is not None:
                on_progress(changed)
        if left <= 0:
            return changed
    raise BrokerError(f"{left} failed tasks of {queue!r} are in no group still: stop old workers and run it again")


STEPS: dict[int, MigrationStep] = {1: _group_failed}
"""Version -> what leads from it to the next."""


def migrate(
    queues: Sequence[str] | None = None,
    *,
    actor: str,
    is_dry: bool = False,
    is_forced: bool = False,
    on_progress: Progress | None = None,
) -> Flow[list[Migrated]]:
    """Brings queues to this version's keys; those that are there already are left out of what is returned.

    It may be stopped at any point and run again, by several at once too.

    Args:
        queues: All when None.
        is_dry: Only count what would be changed.
        is_forced: Also while workers of an older version serve one of the queues.

    Raises:
        SchemaTooNewError: a newer tq wrote one of them; nothing was written.
        RefusedError: live workers are of an older version; nothing was written.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    versions = yield from registry.schemas(queues)
    for queue, version in versions.items():
        if version > keys.SCHEMA_VERSION:
            raise registry.too_new(queue, version)
    old = {queue: version for queue, version in versions.items() if version < keys.SCHEMA_VERSION}
    if old and not is_dry and not is_forced:
        yield from _refuse_old_nodes(set(old))
    out = []
    for queue, version in old.items():
        changed = 0
        for step in range(version, keys.SCHEMA_VERSION):
            now = yield from STEPS[step](queue, on_progress, is_dry)
            changed += now
            if not is_dry:
                detail = wire.encode_detail({"by": actor, "from": step, "to": step + 1})
                args = (step, step + 1, actor, secrets.token_hex(6), detail, now)
                yield Script("set_schema", keys.queue_prefix(queue), args)
        out.append(Migrated(queue=queue, from_version=version, to_version=keys.SCHEMA_VERSION, changed=changed))
    return out


def _refuse_old_nodes(queues: set[str]) -> Flow[None]:
    fleet = yield from registry.fleet()
    old = [
        member.id
        for member in fleet.nodes
        if member.health != "lost"
        and isinstance(member.info, registry.NodeInfo)
        and member.info.schema < keys.SCHEMA_VERSION
        and queues.intersection(member.info.queues)
    ]
    if old:
        raise RefusedError(
            f"{len(old)} live nodes are of an older version ({', '.join(old[:5])}): stop or upgrade them first, or "
            "--force; nothing was changed"
        )
