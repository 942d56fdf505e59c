"""The manifests: valid by the schemas of what reads them, and at one with themselves and with one another."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import (
    COMPOSE,
    DEPLOY,
    ROOT,
    compose,
    dockerfile,
    kubernetes,
    kubernetes_object,
    pods,
    told_in_dockerfile,
    units,
)

LEAVES_WITHIN_S = 30
"""What a node takes beyond --drain-timeout; see tq_worker/supervisor/exposure.py."""
KUBERNETES_VERSIONS = ("1.29", kubernetes_validate.latest_version())
FROM_OUTSIDE = ("redis", "prom/prometheus", "grafana/grafana", "jaegertracing/all-in-one")


def test_compose_file_is_what_its_schema_asks_and_a_wrong_word_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("stop_grace_period:", "stop_grace:"))
    argv = (
        sys.executable,
        "-m",
        "check_jsonschema",
        "--verbose",
        "--output-format",
        "json",
        "--builtin-schema",
        "vendor.compose-spec",
    )

    done = subprocess.run((*argv, str(COMPOSE), str(wrong)), capture_output=True, text=True, timeout=30, check=False)

    said = json.loads(done.stdout)
    assert said["successes"] == [str(COMPOSE)], done.stdout
    assert all("stop_grace" in error["message"] for error in said["errors"])


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_objects_are_what_their_schemas_ask_and_a_wrong_word_is_found(version: str) -> None:
    for one in kubernetes():
        kubernetes_validate.validate(one, version, strict=True)

    wrong = kubernetes_object("Deployment", "worker")
    wrong["spec"]["template"]["spec"]["terminationGraceSeconds"] = 100
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_kubernetes_has_what_was_promised_in_one_namespace() -> None:
    found = {(one["kind"], one["metadata"]["name"]) for one in kubernetes()}

    assert ("Namespace", "task-queue") in found
    assert {("Deployment", name) for name in ("worker", "gateway", "dashboard", "prometheus", "jaeger")} <= found
    assert {(kind, "worker") for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler")} <= found
    assert {one["metadata"].get("namespace") for one in kubernetes() if one["kind"] != "Namespace"} == {"task-queue"}
    # kubectl port-forward svc/gateway 8000:5000, svc/dashboard 5001:5001
    ports = {name: kubernetes_object("Service", name)["spec"]["ports"][0]["port"] for name in ("gateway", "dashboard")}
    assert ports == {"gateway": 5000, "dashboard": 5001}


def test_every_service_budget_policy_and_reference_finds_what_it_names() -> None:
    templates = pods()
    maps = {one["metadata"]["name"]: one["data"] for one in kubernetes() if one["kind"] == "ConfigMap"}
    for one in kubernetes():
        kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
        if kind == "Service":
            (template,) = [
                pod for pod in templates.values() if spec["selector"].items() <= pod["metadata"]["labels"].items()
            ]
            offered = {port[key] for c in template["spec"]["containers"] for port in c["ports"] for key in port}
            assert all(port.get("targetPort", port["port"]) in offered for port in spec["ports"]), name
        elif kind in ("Deployment", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("selector") or spec["podSelector"]
            assert selector["matchLabels"].items() <= templates[name]["metadata"]["labels"].items(), name
    target = kubernetes_object("HorizontalPodAutoscaler", "worker")["spec"]["scaleTargetRef"]
    assert kubernetes_object(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    claimed = kubernetes_object("StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
    for name, pod in templates.items():
        volumes = pod["spec"].get("volumes", [])
        mounted = {mount["name"] for c in pod["spec"]["containers"] for mount in c.get("volumeMounts", [])}
        there = {volume["name"] for volume in volumes}
        assert mounted == there | ({claim["metadata"]["name"] for claim in claimed} if name == "redis" else set())
        assert all(volume["configMap"]["name"] in maps for volume in volumes if "configMap" in volume)
        for container in pod["spec"]["containers"]:
            assert all(source["configMapRef"]["name"] in maps for source in container.get("envFrom", []))
            for variable in container.get("env", []):
                wanted = variable.get("valueFrom", {}).get("configMapKeyRef")
                assert wanted is None or wanted["key"] in maps[wanted["name"]]


def test_pods_run_as_nobody_special_with_probes_and_limits() -> None:
    for name, pod in pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        # Else a service called redis would have REDIS_PORT say tcp://....
        assert spec["enableServiceLinks"] is False, name
        for container in spec["containers"]:
            locked = container["securityContext"]
            assert (locked["allowPrivilegeEscalation"], locked["readOnlyRootFilesystem"]) == (False, True), name
            assert locked["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert "readinessProbe" in container, name
            probes = [container[key] for key in container if key.endswith("Probe")]
            named = {port["name"] for port in container["ports"]}
            asked = {probe[how]["port"] for probe in probes for how in ("httpGet", "tcpSocket") if how in probe}
            assert asked <= named, name


def test_a_worker_is_given_the_time_that_it_says_it_needs() -> None:
    pod = pods()["worker"]["spec"]
    (container,) = pod["containers"]
    service = compose()["services"]["worker"]
    (unit,) = [path.read_text("utf-8") for path in units() if path.name == "tq-worker.service"]

    def drain_s(words: list[str]) -> int:
        return int(words[words.index("--drain-timeout") + 1])

    assert pod["terminationGracePeriodSeconds"] >= drain_s(container["command"]) + LEAVES_WITHIN_S
    assert int(service["stop_grace_period"].removesuffix("s")) >= drain_s(service["command"]) + LEAVES_WITHIN_S
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) >= drain_s(unit.split()) + LEAVES_WITHIN_S


def test_what_prometheus_has_in_kubernetes_is_what_it_has_elsewhere() -> None:
    data = kubernetes_object("ConfigMap", "prometheus")["data"]
    elsewhere = (DEPLOY / "prometheus.yml").read_text("utf-8")

    assert data["alerts.yml"] == (DEPLOY / "alerts.yml").read_text("utf-8")
    assert data["prometheus.yml"] == elsewhere.replace("names: [gateway]", "names: [gateway-pods]")
    # The names and ports that are scraped: services of compose, and services without an address of their own.
    for text, known in ((elsewhere, compose()["services"]), (data["prometheus.yml"], None)):
        for job in yaml.safe_load(text)["scrape_configs"]:
            (found,) = job["dns_sd_configs"]
            (name,) = found["names"]
            if known is not None:
                assert name in known
            else:
                spec = kubernetes_object("Service", name)["spec"]
                assert (spec["clusterIP"], spec["ports"][0]["port"]) == ("None", found["port"])


def test_compose_publishes_on_loopback_only_and_keeps_every_task() -> None:
    services = compose()["services"]

    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port.rpartition(":")[2] for port in published} >= {"8000", "5001", "9090", "3000", "16686"}
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "127.0.0.1:5001:5001" in services["dashboard"]["ports"]
    # Several of a service that is named, or has a port of this machine, could not be.
    assert not {"container_name", "ports"} & services["worker"].keys()
    for words in (services["redis"]["command"], pods()["redis"]["spec"]["containers"][0]["args"]):
        told = dict(itertools.pairwise(words))
        assert (told["--appendonly"], told["--maxmemory-policy"]) == ("yes", "noeviction")
    folders = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert all((DEPLOY / folder).exists() for folder in folders if folder.startswith("."))
    assert {folder for folder in folders if not folder.startswith(".")} == set(compose()["volumes"])


def test_compose_reads_what_other_systems_set() -> None:
    told = {"JAEGER_HOST": "spans.example", "MAX_RETRIES": "7", "WORKER_APP": "shop.tasks", "TQ_IMAGE": "shop"}
    plain, set_otherwise = compose()["services"], compose(told)["services"]

    assert plain["worker"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://jaeger:4318"
    assert plain["worker"]["command"][:2] == ["tq-worker", "--samples"]
    for name in ("gateway", "worker"):
        assert set_otherwise[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://spans.example:4318"
        assert set_otherwise[name]["environment"]["MAX_RETRIES"] == "7"
        assert set_otherwise[name]["image"] == "shop"
    assert set_otherwise["worker"]["command"][:2] == ["tq-worker", "shop.tasks"]


def test_images_from_outside_are_of_a_named_version_and_the_same_everywhere() -> None:
    images = [service["image"] for service in compose()["services"].values() if "build" not in service]
    images += [
        c["image"] for pod in pods().values() for c in pod["spec"]["containers"] if not c["image"].startswith("tq:")
    ]

    for image in images:
        name, _, version = image.partition(":")
        assert name in FROM_OUTSIDE
        assert re.match(r"v?\d+\.\d+", version), image
    assert len(set(images)) == len(FROM_OUTSIDE)


def test_the_image_is_made_of_what_is_here_and_runs_as_nobody_special() -> None:
    said = dockerfile()
    stages = [i for i, (word, _) in enumerate(said) if word == "FROM"]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]

    assert len(stages) == 2
    for word, rest in said:
        sources = rest.split()[:-1]
        if word == "COPY" and not rest.startswith("--from="):
            assert all((ROOT / source).exists() and f"!{source}" in ignored for source in sources), rest
    (named,) = re.findall(r"\)\[([\w,]+)\]", " ".join(rest for word, rest in said if word == "RUN"))
    assert set(named.split(",")) == {"encryption", "fast", "gateway", "tracing", "web"} <= extras.keys()
    assert ("USER", "10001:10001") in said[stages[1] :]
    assert told_in_dockerfile("ENTRYPOINT") == ["tini", "--"]
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(packages["packages"]) <= {rest.split()[0] for word, rest in said if word == "COPY"}


def test_nothing_is_found_in_the_dockerfile_and_something_in_a_wrong_one(tmp_path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    wrong = tmp_path / "Dockerfile"
    wrong.write_text((DEPLOY / "Dockerfile").read_text("utf-8").replace("USER 10001:10001", "USER root"))

    done = subprocess.run(
        (hadolint, "--no-color", "--format", "json", str(DEPLOY / "Dockerfile"), str(wrong)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert {found["file"] for found in json.loads(done.stdout)} == {str(wrong)}, done.stdout


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_systemd_accepts_its_units(unit: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    # The programs are not where a unit says: put any in their place.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/srv/app/\.venv/bin/\S+", "/bin/true", unit.read_text("utf-8")))

    done = subprocess.run((program, "verify", str(copy)), capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
