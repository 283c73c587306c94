"""Which version a request goes to while an upgrade says so: by fixed shares, or by when its client has heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from hasim.model.laws import Law

MOMENTS: Final = 400
"""In so many steps is written down how the clients follow a switch."""


class ShareLanes:
    """Each request takes one of several versions, with these chances."""

    def __init__(
        self, shares: Sequence[tuple[str, float]], version_of: Callable[[int], str | None], chance: Callable[[], float]
    ) -> None:
        self._versions = [version for version, share in shares if share > 0]
        self._ends: list[float] = []
        for _, share in shares:
            if share > 0:
                self._ends.append(share + (self._ends[-1] if self._ends else 0.0))
        self._version_of = version_of
        self._chance = chance

    @property
    def count(self) -> int:
        """How many versions get requests."""
        return len(self._versions)

    def lane_of(self, server: int) -> int:
        """The place of a server's version among them; -1: it gets none."""
        version = self._version_of(server)
        return self._versions.index(version) if version in self._versions else -1

    def lane_for(self, client: int) -> int:
        """One at random."""
        luck = self._chance() * self._ends[-1]
        return next((lane for lane, end in enumerate(self._ends) if luck < end), len(self._ends) - 1)

    def share_of(self, version: str, now: float) -> float:
        """The share of requests that a version gets."""
        if version not in self._versions:
            return 0.0
        lane = self._versions.index(version)
        return (self._ends[lane] - (self._ends[lane - 1] if lane else 0.0)) / self._ends[-1]


class ClientLanes:
    """Each client goes on as before until it has heard of the switch, after a time of its own.

    That is to the old version, or where an `earlier` switch may not have reached it yet, wherever that sends it.
    """

    def __init__(
        self,
        old: str,
        new: str,
        at: float,
        law: Law,
        version_of: Callable[[int], str | None],
        delay: Callable[[], float],
        now: Callable[[], float],
        earlier: ClientLanes | None = None,
    ) -> None:
        self._versions = (old, new)
        self._at, self._law = at, law
        self._version_of, self._delay, self._now = version_of, delay, now
        self._hears: dict[int, float] = {}  # when each client does
        self._earlier = earlier

    @property
    def count(self) -> int:
        """Both versions."""
        return 2

    def lane_of(self, server: int) -> int:
        """0: the old version, 1: the new one, -1: neither."""
        version = self._version_of(server)
        return self._versions.index(version) if version in self._versions else -1

    def lane_for(self, client: int) -> int:
        """The new version, for clients that have heard."""
        return self._versions.index(self._version_for(client))

    def _version_for(self, client: int) -> str:
        hears = self._hears.get(client)
        if hears is None:
            hears = self._hears[client] = self._at + self._delay()
        if self._now() >= hears:
            return self._versions[1]
        return self._versions[0] if self._earlier is None else self._earlier._version_for(client)

    def share_of(self, version: str, now: float) -> float:
        """The share of clients that go there, as it is to be expected."""
        moved = 1.0 - float(self._law.survival(max(now - self._at, 0.0)))
        old, new = self._versions
        staying = float(version == old) if self._earlier is None else self._earlier.share_of(version, now)
        return moved * (version == new) + (1.0 - moved) * staying

    def moments(self) -> list[float]:
        """When another small share of the clients has heard."""
        shares = np.arange(1, MOMENTS) / MOMENTS
        return [self._at + wait for wait in np.unique(self._law.quantile(shares)).tolist()]
