"""Reads the files of deploy/ as the programs do that they are for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE, KUBERNETES = DEPLOY / "compose.yaml", DEPLOY / "k8s/deployment.yaml"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it is there: twenty times as fast
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class Told:
    """A command of ours and where it stands."""

    where: str
    argv: tuple[str, ...]


def compose(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """compose.yaml with its variables filled in, which compose does once it has read it: what was text stays text."""
    known = environ or {}

    def filled_in(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: known.get(found[1]) or found[2], value)
        if isinstance(value, list):
            return [filled_in(one) for one in value]
        return {key: filled_in(one) for key, one in value.items()} if isinstance(value, dict) else value

    found: dict[str, Any] = filled_in(yaml.load(COMPOSE.read_text("utf-8"), _LOADER))
    return found


def kubernetes() -> list[dict[str, Any]]:
    """The objects of the manifest, in order."""
    return list(yaml.load_all(KUBERNETES.read_text("utf-8"), _LOADER))


def kubernetes_object(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in kubernetes() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> dict[str, dict[str, Any]]:
    """The templates of pods, by the name of what makes them."""
    return {
        one["metadata"]["name"]: one["spec"]["template"] for one in kubernetes() if "template" in one.get("spec", {})
    }


def dockerfile() -> list[tuple[str, str]]:
    """The instructions with what is said to them, lines joined and comments left out."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def told_in_dockerfile(word: str) -> list[str]:
    """The list that CMD or ENTRYPOINT is."""
    (rest,) = [rest for found, rest in dockerfile() if found == word]
    words: list[str] = json.loads(rest)
    return words


def health_check() -> list[str]:
    (rest,) = [rest for found, rest in dockerfile() if found == "HEALTHCHECK"]
    words: list[str] = json.loads(rest.partition("CMD ")[2])
    return words


def units() -> list[Path]:
    return sorted((DEPLOY / "systemd").glob("*.service"))


def commands() -> list[Told]:
    """Every command of ours in deploy/."""
    found = [Told("Dockerfile", tuple(told_in_dockerfile("CMD")))]
    for name, service in compose()["services"].items():
        if "build" in service:
            found.append(Told(f"compose {name}", tuple(service["command"])))
    for name, pod in pods().items():
        for container in pod["spec"]["containers"]:
            if container["image"].startswith("tq:"):
                assert container["command"][:2] == ["tini", "--"], name
                found.append(Told(f"k8s {name}", tuple(container["command"][2:])))
            hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
            if hook[:2] == ["sh", "-c"]:
                found.append(Told(f"k8s {name} preStop", tuple(shlex.split(hook[2]))))
    for unit in units():
        (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
        program, *rest = line.split()
        found.append(Told(f"systemd {unit.name}", (Path(program).name, *rest)))
    return found
