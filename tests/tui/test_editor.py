"""`e`: a task in the user's own editor, in a real terminal that the console makes way in and comes back to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.real_terminal import HAS_TMUX, real_terminal
from tests.waiting import wait_until
from tq_core.model import TaskState
from tq_core.roles import inspector

EDITOR = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text()
print("THE EDITOR IS HERE", flush=True)
if text.startswith("#!"):
    pathlib.Path(sys.argv[0]).with_suffix(".seen").write_text(text)
    path.write_text(text.replace('"bob",,', '"bob",'))
else:
    path.write_text(text.replace('"ana",', '"bob",,'))
"""


@pytest.mark.skipif(not HAS_TMUX, reason="tmux is missing: apt install tmux")
def test_what_the_editor_saves_becomes_a_task_and_what_is_wrong_comes_back_first(
    q: QueueDriver, tmp_path: Path
) -> None:
    first = q.put_one({"to": "ana", "password": "hunter2"})
    script = tmp_path / "editor.py"
    script.write_text(EDITOR)
    editor = {"VISUAL": f"{sys.executable} {script}", "TMPDIR": str(tmp_path)}
    with real_terminal(tmp_path, ["console", "--url", q.url], size=(100, 30), environment=editor) as terminal:
        terminal.until("depth 1")
        terminal.press("4", "]")
        terminal.until(first[-8:])
        terminal.press("e")
        made = wait_until(
            lambda: [t for t in q.run(inspector.page("mail", TaskState.PENDING)).tasks if t.id != first], 20, "the task"
        )
        assert (made[0].args, made[0].options.linked_to) == ({"to": "bob", "password": "hunter2"}, first)
        terminal.until("depth 2")
        seen = script.with_suffix(".seen").read_text()
        assert seen.startswith("#! no valid JSON at line ")
        assert "hunter2" not in seen
        assert not list(tmp_path.glob("tq-*.json"))
        terminal.press("q", "q", "q")
        assert terminal.exit_code() == 0
