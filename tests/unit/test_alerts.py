"""Alert rules: read with positions, measured from facts, fired and cleared by a clock, posted with patience."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.tui import scenes
from tests.waiting import wait_until
from tq_console.alerts.book import CLEAR_AFTER_S, GAP_S, AlertBook
from tq_console.alerts.config import Alert, alerts_of, masked_webhook
from tq_console.alerts.measuring import measure, value_words
from tq_console.alerts.rule import LONGEST, METRICS, parse_rule
from tq_console.alerts.webhook import WAITING_MAX, Webhooks
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet

# --- rules ---


def test_a_rule_is_read() -> None:
    rule = parse_rule("  oldest( mail )  >   2m for 30s ")
    assert (rule.metric, rule.queue, rule.operator, rule.limit, rule.for_s) == ("oldest", "mail", ">", 120_000, 30)
    assert rule.text == "oldest( mail ) > 2m for 30s"
    rule = parse_rule("depth(web-*)>=1.5k")
    assert (rule.queue, rule.operator, rule.limit, rule.for_s, rule.is_pattern) == ("web-*", ">=", 1500, 0, True)
    assert parse_rule("failures(mail) > 5% for 1m").limit == pytest.approx(0.05)
    assert parse_rule("out < 60/m").limit == pytest.approx(1)
    assert (parse_rule("workers < 2").queue, parse_rule("dlq > 100").is_pattern) == (None, False)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("", 1, "one of oldest"),
        ("bogus > 1", 1, "one of oldest"),
        ("oldest(mail > 2m", 13, '")"'),
        ("oldest() > 2m", 8, "name of a queue"),
        ("dlq 5", 5, "one of >= <= > <"),
        ("dlq >", 6, "a number"),
        ("dlq > -5", 7, "a number"),
        ("dlq > 5m", 8, "units: k M"),
        ("oldest > 10", 12, "a duration"),
        ("failures > 5", 13, "a share"),
        ("dlq > 5 now", 9, '"for"'),
        ("dlq > 5 for", 12, "a duration"),
        ("dlq > 5 for 1m more", 16, "nothing more"),
        ("dlq > 5 \x1b[31m", 9, '"for"'),
    ],
)
def test_what_is_no_rule_is_said_so_with_its_place(text: str, at: int, expected: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_rule(text)
    assert f"at character {at}: expected " in caught.value.message
    assert expected in caught.value.message


def test_any_text_is_a_rule_or_a_typed_error() -> None:
    for text in ("dlq" * 100, "(" * LONGEST, ">" * 50, "dlq > 1e309", "dlq > 9" * 20, "é > 1"):
        with pytest.raises(InvalidInputError):
            parse_rule(text)


# --- what they measure ---

QUEUES = (
    scenes.queue(
        "mail", depths={TaskState.PENDING: 5, TaskState.FAILED: 3}, oldest_ms=90_000,
        minutes={0: {"completed": 30, "failures": 10, "enqueued": 60}},
    ),
    scenes.queue("mail-bulk", depths={TaskState.PENDING: 7}, oldest_ms=5_000),
    scenes.queue("web"),
)  # fmt: skip
FLEET = Fleet(
    now_ms=scenes.NOW_MS,
    nodes=(scenes.node("a"), scenes.node("b", queues=("web",), silent_ms=40_000)),
    workers=(scenes.worker("a.0", queues=("mail",)), scenes.worker("a.1", queues=("mail", "web"))),
)


@pytest.mark.parametrize(
    ("text", "value", "queue", "words"),
    [
        ("oldest > 1s", 90_000, None, "1 m 30 s"),
        ("oldest(mail-bulk) > 1s", 5_000, "mail-bulk", "5 s"),
        ("oldest(mail*) > 1s", 90_000, "mail", "1 m 30 s"),
        ("oldest(mail*) < 1s", 5_000, "mail-bulk", "5 s"),
        ("oldest(web) > 1s", 0, "web", "0 ms"),
        ("depth > 1", 12, None, "12"),
        ("dlq(mail) > 1", 3, "mail", "3"),
        ("running > 1", 0, None, "0"),
        ("retrying > 1", 0, None, "0"),
        ("workers < 2", 2, None, "2"),
        ("workers(web) < 2", 1, "web", "1"),
        ("workers(nobody) < 2", 0, "nobody", "0"),
        ("nodes(web) < 2", 0, "web", "0"),
        ("failures(mail) > 5%", 0.25, "mail", "25%"),
        ("out(mail) < 9/s", 30 / 60, "mail", "30.0/m"),
        ("in > 1/s", 1.0, None, "1.0/s"),
    ],
)
def test_a_rule_measures_what_it_names(text: str, value: float, queue: str | None, words: str) -> None:
    rule = parse_rule(text)
    found = measure(rule, QUEUES, FLEET)
    assert found is not None
    if rule.metric in ("in", "out"):
        assert found.value == pytest.approx(value, rel=0.5)
    else:
        assert found.value == pytest.approx(value)
        assert value_words(rule.metric, found.value) == words
    assert found.queue == queue


def test_what_is_not_known_meets_no_rule() -> None:
    for text in ("oldest(none) < 1s", "dlq(none*) < 5", "failures(web) < 50%", "failures(none) > 0%"):
        assert measure(parse_rule(text), QUEUES, FLEET) is None
    assert set(METRICS) >= {"oldest", "depth", "dlq", "workers", "failures"}


# --- over time ---


class Past:
    """A book of one alert, and what happened to it second by second."""

    def __init__(self, text: str, **settings: Any) -> None:
        self.book = AlertBook([Alert(parse_rule(text), **settings)])
        self.now_s = 1000.0

    def see(self, pending: int, *, after_s: float = 1.0) -> list[str]:
        self.now_s += after_s
        now_ms = scenes.NOW_MS + round(self.now_s * 1000)
        stats: QueueStats = scenes.queue("mail", depths={TaskState.PENDING: pending})
        fleet = Fleet(now_ms=now_ms, nodes=(), workers=())
        return [event.word for event in self.book.look([stats], fleet, now_s=self.now_s)]


def test_an_alert_fires_once_when_its_rule_was_met_long_enough() -> None:
    past = Past("depth > 10 for 3s", name="full")
    assert [past.see(11) for _ in range(3)] == [[], [], []]
    assert past.book.states[0].is_met
    assert past.see(12) == ["fired"]
    assert [past.see(13) for _ in range(3)] == [[], [], []]
    (state,) = past.book.firing
    assert state.text == "full: depth > 10 for 3s: 13"
    assert state.since_ms == scenes.NOW_MS + 1_004_000


def test_a_moment_in_between_begins_the_wait_anew() -> None:
    past = Past("depth > 10 for 3s")
    for pending in (11, 11, 11, 9, 11, 11, 11):
        assert past.see(pending) == []
    assert past.see(11) == ["fired"]


def test_an_alert_is_over_when_it_was_well_for_a_while_so_that_it_does_not_ring_at_its_limit() -> None:
    past = Past("depth > 10")
    assert past.see(11) == ["fired"]
    for _ in range(5):
        assert past.see(10) == []
        assert past.see(11) == []
    assert past.see(10) == []
    assert past.see(10, after_s=CLEAR_AFTER_S) == ["cleared"]
    assert past.book.firing == []
    assert [event.word for event in past.book.log] == ["fired", "cleared"]
    assert past.see(11) == ["fired"]
    assert past.book.log[0].text == "alert fired: depth > 10: 11"


def test_time_without_facts_counts_for_nothing() -> None:
    past = Past("depth > 10 for 20s")
    assert past.see(11) == []
    assert past.see(11, after_s=GAP_S + 10) == []
    for _ in range(19):
        assert past.see(11) == []
    assert past.see(11) == ["fired"]
    # Nor for its end.
    assert past.see(1) == []
    assert past.see(1, after_s=GAP_S + 10) == []
    assert past.see(1, after_s=CLEAR_AFTER_S) == ["cleared"]


# --- configuration ---


def test_the_configuration_says_who_is_told() -> None:
    found = alerts_of(
        {
            "alert_webhook": "https://hooks.example.org/all",
            "alert_bell": False,
            "alerts": [
                {"when": "dlq > 1"},
                {"when": "dlq > 2", "context": "prod", "bell": True, "webhook": "", "name": "n"},
                {"when": "dlq > 3", "webhook": "http://127.0.0.1:8/x"},
            ],
        }
    )
    assert found.problems == ()
    assert [(a.has_bell, a.webhook, a.name, a.context) for a in found.alerts] == [
        (False, "https://hooks.example.org/all", "", None),
        (True, None, "n", "prod"),
        (False, "http://127.0.0.1:8/x", "", None),
    ]
    assert [a.rule.limit for a in found.of(None)] == [1, 3]
    assert [a.rule.limit for a in found.of("prod")] == [1, 2, 3]
    assert "hooks" not in repr(found)
    assert masked_webhook("https://u:p@hooks.example.org:8443/T0/secret?k=1") == "https://hooks.example.org:8443/…"


def test_what_is_wrong_in_the_configuration_is_said_without_secrets_and_the_rest_counts() -> None:
    found = alerts_of(
        {
            "alert_webhook": "ftp://secret",
            "alert_bell": "yes",
            "alerts": [
                {"when": "dlq >"},
                {"wen": "dlq > 1"},
                "dlq",
                {"when": "dlq > 1", "bell": 1, "name": 5, "webhook": "https://"},
                {"when": "dlq > 1", "context": 5},
                {"when": "dlq > 9"},
            ],
        }
    )
    assert [a.rule.limit for a in found.alerts] == [1, 9]
    text = "\n".join(found.problems)
    for part in ("alert_webhook", "alert_bell", "number 1: 'dlq >', at character", "'wen' is no field", "number 3",
        "number 4: bell", "number 4: name", "number 4: webhook", "number 5: context"):  # fmt: skip
        assert part in text
    assert "secret" not in text
    assert alerts_of({"alerts": {"when": "dlq > 1"}}).problems
    assert len(alerts_of({"alerts": [{"when": "dlq > 1"}] * 150}).alerts) == 100


# --- posts ---


class Hook(HTTPServer):
    """Takes posts; answers with what it is told to, then with 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: list[int] = []
        self.got: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/token"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.shutdown()
    server.server_close()


