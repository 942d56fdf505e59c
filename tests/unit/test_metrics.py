"""Metrics: text that Prometheus reads, sums that never go back, and a bounded number of series."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tq_core import metric_names
from tq_core.exposition import Exposition
from tq_core.metric_names import MAX_LABELLED, OTHER, Metric
from tq_worker import counted, frames
from tq_worker.settings import http_address
from tq_worker.supervisor.node_metrics import NodeMetrics

HOSTILE = 'a"b\\c\nd{e="f"} 1\x1b é'
ALL = [metric for metric in vars(metric_names).values() if isinstance(metric, Metric)]


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_names_are_those_that_were_promised_and_each_is_there_once() -> None:
    names = [metric.name for metric in ALL]

    assert {"task_completions_total", "task_duration_seconds", "task_retries_total"} <= set(names)
    assert {"task_submissions_total", "tasks_in_dlq_total", "active_workers_total", "pending_tasks_total"} <= set(names)
    assert len(set(names)) == len(names)
    odd = [metric for metric in ALL if (metric.kind == "counter") != metric.name.endswith("_total")]
    assert odd == list(metric_names.NAMED_BY_OTHERS)
    assert all((metric.kind == "histogram") == bool(metric.bounds) for metric in ALL)


def test_what_stands_in_labels_and_help_cannot_become_a_line_of_its_own() -> None:
    hostile = Metric(name="x_total", kind="counter", help=HOSTILE, labels=("a", "b"))
    out = Exposition()
    out.add(hostile, [((HOSTILE, "plain"), 3), (("", "\\"), 0.25)])

    text = out.text()

    assert len(text.splitlines()) == 4
    (family,) = text_string_to_metric_families(text.decode())
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"a": HOSTILE, "b": "plain"}, 3),
        ({"a": "", "b": "\\"}, 0.25),
    ]


def test_buckets_of_a_histogram_are_cumulative() -> None:
    out = Exposition()
    out.add_histogram(Metric(name="h", kind="histogram", help="-", bounds=(0.1, 1, 60)), [((), [1, 0, 2, 4], 300.5)])

    found = samples(out.text())

    buckets = {labels[0][1]: value for (name, labels), value in found.items() if name == "h_bucket"}
    assert buckets == {"0.1": 1, "1": 1, "60": 3, "+Inf": 7}
    assert (found["h_count", ()], found["h_sum", ()]) == (7, 300.5)


class FakeNode:
    """What is shown of a node beside its counts."""

    seats: tuple[Any, ...] = ()
    slots = restarts = started_at_ms = 0
    is_paused = False

    class pulse:  # noqa: N801 - an attribute of the node
        is_reached, reconnects = True, 0


def said(completed: int, queue: str = "q", task_type: str = "t") -> frames.Counted:
    row = counted.new_row()
    row[counted.COMPLETED] = completed
    line = frames.encode(frames.Counted(rows=[(queue, task_type, row)]))
    frame = frames.decode_for_supervisor(line)
    assert isinstance(frame, frames.Counted)
    return frame


def completions(metrics: NodeMetrics) -> dict[tuple[str, str], float]:
    found = samples(metrics.text(FakeNode()))  # type: ignore[arg-type]
    return {
        (dict(labels)["queue"], dict(labels)["type"]): value
        for (name, labels), value in found.items()
        if name == "task_completions_total"
    }


def test_sums_outlive_workers_and_bear_repetition() -> None:
    metrics = NodeMetrics()
    seen = []
    for worker, count in (("w1", 5), ("w1", 5), ("w2", 2), ("w1", 8), ("w1", None), ("w3", 1), ("w2", 3)):
        if count is None:
            metrics.gone(worker)
        else:
            metrics.heard(worker, said(count))
        seen.append(completions(metrics)["q", "t"])
    metrics.heard("w3", frames.Counted(rows=[("q", "t", [1.0])]))  # not a row

    assert seen == [5, 5, 7, 10, 10, 11, 12]
    assert completions(metrics) == {("q", "t"): 12}


def test_types_beyond_the_limit_share_one_series() -> None:
    metrics = NodeMetrics()
    for n in range(MAX_LABELLED + 50):
        metrics.heard(f"w{n % 3}", said(1, task_type=f"t{n}"))
    metrics.crashed("q", "late", is_dead_lettered=True)

    found = completions(metrics)

    assert len(found) == MAX_LABELLED + 1
    assert found[OTHER, OTHER] == 50
    assert sum(found.values()) == MAX_LABELLED + 50


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 9464),
        ("localhost:0", "localhost", 0),
        (":8000", "", 8000),
        ("::1", "::1", 9464),
        ("[::1]:80", "::1", 80),
        ("[::]", "::", 9464),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert http_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["9464", "a:", "a:b", "a:65536", "a:-1", "a:²", "[::1", "[::1]x", "http://a:1", "a b", "", "a\x1b:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no host|is not|no port"):
        http_address(text)
