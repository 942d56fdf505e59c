"""A queue as plain Python: what each operation must answer, and what must be there afterwards.

It is written from the design and the headers of the scripts, one task after the other, without any of the batching that
makes the scripts fast. Where both disagree, one of them is wrong.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tq_core import names
from tq_core.model import TERMINAL_STATES, WAITING_STATES, TaskState
from tq_core.roles.consumer import Outcome

BAND = 2**45
ATTEMPTS_KEPT = 10
ALONE_MAX = 2
NO_TOKEN = "|"

S = TaskState


@dataclass
class Trail:
    """How often a task's runs ended badly."""

    failures: int = 0
    crashes: int = 0
    alone: int = 0
    lost: int = 0
    unknown: int = 0


@dataclass
class ModelTask:
    """One task."""

    id: str
    priority: int
    place: int
    created_at_ms: int
    max_attempts: int
    unique_key: str | None
    state: TaskState = S.PENDING
    score: int = 0
    token: str | None = None
    trail: Trail | None = None
    history: list[tuple[str, str, int]] = field(default_factory=list)
    """(token, outcome, attempt) of each run that did not end well."""
    is_asked: bool = False
    record: tuple[str, str] | None = None
    """(token, outcome) of an ended task."""
    group: str | None = None
    """What it failed with, while it is failed."""
    parents: tuple[str, ...] = ()
    """Those it was enqueued with."""
    policy: str = "fail"
    waits_for: set[str] = field(default_factory=set)
    """Those that it waits for now; never empty while it is blocked."""
    expires_at_ms: int | None = None
    is_set_aside: bool = False
    """Whether it ran when its time was over."""
    unique_mode: str = "finished"
    """When its unique key is freed: finished, started, or for = after a time."""
    is_unclaimed: bool = False
    """Whether its claim frees its key."""
    due_ms: int | None = None
    """blocked: when it may run at the earliest."""
    starts: int = 0
    """Claims since it was last enqueued or requeued."""
    returns: int = 0
    """Claims that were given back unharmed."""

    def counted(self) -> Trail:
        """Its trail, which from now on is kept."""
        if self.trail is None:
            self.trail = Trail()
        return self.trail

    @property
    def failures(self) -> int:
        return self.trail.failures if self.trail else 0

    def note(self, token: str, outcome: str, attempt: int) -> None:
        self.history = [*self.history, (token, outcome, attempt)][-ATTEMPTS_KEPT:]

    def answered(self, token: str) -> tuple[str, int] | None:
        """What this claim was answered before."""
        return next(((outcome, attempt) for t, outcome, attempt in self.history if t == token), None)


@dataclass(frozen=True)
class Wish:
    """A task that somebody wants enqueued."""

    id: str
    priority: int
    delay_ms: int
    max_attempts: int
    unique_key: str | None
    parents: tuple[str, ...] = ()
    policy: str = "fail"
    expires_ms: int | None = None
    unique_mode: str = "finished"
    unique_for_ms: int = 0


