"""The services of compose.yaml as plain processes: its commands and its environment, on free ports of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.deploy.manifests import DEPLOY, compose
from tests.redis_servers import PrivateServer, free_port
from tests.waiting import wait_until

HERE = "127.0.0.1"
START_S = 20.0
PROGRAMS = Path(sys.executable).parent


class Service:
    """One service of ours, started as its container would start it, but for tini and the ports."""

    def __init__(self, name: str, redis: PrivateServer, folder: Path, **set_by_user: str) -> None:
        told = compose({"JAEGER_HOST": HERE, **set_by_user})["services"][name]
        self.port = free_port()
        self.environment = {
            "PATH": f"{PROGRAMS}:{os.defpath}",
            "HOME": str(folder),
            "HOSTNAME": socket.gethostname(),
            "TQ_REQUIRE_URL": "1",
            "HEALTH_URL": "http://127.0.0.1:9464/healthz",
            **{key: str(value) for key, value in told["environment"].items()},
            "REDIS_HOST": HERE,
            "REDIS_PORT": str(redis.port),
            # Nobody takes spans here, and to send none is told faster than to be refused.
            "OTEL_SDK_DISABLED": "true",
        }
        health = httpx.URL(self.environment["HEALTH_URL"])
        self.environment["HEALTH_URL"] = str(health.copy_with(port=self.port))
        own_port = {f":{health.port}": f"{HERE}:{self.port}", str(health.port): str(self.port), "0.0.0.0": HERE}
        self.argv = [own_port.get(word, word) for word in told["command"]]
        assert str(self.port) in " ".join(self.argv), f"{name} does not listen where its health is asked"
        self._log_file = folder / f"{name}.log"
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAMS / self.argv[0], *self.argv[1:]],
                env=self.environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.port}"

    @property
    def log(self) -> str:
        return self._log_file.read_text("utf-8", "replace")

    def health(self) -> subprocess.CompletedProcess[str]:
        """What the health check of the image says of it."""
        argv = (sys.executable, str(DEPLOY / "healthcheck.py"))
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=10, check=False)

    def wait_listening(self) -> None:
        def listens() -> bool:
            assert self.process.poll() is None, self.log
            with socket.socket() as probe:
                return probe.connect_ex((HERE, self.port)) == 0

        wait_until(listens, START_S, f"{self.argv} to listen")

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command beside it, as `exec` in its container does."""
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=30, check=False, cwd="/"
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=5, trust_env=False)

    def samples(self) -> list[Sample]:
        """A scrape."""
        text = self.get("/metrics").raise_for_status().text
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def stop(self, within_s: float = 20.0) -> int:
        """Asks it to end as an engine does, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class System:
    """A worker and a gateway at work on a Redis of their own."""

    def __init__(self, redis: PrivateServer, folder: Path) -> None:
        self.services = {name: Service(name, redis, folder) for name in ("worker", "gateway")}

    def wait_listening(self) -> None:
        for service in self.services.values():
            service.wait_listening()

    def submit(self, task_type: str, **payload: object) -> str:
        answer = httpx.post(
            self.services["gateway"].url + "/tasks",
            json={"task_type": task_type, "payload": payload},
            timeout=5,
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task_id"])

    def status(self, task_id: str) -> str:
        return str(self.services["gateway"].get(f"/tasks/{task_id}").raise_for_status().json()["status"])

    def wait_for(self, task_id: str, status: str) -> None:
        wait_until(lambda: self.status(task_id) == status, 15, f"{task_id} to be {status}")

    def wait_counted(self, *task_types: str) -> None:
        """Returns when the node shows these types, which its workers tell it about once a second."""

        def counted() -> bool:
            labels = [sample.labels for sample in self.services["worker"].samples()]
            return {each["type"] for each in labels if "type" in each} >= set(task_types)

        wait_until(counted, 15, f"{task_types} to be counted")

    def close(self) -> None:
        for service in self.services.values():
            service.close()
