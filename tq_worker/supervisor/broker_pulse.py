"""Whether the supervisor reaches the broker, as its services find out while they work."""

from __future__ import annotations


class BrokerPulse:
    """Told by each service how its last call went."""

    def __init__(self) -> None:
        self.is_reached = False
        self.reconnects = 0
        """How often the broker was away and came back."""
        self._was_away = False

    def heard(self) -> None:
        """The broker answered."""
        self.is_reached = True
        if self._was_away:
            self._was_away = False
            self.reconnects += 1

    def missed(self) -> None:
        """It could not be reached."""
        self.is_reached = False
        self._was_away = True
