"""A small shop and the last quarter of an hour of its queues, lived through by the flows that tq itself runs.

Nothing that the pictures show is made up by them: every number was counted by the scripts, from these tasks. What is
fixed are the clock and the chance behind ids and durations.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Literal, TypeVar
from unittest import mock

import fakeredis
from fakeredis import _msgs as fake_words

from tests.queue_driver import Clock
from tq_core import RetryPolicy, TaskQueue, ids
from tq_core.model import NewTask, TaskState
from tq_core.roles import consumer, inspector, maintenance, operator, producer, registry, schedules
from tq_core.roles.consumer import Ack, ClaimedTask
from tq_core.roles.registry import NodeInfo, SlotInfo, WorkerInfo
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import SyncRunner
from tq_core.transport.steps import Flow

T = TypeVar("T")

NOW_MS = 1_715_679_760_000
"""2024-05-14 09:42:40 UTC."""
MINUTES = 16
TICK_MS = 10_000
VERSION = "0.1.0"
CODE = "shop-4f1c2a9"
QUEUES = ("billing", "images", "mail", "reports", "webhooks")


# --- its tasks ---

tq = TaskQueue("memory://shop-types")


@tq.task(queue="mail", timeout_s=30)
def send_receipt(to: str, order: str, template: Literal["plain", "gift"] = "plain", copies: int = 1) -> str:
    """Mail the receipt of an order to its buyer."""
    return f"{template} {order} {to} {copies}"


@tq.task(queue="webhooks", retry=RetryPolicy(max_attempts=3), timeout_s=15)
def deliver_webhook(url: str, event: str, order: str) -> int:
    """Tell a partner what happened to an order."""
    return len(url + event + order)


@tq.task(queue="images", timeout_s=300)
def make_thumbnails(image: str, sizes: list[int]) -> int:
    """Scale a picture to each of the sizes."""
    return len(image) + len(sizes)


@tq.task(queue="images", isolate=True, timeout_s=900)
def transcode_video(video: str, quality: Literal["low", "high"] = "low") -> str:
    """Make a video small enough for phones."""
    return video + quality


@tq.task(queue="reports", timeout_s=120)
def sales_report(day: str, region: str = "all") -> str:
    """Write the sales of a day as a table."""
    return day + region


@tq.task(queue="billing", timeout_s=60)
def charge_subscription(customer: str, amount_cents: int, api_key: str) -> str:
    """Charge a customer's card for another month."""
    return f"{customer} {amount_cents} {api_key}"


TYPES = (send_receipt, deliver_webhook, make_thumbnails, transcode_video, sales_report, charge_subscription)


# --- what goes wrong ---

REFUSED = {
    "type": "httpx.ConnectError",
    "message": "[Errno 111] Connection refused",
    "traceback": """\
Traceback (most recent call last):
  File "/srv/shop/tasks/webhooks.py", line 41, in deliver_webhook
    answer = client.post(url, json=body, headers=signed(body))
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/clients/http.py", line 27, in post
    return self._client.post(url, **options)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/venv/lib/python3.11/site-packages/httpx/_transports/default.py", line 118, in map_httpcore_exceptions
    raise mapped_exc(message) from exc
httpx.ConnectError: [Errno 111] Connection refused
""",
    "host": "rook",
    "code_version": CODE,
}
TIMED_OUT = {
    "type": "TimeoutError",
    "message": "no answer within 15 s",
    "traceback": """\
Traceback (most recent call last):
  File "/srv/shop/tasks/webhooks.py", line 41, in deliver_webhook
    answer = client.post(url, json=body, headers=signed(body))
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
TimeoutError: no answer within 15 s
""",
    "host": "rook",
    "code_version": CODE,
}
NO_IMAGE = {
    "type": "PIL.UnidentifiedImageError",
    "message": "cannot identify image file 'uploads/8841.heic'",
    "traceback": """\
Traceback (most recent call last):
  File "/srv/shop/tasks/images.py", line 63, in make_thumbnails
    with Image.open(path) as picture:
         ^^^^^^^^^^^^^^^^
PIL.UnidentifiedImageError: cannot identify image file 'uploads/8841.heic'
""",
    "host": "crow",
    "code_version": CODE,
}
NO_MAILBOX = {
    "type": "smtplib.SMTPRecipientsRefused",
    "message": "550 no such user: nobody@example.net",
    "traceback": """\
Traceback (most recent call last):
  File "/srv/shop/tasks/mail.py", line 29, in send_receipt
    server.send_message(message)
smtplib.SMTPRecipientsRefused: 550 no such user: nobody@example.net
""",
    "host": "rook",
    "code_version": CODE,
}
KILLED = {"type": "WorkerDied", "message": "its process was killed by SIGSEGV", "signal": "SIGSEGV", "host": "crow"}


