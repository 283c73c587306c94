"""What producers and workers say to a broker, and what it says to them."""

from __future__ import annotations

from typing import NamedTuple


class Put(NamedTuple):
    """Keep this task, and deliver it; the id of a task is its name."""

    n: int
    task: str
    group: str = ""


class Stored(NamedTuple):
    """The task of Put `n` is kept."""

    n: int


class Hello(NamedTuple):
    """A new process, on a new connection: what its predecessor asked for is void."""


class Take(NamedTuple):
    """Deliver one task to me, as soon as there is one; a worker with room for several asks several times.

    With `auto_ack` the task is done with as it is delivered.
    """

    auto_ack: bool = False


class Delivered(NamedTuple):
    """A task for whoever asked. `receipt` is of this delivery, the `number`-th of the task."""

    task: str
    receipt: int
    number: int


class Ack(NamedTuple):
    """The task of this delivery is done."""

    receipt: int


class Nack(NamedTuple):
    """The task of this delivery could not be done; deliver it again, after `delay` seconds."""

    receipt: int
    delay: float = 0.0


class Touch(NamedTuple):
    """The worker is still at it: let the ack deadline of this delivery begin anew."""

    receipt: int


class Beat(NamedTuple):
    """The connection is alive."""


class Settled(NamedTuple):
    """The answer to Ack, Nack or Touch: whether it counted."""

    receipt: int
    ok: bool


class Closed(NamedTuple):
    """Your channel is closed: everything that you have is delivered again."""


class Commit(NamedTuple):
    """The effect of this delivery, and its ack: both together or neither."""

    receipt: int


class Committed(NamedTuple):
    """The answer to Commit: whether both happened."""

    receipt: int
    ok: bool


class Prepare(NamedTuple):
    """Can you commit your half of this delivery? Whoever says yes waits for the decision, come what may."""

    receipt: int
    task: str


class Vote(NamedTuple):
    """The answer to Prepare."""

    receipt: int
    yes: bool


class Decide(NamedTuple):
    """The decision of the coordinator, who wants to know that it has come."""

    receipt: int
    commit: bool


class Decided(NamedTuple):
    """The decision has come, and is carried out."""

    receipt: int


class Inquire(NamedTuple):
    """What was decided? Asked by whoever has voted yes, and heard nothing."""

    receipt: int
