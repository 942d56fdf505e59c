"""Random histories of queues whose tasks wait for one another, with messages told late, twice or by nobody."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.queue_driver import QueueDriver
from tq_core.errors import UnknownParentError
from tq_core.model import PARENT_POLICIES, TaskOptions, TaskState
from tq_core.roles import audit, operator, outbox, producer
from tq_core.transport.steps import Script

QUEUES = ("a", "b", "c")
queue_at = st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), queue_at, st.sets(st.integers(0, 40), max_size=3), st.sampled_from(PARENT_POLICIES)),
    st.tuples(
        st.just("put_unasked"), queue_at, st.sets(st.integers(0, 40), max_size=3), st.sampled_from(PARENT_POLICIES)
    ),
    st.tuples(st.sampled_from(["complete", "fail", "tell", "tell_old", "ask_again"]), queue_at),
    st.tuples(st.sampled_from(["cancel", "discard", "requeue"]), st.integers(0, 40)),
)


class History:
    """What happens, and the messages that were seen at any time."""

    def __init__(self) -> None:
        first = QueueDriver("memory://", queue=QUEUES[0])
        self.queues = [first, *(first.beside(name) for name in QUEUES[1:])]
        self.ids: list[str] = []
        self.seen: list[outbox.Message] = []
        self.names = itertools.count()

    def do(self, what: str, *how: object) -> None:
        for message in self.queues[0].run(outbox.waiting(QUEUES)):
            if message not in self.seen:
                self.seen.append(message)
        getattr(self, what)(*how)

    def put(self, at: int, parents: set[int], policy: str, *, is_asked: bool = True) -> None:
        named = tuple(self.ids[i % len(self.ids)] for i in sorted(parents)) if self.ids else ()
        options = TaskOptions(depends_on=tuple(dict.fromkeys(named)), on_parent_failure=policy if named else None)
        task = producer.new_task("work", {}, name=f"n{next(self.names)}", max_attempts=1, options=options)
        flow = producer.enqueue(QUEUES[at], [task])
        reply = None
        try:
            while True:
                step = flow.send(reply)
                if not is_asked and any(
                    isinstance(s, Script) and s.name == "outbox" for s in getattr(step, "steps", [step])
                ):
                    break
                reply = self.queues[at].ask(step)
        except StopIteration:
            pass
        except UnknownParentError:
            return
        self.ids.append(f"{task.chosen_name}@{QUEUES[at]}")

    def put_unasked(self, at: int, parents: set[int], policy: str) -> None:
        self.put(at, parents, policy, is_asked=False)

    def complete(self, at: int) -> None:
        self.queues[at].complete(*self.queues[at].take(1))

    def fail(self, at: int) -> None:
        for task in self.queues[at].take(1):
            self.queues[at].fail(task, verdict="fatal")

    def tell(self, at: int) -> None:
        self.queues[at].tell()

    def tell_old(self, at: int) -> None:
        self.queues[0].run(outbox.tell(self.seen[at::2]))

    def ask_again(self, at: int) -> None:
        self.queues[0].run(outbox.ask_again(QUEUES[at]))

    def cancel(self, i: int) -> None:
        self._named(i, operator.cancel)

    def discard(self, i: int) -> None:
        self._named(i, operator.discard)

    def requeue(self, i: int) -> None:
        self._named(i, operator.requeue)

    def _named(self, i: int, operation: object) -> None:
        if self.ids:
            self.queues[0].run(operation([self.ids[i % len(self.ids)]], actor="ann"))  # type: ignore[operator]

    def check(self) -> None:
        """Nobody disagrees now; and when all is told, and all tasks are run, nobody waits any more."""
        assert self.queues[0].run(audit.audit()) == []
        for _ in range(len(self.ids) + 1):
            for queue in self.queues:
                queue.tell()
                queue.complete(*queue.take(100))
        assert self.queues[0].run(audit.audit()) == []
        assert [q.depths().get(TaskState.BLOCKED.value, 0) for q in self.queues] == [0, 0, 0]

    def close(self) -> None:
        self.queues[0].close()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(OPERATIONS, min_size=5, max_size=60))
def test_whatever_happens_in_whatever_order_nobody_waits_for_ever(operations: list[tuple[object, ...]]) -> None:
    history = History()
    try:
        for what, *how in operations:
            history.do(str(what), *how)
        history.check()
    finally:
        history.close()
