"""The contract between a protocol and whoever drives it: events in, effects out, nothing else.

A protocol (Raft, a lease, a health check) is a machine: one call of `step` with an event gives the list of
effects it asks for, to be performed in that order. It owns no clock, no generator and no network, so that the
same machine runs under SimPy, under a golden text story, and under an explorer that tries every order.

- `now` is the node's own clock. Skew and drift are the driver's business; a protocol cannot cheat.
- Chance is asked for, not drawn: a timer is set between two bounds and the driver picks.
- What is saved survives a crash, and nothing else does: a crash throws the machine away, and a boot starts a
  new one with `Started(saved)`. A save before a send in the list is a save before the message leaves.
- An announced fact is the only way to be seen. Checks and results read facts; nobody looks inside a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hasim.trace import Detail

# Events: all that a protocol can hear.


@dataclass(frozen=True, slots=True)
class Started:
    """The node has booted; `saved` is what it saved last, None at the first boot."""

    saved: Any = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message has arrived from another node; it may be late, doubled or out of order."""

    sender: str
    message: Any


@dataclass(frozen=True, slots=True)
class Fired:
    """The timer of this name has run out."""

    timer: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A client of this node asks for something; `ref` comes back in the answer."""

    command: Any
    ref: str = ""


Event = Started | Received | Fired | Proposed

# Effects: all that it can ask for.


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to another node; whether it arrives is the network's secret."""

    to: str
    message: Any


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire this timer after `low` to `high` seconds of the node's clock; an earlier setting is void."""

    timer: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Void the timer of this name; one that is not set is no mistake."""

    timer: str


@dataclass(frozen=True, slots=True)
class Save:
    """Put this on the disk in place of what was there; the effects after it wait until that is done."""

    state: Any


@dataclass(frozen=True, slots=True)
class Announce:
    """Say that something happened; the driver adds the time and the node and makes it a Fact."""

    kind: str
    detail: Detail = ""


Effect = Send | SetTimer | CancelTimer | Save | Announce


class Machine(Protocol):
    """A protocol on one node; the same events at the same times always give the same effects."""

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        """Take in an event at `now` (seconds of the node's own clock) and ask for effects, in order."""
