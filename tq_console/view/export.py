"""Tasks as lines of a file: JSON, one object each, or CSV with a heading."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Literal

from tq_console.view.records import TASK_FIELDS, task_record
from tq_console.view.secrets import Masker
from tq_console.view.text import json_line
from tq_core.model import TaskView

Form = Literal["ndjson", "csv"]
FORMS: tuple[Form, ...] = ("ndjson", "csv")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def form_of(name: str) -> Form:
    """The form that a file's name asks for: CSV by its ending, else JSON lines."""
    return "csv" if name.lower().endswith(".csv") else "ndjson"


def heading(form: Form) -> Iterator[str]:
    """What stands before the first task, as lines without their end."""
    if form == "csv":
        yield ",".join(TASK_FIELDS)


def line_of(task: TaskView, masker: Masker, form: Form) -> str:
    """One task on one line, without its end; in CSV data is JSON, and what there is not an empty cell."""
    record = task_record(task, masker)
    if form == "ndjson":
        return json_line(record)
    cells = [_cell(value) for value in record.values()]
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(cells)
    return written.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, str):
        # What a spreadsheet would take for a formula is text.
        return f"'{value}" if value[:1] in _FORMULA else value
    return "" if value is None else json_line(value)
