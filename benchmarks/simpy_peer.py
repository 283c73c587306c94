"""The usual way in SimPy: one process for each unit, and the system looked at after each change."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from random import Random
from typing import Any

import simpy
from problems import Problem


class Plant:
    """The states of the units, and how long the system was down."""

    def __init__(self, env: simpy.Environment, problem: Problem) -> None:
        self.env = env
        self.problem = problem
        self.state = [True] * len(problem.units)
        self.up = True
        self.since = 0.0
        self.downtime = 0.0

    def change(self, unit: int, state: bool) -> None:
        self.state[unit] = state
        up = self.problem.up(self.state)
        if up and not self.up:
            self.downtime += self.env.now - self.since
        elif self.up and not up:
            self.since = self.env.now
        self.up = up


def unit(plant: Plant, number: int, law: Sequence[float], rng: Random) -> Generator[simpy.Event, Any, None]:
    life, repair = law
    while True:
        yield plant.env.timeout(rng.expovariate(1 / life))
        plant.change(number, False)
        yield plant.env.timeout(rng.expovariate(1 / repair))
        plant.change(number, True)


def run(problem: Problem, hours: float, seed: int) -> float:
    """The unavailability seen in one history."""
    env = simpy.Environment()
    plant = Plant(env, problem)
    rng = Random(seed)
    for number, law in enumerate(problem.units):
        env.process(unit(plant, number, law, rng))
    env.run(until=hours)
    return plant.downtime / hours
