"""One task as lines: everything that is known, nothing that is obeyed."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tq_console.tui.detail.detail_lines import detail_lines, detail_rows
from tq_console.tui.detail.traceback_lines import traceback_spans
from tq_console.tui.look.canvas import Line
from tq_console.tui.watch.snapshot import Detail
from tq_console.view.secrets import Masker
from tq_core.model import Attempt, TaskOptions, TaskState, TaskView

NOW_MS = 1_700_000_100_000
TRACEBACK = 'Traceback (most recent call last):\n  File "mail.py", line 3, in send\nOSError: refused\n'


def failed(**changes: object) -> TaskView:
    fields: dict[str, object] = {
        "id": "01jd7q0v3k0009c8x7v6b5n4m2",
        "type": "send_mail",
        "queue": "mail",
        "state": TaskState.FAILED,
        "priority": 100,
        "attempt": 2,
        "max_attempts": 2,
        "args": {"to": "ana@example.org", "password": "hunter2", "lines": ["a", "b"]},
        "payload_bytes": 60,
        "error": {"reason": "error", "type": "OSError", "message": "refused", "traceback": TRACEBACK},
        "worker_id": "host-1.2",
        "created_at_ms": NOW_MS - 60_000,
        "started_at_ms": NOW_MS - 5_000,
        "finished_at_ms": NOW_MS - 4_000,
        "duration_ms": 1000,
        "options": TaskOptions(timeout_s=30, submitted_by="ana@host"),
        "history": (
            Attempt(
                at_ms=NOW_MS - 30_000,
                outcome="retry",
                attempt=1,
                worker_id="host-1.1",
                duration_ms=20,
                detail={
                    "type": "TimeoutError",
                    "message": "no answer",
                    "traceback": "Traceback: an older one",
                    "stopping": [["asked", 12], ["told again", 812], ["nonsense"], 7],
                },
            ),
        ),
    }
    return TaskView(**{**fields, **changes})  # type: ignore[arg-type]


def shown(task: TaskView, *, why: str = "failed 4 s ago", width: int = 80) -> str:
    return text(detail_lines(task, why, now_ms=NOW_MS, width=width, masker=Masker()))


def text(lines: list[Line]) -> str:
    return "\n".join("".join(span for span, _ in line) for line in lines)


def test_arguments_attempts_and_tracebacks_are_all_there() -> None:
    page = shown(failed())
    for words in (
        "✗ failed send_mail",
        "failed 4 s ago",
        '"to": "ana@example.org"',
        "OSError: refused",
        'File "mail.py", line 3, in send',
        "retry attempt 1 after 20 ms on host-1.1",
        "TimeoutError: no answer",
        "Traceback: an older one",
        "to stop it: asked at 12 ms; told again at 812 ms",
        "1m ago  enqueued",
        "ana@host",
    ):
        assert words in page, words


def test_secrets_are_masked() -> None:
    assert "hunter2" not in shown(failed())
    assert '"password": "***"' in shown(failed())


def test_a_result_is_shown_only_where_there_is_one() -> None:
    assert "▾ result" not in shown(failed())
    done = failed(state=TaskState.COMPLETED, error=None, result={"sent": True}, history=())
    assert '"sent": true' in shown(done)


@pytest.mark.parametrize("width", [20, 38, 72, 190])
def test_no_line_of_a_value_is_wider_than_there_is_room(width: int) -> None:
    hostile = failed(args={"text": "漢字" * 200 + "\x1b[31m\u202e", "long": "x" * 5000}, type="t" * 10)
    for line in detail_lines(hostile, "why " * 50, now_ms=NOW_MS, width=width, masker=Masker())[3:]:
        words = "".join(span for span, _ in line)
        if words.startswith(("  ", "{", "}", "    ")):
            assert cell_len(words) <= max(width, 20), words
        assert words.isprintable()


def test_a_payload_that_was_not_read_whole_is_described() -> None:
    page = shown(failed(args=None, payload_text='{"a": "xxxx', payload_bytes=5_000_000))
    assert "not read whole: 4.8 MiB" in page


def test_a_value_of_very_many_lines_is_cut_and_the_rest_counted() -> None:
    assert "[…] 2,000 items" in shown(failed(args={"rows": list(range(2000))}))
    detail = Detail("t", failed(args={"rows": list(range(2000))}))
    opened = detail_rows(detail, now_ms=NOW_MS, width=80, masker=Masker(), toggled={"fold:arguments/rows"})
    assert "more lines" in text([row.line for row in opened])
    assert len(opened) < 1000


def test_a_value_opens_and_closes_and_a_megabyte_costs_what_is_open() -> None:
    class Counting(Masker):
        looked = 0

        def masked(self, value: object) -> object:
            self.looked += len(str(value))
            return super().masked(value)

    masker = Counting()
    big = {"body": {"deep": {"password": "hunter2", "n": None}}, "text": "x" * 1_000_000, "url": "redis://u:pw@h"}
    detail = Detail("t", failed(args=big, error=None, history=()))

    def page(*toggled: str) -> str:
        return text([r.line for r in detail_rows(detail, now_ms=NOW_MS, width=60, masker=masker, toggled=set(toggled))])

    assert '▾ "body": {…} 1 field\n    ▾ "deep": {…} 2 fields' not in page("fold:arguments/body")
    assert '▸ "deep"' not in page("fold:arguments/body")
    assert "***" in page()
    assert "hunter2" not in page()
    assert '"url": "redis://u:***@h"' in page()
    assert '▸ "text": "xxx' in page()
    assert "1,000,000 characters" in page()
    assert len(page("fold:arguments/text")) < 6_000
    assert masker.looked < 400_000
    assert "arguments" in page("fold:arguments")
    assert "redis://" not in page("fold:arguments")


def test_frames_of_ours_are_brighter_than_those_of_libraries() -> None:
    ours = '  File "/srv/app/mail.py", line 3, in send\n    client.deliver(to)'
    library = '  File "/venv/lib/python3.11/site-packages/smtp.py", line 9, in deliver\n    raise OSError("[/no]")'
    lines = traceback_spans(f"Traceback (most recent call last):\n{ours}\n{library}\nOSError: [/no]\x1b[31m\n", 90)
    styles = {"".join(t for t, _ in line).strip(): {style for _, style in line} for line in lines}
    assert "cell--accent" in styles['File "/srv/app/mail.py", line 3, in send']
    assert styles["client.deliver(to)"] == {"cell--bold"}
    assert styles['raise OSError("[/no]")'] == {"cell--dim"}
    assert styles["OSError: [/no]\\x1b[31m"] == {"cell--bad", ""}
