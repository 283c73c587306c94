"""What a controller has asked for and not seen yet, so that a cache which lags does not make it ask twice.

Source: k/k pkg/controller/controller_utils.go, ControllerExpectations and UIDTrackingControllerExpectations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

EXPIRES_S: Final = 300.0
"""k/k ExpectationsTimeout: after 5 minutes nothing is waited for any more."""
TICK_S: Final = 0.001
"""No wait is shorter than a millisecond: one that is lost in the rounding of a clock would never end."""


@dataclass(slots=True)
class _Expected:
    """What is waited for under one key, since when; creations may be seen before they are counted as failed."""

    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Whether all of it has been seen."""
        return self.creations <= 0 and not self.deletions


class Expectations:
    """By key: how many pods should yet appear, and which ones should yet go.

    They are the memory of one process. Creations are only counted, so one made by somebody else for the same key passes
    for one's own; deletions are known by name, so that a pod that is marked first and goes later counts once.
    """

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        """Nothing is waited for."""
        self._expected: dict[str, _Expected] = {}

    def wait(self, key: str, now: float) -> float:
        """How much longer to wait before looking at this key, in seconds; 0: all has been seen, or the time is over."""
        expected = self._expected.get(key)
        if expected is None or expected.over:
            return 0.0
        left = expected.since + EXPIRES_S - now
        return max(left, TICK_S) if left > 0 else 0.0

    def creations(self, key: str, count: int, now: float) -> None:
        """So many creations are about to be asked for; whatever was waited for under the key is forgotten."""
        self._expected[key] = _Expected(now, creations=count)

    def deletions(self, key: str, names: Iterable[str], now: float) -> None:
        """The deletion of these is about to be asked for; whatever was waited for under the key is forgotten."""
        self._expected[key] = _Expected(now, deletions=set(names))

    def created(self, key: str, count: int = 1) -> None:
        """So many have appeared, or will not: their creation failed or was never tried."""
        if key in self._expected:
            self._expected[key].creations -= count

    def deleted(self, key: str, name: str) -> None:
        """This one is going or gone, or its deletion failed."""
        if key in self._expected:
            self._expected[key].deletions.discard(name)

    def forget(self, key: str) -> None:
        """The key is gone."""
        self._expected.pop(key, None)
