"""Tasks whose arguments and results are sealed, through real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tq_core.keyspace import sealing
from tq_core.keyspace.sealing import Sealing


@pytest.fixture
def keys_file(tmp_path: Path) -> Iterator[Path]:
    """A file with one key, by which this process seals too."""
    path = tmp_path / "payload.keys"
    path.write_text(sealing.new_key_line("first") + "\n")
    sealing.use(Sealing(keys=sealing.read_keys(path), compress_above_bytes=64))
    yield path
    sealing.use(None)


def stored(site: Site) -> bytes:
    """All that Redis holds of the tasks' arguments and results."""
    raw = site.driver.raw
    return b"".join(value for part in ("bodies", "records") for value in raw.hgetall(site.driver.key(part)).values())


def test_encrypted_tasks_run_in_every_way_and_nothing_of_them_can_be_read_in_redis(site: Site, keys_file: Path) -> None:
    site.start(env={"TQ_PAYLOAD_KEYS_FILE": str(keys_file)})
    ids = [site.put(kind, n=1234567) for kind in ("count", "count_plain", "count_isolated")]

    assert site.all_ended() == {"completed": 3}
    views = [site.view(task_id) for task_id in ids]
    assert [view.args for view in views] == [{"n": 1234567}] * 3
    assert [views[0].result, views[1].result, views[2].result["n"]] == [1234568, 1234568, 1234568]
    assert b"123456" not in stored(site)

    sealing.use(Sealing())
    view = site.view(ids[0])
    assert (view.args, view.result) == (None, None)
    assert "'first'" in view.payload_text
    assert "'first'" in view.result_note


def test_what_a_worker_cannot_open_goes_to_the_dlq_with_the_reason(site: Site, keys_file: Path) -> None:
    other = keys_file.with_name("other.keys")
    other.write_text(sealing.new_key_line("other") + "\n")
    node = site.started(env={"TQ_PAYLOAD_KEYS_FILE": str(other)})
    sealed = site.put("count", n=1)
    sealing.use(Sealing())
    plain = site.put("count", n=2)

    assert site.all_ended() == {"failed": 2}
    for task_id, word in ((sealed, "'first'"), (plain, "not encrypted")):
        error = site.view(task_id).error
        assert error is not None
        assert error["reason"] == "payload_refused"
        assert word in error["message"]
    assert site.runs() == {}
    assert node.process.poll() is None


def test_a_node_whose_keys_cannot_be_read_does_not_start(site: Site, tmp_path: Path) -> None:
    node = site.start(env={"TQ_PAYLOAD_KEYS_FILE": str(tmp_path / "nowhere")})

    assert node.wait(20.0) != 0
    assert "cannot be read" in node.log
