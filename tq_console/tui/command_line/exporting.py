"""What is on a screen written into a file: which command tells it, and its records as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tq_core.errors import InvalidInputError

FORMATS = ("csv", "ndjson")
_RECORDS = {"queues": ("queues", "list", "--json"), "workers": ("workers", "list", "--json")}
"""Screen -> the command that prints its rows."""


def chosen_file(rest: tuple[str, ...], *, screen: str) -> tuple[str, Path]:
    """Format and file behind `export`.

    Raises:
        InvalidInputError: there is no such format, or the file is there already.
    """
    if not rest or rest[0] not in FORMATS or len(rest) > 2:
        raise InvalidInputError("export what as? :export csv [FILE] or :export ndjson [FILE]")
    name = rest[1] if len(rest) == 2 else f"tq-{screen}-{time.strftime('%Y%m%d-%H%M%S')}.{rest[0]}"
    path = Path(name).expanduser()
    if path.exists():
        raise InvalidInputError(f"{path} is there already: name another file")
    return rest[0], path


def words_for(screen: str) -> tuple[str, ...]:
    """The command that prints the rows of a screen.

    Raises:
        InvalidInputError: there is none.
    """
    if screen not in _RECORDS:
        raise InvalidInputError(f"the {screen} screen has no list to export: go to queues, workers, tasks or dlq")
    return _RECORDS[screen]


def write_records(path: Path, text: str, *, form: str) -> int:
    """Writes records into a new file; returns how many.

    Args:
        path: Must not be there yet.
        text: JSON, an object a line.
        form: One of FORMATS.

    Raises:
        OSError: it cannot be written.
    """
    records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(
            _csv(records) if form == "csv" else "".join(f"{json.dumps(r, ensure_ascii=False)}\n" for r in records)
        )
    return len(records)


def _csv(records: list[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    for record in records:
        writer.writerow([_cell(record.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # What a spreadsheet would take for a formula is text.
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