def test_an_event_is_posted_again_until_it_is_taken_and_what_is_refused_is_told(hook: Hook) -> None:
    told: list[str] = []
    posts = Webhooks(on_failure=told.append, waits_s=(0.01, 0.01))
    past = Past("depth > 10", webhook=hook.url)
    assert past.see(11) == ["fired"]
    (event,) = past.book.log

    hook.answers = [503, 429]
    posts.post(event, "prod")
    wait_until(lambda: len(hook.got) == 3, 10, "the third try")
    assert hook.got[2] == {
        "alert": "depth > 10", "name": "", "state": "fired", "text": "alert fired: depth > 10: 11", "broker": "prod",
        "metric": "depth", "queue": None, "value": 11.0, "limit": 10.0, "at_ms": event.at_ms,
    }  # fmt: skip
    hook.answers = [404]
    posts.post(event, "prod")
    wait_until(lambda: told, 10, "the refusal")
    hook.answers = [500] * 3
    posts.post(event, "prod")
    wait_until(lambda: len(told) == 2, 10, "it to be given up")
    assert "HTTP 404" in told[0]
    assert "HTTP 500" in told[1]
    assert len(hook.got) == 7
    assert not any("token" in text for text in told)
    posts.close(timeout_s=5)


def test_an_address_that_answers_nothing_holds_nobody_up() -> None:
    told: list[str] = []
    posts = Webhooks(on_failure=told.append, waits_s=(30.0,))
    past = Past("depth > 10", webhook="http://127.0.0.1:9/nobody")
    past.see(11)
    for _ in range(WAITING_MAX + 5):
        posts.post(past.book.log[0], "prod")
    assert any("posts are waiting" in text for text in told)
    posts.close(timeout_s=0)
    # Without a webhook there is not even a thread.
    silent = Past("depth > 10")
    silent.see(11)
    before = threading.active_count()
    quiet = Webhooks(on_failure=told.append)
    quiet.post(silent.book.log[0], "prod")
    assert threading.active_count() == before
    quiet.close()
