"""What passive failure detection is: a balancer that learns from its own requests which servers to leave out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from hasim.declared import Declared

Failure = Literal["refused", "reset", "timeout", "5xx"]
"""How a request fails at a server: no connection, a broken one, no answer in time, or an answer with an error."""


class Turn(NamedTuple):
    """A server is left out from now on, or is in use again; `why` says so in a few words."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a turn
    usable: bool
    why: str


class Detector(Protocol):
    """Passive detection at work in one balancer; servers go by index, times are the balancer's clock in seconds.

    Every call returns the turns that follow from it at once, in order; most calls return none.
    """

    wake_at: float
    """When `wake` wants to be called; infinity if never."""

    def chosen(self, index: int, now: float) -> Sequence[Turn]:
        """Hear that a request is being sent to a server."""

    def answered(self, index: int, failure: str | None, now: float) -> Sequence[Turn]:
        """Hear how a request to a server ended: None if well, else one of `Failure`."""

    def wake(self, now: float) -> Sequence[Turn]:
        """Do what was due at `wake_at`, and set the next one.

        It is called when that time has come. A `now` just before it is taken for a rounding of the caller's sums.
        """


class Ejection(Declared, ABC):
    """The settings of a way to leave failing servers out; a kind states its `kind`, which is its name in YAML."""

    @abstractmethod
    def start(self, count: int, rng: np.random.Generator) -> Detector:
        """Return a detector for servers 0 to count - 1, all in use; all its chance comes from `rng`."""
