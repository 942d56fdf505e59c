"""One history of a queue, played on a server and on the model at once.

Every answer is compared with the model's, and every few steps the whole keyspace with what the model says must be
there.
"""

from __future__ import annotations

import collections
import copy
from collections.abc import Sequence

from tests.model.queue_model import QueueModel, Trail, Wish
from tests.queue_driver import QueueDriver
from tq_core import errors, names
from tq_core.keyspace import wire
from tq_core.model import TERMINAL_STATES, TaskOptions, TaskState
from tq_core.roles import consumer, inspector, maintenance, operator, producer, registry, schedules, undo
from tq_core.roles.consumer import ClaimedTask
from tq_core.roles.schedules import Schedule, ScheduleView

SENTINEL = b"~" * 70
CHECK_EVERY = 5

SCHEDULES = {
    "alone": {"every_s": 20, "missed": "once", "overlap": False},
    "spread": {"every_s": 45, "missed": "all", "jitter_s": 5},
    "strict": {"every_s": 30, "missed": "skip", "priority": 50},
}
PREVIOUS = "^"
"""As a parent: the task before this one in the same call."""

UNIQUE_FOR_MS = 5000

NewTaskWish = tuple[int, int, int, str | None, str | None, tuple[str, ...], str, int | None, str]
"""Priority, delay in ms, attempts, unique key, chosen name, parents, policy, expiry in ms, unique mode."""


