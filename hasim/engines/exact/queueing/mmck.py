"""M/M/c/K: several servers and a line of limited length; who finds it full is turned away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hasim.engines.exact.queueing.arguments import Floats, positive
from hasim.engines.exact.queueing.erlang import loss_share


@dataclass(frozen=True)
class MMcK:
    """A pool with a bounded line in the long run, at any load: the ideal form of load shedding.

    `arrival_rate` and the `service_rate` of each server are per second; `room` counts the requests in service and in
    line, at least `servers`. Single numbers, not arrays. Raises ModelError for others.
    """

    arrival_rate: float
    service_rate: float
    servers: int
    room: int

    def __post_init__(self) -> None:
        """Refuse numbers that describe no queue."""
        positive(self.arrival_rate, "arrival_rate")
        positive(self.service_rate, "service_rate")
        loss_share(self.servers, self.room, 0.0)

    @property
    def loss(self) -> float:
        """Share of the arrivals that are turned away."""
        return float(loss_share(self.servers, self.room, self.arrival_rate / self.service_rate))

    @property
    def goodput(self) -> float:
        """Requests served per second: what the busy servers do, which loses no digits where nearly all are refused."""
        busy = np.minimum(np.arange(self.room + 1), self.servers)
        return float(self.service_rate * np.sum(busy * self.probabilities))

    @cached_property
    def probabilities(self) -> Floats:
        """Chance of each number in the system, shape (room + 1,).

        Weights are multiplied up in logarithms and scaled by the largest, so that no load overflows them.
        """
        steps = np.log(self.arrival_rate / self.service_rate) - np.log(
            np.minimum(np.arange(1, self.room + 1), self.servers)
        )
        logs = np.concatenate([[0.0], np.cumsum(steps)])
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())

    @property
    def mean_number(self) -> float:
        """Mean number in the system."""
        return float(np.sum(np.arange(self.room + 1) * self.probabilities))

    @property
    def mean_time(self) -> float:
        """Mean time in the system of a request that is let in, in seconds, by Little's law."""
        return self.mean_number / self.goodput
