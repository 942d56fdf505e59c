"""The slot board: what a dead worker was running is read from its memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tq_worker import board
from tq_worker.board import Board, Noted


@pytest.fixture
def fd() -> Iterator[int]:
    fd = board.new_file()
    yield fd
    os.close(fd)


def test_the_other_side_reads_what_is_noted_and_not_wiped(fd: int) -> None:
    mine = Board(fd)
    first = mine.note("01jd7q0v3k0a19c8x7v6b5n4m2", 123, is_alone=False)
    mine.note("report-2024-07@mail", 456, is_alone=True)
    mine.wipe(first)
    mine.note("x" * 100 + "@" + "q" * 64, 789, is_alone=False)

    assert sorted(board.read(fd)) == [
        Noted("report-2024-07@mail", 456, True),
        Noted("x" * 100 + "@" + "q" * 64, 789, False),
    ]


def test_it_outlives_the_process_that_wrote_it(fd: int) -> None:
    pid = os.fork()
    if pid == 0:
        Board(fd).note("task", 1, is_alone=False)
        os._exit(0)
    os.waitpid(pid, 0)

    assert board.read(fd) == [Noted("task", 1, False)]


def test_it_has_room_for_so_many_and_no_more(fd: int) -> None:
    mine = Board(fd)
    places = [mine.note(str(n), n, is_alone=False) for n in range(board.ENTRIES)]
    assert not mine.has_room
    assert len(board.read(fd)) == board.ENTRIES

    mine.wipe(places[7])

    assert mine.has_room
