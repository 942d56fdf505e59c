"""Which pictures are taken: of which shop, at which size, after which keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from tests.tui.pictures.shop import Shop
from tests.waiting import wait_until_async
from tq_console.tui.app import ConsoleApp
from tq_console.tui.watch.link import Link
from tq_console.view.secrets import Masker
from tq_core.broker_url import BrokerScheme
from tq_core.settings import BrokerAddress, BrokerContext
from tq_core.transport.backend import OpenBroker
from tq_core.transport.runner import AsyncRunner

NARROW, NORMAL, WIDE = (80, 24), (120, 40), (200, 60)
NEVER_S = 86_400.0
"""Between two questions of the console itself: for a picture it is told when to ask."""
OUTAGE_S = 14.0
SETTLES_WITHIN_S = 20.0
FULL_WIDTH = "font-variant-east-asian: full-width;"
"""Of the style that the exported picture gives its text."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture."""

    name: str
    keys: tuple[str, ...] = ()
    shows: str = ""
    """What is on screen when it may be taken."""
    size: tuple[int, int] = NORMAL
    is_empty: bool = False
    """Of a shop that has not begun yet."""
    is_cut_off: bool = False
    """The broker goes away after the keys."""


def _letters(text: str) -> tuple[str, ...]:
    return tuple({" ": "space", ".": "full_stop", "_": "underscore", "-": "minus", "@": "at"}.get(c, c) for c in text)


OVERVIEW = Shot("overview", shows="tasks in the dead letter queue")
TASKS = Shot("tasks", ("4", "j"), shows="2 of 28")
SHOTS = (
    OVERVIEW,
    replace(OVERVIEW, name="overview-80x24", size=NARROW),
    replace(OVERVIEW, name="overview-200x60", size=WIDE),
    replace(OVERVIEW, name="overview-light", keys=("f2",)),
    replace(OVERVIEW, name="disconnected", shows="STALE 14s", is_cut_off=True),
    Shot("queues", ("2", "j", "j"), shows="webhooks"),
    Shot("workers", ("3", "j"), shows="alone in its process"),
    TASKS,
    Shot("dlq", ("5", "j"), shows="traceback of one"),
    Shot("task", ("5", "]", "j", "j", "enter"), shows="Traceback"),
    Shot("schedule", ("6", "j"), shows="Europe/Rome  in"),
    Shot("metrics", ("7", "left_curly_bracket"), shows="run times, "),
    Shot("help", ("2", "question_mark"), shows="Everywhere"),
    Shot(
        "submit", ("n", *_letters("send_receipt"), "enter", *_letters("buyer@example.com")), shows="buyer@example.com"
    ),
    Shot("confirm", ("2", "G", "P"), shows="of work, at"),
)


class ShopLink(Link):
    """A link to a shop, over its own server and clock."""

    def __init__(self, shop: Shop) -> None:
        context = BrokerContext(name="shop", url="memory://shop")
        address = BrokerAddress(BrokerScheme.MEMORY, "memory://shop", "context shop", name="shop", context=context)
        super().__init__(address, actor="oncall@deck")
        self._broker = OpenBroker(shop.endpoint, address)
        self._reader = AsyncRunner(shop.endpoint, retry_for_s=0.0)
        self._writer = AsyncRunner(shop.endpoint, retry_for_s=0.0)


class StillClock:
    """Our own clock, which only moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@cache
def busy_shop() -> Shop:
    """The one that all pictures share: they only look."""
    return Shop.busy()


def staged(shot: Shot) -> tuple[ConsoleApp, Callable[[Pilot[Any]], Awaitable[None]]]:
    """The console for a shot, and what is to be done with it until the picture may be taken."""
    shop = Shop.empty() if shot.is_empty else busy_shop()
    clock = StillClock()
    app = ConsoleApp(ShopLink(shop), masker=Masker(), interval_s=NEVER_S, clock=clock)

    async def act(pilot: Pilot[Any]) -> None:
        await _settled(app, pilot, "")
        for key in shot.keys:
            await pilot.press(key)
            await _settled(app, pilot, "")
        if shot.is_cut_off:
            clock.now_s += OUTAGE_S
        with shop.away() if shot.is_cut_off else nullcontext():
            await _settled(app, pilot, shot.shows)

    return app, act


async def _settled(app: ConsoleApp, pilot: Pilot[Any], text: str) -> None:
    """Asks until an answer changes nothing more, and a text is on screen."""
    last = ""

    async def is_still() -> bool:
        nonlocal last
        await app.poller.run_once()
        await pilot.pause()
        for widget in app.screen.query("Input, TextArea"):
            assert isinstance(widget, Input | TextArea)
            widget.cursor_blink = False
        before, last = last, "\n".join(_lines(app))
        return app.snapshot is not None and before == last and text in last

    await wait_until_async(is_still, SETTLES_WITHIN_S, f"a still picture with {text!r}")


def _lines(app: ConsoleApp) -> list[str]:
    strips = app.screen._compositor.render_strips(app.size)
    return ["".join(segment.text for segment in strip) for strip in strips]


async def svg_of(shot: Shot) -> str:
    """Takes one picture."""
    app, act = staged(shot)
    async with app.run_test(size=shot.size, notifications=True) as pilot:
        await act(pilot)
        svg = app.export_screenshot(title="tq")
    # As in most terminals: two signs stay two, such as the 0 and the x of an id.
    return svg.replace(FULL_WIDTH, f"{FULL_WIDTH} font-variant-ligatures: none;")
