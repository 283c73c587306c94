"""Which version a request goes to while an upgrade says so: by fixed shares, or by when its client has heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hasim.model.laws import Law


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
    """Each client goes on to the old version until it has heard of the switch, after a time of its own."""

    def __init__(
        self,
        old: str,
        new: str,
        at: float,
        law: Law,
        version_of: Callable[[int], str | None],
        delay: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._versions = (old, new)
        self._at, self._law = at, law
        self._version_of, self._delay, self._now = version_of, delay, now
        self._hears: dict[int, float] = {}  # when each client does

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
        hears = self._hears.get(client)
        if hears is None:
            hears = self._hears[client] = self._at + self._delay()
        return int(self._now() >= hears)

    def share_of(self, version: str, now: float) -> float:
        """The share of clients that go there, as it is to be expected."""
        moved = 1.0 - self._law.survival(max(now - self._at, 0.0))
        return float(moved if version == self._versions[1] else 1.0 - moved)
