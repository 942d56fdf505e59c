"""A program that uses the embedded broker as it is told to on its standard input; the tests run several at once.

One JSON object a line: {"do": "open", "name": ..., "linger_s": ...}, {"do": "close"}, {"do": "revive"}, {"do": "incr"},
{"do": "start_child"}. One JSON object answers each. The end of the input ends the program.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

import redis

from tq_core.broker import EmbeddedLease, open_embedded
from tq_core.errors import TqError


class User:
    """Holds at most one lease."""

    def __init__(self) -> None:
        self.lease: EmbeddedLease | None = None
        self.child: subprocess.Popen[bytes] | None = None

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order.pop("do"):
            case "open":
                self.lease = open_embedded(order.pop("name", "default"), **order)
                return self.seen()
            case "revive":
                self.held().revive()
                return self.seen()
            case "close":
                self.held().close()
                return {}
            case "incr":
                with redis.Redis.from_url(self.held().url) as client:
                    return {"value": client.incr("counter")}
            case "start_child":
                # A program started with every descriptor that may be inherited.
                self.child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
                return {"pid": self.child.pid}
        raise ValueError(order)

    def held(self) -> EmbeddedLease:
        if self.lease is None:
            raise RuntimeError("open it first")
        return self.lease

    def seen(self) -> dict[str, Any]:
        lease = self.held()
        with redis.Redis.from_url(lease.url) as client:
            # Whoever comes first leaves a mark in the server, which tells one server from the next.
            client.set("mark", uuid.uuid4().hex, nx=True, px=3_600_000)
            run_id = client.info()["run_id"] if lease.kept else client.get("mark").decode()
        return {"url": lease.url, "version": lease.server_version, "is_kept": lease.kept, "run_id": run_id}


def main() -> None:
    user = User()
    for line in sys.stdin:
        try:
            answer = user.obey(json.loads(line))
        except TqError as error:
            answer = {"error": error.code, "message": error.message}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
