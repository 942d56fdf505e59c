"""A TCP proxy before a server that loses requests, loses answers, and answers in the server's place.

What it does wrong is told request by request: each rule waits for the next request that holds its bytes, and is then
used up. So a test says exactly which request is hit, and nothing depends on time.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 1 << 20


@dataclass
class Rule:
    """What happens to one request that holds `needle`."""

    needle: bytes
    kind: str
    """lose_request: the server never gets it; lose_answer: it does, and the answer is lost; answer: the proxy answers
    in its place; rewrite: the server's answer is changed; freeze: it is held back until the proxy is closed."""
    answer: bytes = b""
    replaced: bytes = b""


class FaultyProxy:
    """Listens on a port of 127.0.0.1 and passes everything on to the server, except where a rule says otherwise."""

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._rules: list[Rule] = []
        self._requests: list[bytes] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self.latency_s = 0.0
        """How long each request is held back."""
        self.reset_share = 0.0
        """Share of requests whose connection is cut, half of them before the server gets them."""
        self.is_black_hole = False
        """Nothing goes through in either direction, and no connection is closed."""
        self.cut: frozenset[str] = frozenset()
        """Directions that are cut: "to_server", "to_client". What is sent meanwhile arrives when the cut is over,
        however late, as TCP would send it again: in order, and also where its sender has given up."""
        self._chance = random.Random(7)
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose_request(self, needle: bytes) -> None:
        """Cuts the connection instead of passing the next such request on."""
        self._add(Rule(needle, "lose_request"))

    def lose_answer(self, needle: bytes) -> None:
        """Passes the next such request on, waits until the server has answered, and cuts the connection."""
        self._add(Rule(needle, "lose_answer"))

    def answer(self, needle: bytes, answer: bytes) -> None:
        """Answers the next such request itself; the server never gets it."""
        self._add(Rule(needle, "answer", answer))

    def rewrite(self, needle: bytes, old: bytes, new: bytes) -> None:
        """Changes the server's answer to the next such request."""
        self._add(Rule(needle, "rewrite", new, old))

    def freeze(self, needle: bytes) -> None:
        """Neither passes the next such request on nor answers it."""
        self._add(Rule(needle, "freeze"))

    def switch(self, port: int) -> None:
        """Has another server behind it from now on, as after a failover; all connections are cut."""
        self._upstream = ("127.0.0.1", port)
        self.cut_all()

    def cut_all(self) -> None:
        """Cuts every connection there is."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def count(self, needle: bytes) -> int:
        """How many requests that hold these bytes came in."""
        with self._lock:
            return sum(needle in request for request in self._requests)

    @property
    def unused_rules(self) -> list[Rule]:
        return list(self._rules)

    def close(self) -> None:
        self._is_closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._is_closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._upstream, 5) as server:
            with self._lock:
                self._open.add(client)
            try:
                self._pass_on(client, server)
            finally:
                with self._lock:
                    self._open.discard(client)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        rule: Rule | None = None
        for source, data in self._arriving(client, server):
            if self.is_black_hole:
                continue
            if source is client:
                rule = self._rule_for(data)
                if self.latency_s:
                    time.sleep(self.latency_s)  # noqa: TID251 - the network is to be slow
                if self._chance.random() < self.reset_share:
                    if self._chance.random() < 0.5:
                        server.sendall(data)
                    return
                if rule and rule.kind == "lose_request":
                    return
                if rule and rule.kind == "answer":
                    client.sendall(rule.answer)
                elif rule is None or rule.kind != "freeze":
                    server.sendall(data)
            elif rule and rule.kind == "lose_answer":
                return
            elif rule and rule.kind == "rewrite" and rule.replaced in data:
                client.sendall(data.replace(rule.replaced, rule.answer))
                rule = None
            else:
                client.sendall(data)

    def _arriving(self, client: socket.socket, server: socket.socket) -> Iterator[tuple[socket.socket, bytes]]:
        while not self._is_closed.is_set():
            cut = self.cut
            open_sources = [s for s, way in ((client, "to_server"), (server, "to_client")) if way not in cut]
            readable, _, _ = select.select(open_sources, [], [], 0.05)
            for source in readable:
                data = source.recv(_CHUNK)
                if not data:
                    return
                yield source, data

    def _rule_for(self, request: bytes) -> Rule | None:
        with self._lock:
            self._requests.append(request)
            for n, rule in enumerate(self._rules):
                if rule.needle in request:
                    return self._rules.pop(n)
        return None
