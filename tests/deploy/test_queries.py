"""Every query of alerts and dashboard names metrics, with labels, that a scrape of a worker or the gateway has."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.deploy.manifests import DEPLOY, compose, kubernetes_object
from tests.deploy.running import System
from tq_core import metric_names
from tq_core.metric_names import Metric

DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
OF_PROMETHEUS = {"up": {"job", "instance"}}
ADDED_BY_PROMETHEUS = {"job", "instance"}
WHERE = {
    "A node, `tq-worker --http`": {"worker"},
    "The gateway": {"gateway"},
    "Both": {"worker", "gateway"},
}
"""Headings of METRICS.md, and who shows what is below them."""
JOBS = {"tq-worker", "tq-gateway"}


def alerts() -> dict[str, str]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def panels(board: dict[str, Any]) -> dict[str, list[str]]:
    return {panel["title"]: [one["expr"] for one in panel.get("targets", [])] for panel in board["panels"]}


def filled_in(query: str) -> str:
    """A query as Grafana sends it."""
    return query.replace("$__rate_interval", "1m").replace("$queue", ".*")


def queries() -> dict[str, str]:
    found = {f"alert {name}": query for name, query in alerts().items()}
    for path in DASHBOARDS:
        board = json.loads(path.read_text("utf-8"))
        for title, exprs in panels(board).items():
            found |= {f"{path.stem}: {title} {i}": filled_in(expr) for i, expr in enumerate(exprs)}
        found |= {f"{path.stem}: {one['name']}": one["expr"] for one in board["annotations"]["list"]}
    (metric,) = kubernetes_object("HorizontalPodAutoscaler", "worker")["spec"]["metrics"]
    text = (DEPLOY / "k8s/deployment.yaml").read_text("utf-8")
    assert f"name: {{as: {metric['external']['metric']['name']}}}" in text
    found["scaler"] = text.partition("metricsQuery: ")[2].partition("\n")[0]
    return found


def selectors(query: str) -> list[Any]:
    """What a query reads."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def test_every_query_names_what_a_scrape_has(system: System) -> None:
    labels: dict[str, set[str]] = defaultdict(set)
    for service in system.services.values():
        for sample in service.samples():
            labels[sample.name] |= sample.labels.keys() | ADDED_BY_PROMETHEUS
    labels |= OF_PROMETHEUS

    read = {where: selectors(query) for where, query in queries().items()}

    assert all(read.values())
    for where, found in read.items():
        for one in found:
            assert one.name in labels, f"{where}: no scrape has {one.name}"
            asked = {matcher.name for matcher in one.matchers.matchers}
            assert asked <= labels[one.name], f"{where}: {one.name} has no {asked - labels[one.name]}"
    jobs = {m.value for found in read.values() for one in found for m in one.matchers.matchers if m.name == "job"}
    assert jobs <= JOBS | {"tq-.*"}


def test_worker_and_gateway_show_what_is_written_down_and_neither_speaks_for_the_other(system: System) -> None:
    of_all = {metric.name for metric in metric_names.SPOKEN_FOR_ALL}
    known = {metric.name for metric in vars(metric_names).values() if isinstance(metric, Metric)}
    shown = {name: {sample.name for sample in service.samples()} for name, service in system.services.items()}

    assert of_all <= shown["gateway"]
    assert not of_all & shown["worker"]
    for name, found in shown.items():
        plain = {re.sub("_(bucket|sum|count)$", "", one) for one in found}
        assert plain <= known, f"{name} shows {plain - known}, which tq_core/metric_names.py does not have"


def test_the_document_has_every_metric_where_it_is_shown(system: System) -> None:
    page = (DEPLOY / "METRICS.md").read_text("utf-8")
    shown = {name: {sample.name for sample in service.samples()} for name, service in system.services.items()}
    known = {metric.name: metric for metric in vars(metric_names).values() if isinstance(metric, Metric)}

    written = {
        title: re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
        for title, text in parts(page)
    }

    rows = [row for found in written.values() for row in found]
    assert sorted(rows) == sorted(
        (name, metric.kind, ", ".join(metric.labels) or "-", metric.help) for name, metric in known.items()
    )
    for title, found in written.items():
        for name, kind, _, _ in found:
            sample = f"{name}_count" if kind == "histogram" else name
            there = {service for service in shown if sample in shown[service]}
            assert there == WHERE[title], f"{name} is shown by {there}"
    for query in re.findall(r"^(\S.*?)   +\S.*$", page, re.MULTILINE):
        assert all(re.sub("_(bucket|sum|count)$", "", one.name) in known for one in selectors(query))


def parts(page: str) -> list[tuple[str, str]]:
    """The headings of a page that have tables, with what follows each."""
    return [(title, text) for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_can_show(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    fields = [
        (p["gridPos"]["x"] + dx, p["gridPos"]["y"] + dy)
        for p in board["panels"]
        for dx in range(p["gridPos"]["w"])
        for dy in range(p["gridPos"]["h"])
    ]
    provisioned = DEPLOY / "grafana/provisioning"
    sources = yaml.safe_load((provisioned / "datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((provisioned / "dashboards/tq.yml").read_text("utf-8"))["providers"]

    assert len(set(ids)) == len(ids)
    assert len(set(fields)) == len(fields)
    assert max(x for x, _ in fields) < 24
    names = {one["name"] for one in board["templating"]["list"]}
    used = {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
    assert (names, used) == ({"datasource", "queue"}, {"${datasource}"})
    (chosen,) = [one["current"]["value"] for one in board["templating"]["list"] if one["type"] == "datasource"]
    assert chosen in {source["uid"] for source in sources}
    services = compose()["services"]
    assert {source["url"].split("/")[2].split(":")[0] for source in sources} <= services.keys()
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
