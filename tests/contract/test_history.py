"""What queues did in past minutes, and a book of it that reads each minute once."""

from __future__ import annotations

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_console.tui.lists.history_book import HistoryBook
from tq_console.view.history import histories, history_record, traffic
from tq_core.errors import InvalidInputError
from tq_core.roles import history
from tq_core.roles.history import MINUTE_MS, Read, Stretch

NOW = START_MS // MINUTE_MS


def work(q: QueueDriver, count: int, *, failing: int = 0) -> None:
    """Tasks that come in and end in the present minute."""
    q.put_many(count)
    for n, task in enumerate(q.take(count)):
        if n < failing:
            q.fail(task, verdict="fatal")
        else:
            q.complete(task)


def test_minutes_are_added_up_in_steps_and_each_is_counted_once(q: QueueDriver) -> None:
    work(q, 3, failing=1)
    q.clock.advance(20 * MINUTE_MS)
    work(q, 2)
    q.clock.advance(MINUTE_MS)
    work(q, 1)

    by_minute, by_quarter = q.run(history.read([Stretch("mail", NOW - 5, 30), Stretch("mail", NOW // 15 * 15, 45, 15)]))
    assert {m - NOW: c["completed"] for m, c in by_minute.steps.items()} == {0: 2, 20: 2, 21: 1}
    assert by_minute.steps[NOW]["failures"] == 1
    assert sum(c["completed"] for c in by_quarter.steps.values()) == 5
    assert all(start % 15 == 0 for start in by_quarter.steps)
    assert by_minute.now_ms == q.clock.now_ms
    assert q.run(history.read([])) == []

    for minutes, step in ((30, 1), (1440, 15)):
        (whole,) = q.run(history.past(["mail"], minutes=minutes, step=step))
        of = histories([whole])
        assert of["mail"].total["completed"] == 5
        assert of["mail"].starts_ms[-1] <= q.clock.now_ms < of["mail"].starts_ms[-1] + step * MINUTE_MS
    for minutes in (0, 2880):
        with pytest.raises(InvalidInputError, match="two days"):
            q.run(history.past(["mail"], minutes=minutes, step=1))


def test_the_record_has_what_was_counted_and_null_for_what_was_not_measured(q: QueueDriver) -> None:
    other = QueueDriver(q.url, queue="idle") if not q.url.startswith("memory://") else None
    work(q, 4, failing=1)
    q.clock.advance(MINUTE_MS)
    record = history_record(histories(q.run(history.past(["mail", "idle"], minutes=15, step=1))), minutes=15)
    mail, idle = record["queues"]

    assert len(record["starts_ms"]) == len(mail["series"]["completed"]) == 15
    assert mail["series"]["completed"][-2:] == [3, 0]
    assert (mail["failures"], mail["fail_share"]) == (1, 0.25)
    assert mail["series"]["run_p95_ms"][-1] is None
    assert sum(mail["wait_below_ms"].values()) == 3
    assert (idle["queue"], idle["fail_share"], idle["run_p95_ms"]) == ("idle", None, None)
    if other is not None:
        other.close()


@pytest.mark.parametrize("minutes", [60, 1440])
def test_a_book_comes_to_the_same_as_reading_all_of_it_at_once(q: QueueDriver, minutes: int) -> None:
    book = HistoryBook(minutes)
    read_minutes: list[int] = []

    def refresh() -> None:
        wanted = book.wanted(["mail"], q.clock.now_ms)
        read_minutes.append(sum(s.minutes for s in wanted))
        found: list[Read] = q.run(history.read(wanted))
        book.accept(found)
        book.accept(found)

    for n in range(40):
        work(q, n % 4, failing=n % 2)
        q.clock.advance(7 * MINUTE_MS + n)
    for n in range(12):
        refresh()
        work(q, 3, failing=1)
        refresh()
        q.clock.advance((n % 3) * MINUTE_MS // 2)
    refresh()

    (whole,) = q.run(history.past(["mail"], minutes=minutes, step=book.step))
    of = histories([whole])["mail"]
    for queue in ("mail", None):
        seen = book.history(queue)
        assert seen is not None
        assert (seen.starts_ms, seen.counts) == (of.starts_ms, tuple({**c} for c in of.counts if c is not None))
    assert book.share_read == 1.0
    assert traffic(book.sums())[0].failures == of.total["failures"]
    assert max(read_minutes[9:]) <= 4, "past minutes are read again"

    q.clock.advance(3 * minutes * MINUTE_MS)
    refresh()
    refresh()
    assert set(book.history("mail").total.values()) <= {0}  # type: ignore[union-attr]
    assert book.wanted([], q.clock.now_ms) == ()
    assert book.history() is None
