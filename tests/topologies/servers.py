"""Several servers that belong together: a cluster, a primary with its replica and Sentinels, a server with TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_servers import PrivateServer
from tests.waiting import wait_until
from tq_core.broker.binaries import ServerBinary

SLOTS = 16384
SERVICE = "main"
DOWN_AFTER_MS = 800


def client(server: PrivateServer) -> Any:
    """A plain client of one server."""
    return redis.Redis(unix_socket_path=str(server.socket_path), retry=Retry(NoBackoff(), 0), protocol=2)


class Cluster:
    """Three primaries that share the slots, each with a replica where it is told so."""

    def __init__(self, binary: ServerBinary, *, has_replicas: bool = False) -> None:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "1500", "cluster-replica-validity-factor": "0"}
        count = 6 if has_replicas else 3
        self.servers = [PrivateServer(binary, options=options) for _ in range(count)]

    @property
    def url(self) -> str:
        """Its address, by two of its nodes."""
        places = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{places}"

    def start(self) -> None:
        """Starts the nodes and returns when they serve every slot."""
        for server in self.servers:
            server.start()
        bounds = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for n, server in enumerate(self.servers):
            with client(server) as one:
                one.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
                if n < 3:
                    one.execute_command("CLUSTER ADDSLOTS", *range(bounds[n], bounds[n + 1]))
                one.execute_command("CLUSTER MEET", "127.0.0.1", self.servers[0].port)
        wait_until(lambda: all(self._knows(server) for server in self.servers), 20, "the nodes to know one another")
        for n, server in enumerate(self.servers[3:]):
            with client(server) as one:
                one.execute_command("CLUSTER REPLICATE", self.id_of(self.servers[n]))
        if len(self.servers) > 3:
            wait_until(self._is_replicated, 20, "the replicas to follow")

    def id_of(self, server: PrivateServer) -> str:
        with client(server) as one:
            found: bytes = one.execute_command("CLUSTER MYID")
        return found.decode()

    def server_of_slot(self, slot: int) -> PrivateServer:
        """The server that has a slot now, by what the first of them knows."""
        for server in self.servers:
            with client(server) as one:
                for first, last, primary, *_ in _slots(one):
                    if first <= slot <= last:
                        return next(s for s in self.servers if s.port == primary[1])
        raise AssertionError(f"nobody serves the slot {slot}")

    def flush(self) -> None:
        for server in self.servers[:3]:
            server.flush()

    def remove(self) -> None:
        for server in self.servers:
            server.remove()

    def _knows(self, server: PrivateServer) -> bool:
        with client(server) as one:
            state: bytes | str = one.execute_command("CLUSTER INFO")
            text = state.decode() if isinstance(state, bytes) else str(state)
            served = sum(last - first + 1 for first, last, *_ in _slots(one))
        return ("cluster_state:ok" in text or "'cluster_state': 'ok'" in text) and served == SLOTS

    def _is_replicated(self) -> bool:
        for server in self.servers[3:]:
            with client(server) as one:
                role = one.execute_command("ROLE")
                if role[0] != b"slave" or role[3] != b"connected":
                    return False
        with client(self.servers[0]) as one:
            return all(len(entry) > 3 for entry in _slots(one))


def _slots(one: Any) -> list[Any]:
    found: list[Any] = one.execute_command("CLUSTER SLOTS")
    return found


class SentinelSet:
    """A primary, a replica and three Sentinels that watch them."""

    def __init__(self, binary: ServerBinary, *, password: str = "") -> None:
        self._binary = binary
        self._auth = {"requirepass": password, "masterauth": password} if password else {}
        self.password = password
        self.data = [PrivateServer(binary, options=self._auth) for _ in range(2)]
        self.sentinels: list[PrivateServer] = []

    @property
    def url(self) -> str:
        """Its address, by all of its Sentinels."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/{SERVICE}"

    def start(self) -> None:
        """Starts all and returns when each Sentinel knows the others and the replica."""
        primary, replica = self.data
        primary.start()
        replica.start()
        with client(replica) as one:
            one.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
        wait_until(lambda: self._follows(replica), 20, "the replica to follow")
        for _ in range(3):
            conf = (
                f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
            )
            sentinel = PrivateServer(self._binary, sentinel=conf)
            self.sentinels.append(sentinel)
            sentinel.start()
        wait_until(self._is_agreed, 30, "the Sentinels to know one another")

    def primary_port(self) -> int:
        """Which port the Sentinels say is the primary's."""
        with client(self.sentinels[0]) as one:
            _, port = one.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(port)

    @property
    def primary(self) -> PrivateServer:
        return next(server for server in self.data if server.port == self.primary_port())

    def remove(self) -> None:
        for server in [*self.sentinels, *self.data]:
            server.remove()

    def _follows(self, replica: PrivateServer) -> bool:
        with client(replica) as one:
            role = one.execute_command("ROLE")
        return bool(role[0] == b"slave" and role[3] == b"connected")

    def _is_agreed(self) -> bool:
        for sentinel in self.sentinels:
            with client(sentinel) as one:
                flat = one.execute_command("SENTINEL MASTER", SERVICE)
            facts = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
            told = {_text(name): _text(value) for name, value in facts.items()}
            if told.get("num-other-sentinels") != "2" or told.get("num-slaves") != "1":
                return False
        return True


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Certificates:
    """An authority, and a certificate of 127.0.0.1 by it, made with the openssl command."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.certificate, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        authority_key, request, names = folder / "ca.key", folder / "request", folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        new = "-newkey rsa:2048 -nodes -days 2"
        by_authority = f"-CA {self.authority} -CAkey {authority_key} -CAcreateserial -days 2 -extfile {names}"
        for line in (
            f"req -x509 {new} -keyout {authority_key} -out {self.authority} -subj /CN=test-ca",
            f"req {new} -keyout {self.key} -out {request} -subj /CN=localhost",
            f"x509 -req -in {request} {by_authority} -out {self.certificate}",
        ):
            subprocess.run(["openssl", *line.split()], check=True, capture_output=True, timeout=60)

    def options(self, port: int) -> dict[str, str]:
        """What a server is told to speak TLS on a port; clients must show a certificate of the authority too."""
        return {
            "tls-port": str(port),
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.authority),
        }
