"""A chosen order is taken at once, and changes under nobody's hands."""

from __future__ import annotations

from tq_console.tui.lists.held_order import IDLE_S, HeldOrder
from tq_console.tui.table.rows import Column

ORDERS = {"N": (lambda item: item[1], True), "NAME": (lambda item: item[0], False)}
COLUMNS = (Column("NAME", (1, 1, 1)), Column("N", (1, 1, 1)))


def test_rows_change_places_only_while_nobody_moves() -> None:
    now = 0.0
    order = HeldOrder[tuple[str, int]](lambda item: item[0], ORDERS, clock=lambda: now)
    items = [("a", 1), ("b", 3), ("c", 2)]

    def names(*found: tuple[str, int]) -> str:
        return "".join(name for name, _ in order.arrange(found or items))

    assert (names(), order.columns(COLUMNS)) == ("abc", COLUMNS)
    order.choose("N")
    assert names() == "bca"
    assert [column.title for column in order.columns(COLUMNS)] == ["NAME", "N▼"]
    order.moved()
    assert names(("a", 9), ("b", 3), ("c", 2), ("d", 10)) == "bcad"
    assert names(("a", 9), ("c", 2)) == "ca"
    now += IDLE_S
    assert names(("a", 9), ("b", 3), ("c", 2), ("d", 10)) == "dabc"

    # The same column again is the other way round, and another one its own way.
    order.choose("N")
    assert names() == "acb"
    assert order.columns(COLUMNS)[1].title == "N▲"
    order.choose("NAME")
    assert names(("b", 1), ("a", 1)) == "ab"
    order.choose("")
    assert names(("b", 1), ("a", 1)) == "ba"