# --- its machines ---

ROOK, CROW, WREN = "rook-4127-9be2", "crow-2290-51c7", "wren-811-a3f1"
ROOKS = tuple(f"{ROOK}.{n}" for n in (1, 2, 3))
CROWS = tuple(f"{CROW}.{n}" for n in (1, 2))
WRENS = (f"{WREN}.1",)


@contextlib.contextmanager
def _same_ids(clock: Clock, chance: random.Random) -> Iterator[None]:
    """Makes ids of the given clock and chance instead of the machine's."""
    noise = SimpleNamespace(getrandbits=lambda bits: int.from_bytes(chance.randbytes(bits // 8)))
    time = SimpleNamespace(time_ns=lambda: clock.now_ms * 1_000_000)
    # The entries of streams have ids of the server's time, which are times on screen.
    of_server = SimpleNamespace(time=lambda: clock.now_ms / 1000)
    with (
        mock.patch.object(ids, "_noise", noise),
        mock.patch.object(ids, "time", time),
        mock.patch("fakeredis.model._stream.time", of_server),
    ):
        yield


class Shop:
    """Queues and workers on a server of their own, in this process."""

    def __init__(self) -> None:
        """Makes an empty one, of the moment NOW_MS."""
        self.server = fakeredis.FakeServer(version=(6, 2), server_type="redis")
        self.clock = Clock(NOW_MS)
        self.endpoint = Endpoint(
            display="redis://queue.shop.example:6379",
            open_async=lambda _timeout_s, _is_shared: fakeredis.FakeAsyncRedis(server=self.server, protocol=2),
            open_sync=lambda _timeout_s: fakeredis.FakeRedis(server=self.server, protocol=2),
            clock_ms=self.clock,
        )
        self._runner = SyncRunner(self.endpoint)
        self._chance = random.Random(20)
        self._nonces = itertools.count(1)
        self._orders = itertools.count(70_412)
        self._done: dict[str, list[int]] = {}
        self._running: dict[str, list[tuple[ClaimedTask, int]]] = {}
        """By worker: what it runs, and since when."""

    @classmethod
    def empty(cls) -> Shop:
        """Before its first task."""
        return cls()

    @classmethod
    def busy(cls) -> Shop:
        """After a quarter of an hour in which a partner went away and a machine died."""
        shop = cls()
        shop.clock.now_ms = NOW_MS - MINUTES * 60_000
        with _same_ids(shop.clock, shop._chance):
            shop._live()
        assert shop.clock.now_ms == NOW_MS
        return shop

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """The server does not answer meanwhile; what its clients say is what those of a real one do."""
        said = "Error 111 connecting to queue.shop.example:6379. Connection refused."
        self.server.connected = False
        try:
            with mock.patch.object(fake_words, "CONNECTION_ERROR_MSG", said):
                yield
        finally:
            self.server.connected = True

    def run(self, flow: Flow[T]) -> T:
        return self._runner.run(flow)

    # --- a quarter of an hour ---

    def _live(self) -> None:
        self.run(registry.publish_types([task.published() for task in TYPES]))
        for queue in QUEUES:
            self.run(registry.register_queue(queue))
        self._schedules()
        self._early_days()
        ticks = MINUTES * 60_000 // TICK_MS
        for tick in range(ticks - 1):
            self._tick(tick, left=ticks - tick)
            self.clock.now_ms = NOW_MS - (ticks - tick - 1) * TICK_MS
        self._last_moments()

    def _schedules(self) -> None:
        """What the code declares to be done again and again, and what people have added."""
        ping = {"url": "https://partner.example/ping", "event": "ping", "order": "-"}
        cron: dict[str, Any] = {"cron": "0 8 * * 1-5", "tz": "Europe/Rome", "missed": "once", "overlap": False}
        declared = [
            schedules.new_schedule("morning-sales", "sales_report", {"day": "yesterday"}, queue="reports", **cron),
            schedules.new_schedule("partner-ping", "deliver_webhook", ping, queue="webhooks", every_s=300, jitter_s=20),
        ]
        self.run(schedules.declare(declared, is_start=True))
        charge = {"customer": "all", "amount_cents": 1900, "api_key": "sk-live-51f0"}
        added = schedules.new_schedule("month-end", "charge_subscription", charge, queue="billing", cron="@monthly")
        self.run(schedules.add(added, actor="ops@deck"))
        (view,) = (found for found in self.run(schedules.schedules(["billing"])) if found.name == "month-end")
        self.run(schedules.pause(view, actor="ops@deck", why="until the bank has raised its limit"))

    def _early_days(self) -> None:
        """What was there before: subscriptions to come, and a few failures of the morning."""
        self.run(operator.configure_queue("images", {"max_size": 5000}, actor="ops@deck"))
        for number in range(14):
            args = {"customer": f"c-{880 + 37 * number}", "amount_cents": 1900, "api_key": "sk-live-51f0"}
            task = producer.new_task("charge_subscription", args, delay_s=20 * 60 + 260 * number)
            self.run(producer.enqueue("billing", [task]))
        self._break("mail", [self._receipt() for _ in range(3)], NO_MAILBOX, verdict="fatal", reason="fatal")
        mistaken = self._put("mail", [self._receipt(delay_s=3600) for _ in range(4)])
        self.run(operator.cancel(mistaken, actor="ops@deck", why="test orders"))

    def _tick(self, tick: int, *, left: int) -> None:
        """Ten seconds."""
        is_partner_away = left <= 34
        self._put("mail", [self._receipt() for _ in range(44 + self._chance.randrange(16) + 14 * (tick % 31 > 24))])
        self._put("webhooks", [self._webhook() for _ in range(14 + self._chance.randrange(8))])
        self._put("images", [self._picture() for _ in range(7 + self._chance.randrange(4))])
        if tick % 2 == 0:
            region = ("north", "south", "east", "west")[tick // 2 % 4]
            self._put("reports", [producer.new_task("sales_report", {"day": "2024-05-13", "region": region})])
        if tick == 9:
            self.run(operator.pause_queue("reports", actor="oncall@deck", why="numbers of May 13 are wrong"))
        if left == 52:
            self._crash_alone(self._picture(image="uploads/8850.tiff"))
        if left == 41:
            self._break("images", [self._picture(image="uploads/8841.heic")], NO_IMAGE, verdict="fatal", reason="fatal")
        if left == 16:
            failed = self.run(inspector.page("webhooks", TaskState.FAILED, limit=6)).tasks
            self.run(operator.requeue([task.id for task in failed], actor="ops@deck", why="partner says it is back"))
        self.clock.advance(self._chance.randrange(200, 1200))
        if left == 7:
            # The machine that dies holds these; they are given back when their leases have run out.
            assert len(self._claim("webhooks", WRENS[0], 2)) == 2
        self._serve("mail", ROOKS, limit=120, usual_ms=180)
        self._serve(
            "webhooks",
            ROOKS if left <= 7 else (*ROOKS, *WRENS),
            limit=40,
            usual_ms=260,
            failing=0.42 if is_partner_away else 0.0,
        )
        self._serve("images", CROWS, limit=9 if left > 26 else 4, usual_ms=4200)
        self._serve("reports", ROOKS, limit=5, usual_ms=1500)
        if left == 19:
            args = {"video": "uploads/tour.mov", "quality": "high"}
            self._put("images", [producer.new_task("transcode_video", args, priority="high")])
            self._start("images", CROWS[0], 1)
        self._renew()
        self.run(schedules.tick(QUEUES))
        self.run(maintenance.upkeep(QUEUES))

    def _last_moments(self) -> None:
        """What runs now, what waits now, and what the machines say of themselves."""
        for ran_ms, queue, worker_id, number in (
            (9_300, "images", CROWS[0], 2),
            (6_800, "images", CROWS[1], 3),
            (2_400, "images", CROWS[1], 4),
            (1_900, "webhooks", ROOKS[0], 3),
            (1_100, "webhooks", ROOKS[2], 2),
            (240, "mail", ROOKS[0], 4),
            (110, "mail", ROOKS[1], 6),
            (60, "mail", ROOKS[2], 3),
        ):
            self.clock.now_ms = NOW_MS - ran_ms
            if queue == "mail":
                self._put("mail", [self._receipt() for _ in range(number + 3)])
            if queue == "webhooks":
                self._put("webhooks", [self._webhook() for _ in range(number + 2)])
            self._start(queue, worker_id, number)
        self.clock.now_ms = NOW_MS - 400
        self._renew()
        self._say()
        self.clock.now_ms = NOW_MS

    def _renew(self) -> None:
        """A lease is renewed every ten seconds while its worker lives."""
        held = [task for tasks in self._running.values() for task, _ in tasks]
        self.run(consumer.extend([(task.queue, task.id, task.token) for task in held]))

    def _say(self) -> None:
        """Heartbeats: of the living a moment ago, of the dead one when it was last heard."""
        types = {task.name: task.queue for task in TYPES}
        for node_id, pid, slots, worker_ids, queues, silent_ms in (
            (ROOK, 4127, 8, ROOKS, ("mail", "webhooks", "billing", "reports"), 700),
            (CROW, 2290, 8, CROWS, ("images",), 1_300),
            (WREN, 811, 4, WRENS, ("webhooks",), 66_000),
        ):
            self.clock.now_ms = NOW_MS - silent_ms
            node = NodeInfo(
                node_id=node_id,
                host=node_id.partition("-")[0],
                pid=pid,
                processes=len(worker_ids),
                slots=slots,
                worker_ids=worker_ids,
                queues=queues,
                types=tuple(sorted(name for name, queue in types.items() if queue in queues)),
                started_at_ms=NOW_MS - 3 * 86_400_000 - pid * 1000,
                tq_version=VERSION,
                code_version=CODE,
                python="3.11",
                restarts=1 if node_id == CROW else 0,
            )
            self.run(registry.heartbeat(node))
            for number, worker_id in enumerate(worker_ids, start=1):
                completed, failed = self._done.get(worker_id, [0, 0])
                held = self._running.get(worker_id, [])
                info = WorkerInfo(
                    worker_id=worker_id,
                    node_id=node_id,
                    pid=pid + number,
                    slots=slots,
                    running=tuple(self._slot(task, since_ms) for task, since_ms in held),
                    queues=queues,
                    completed=completed,
                    failed=failed,
                    started_at_ms=NOW_MS - 3 * 86_400_000 - pid * 1000 + number * 1000,
                    loop_lag_ms=2 + number,
                    rss_bytes=(61 + 9 * number + (140 if node_id == CROW else 0)) << 20,
                    cpu_percent=float(12 + 7 * number + (55 if node_id == CROW else 0)),
                )
                self.run(registry.heartbeat(info))

    def _slot(self, task: ClaimedTask, since_ms: int) -> SlotInfo:
        name = task.header.task_type if task.header else ""
        is_video = name == transcode_video.name
        return SlotInfo(
            task_id=task.id,
            type=name,
            queue=task.queue,
            started_at_ms=since_ms,
            is_alone=is_video,
            progress=0.62 if is_video else None,
        )

    # --- what producers do ---

    def _put(self, queue: str, tasks: Sequence[NewTask]) -> list[str]:
        return [done.task_id for done in self.run(producer.enqueue(queue, tasks))]

    def _receipt(self, **options: Any) -> NewTask:
        order = next(self._orders)
        name = self._chance.choice(
            ("buyer1", "buyer2", "buyer3", "buyer4", "buyer5", "buyer6", "buyer7", "buyer8", "buyer9", "buyer10")
        )
        return producer.new_task("send_receipt", {"to": f"{name}@example.com", "order": f"o-{order}"}, **options)

    def _webhook(self) -> NewTask:
        event = self._chance.choice(("order.paid", "order.paid", "order.sent", "order.returned"))
        order = f"o-{next(self._orders)}"
        args = {"url": "https://hooks.example.net/v2/orders", "event": event, "order": order}
        return producer.new_task("deliver_webhook", args, max_attempts=3)

    def _picture(self, image: str = "") -> NewTask:
        image = image or f"uploads/{self._chance.randrange(8000, 9999)}.jpg"
        return producer.new_task("make_thumbnails", {"image": image, "sizes": [120, 480, 1080]})

    # --- what workers do ---

    def _claim(self, queue: str, worker_id: str, limit: int) -> list[ClaimedTask]:
        nonce = f"{next(self._nonces):012x}"
        return list(self.run(consumer.claim(queue, worker_id=worker_id, nonce=nonce, limit=limit)).tasks)

    def _start(self, queue: str, worker_id: str, limit: int) -> None:
        tasks = self._claim(queue, worker_id, limit)
        assert len(tasks) == limit
        self._running.setdefault(worker_id, []).extend((task, self.clock.now_ms) for task in tasks)

    def _serve(self, queue: str, worker_ids: Sequence[str], *, limit: int, usual_ms: int, failing: float = 0.0) -> None:
        """Lets workers take what there is, up to a limit, and end it; each time another one comes first."""
        first = self._chance.randrange(len(worker_ids))
        for position, worker_id in enumerate((*worker_ids[first:], *worker_ids[:first])):
            share = limit // len(worker_ids) + (position < limit % len(worker_ids))
            acks, counts = [], self._done.setdefault(worker_id, [0, 0])
            for task in self._claim(queue, worker_id, share):
                took_ms = max(3, round(self._chance.lognormvariate(0, 0.6) * usual_ms))
                if self._chance.random() < failing:
                    self._fail(task, took_ms)
                    counts[1] += 1
                else:
                    waited_ms = self._chance.randrange(2, 900)
                    acks.append(Ack(task, b'"ok"', took_ms, waited_ms))
            self.run(consumer.complete(queue, acks))
            counts[0] += len(acks)

    def _fail(self, task: ClaimedTask, took_ms: int) -> None:
        is_slow = self._chance.random() < 0.25
        took_ms = 15_000 if is_slow else took_ms
        failing = consumer.fail(
            task,
            verdict="retry",
            reason="timeout" if is_slow else "error",
            delay_ms=self._chance.randrange(15_000, 45_000) * task.attempt,
            duration_ms=took_ms,
            detail=TIMED_OUT if is_slow else REFUSED,
        )
        # It fails when it has run for so long; others are served meanwhile.
        self.clock.advance(took_ms)
        self.run(failing)
        self.clock.advance(-took_ms)

    def _break(self, queue: str, tasks: list[NewTask], detail: dict[str, Any], *, verdict: str, reason: str) -> None:
        """Tasks that end badly at once."""
        wanted = self._put(queue, tasks)
        worker_id = CROWS[0] if queue == "images" else ROOKS[0]
        held = {task.id: task for task in self._claim(queue, worker_id, 400)}
        for task_id in wanted:
            failing = held.pop(task_id)
            self.run(consumer.fail(failing, verdict=verdict, reason=reason, delay_ms=0, duration_ms=38, detail=detail))
        self.run(consumer.release(list(held.values())))

    def _crash_alone(self, task: NewTask) -> None:
        """A task that kills its process: in company, then alone, then alone once more, which is once too often."""
        (task_id,) = self._put("images", [task])
        others = [held for held in self._claim("images", CROWS[1], 400) if held.id != task_id]
        self.run(consumer.release(others))
        self.run(consumer.give_back(QUEUES, CROWS[1], started_ids=[task_id], detail=KILLED))
        for _ in range(2):
            held = {held.id: held for held in self._claim("images", CROWS[1], 400)}
            self.run(consumer.crash(held.pop(task_id), detail=KILLED))
            self.run(consumer.release(list(held.values())))
