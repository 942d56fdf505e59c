"""Tasks that wait for tasks of other queues, on real nodes: word comes at once, and outlives who carries it."""

from __future__ import annotations

import itertools
import signal
import statistics

from tests.daemon.site import Node, Site
from tq_core.model import TaskOptions
from tq_core.roles import audit, outbox

QUEUES = ("odd", "even")


def serve(site: Site, *queues: str) -> Node:
    return site.started("--queues", ",".join(queues))


def put_chain(site: Site, length: int, first: str | None = None) -> list[str]:
    """Tasks that run one after the other, each in the other queue than the one before."""
    chain = [first] if first else []
    while len(chain) < length:
        options = TaskOptions(depends_on=tuple(chain[-1:]))
        chain.append(site.put_with({"options": options}, "count", queue=QUEUES[len(chain) % 2], n=len(chain)))
    return chain


def check_whole(site: Site) -> None:
    assert site.driver.run(audit.audit()) == []
    assert site.driver.run(outbox.waiting(QUEUES)) == []


def test_a_chain_goes_from_queue_to_queue_without_waiting_for_upkeep(site: Site) -> None:
    serve(site, "odd")
    serve(site, "even")
    chain = put_chain(site, 21)

    views = [site.ended(task_id) for task_id in chain]

    assert [view.result for view in views] == list(range(1, 22))
    lags_ms = [b.started_at_ms - a.finished_at_ms for a, b in itertools.pairwise(views)]  # type: ignore[operator]
    assert statistics.median(lags_ms) < 250, lags_ms
    check_whole(site)


def test_chains_between_queues_end_whole_though_a_node_is_killed(site: Site) -> None:
    gate = site.gate()
    dying = serve(site, "odd", "even")
    firsts = [site.put("wait", queue="odd", gate=str(gate)) for _ in range(3)]
    for task_id in firsts:
        site.wait_started(task_id)
    chains = [put_chain(site, 5, first) for first in firsts] + [put_chain(site, 30) for _ in range(5)]
    site.ended(chains[-1][3])
    dying.signal(signal.SIGKILL)
    dying.wait()
    gate.touch()
    serve(site, "odd")
    serve(site, "even")

    for chain in chains:
        assert {site.ended(task_id, 30).state.value for task_id in chain} == {"completed"}, site.logs()
    check_whole(site)
