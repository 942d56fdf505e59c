"""What Prometheus' own programs say of the configuration, of the alerts, of a scrape, and of every query."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.manifests import DEPLOY
from tests.deploy.running import HERE, System
from tests.deploy.test_queries import alerts, queries
from tests.redis_servers import free_port
from tests.waiting import wait_until
from tq_core import metric_names

pytestmark = pytest.mark.slow
SILENT_WHILE_ALL_IS_WELL = ("alert ", "Share of attempts that fail", "Nodes that started")
"""Queries that have an answer only when something is wrong, or just happened."""


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH; Debian has it in the package prometheus")
    return found


def promtool(*words: str, told: str = "") -> subprocess.CompletedProcess[str]:
    argv = (program("promtool"), *words)
    return subprocess.run(argv, input=told, capture_output=True, text=True, timeout=30, check=False)


def test_the_configuration_and_its_rules_are_accepted() -> None:
    done = promtool("check", "config", str(DEPLOY / "prometheus.yml"))

    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


def test_every_alert_fires_when_it_should_and_is_silent_while_all_is_well(tmp_path: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert set(rule.pop("annotations")) == {"summary", "action"}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    played = tmp_path / "alerts.test.yml"
    shutil.copy(Path(__file__).with_name("alerts.test.yml"), played)
    fired = {
        each["alertname"]: bool(each.get("exp_alerts"))
        for test in yaml.safe_load(played.read_text("utf-8"))["tests"]
        for each in sorted(test["alert_rule_test"], key=lambda each: bool(each.get("exp_alerts")))
    }

    done = promtool("test", "rules", str(played))

    assert done.returncode == 0, done.stderr
    assert fired == dict.fromkeys(alerts(), True)


def test_a_scrape_has_no_fault_but_names_that_others_gave(system: System) -> None:
    expected = {metric.name for metric in metric_names.NAMED_BY_OTHERS}
    for name, service in system.services.items():
        done = promtool("check", "metrics", told=service.get("/metrics").text)

        said = [line for line in done.stderr.splitlines() if line]
        wrong = {line.split()[0] for line in said}
        assert wrong == (expected if name == "gateway" else set()), done.stderr
        assert all('non-counter metrics should not have "_total" suffix' in line for line in said), done.stderr


def test_a_real_prometheus_scrapes_both_and_answers_every_query(system: System, tmp_path: Path) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        (found,) = job.pop("dns_sd_configs")
        job["static_configs"] = [{"targets": [f"{HERE}:{system.services[found['names'][0]].port}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    port = free_port()
    argv = (
        program("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={HERE}:{port}",
    )

    def ask(path: str, **parameters: str) -> Any:
        answer = httpx.get(f"http://{HERE}:{port}/api/v1/{path}", params=parameters, timeout=5, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def empty() -> list[str]:
        """Queries that have no answer yet; one that cannot be answered at all fails."""
        return [
            where
            for where, query in queries().items()
            if not ask("query", query=query)["result"] and not any(part in where for part in SILENT_WHILE_ALL_IS_WELL)
        ]

    def is_up() -> bool:
        try:
            return len(ask("query", query="up{job=~'tq-.*'} == 1")["result"]) == 2
        except httpx.TransportError:
            return False

    with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as prometheus:
        try:
            wait_until(is_up, 20, "both to be scraped")
            wait_until(lambda: not empty(), 20, "every query to have an answer")
            groups = ask("rules")["groups"]
            health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
            assert health == dict.fromkeys(alerts(), "ok"), json.dumps(groups)
            firing = {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]}
            assert not firing, firing
        finally:
            prometheus.terminate()
            prometheus.wait(20)
