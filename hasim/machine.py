"""The contract between a protocol and whoever drives it: events in, effects out, nothing else.

A protocol (Raft, a lease, a health check) is a machine: one call of `step` with an event gives the list of
effects it asks for, to be performed in that order. It owns no clock, no generator and no network, so that the
same machine runs under SimPy, under a golden text story, and under an explorer that tries every order.

- `now` is the node's own clock. Skew and drift are the driver's business; a protocol cannot cheat.
- Chance is asked for, not drawn: a timer is set between two bounds and the driver picks; a whole number is asked
  for with `Draw` and comes back, before anything else happens to the node, as `Drawn`.
- What is saved survives a crash, and nothing else does: a crash throws the machine away, and a boot starts a
  new one with `Started(saved)`. What a step sends before it saves leaves while the disk is at work; what it
  sends afterwards waits until the disk is done.
- An announced fact is the only way to be seen. Checks and results read facts; nobody looks inside a machine.

Events and effects are named tuples, which cost a third of what a frozen dataclass does to make: a simulated second
makes hundreds of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from hasim.trace import Detail

# Events: all that a protocol can hear.


class Started(NamedTuple):
    """The node has booted; `saved` is what its disk holds, None at the first boot."""

    saved: Any = None


class Received(NamedTuple):
    """A message has arrived from another node; it may be late, doubled or out of order."""

    sender: str
    message: Any


class Fired(NamedTuple):
    """The timer of this name has run out."""

    timer: str


class Drawn(NamedTuple):
    """The whole number that was asked for under this name; it comes at once, before any other event."""

    name: str
    value: int


class Proposed(NamedTuple):
    """A client of this node asks for something; `ref` comes back in the answer."""

    command: Any
    ref: str = ""


class Linked(NamedTuple):
    """A connection to this node has come up."""

    peer: str


class Unlinked(NamedTuple):
    """The connection to this node has broken; what was on its way is lost."""

    peer: str


class Stopping(NamedTuple):
    """The node is asked to leave gracefully; the machine says `Exit` when it is ready."""


Event = Started | Received | Fired | Drawn | Proposed | Linked | Unlinked | Stopping

# Effects: all that it can ask for.


class Send(NamedTuple):
    """Send a message to another node, or to oneself; whether it arrives is the network's secret."""

    to: str
    message: Any
    size: int = 0  # bytes, where they matter


class SetTimer(NamedTuple):
    """Fire this timer after `low` to `high` seconds of the node's clock; an earlier setting is void."""

    timer: str
    low: float
    high: float


class Draw(NamedTuple):
    """Ask for a whole number from `low` to `high`, both included, each as likely."""

    name: str
    low: int
    high: int


class CancelTimer(NamedTuple):
    """Void the timer of this name; one that is not set is no mistake."""

    timer: str


class Save(NamedTuple):
    """Add this record to the disk; what the step sends after it waits until the record is there for good.

    Without `sync` nothing waits, and a power failure may lose the record (a crash of the process does not).
    """

    record: Any
    sync: bool = True
    size: int = 0  # bytes, where they matter


class Announce(NamedTuple):
    """Say that something happened; the driver adds the time and the node and makes it a Fact."""

    kind: str
    detail: Detail = ""


class Answer(NamedTuple):
    """Answer what a client proposed under this reference, in order with what is sent; or at once, past a busy disk."""

    ref: str
    result: Any
    at_once: bool = False


class Exit(NamedTuple):
    """Leave for good, after being asked to stop or because going on would be wrong; `why` is for people."""

    why: str = ""


Effect = Send | SetTimer | Draw | CancelTimer | Save | Announce | Answer | Exit


LOST: Final = "connection lost"
REFUSED: Final = "connection refused"


class Gone(NamedTuple):
    """No process answers: it died with the request (connection lost), or there was none (connection refused).

    The driver says this in place of the machine's answer. What met a refused connection has certainly had no effect.
    """

    error: str


class Machine(Protocol):
    """A protocol on one node; the same events at the same times always give the same effects."""

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        """Take in an event at `now` (seconds of the node's own clock) and ask for effects, in order."""


class Journal(Protocol):
    """How the records of a protocol add up on the disk to what `Started` hands to the next boot."""

    def __call__(self, saved: Any, record: Any) -> Any:
        """Return what is saved once `record` has been added to `saved` (None: an empty disk).

        The driver owns `saved`, and the call may change it in place.
        """
