"""What every load-balancing policy is: settings that can be declared, and a chooser that is started from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hasim.balancing.backend import Backend
from hasim.declared import Declared


class Chooser(Protocol):
    """A policy at work in one balancer: it remembers where its wheel stands and says who is next."""

    def usable(self, backends: Sequence[Backend]) -> None:
        """Hear which servers may be chosen from now on, in order of index.

        It is called before the first choice and whenever the set or a weight has changed. When `choose` is called,
        the set last heard of has at least one server.
        """

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        """Return the server for the next attempt of a request.

        `key` names the client, for policies that hash. `avoid` is the server that has just failed this request; it
        is chosen only if there is no other.
        """


class Policy(Declared, ABC):
    """The settings of a way to choose a server; a kind states its `kind`, which is its name in YAML."""

    @abstractmethod
    def start(self, rng: np.random.Generator) -> Chooser:
        """Return a chooser in its first state; all its chance comes from `rng`."""
