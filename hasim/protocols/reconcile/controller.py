"""The contract of a controller: it looks at what is, and says which requests would bring what should be.

A controller is pure: it has no clock, no network and no chance, only its memory. Whoever drives it keeps its cache up
to date (late, as watches are), asks it for a plan, carries the requests out and tells it how they went. A crash throws
it away, memory and all, and the next to lead starts from an empty cache.

    change ─▶ keys(change, cache) ─▶ queue ─▶ plan(key, cache, now) ─▶ requests ─▶ answered(key, request, reply)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from hasim.protocols.api import Change, Reply, Request

T = TypeVar("T")

BACKOFF_FIRST_S = 0.005
BACKOFF_CAP_S = 1000.0
"""client-go util/workqueue: a key that failed n times waits 5 ms · 2^n, at most 1000 s."""


class Cache(Protocol):
    """What a controller knows of the objects: a copy of the store that lags behind it (an informer)."""

    def get(self, kind: type[T], name: str) -> T | None:
        """One object as it was when news of it last came; None if there is none."""

    def all(self, kind: type[T]) -> Iterator[T]:
        """All objects of a class, in order of creation."""


class Plan(NamedTuple):
    """What to do for one key: batches one after another, the requests of each at once; and when to look again.

    When a request of a batch fails, later batches are left out, and the key comes again after its back-off.
    """

    batches: tuple[tuple[Request, ...], ...] = ()
    again: float | None = None  # seconds from now


NOTHING = Plan()


class Controller(Protocol):
    """One control loop."""

    @property
    def period(self) -> float | None:
        """Every how many seconds it is asked for a plan with the key "" (after the last such plan is done); or None."""

    def keys(self, change: Change, cache: Cache) -> Iterable[str]:
        """The keys that this change of the cache calls for; the cache has it already."""

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """What would bring one key nearer to what it should be, at `now` (seconds of the controller's own clock)."""

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """How one of the requests went; None: no answer came, and nobody knows whether it took effect."""


class Backoffs:
    """How long keys that failed wait: 5 ms, then twice as long each time (client-go's per-item back-off)."""

    def __init__(self) -> None:
        """No key has failed."""
        self._failures: dict[str, int] = {}

    def failed(self, key: str) -> float:
        """The wait after one more failure of this key, in seconds."""
        times = self._failures[key] = self._failures.get(key, -1) + 1
        return float(min(BACKOFF_FIRST_S * 2.0 ** min(times, 60), BACKOFF_CAP_S))

    def succeeded(self, key: str) -> None:
        """It went well: the next failure is the first."""
        self._failures.pop(key, None)


def batch(requests: Iterable[Any]) -> tuple[tuple[Request, ...], ...]:
    """All requests at once; no batch at all if there are none."""
    together = tuple(requests)
    return (together,) if together else ()
