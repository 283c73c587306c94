"""What a replica needs, put together from several who say whether their part of it is there."""

from __future__ import annotations

from collections.abc import Callable

from hasim.engines.des.requests.replica import Replica


class Needs:
    """A replica has what it needs while everybody who was asked says so; at first they all do."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._said: list[bool] = []

    def listener(self) -> Callable[[bool], None]:
        """Return what one more of them is to call."""
        place = len(self._said)
        self._said.append(True)

        def hear(there: bool) -> None:
            self._said[place] = there
            self._replica.set_needs(all(self._said))

        return hear
