"""Ending something that goes on for long, by a key, wherever the user is by then."""

from __future__ import annotations

KEY = "ctrl+x"


class Stop:
    """Whether somebody wants that it ends; asked between two steps of it."""

    def __init__(self) -> None:
        self.is_wanted = False


class Stops:
    """What is under way now and can be ended."""

    def __init__(self) -> None:
        self._under_way: list[Stop] = []

    def begin(self, stop: Stop) -> None:
        """It has begun."""
        self._under_way.append(stop)

    def end(self, stop: Stop) -> None:
        """It is over, one way or the other."""
        self._under_way.remove(stop)

    def want(self) -> bool:
        """Ends all; False where there is nothing to end."""
        for stop in self._under_way:
            stop.is_wanted = True
        return bool(self._under_way)
