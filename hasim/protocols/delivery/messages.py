"""What producers and workers say to a broker, and what it says to them."""

from __future__ import annotations

from typing import NamedTuple


class Put(NamedTuple):
    """Keep this task, and deliver it."""

    n: int
    task: str


class Stored(NamedTuple):
    """The task of Put `n` is kept."""

    n: int


class Take(NamedTuple):
    """Deliver one task to me, as soon as there is one; a worker with room for several asks several times."""


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


class Settled(NamedTuple):
    """The answer to Ack, Nack or Touch: whether it counted."""

    receipt: int
    ok: bool
