"""Handlers that fork: the copy that comes back out of the handler is no worker and tells no end."""

from __future__ import annotations

from tests.daemon.site import Site

CODES = {"pool": 0, "returns": 0, "exits": 7, "fails": 1}


def test_a_process_that_a_handler_forked_ends_where_the_handler_does(site: Site) -> None:
    node = site.started(app="forking_tasks")
    for kind in ("in_thread", "in_process", "in_loop"):
        for how, code in CODES.items():
            view = site.ended(site.put(kind, how=how))
            assert view.result == code, (kind, how, view.error)
    assert "draining" not in node.log, "a SIGTERM for a process that a handler forked was heard by the worker"
    assert site.node_info(node).restarts == 0
