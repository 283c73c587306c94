"""The usual SimPy models, as tutorials write them: a Resource for each server and a process for each customer."""

from __future__ import annotations

from collections.abc import Generator
from itertools import cycle
from random import Random
from typing import Any

import simpy
from requests_problems import TAKES, Problem, Turn

Steps = Generator[simpy.Event, Any, None]


def queue(problem: Problem, seed: int) -> Turn:
    """One server, no balancer."""
    rng = Random(seed)
    env = simpy.Environment()
    server = simpy.Resource(env, problem.slots)
    arrived, ended = [], []

    def customer() -> Steps:
        came = env.now
        with server.request() as slot:
            yield slot
            yield env.timeout(rng.expovariate(1 / TAKES))
        arrived.append(came)
        ended.append(env.now)

    def source() -> Steps:
        while True:
            yield env.timeout(rng.expovariate(problem.rate))
            env.process(customer())

    env.process(source())
    env.run(until=problem.seconds)
    return Turn(arrived, ended, popped(env))


def balancer(problem: Problem, seed: int) -> Turn:
    """Several servers; each customer goes to one, in turn or at random."""
    rng = Random(seed)
    env = simpy.Environment()
    servers = [simpy.Resource(env, problem.slots) for _ in range(problem.servers)]
    in_turn = cycle(servers)
    arrived, ended = [], []

    def customer() -> Steps:
        came = env.now
        server = next(in_turn) if problem.policy == "round_robin" else rng.choice(servers)
        with server.request() as slot:
            yield slot
            yield env.timeout(rng.expovariate(1 / TAKES))
        arrived.append(came)
        ended.append(env.now)

    def source() -> Steps:
        while True:
            yield env.timeout(rng.expovariate(problem.rate))
            env.process(customer())

    env.process(source())
    env.run(until=problem.seconds)
    return Turn(arrived, ended, popped(env))


def play(problem: Problem, seed: int) -> Turn:
    return queue(problem, seed) if problem.policy is None else balancer(problem, seed)


def popped(env: simpy.Environment) -> int:
    """How many events have happened: those ever scheduled, less those that still wait."""
    return next(env._eid) - len(env._queue)


def bare(events: int) -> None:
    """SimPy with nothing to do: ten timeouts at a time, whose callbacks make the next."""
    env = simpy.Environment()
    left = events

    def again(_: Any) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            env.timeout(1.0).callbacks.append(again)

    for _ in range(10):
        env.timeout(1.0).callbacks.append(again)
    env.run()