class QueueModel:
    """All tasks of one queue, and what has been counted."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.tasks: dict[str, ModelTask] = {}
        self.unique: dict[str, str] = {}
        self.locks: dict[str, int] = {}
        """When keys are free that are held for a time."""
        self.counters: collections.Counter[str] = collections.Counter()
        self.is_paused = False
        self.max_size: int | None = None
        self.keep_completed: int | None = None
        self.keep_failed: int | None = None
        self._ended: list[tuple[str, bool]] = []
        self.groups: dict[str, tuple[int, int]] = {}
        """First and last failure of each group that has a task."""
        self.ended_claims: set[tuple[str, str]] = set()

    # --- what is there ---

    def in_state(self, state: TaskState) -> list[ModelTask]:
        """The tasks of one state in the order of their index."""
        return sorted((t for t in self.tasks.values() if t.state is state), key=lambda t: (t.score, t.id.encode()))

    def ids(self, *states: TaskState) -> list[str]:
        return sorted(t.id for t in self.tasks.values() if t.state in states)

    @property
    def waiting(self) -> int:
        return sum(t.state in WAITING_STATES for t in self.tasks.values())

    # --- moves ---

    def _next_seq(self) -> int:
        self.counters["seq"] += 1
        return self.counters["seq"]

    def _to_pending(self, task: ModelTask) -> None:
        task.state, task.score, task.token, task.is_set_aside = S.PENDING, task.place, None, False

    def _fresh_place(self, task: ModelTask) -> None:
        task.place = task.priority * BAND + self._next_seq()

    def _end(self, task: ModelTask, state: TaskState, *, token: str, outcome: str) -> None:
        """Ends a task; a claim may end only one."""
        if token != NO_TOKEN:
            assert (task.id, token) not in self.ended_claims, "one claim ended its task twice"
            self.ended_claims.add((task.id, token))
        task.state, task.score, task.token, task.is_asked = state, self._clock(), None, False
        task.record = (token, outcome)
        task.waits_for, task.due_ms, task.expires_at_ms, task.is_set_aside = set(), None, None, False
        self._free(task)

    def _settle(self, parent: str, *, is_done: bool) -> None:
        """Tells the children of a task that it has ended, or is gone; then those of the children that ended with it."""
        self._ended.append((parent, is_done))
        if len(self._ended) > 1:
            return
        for ended, was_done in self._ended:
            for child in sorted((t for t in self.tasks.values() if ended in t.waits_for), key=lambda t: t.id):
                if not was_done and child.policy != "run":
                    self._give_up(child)
                else:
                    child.waits_for.discard(ended)
                    if not child.waits_for:
                        self._unblock(child)
        self._ended.clear()

    def _give_up(self, child: ModelTask) -> None:
        if child.policy == "skip":
            self._cancel(child, token=NO_TOKEN, reason="parent_failed")
        else:
            self._fail_for_good(child, token=NO_TOKEN, reason="parent_failed")

    def _unblock(self, task: ModelTask) -> None:
        if task.due_ms is not None and task.due_ms > self._clock():
            task.state, task.score = S.SCHEDULED, task.due_ms
        else:
            self._to_pending(task)
        task.due_ms = None

    def _free(self, task: ModelTask) -> None:
        task.is_unclaimed = False
        if task.unique_key and self.unique.get(task.unique_key) == task.id and task.unique_key not in self.locks:
            del self.unique[task.unique_key]

    def _holder(self, key: str | None) -> str | None:
        """Who holds a key; nobody where its time is over."""
        is_over = key is not None and self.locks.get(key, self._clock() + 1) <= self._clock()
        return None if key is None or is_over else self.unique.get(key)

    def _hold(self, task: ModelTask, for_ms: int) -> None:
        assert task.unique_key is not None
        self.unique[task.unique_key] = task.id
        self.locks.pop(task.unique_key, None)
        if task.unique_mode == "for":
            self.locks[task.unique_key] = self._clock() + for_ms
        task.is_unclaimed = task.unique_mode == "started"

    def _forget(self, tasks: Iterable[ModelTask], counter: str) -> None:
        for task in list(tasks):
            self._free(task)
            self.tasks.pop(task.id, None)
            self.counters[counter] += 1
        self._drop_empty_groups()

    def _drop_empty_groups(self) -> None:
        """A group is forgotten with the last of its tasks."""
        left = {t.group for t in self.tasks.values()}
        self.groups = {name: times for name, times in self.groups.items() if name in left}

    def _fail_for_good(self, task: ModelTask, *, token: str, reason: str, group: str = "") -> None:
        self._end(task, S.FAILED, token=token, outcome=f"failed:{reason}")
        self.counters["failed"] += 1
        task.group = group or f"{reason}:work"
        self.groups[task.group] = (self.groups.get(task.group, (self._clock(), 0))[0], self._clock())
        over = len(self.in_state(S.FAILED)) - (100_000 if self.keep_failed is None else self.keep_failed)
        if over > 0:
            self._forget(self.in_state(S.FAILED)[: min(over, 2)], "dropped")
        self._settle(task.id, is_done=False)

    def _cancel(self, task: ModelTask, *, token: str, reason: str) -> None:
        self._end(task, S.CANCELLED, token=token, outcome=f"cancelled:{reason}")
        self.counters["cancelled"] += 1
        self._settle(task.id, is_done=False)

    # --- producer ---

    def enqueue(self, wishes: Sequence[Wish]) -> list[str]:
        """Per task A, D or U:ID; FULL or P:ID alone when all was refused."""
        words: list[str] = []
        held = {key: holder for key, holder in self.unique.items() if self._holder(key)}
        accepted: list[str] = []
        for wish in wishes:
            if wish.id in self.tasks or wish.id in accepted:
                words.append("D")
            elif wish.unique_key and wish.unique_key in held:
                words.append(f"U:{held[wish.unique_key]}")
            else:
                for parent in wish.parents:
                    if parent not in self.tasks and parent not in accepted:
                        return [f"P:{parent}"]
                words.append("A")
                accepted.append(wish.id)
                if wish.unique_key:
                    held[wish.unique_key] = wish.id
        if self.max_size is not None and accepted and self.waiting + len(accepted) > self.max_size:
            return ["FULL"]
        for wish, word in zip(wishes, words, strict=True):
            place = wish.priority * BAND + self._next_seq()
            if word == "A":
                task = ModelTask(wish.id, wish.priority, place, self._clock(), wish.max_attempts, wish.unique_key)
                task.parents, task.policy = wish.parents, wish.policy
                task.due_ms = self._clock() + wish.delay_ms if wish.delay_ms else None
                task.expires_at_ms = None if wish.expires_ms is None else self._clock() + wish.expires_ms
                task.unique_mode = wish.unique_mode
                if task.unique_key:
                    self._hold(task, wish.unique_for_ms)
                task.state, task.score = S.BLOCKED, place
                if not wish.parents:
                    self._unblock(task)
                self.tasks[wish.id] = task
        for task_id in accepted:
            task = self.tasks[task_id]
            if task.parents:
                self._wait(task)
        self.counters["enqueued"] += words.count("A")
        self.counters["duplicates"] += len(words) - words.count("A")
        return words

    def admit(self, wishes: Sequence[Wish]) -> list[str] | None:
        """The ids of a schedule's tasks that are new; None when there is no room for them."""
        new: list[Wish] = []
        for wish in wishes:
            is_held = wish.unique_key is not None and (self._holder(wish.unique_key) is not None or bool(new))
            if wish.id not in self.tasks and not is_held:
                new.append(wish)
        if self.max_size is not None and new and self.waiting + len(new) > self.max_size:
            return None
        assert self.enqueue(new) == ["A"] * len(new)
        return [wish.id for wish in new]

    def _wait(self, task: ModelTask) -> None:
        """Lets a new task wait for its parents, or does what it does where they have ended."""
        states = [self.tasks[p].state if p in self.tasks else None for p in task.parents]
        if task.policy != "run" and any(s in (S.FAILED, S.CANCELLED, None) for s in states):
            self._give_up(task)
            return
        task.waits_for = {p for p, s in zip(task.parents, states, strict=True) if s and s not in TERMINAL_STATES}
        if not task.waits_for:
            self._unblock(task)

    # --- worker ---

    def promote(self, limit: int) -> int:
        """Ends what has expired and moves what is due; retries to their place, first runs to a fresh one."""
        expired = self._expire(limit)
        retries = [t for t in self.in_state(S.RETRYING) if t.score <= self._clock()][:limit]
        firsts = [t for t in self.in_state(S.SCHEDULED) if t.score <= self._clock()][:limit]
        for task in firsts:
            self._fresh_place(task)
        for task in retries + firsts:
            self._to_pending(task)
        return len(retries) + len(firsts) + expired

    def _expire(self, limit: int) -> int:
        now_ms = self._clock()
        over = [t for t in self.tasks.values() if not t.is_set_aside and t.expires_at_ms and t.expires_at_ms <= now_ms]
        over = sorted(over, key=lambda t: (t.expires_at_ms, t.id.encode()))[:limit]
        for task in over:
            task.is_set_aside = task.state is S.RUNNING
            if task.state is not S.RUNNING:
                task.waits_for = set()
        expired = [t for t in over if t.state is not S.RUNNING]
        for task in expired:
            self._cancel(task, token=NO_TOKEN, reason="expired")
        self.counters["expired"] += len(expired)
        return len(expired)

    def claim(self, limit: int, lease_ms: int) -> list[str]:
        """The ids that are claimed, in order; `held` then tells the token."""
        if self.is_paused:
            return []
        self.promote(200)
        taken = self.in_state(S.PENDING)[:limit]
        self.counters["fence"] += bool(taken)
        for task in taken:
            task.state, task.score = S.RUNNING, self._clock() + lease_ms
            task.starts += 1
            if task.is_unclaimed:
                self._free(task)
        return [t.id for t in taken]

    def held(self, task_id: str, token: str) -> None:
        self.tasks[task_id].token = token

    def next_due_ms(self) -> int | None:
        return min((t.score for s in (S.SCHEDULED, S.RETRYING) for t in self.in_state(s)), default=None)

    def holder(self, task_id: str, token: str) -> ModelTask | None:
        """The task, where this claim still holds it."""
        task = self.tasks.get(task_id)
        return task if task and task.state is S.RUNNING and task.token == token else None

    def complete(self, acks: Sequence[tuple[str, str]]) -> list[str]:
        """Per (id, token) K, S or G."""
        words: list[str] = []
        done = 0
        for task_id, token in acks:
            task = self.tasks.get(task_id)
            if held := self.holder(task_id, token):
                self._end(held, S.COMPLETED, token=token, outcome="ok")
                self._settle(held.id, is_done=True)
                done += 1
                words.append("K")
            elif task and task.record == (token, "ok"):
                words.append("K")
            else:
                words.append("S" if task else "G")
        self.counters["stale"] += len(words) - words.count("K")
        if done:
            self.counters["completed"] += done
            over = len(self.in_state(S.COMPLETED)) - (100_000 if self.keep_completed is None else self.keep_completed)
            if over > 0:
                self._forget(self.in_state(S.COMPLETED)[: min(over, 2 * done)], "trimmed")
        return words

    def _refused(self, task_id: str) -> Outcome:
        self.counters["stale"] += 1
        return Outcome("stale" if task_id in self.tasks else "gone")

    def fail(self, task_id: str, token: str, *, verdict: str, delay_ms: int, group: str = "") -> Outcome:
        task = self.holder(task_id, token)
        if task is None:
            known = self.tasks.get(task_id)
            given = known.answered(token) if known else None
            if known and given and given[0] in {"retrying", "failed", "cancelled"}:
                is_waiting = given == ("retrying", known.failures) and known.state is S.RETRYING
                return Outcome(*given, known.score if is_waiting else None)
            return self._refused(task_id)
        attempt = task.failures + 1
        if verdict == "cancel" or (verdict == "retry" and task.is_asked):
            task.note(token, "cancelled", attempt)
            self._cancel(task, token=token, reason="error" if verdict == "cancel" else "cancelled")
            return Outcome("cancelled", attempt)
        task.counted().failures = attempt
        self.counters["failures"] += 1
        again_ms = self._clock() + delay_ms
        is_over = task.is_set_aside or (task.expires_at_ms is not None and task.expires_at_ms <= again_ms)
        if verdict == "retry" and attempt < task.max_attempts and not is_over:
            task.note(token, "retrying", attempt)
            task.state, task.score, task.token = S.RETRYING, self._clock() + delay_ms, None
            self.counters["retrying"] += 1
            return Outcome("retrying", attempt, task.score)
        task.note(token, "failed", attempt)
        self._fail_for_good(task, token=token, reason="error", group=group)
        return Outcome("failed", attempt)

    def _after_crash(self, task: ModelTask, token: str, *, was_alone: bool) -> str:
        trail = task.counted()
        if was_alone:
            trail.alone += 1
        else:
            trail.crashes += 1
        self.counters["crashed"] += 1
        task.note(token, "crashed", trail.failures + 1)
        if task.is_asked:
            self._cancel(task, token=token, reason="killed")
        elif trail.alone >= ALONE_MAX:
            self._fail_for_good(task, token=token, reason="poison")
        else:
            self._to_pending(task)
            return "pending"
        assert task.record is not None
        return task.record[1].partition(":")[0]

    def crash(self, task_id: str, token: str) -> Outcome:
        task = self.holder(task_id, token)
        if task is not None:
            return Outcome(self._after_crash(task, token, was_alone=True))
        known = self.tasks.get(task_id)
        given = known.answered(token) if known else None
        if known and given and given[0] == "crashed":
            ended_here = known.record is not None and known.record[0] == token
            return Outcome(known.record[1].partition(":")[0] if ended_here and known.record else "pending")
        return self._refused(task_id)

    def give_back(self, worker_id: str, started_ids: set[str]) -> tuple[int, dict[str, str]]:
        """(unstarted, {id: word} of those that were running)."""
        held = [t for t in self.in_state(S.RUNNING) if t.token and f"~{worker_id}|" in t.token]
        return self._return(held, started_ids)

    def release_claim(self, nonce: str) -> int:
        return self._return([t for t in self.in_state(S.RUNNING) if t.token and f"-{nonce}~" in t.token], set())[0]

    def _return(self, held: list[ModelTask], started_ids: set[str]) -> tuple[int, dict[str, str]]:
        unstarted, words = 0, {}
        for task in held:
            assert task.token is not None
            if task.id in started_ids:
                words[task.id] = self._after_crash(task, task.token, was_alone=False)
            elif task.is_asked:
                self._cancel(task, token=NO_TOKEN, reason="cancelled")
            else:
                task.returns += 1
                self._to_pending(task)
                unstarted += 1
        self.counters["released"] += unstarted
        return unstarted, words

    def release(self, claims: Sequence[tuple[str, str]], *, unknown_max: int = 0, delay_ms: int = 0) -> list[str]:
        """Per (id, token) pending, retrying, failed, cancelled or S; unknown_max 0 = they had just not started."""
        words = []
        for task_id, token in claims:
            task = self.holder(task_id, token)
            if task is None:
                self.counters["stale"] += 1
                words.append("S")
                continue
            if task.is_asked:
                self._cancel(task, token=NO_TOKEN, reason="cancelled")
            elif unknown_max:
                trail = task.counted()
                trail.unknown += 1
                if trail.unknown >= unknown_max:
                    task.note(token, "unknown_type", trail.failures)
                    self._fail_for_good(task, token=token, reason="unknown_type")
                    words.append("failed")
                    continue
                task.state, task.score, task.token = S.RETRYING, self._clock() + delay_ms, None
                task.is_set_aside = False
                self.counters["released"] += 1
            else:
                task.returns += 1
                self._to_pending(task)
                self.counters["released"] += 1
            words.append(task.state.value)
        return words

    def extend(self, claims: Sequence[tuple[str, str]], lease_ms: int) -> tuple[list[str], list[str]]:
        """(lost ids, ids that were asked to stop)."""
        lost, asked = [], []
        for task_id, token in claims:
            task = self.holder(task_id, token)
            if task is None:
                lost.append(task_id)
            else:
                task.score = self._clock() + lease_ms
                if task.is_asked:
                    asked.append(task_id)
        return lost, asked

    # --- upkeep ---

    def reclaim(self, *, limit: int, grace_ms: int) -> list[str]:
        """The ids that went back to pending, in the order of their leases."""
        lost = []
        for task in [t for t in self.in_state(S.RUNNING) if t.score <= self._clock() - grace_ms][:limit]:
            trail = task.counted()
            trail.lost += 1
            assert task.token is not None
            token = task.token
            task.note(token, "lost", trail.failures + 1)
            if task.is_asked:
                self._cancel(task, token=token, reason="cancelled")
            else:
                self._to_pending(task)
                lost.append(task.id)
        self.counters["lost"] += len(lost)
        return lost

    def trim(self, *, limit: int, keep_ms: int, keep: int) -> int:
        """How many ended tasks are forgotten."""
        before = len(self.tasks)
        for state, own, counter in (
            (S.COMPLETED, self.keep_completed, "trimmed"),
            (S.CANCELLED, None, "trimmed"),
            (S.FAILED, self.keep_failed, "dropped"),
        ):
            if state is not S.FAILED:
                old = [t for t in self.in_state(state) if t.score < self._clock() - keep_ms][:limit]
                self._forget(old, counter)
            over = min(len(self.in_state(state)) - (keep if own is None else own), limit)
            self._forget(self.in_state(state)[: max(over, 0)], counter)
        free = sorted((at, names.encode_unique_key(k), k) for k, at in self.locks.items() if at <= self._clock())
        for _, _, key in free[:limit]:
            del self.locks[key], self.unique[key]
        return before - len(self.tasks)

    # --- operators ---

    def cancel(self, task_ids: Sequence[str]) -> list[str]:
        """All that are named are cancelled before any of their children is told."""
        words, ended = [], []
        for task_id in task_ids:
            task = self.tasks.get(task_id)
            if task is None:
                words.append("gone")
            elif task.state is S.RUNNING:
                task.is_asked = True
                words.append("asked")
            elif task.state in TERMINAL_STATES:
                words.append(f"is:{task.state}")
            else:
                task.waits_for = set()
                ended.append(task)
                words.append("cancelled")
        for task in ended:
            self._cancel(task, token=NO_TOKEN, reason="cancelled")
        return words

    def requeue(self, task_ids: Sequence[str]) -> list[str]:
        words = []
        moved: list[ModelTask] = []
        for task_id in task_ids:
            task = self.tasks.get(task_id)
            holder = self._holder(task.unique_key) if task else None
            if task is None:
                words.append("gone")
            elif task.state not in TERMINAL_STATES:
                words.append(f"is:{task.state}")
            elif holder and holder != task.id:
                words.append(f"unique:{holder}")
            else:
                if task.unique_key and task.unique_mode != "for":
                    self._hold(task, 0)
                self._fresh_place(task)
                task.trail, task.record, task.group, task.starts, task.returns = None, None, None, 0, 0
                self._drop_empty_groups()
                task.note("", "requeued", 0)
                self._to_pending(task)
                self.counters["requeued"] += 1
                words.append("requeued")
                moved.append(task)
        begun: set[str] = set()
        found: set[str] = set()
        for task in moved:
            self._wait_again(task, {t.id for t in moved}, begun, found)
        return words

    def _wait_again(self, task: ModelTask, moved: set[str], begun: set[str], found: set[str]) -> None:
        """Lets a requeued task wait for parents that have not ended; those of the same call find theirs before."""
        if task.id in begun:
            return
        begun.add(task.id)
        for parent in task.parents:
            if parent in moved:
                self._wait_again(self.tasks[parent], moved, begun, found)
            known = self.tasks.get(parent)
            if known and known.state not in TERMINAL_STATES and (parent in found or parent not in moved):
                task.waits_for.add(parent)
        if task.waits_for:
            task.state = S.BLOCKED
        found.add(task.id)

    def requeue_all(self, state: TaskState) -> int:
        return self.requeue([t.id for t in self.in_state(state)]).count("requeued")

    def discard(self, task_ids: Sequence[str]) -> list[str]:
        """All that are named are gone before any of their children is told."""
        words, gone = [], []
        for task_id in task_ids:
            task = self.tasks.get(task_id)
            if task is None:
                words.append("gone")
            elif task.state is S.RUNNING:
                words.append("is:running")
            else:
                gone.append(task)
                words.append("deleted")
        self._forget(gone, "discarded")
        for task in gone:
            self._settle(task.id, is_done=False)
        return words

    def purge(self, state: TaskState) -> int:
        return self.discard([t.id for t in self.in_state(state)]).count("deleted")
