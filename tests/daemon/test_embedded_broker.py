"""A node on the broker that tq brings along, with Redis and with the stand-in that is used where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.site import Site
from tq_core.broker import open_embedded


@pytest.mark.parametrize("server", ["", "fakeredis"])
def test_a_node_runs_every_kind_of_task_on_the_embedded_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    if server:
        monkeypatch.setenv("TQ_REDIS_SERVER", server)
    with open_embedded("nodes") as lease:
        site = Site(lease.url, tmp_path)
        node = site.started("--url", "embedded://nodes", "--slots", "4")
        ids = site.put_many("count", 50) + site.put_many("count_plain", 50) + site.put_many("count_isolated", 3)
        stubborn = site.put("wait_in_python", gate=str(site.gate()))
        site.wait_started(stubborn)
        site.cancel(stubborn, kill=True)

        assert site.all_ended() == {"completed": 103, "cancelled": 1}
        assert site.runs() == dict.fromkeys([*ids, stubborn], 1)
        assert ("NOT KEPT" in node.log) is bool(server)
        site.close()