class QueueHistory:
    """A queue, its model, and all claims there have been, also those that are stale."""

    def __init__(self, url: str) -> None:
        self.q = QueueDriver(url)
        self.q.raw.flushall()
        self.q.run(registry.register_queue(self.q.queue))
        self.model = QueueModel(self.q.clock)
        self.claims: list[ClaimedTask] = []
        self.nonces: list[str] = ["none"]
        self.known_ids: list[str] = ["gone@mail"]
        self.schedules = {
            name: schedules.new_schedule(name, "work", queue=self.q.queue, max_attempts=2, **options)  # type: ignore[arg-type]
            for name, options in SCHEDULES.items()
        }
        self.fires: dict[str, int | None] = {}
        """The next fire of each schedule that there is; None while it is paused."""
        self.steps = self._names = 0

    def end(self) -> None:
        """Checks everything once more and closes the connections."""
        try:
            self.check()
        finally:
            self.q.close()

    def step(self) -> None:
        self.steps += 1
        if self.steps % CHECK_EVERY == 0:
            self.check()

    # --- operations, on the server and on the model ---

    def enqueue(self, wishes: Sequence[NewTaskWish]) -> None:
        wanted: list[Wish] = []
        for p, d, a, key, name, parents, policy, expires_ms, mode in wishes:
            ids = [wanted[-1].id if one == PREVIOUS else one for one in parents if one != PREVIOUS or wanted]
            task_id = f"{name or self._new_name()}@mail"
            others = tuple(dict.fromkeys(one for one in ids if one != task_id))
            expiry = None if expires_ms is None or expires_ms <= d else expires_ms
            unique = (mode, UNIQUE_FOR_MS) if key else ("finished", 0)
            wanted.append(Wish(task_id, p, d, a, key, others, policy if others else "fail", expiry, *unique))
        tasks = [
            producer.new_task(
                "work",
                {},
                priority=w.priority,
                delay_s=w.delay_ms / 1000,
                max_attempts=w.max_attempts,
                unique_key=w.unique_key,
                name=w.id,
                options=TaskOptions(
                    depends_on=w.parents,
                    on_parent_failure=w.policy if w.parents else None,
                    expires_in_s=None if w.expires_ms is None else w.expires_ms / 1000,
                    unique_until="started" if w.unique_mode == "started" else None,
                    unique_for_s=w.unique_for_ms / 1000 if w.unique_mode == "for" else None,
                ),
            )
            for w in wanted
        ]
        refused, outcomes = None, []
        try:
            outcomes = self.q.put(*tasks)
        except errors.QueueFullError:
            refused = "FULL"
        except errors.UnknownParentError as refusal:
            refused = f"P:{refusal.parent_id}"
        if refused:
            assert self.model.enqueue(wanted) == [refused]
            return
        words = [{"": "A", "id": "D", "unique": f"U:{o.task_id}"}[o.duplicate_of] for o in outcomes]
        assert self.model.enqueue(wanted) == words
        self.known_ids += [w.id for w, word in zip(wanted, words, strict=True) if word == "A"]
        self.step()

    def _new_name(self) -> str:
        """A name that is the same whenever a history is played again, and does not sort by age."""
        self._names += 1
        return f"t{self._names * 7919 % 10_007:05d}-{self._names}"

    def claim(self, worker_id: str, limit: int, lease_ms: int) -> None:
        nonce = consumer.new_nonce()
        claim = self.q.run(
            consumer.claim(self.q.queue, worker_id=worker_id, nonce=nonce, limit=limit, lease_ms=lease_ms)
        )
        assert [t.id for t in claim.tasks] == self.model.claim(limit, lease_ms)
        assert claim.is_paused == self.model.is_paused
        if not claim.tasks and not claim.is_paused:
            assert claim.next_due_ms == self.model.next_due_ms()
        for task in claim.tasks:
            self.model.held(task.id, task.token.decode())
            expected = self.model.tasks[task.id]
            assert task.trail == wire.Trail(**vars(expected.trail or Trail()))
            assert task.attempt == expected.failures + 1 <= expected.max_attempts
            assert task.claimed_at_ms == self.q.clock.now_ms
        self.claims += claim.tasks
        self.nonces.append(nonce)
        self.step()

    def complete(self, tasks: Sequence[ClaimedTask]) -> None:
        assert self.q.complete(*tasks) == self.model.complete([(t.id, t.token.decode()) for t in tasks])
        self.step()

    def fail(self, task: ClaimedTask, *, verdict: str, delay_ms: int, group: str) -> None:
        detail = {"type": "ValueError", "message": "boom | again", "fingerprint": group}
        answer = self.q.fail(task, verdict=verdict, delay_ms=delay_ms, detail=detail)
        token = task.token.decode()
        assert answer == self.model.fail(task.id, token, verdict=verdict, delay_ms=delay_ms, group=group)
        self.step()

    def crash(self, task: ClaimedTask) -> None:
        answer = self.q.run(consumer.crash(task, detail={"exit_code": -9}))
        assert answer == self.model.crash(task.id, task.token.decode())
        self.step()

    def give_back(self, worker_id: str, started: Sequence[str]) -> None:
        given = self.q.run(consumer.give_back([self.q.queue], worker_id, started_ids=started, detail={"exit_code": -9}))
        assert (given.unstarted, dict(given.crashed)) == self.model.give_back(worker_id, set(started))
        self.step()

    def release_claim(self, nonce: str) -> None:
        assert self.q.run(consumer.release_claim(self.q.queue, nonce)) == self.model.release_claim(nonce)
        self.step()

    def release(self, tasks: Sequence[ClaimedTask], *, is_unknown: bool, delay_ms: int) -> None:
        pairs = [(t.id, t.token.decode()) for t in tasks]
        if is_unknown:
            words = self.q.run(consumer.release_unknown(tasks, delay_ms=delay_ms, limit=3))
            assert words == self.model.release(pairs, unknown_max=3, delay_ms=delay_ms)
        else:
            assert self.q.run(consumer.release(tasks)) == self.model.release(pairs)
        self.step()

    def extend(self, tasks: Sequence[ClaimedTask], lease_ms: int) -> None:
        pairs = [(t.id, t.token) for t in tasks]
        found = self.q.run(consumer.extend([(self.q.queue, *pair) for pair in pairs], lease_ms=lease_ms))
        lost, asked = self.model.extend([(i, t.decode()) for i, t in pairs], lease_ms)
        assert (list(found.lost_ids), [i for i, _ in found.asked]) == (lost, asked)
        self.step()

    def reclaim(self, limit: int) -> None:
        found = self.q.run(maintenance.reclaim([self.q.queue], limit=limit, grace_ms=1000))
        assert [i for _, i in found] == self.model.reclaim(limit=limit, grace_ms=1000)
        self.step()

    def promote(self, limit: int) -> None:
        assert self.q.run(maintenance.promote([self.q.queue], limit=limit)) == self.model.promote(limit)
        self.step()

    def trim(self, *, limit: int, keep: int, keep_ms: int) -> None:
        done = self.q.run(maintenance.trim([self.q.queue], limit=limit, keep=keep, keep_ms=keep_ms))
        assert done == self.model.trim(limit=limit, keep_ms=keep_ms, keep=keep)
        self.step()

    def cancel(self, ids: Sequence[str], *, kill: bool) -> None:
        done = self.q.run(operator.cancel(ids, actor="ann", kill=kill))
        assert [d.word for d in done] == self.model.cancel(ids)
        self.step()

    def requeue(self, ids: Sequence[str]) -> None:
        done = self.q.run(operator.requeue(ids, actor="ann"))
        assert [d.word for d in done] == self.model.requeue(ids)
        self.step()

    def requeue_all(self, state: TaskState) -> None:
        done = self.q.run(operator.requeue_all(self.q.queue, actor="ann", state=state))
        assert done.done == self.model.requeue_all(state)
        self.step()

    def requeue_group(self, group: str) -> None:
        # Which task gets a unique key that two of them want is up to their order, and so are their places.
        failed = sorted((t for t in self.model.in_state(TaskState.FAILED) if t.group == group), key=lambda t: t.id)
        done = self.q.run(operator.requeue_group(self.q.queue, group, actor="ann"))
        assert done.done == self.model.requeue([t.id for t in failed]).count("requeued")
        self.step()

    def discard(self, ids: Sequence[str]) -> None:
        done = self.q.run(operator.discard(ids, actor="ann"))
        assert [d.word for d in done] == self.model.discard(ids)
        self.step()

    def take_and_undo(self, ids: Sequence[str], *, is_cancel: bool) -> None:
        """Cancels or deletes tasks, looks whether all agrees, and undoes it."""
        model = self.model
        if model.keep_failed is not None:
            # Children that give up may be forgotten at once, and what is gone cannot be put back.
            self.discard(ids)
            return
        before = copy.deepcopy(model.tasks)
        held = dict(model.unique)
        if is_cancel:
            acted = self.q.run(operator.cancel(ids, actor="ann"))
            assert [d.word for d in acted] == model.cancel(ids)
        else:
            acted = self.q.run(operator.discard(ids, actor="ann"))
            assert [d.word for d in acted] == model.discard(ids)
        self.step()
        if not acted.undo_op:
            return
        bulk = self.q.run(undo.undo(acted.undo_op, actor="ann"))
        after = model.tasks
        back = 0
        for task_id, task in before.items():
            now = after.get(task_id)
            if now is None or (now.state in TERMINAL_STATES and task.state not in TERMINAL_STATES):
                back += 1
                model.counters["restored"] += now is None
                after[task_id] = task
        assert bulk == operator.Bulk(back)
        model.unique = held
        # When a group was last joined is not undone; that it is a group of these tasks is checked with it.
        names = {t.group for t in after.values() if t.group}
        facts = {name: tuple(map(int, text.split("|")[:2])) for name, text in self.fields("groups").items()}
        model.groups = {name: (at[0], at[1]) for name, at in facts.items() if name in names}
        self.step()

    def purge(self, state: TaskState) -> None:
        done = self.q.run(operator.purge(self.q.queue, actor="ann", state=state))
        assert done.done == self.model.purge(state)
        self.step()

    def pause(self, is_paused: bool) -> None:
        flow = operator.pause_queue if is_paused else operator.resume_queue
        assert self.q.run(flow(self.q.queue, actor="ann")) == (is_paused != self.model.is_paused)
        self.model.is_paused = is_paused

    def configure(self, *, max_size: int | None, completed: int | None, failed: int | None) -> None:
        settings = {"max_size": max_size, "keep_completed": completed, "keep_failed": failed}
        self.q.run(operator.configure_queue(self.q.queue, settings, actor="ann"))
        self.model.max_size, self.model.keep_completed, self.model.keep_failed = max_size, completed, failed

    # --- schedules ---

    def tick(self) -> None:
        """Fires what is due, by what was read before somebody else did or after."""
        now_ms = self.q.clock.now_ms
        due = sorted((at, name) for name, at in self.fires.items() if at is not None and at <= now_ms)
        expected: list[str] = []
        held_up = []
        for at, name in due:
            schedule = self.schedules[name]
            wishes = [self._fire_wish(schedule, fire_ms) for fire_ms in _fires_to_run(schedule, at, now_ms)]
            new = self.model.admit(wishes)
            if new is None:
                held_up.append(f"{name}@{self.q.queue}")
            else:
                expected += new
                self.fires[name] = _next_fire(schedule, now_ms)
        read = self.q.run(schedules.due([self.q.queue]))
        fired = self.q.run(schedules.fire(read))
        assert (list(fired.task_ids), [name for name, _ in fired.held_up]) == (expected, held_up)
        self.known_ids += expected
        again = self.q.run(schedules.fire([each for each in read if f"{each.name}@{self.q.queue}" not in held_up]))
        assert again == schedules.Fired()
        self.step()

    def _fire_wish(self, schedule: Schedule, fire_ms: int) -> Wish:
        delay_ms = max(0, fire_ms + schedule.delay_ms(fire_ms) - self.q.clock.now_ms)
        return Wish(schedule.task_id(fire_ms), schedule.priority, delay_ms, 2, schedule.unique_key or None)

    def add_schedule(self, name: str) -> None:
        schedule = self.schedules[name]
        try:
            next_ms = self.q.run(schedules.add(schedule, actor="ann"))
        except errors.RefusedError:
            assert name in self.fires
            return
        assert name not in self.fires
        assert next_ms == _next_fire(schedule, self.q.clock.now_ms)
        self.fires[name] = next_ms
        self.step()

    def steer_schedule(self, name: str, how: str) -> None:
        """Pauses, resumes, removes or runs one that there is."""
        if name not in self.fires:
            return
        view: ScheduleView = self.q.run(schedules.find(name))
        is_paused = self.fires[name] is None
        if how == "pause":
            assert self.q.run(schedules.pause(view, actor="ann")) == (not is_paused)
            self.fires[name] = None
        elif how == "resume":
            assert self.q.run(schedules.resume(view, actor="ann")) == is_paused
            if is_paused:
                self.fires[name] = _next_fire(self.schedules[name], self.q.clock.now_ms)
        elif how == "remove":
            self.q.run(schedules.remove(view, actor="ann"))
            del self.fires[name]
        else:
            self._run_schedule(view)
        self.step()

    def _run_schedule(self, view: ScheduleView) -> None:
        schedule, now_ms = self.schedules[view.name], self.q.clock.now_ms
        task_id = schedule.task_id(now_ms if now_ms % 1000 else now_ms + 1)
        is_known = task_id in self.model.tasks
        wish = Wish(task_id, schedule.priority, 0, 2, schedule.unique_key or None)
        new = [] if is_known else self.model.admit([wish])
        try:
            assert self.q.run(schedules.run_now(view, actor="ann")) == task_id
            assert is_known or new == [task_id]
        except errors.QueueFullError:
            assert new is None
        except errors.DuplicateTaskError:
            assert new == []
        if new:
            self.known_ids.append(task_id)

    # --- what must be there ---

    def check(self) -> None:
        """Compares the whole keyspace with the model."""
        q, tasks = self.q, self.model.tasks
        assert q.findings() == []
        for state in TaskState:
            there = {
                m.decode(): int(s) for m, s in q.raw.zrange(q.key(state.value), 0, -1, withscores=True) if m != SENTINEL
            }
            assert there == {t.id: t.score for t in self.model.in_state(state)}, state
        assert self.fields("bodies").keys() == tasks.keys()
        tokens = {i: t for i, t in self.fields("tokens").items() if i != "!"}
        assert tokens == {t.id: t.token for t in tasks.values() if t.state is TaskState.RUNNING}
        trails = {t.id: "|".join(map(str, vars(t.trail).values())) for t in tasks.values() if t.trail}
        assert self.fields("trail") == trails
        histories = {i: [_line(one) for one in lines.split("\n")] for i, lines in self.fields("attempts").items()}
        assert histories == {t.id: t.history for t in tasks.values() if t.history}
        records = {i: _ending(record) for i, record in self.fields("records").items()}
        assert records == {t.id: t.record for t in tasks.values() if t.record}
        assert self.fields("cancels").keys() == {t.id for t in tasks.values() if t.is_asked}
        unique = {names.decode_unique_key(k): i for k, i in self.fields("unique").items()}
        assert unique == self.model.unique
        locks = {names.decode_unique_key(k): at for k, at in self.scores("locks").items()}
        assert locks == self.model.locks
        assert self.fields("until").keys() == {t.id for t in tasks.values() if t.is_unclaimed}
        expiring = [t for t in tasks.values() if t.expires_at_ms]
        expiries = {t.id: (t.expires_at_ms or 0) + wire.SET_ASIDE_MS * t.is_set_aside for t in expiring}
        assert self.scores("expiries") == expiries
        fires = {name.decode(): int(at) for name, at in q.raw.zrange(q.key("fires"), 0, -1, withscores=True)}
        assert fires == {name: at for name, at in self.fires.items() if at is not None}
        assert self.fields("schedules").keys() == self.fires.keys()
        self.check_groups()
        self.check_waits()
        self.check_places()
        self.check_counters()
        self.check_bounds()

    def fields(self, name: str) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.q.raw.hgetall(self.q.key(name)).items()}

    def scores(self, name: str) -> dict[str, int]:
        return {m.decode(): int(s) for m, s in self.q.raw.zrange(self.q.key(name), 0, -1, withscores=True)}

    def check_groups(self) -> None:
        failed = self.model.in_state(TaskState.FAILED)
        assert self.fields("grouped") == {t.id: t.group for t in failed}
        facts = {name: tuple(map(int, text.split("|")[:2])) for name, text in self.fields("groups").items()}
        assert facts == self.model.groups
        found = self.q.run(inspector.groups([self.q.queue])).groups
        assert {g.group: g.count for g in found} == collections.Counter(t.group for t in failed)
        assert all(self.model.tasks[g.example_id].group == g.group for g in found)

    def check_waits(self) -> None:
        edges = {(child.id, parent) for child in self.model.tasks.values() for parent in child.waits_for}
        for name, expected in (("parents", edges), ("children", {(parent, child) for child, parent in edges})):
            assert set(self.q.raw.zrange(self.q.key(name), 0, -1)) == {f"{a}>{b}".encode() for a, b in expected}
        blocked = self.model.in_state(TaskState.BLOCKED)
        assert self.fields("waits") == {t.id: f"{t.policy}|{t.due_ms or ''}" for t in blocked}

    def check_places(self) -> None:
        places = {i: int(body.partition("|")[0]) for i, body in self.fields("bodies").items()}
        assert places == {t.id: t.place for t in self.model.tasks.values()}

    def check_counters(self) -> None:
        counters = {k: int(v) for k, v in self.fields("counters").items()}
        run_ms = counters.pop("run_ms", 0)
        assert {k: n for k, n in counters.items() if n} == {k: n for k, n in self.model.counters.items() if n}
        assert run_ms == 5 * counters.get("completed", 0)
        minutes: dict[str, int] = {}
        for key in self.q.raw.keys(self.q.key("minute:*")):
            for name, count in self.q.raw.hgetall(key).items():
                minutes[name.decode()] = minutes.get(name.decode(), 0) + int(count)
        for kind in ("run", "wait"):
            buckets = [minutes.pop(n) for n in list(minutes) if n.removeprefix(kind).isdigit()]
            assert sum(buckets) == counters.get("completed", 0)
        assert minutes.pop("run_ms", 0) == run_ms
        assert minutes == {k: n for k, n in counters.items() if n and k not in {"seq", "fence"}}

    def check_bounds(self) -> None:
        for task in self.model.tasks.values():
            trail = task.trail or Trail()
            assert trail.failures <= task.max_attempts
            ended_badly = trail.failures + trail.crashes + trail.alone + trail.lost + trail.unknown
            # The last start may be running, or have been completed or cancelled.
            assert ended_badly + task.returns <= task.starts <= ended_badly + task.returns + 1


def _next_fire(schedule: Schedule, now_ms: int) -> int:
    return (now_ms // schedule.when.every_ms + 1) * schedule.when.every_ms


def _fires_to_run(schedule: Schedule, due_ms: int, now_ms: int) -> list[int]:
    """What the schedule says of its fires, worked out one by one."""
    fires = list(range(due_ms, now_ms + 1, schedule.when.every_ms))[-schedules.CATCH_UP_MAX :]
    on_time = [at for at in fires if at >= now_ms - schedules.MISSED_AFTER_MS]
    return {"all": fires, "skip": on_time, "once": on_time or fires[-1:]}[schedule.missed]


def _line(text: str) -> tuple[str, str, int]:
    _, token, outcome, attempt, *_ = text.split("|", 4)
    return f"{token}|" if token else "", outcome, int(attempt)


def _ending(text: str) -> tuple[str, str]:
    token, outcome, *_ = text.split("|", 2)
    return f"{token}|", outcome
