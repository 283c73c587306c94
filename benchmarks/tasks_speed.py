"""How fast tasks are followed: the sampler, the machines in the protocol engine, and the usual SimPy model.

    python benchmarks/tasks_speed.py          # under two minutes
    python benchmarks/tasks_speed.py --json

Exponential work of a second under an ack deadline of a second, late acks accepted, a worker always free: 1.4202
executions a task. The SimPy model is what one would write in an hour: a process for each task that starts one for each
delivery; it knows no broker, messages, queues, faults or effects. All take turns; the best round counts. CPU time of
one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import Any

import numpy as np
import simpy
from turns import PEER, Contestant, take_turns

import hasim as ha
from hasim.engines.montecarlo.deliveries import sample_deliveries

ROUNDS = 3
SAMPLED, PLAYED, WRITTEN = 10_000_000, 10_000, 20_000
RATE = 50.0
DELIVERY, WORK = ha.Delivery(ack_deadline="1s"), ha.Work(takes="1s")


def sampled(count: int, seed: int) -> tuple[float, float]:
    """Tasks by the vectorised sampler; (CPU seconds, executions a task)."""
    begun = process_time()
    found = sample_deliveries(DELIVERY, WORK, count, np.random.default_rng(seed))
    return process_time() - begun, float(found.executions.mean())


def random_numbers(count: int, seed: int) -> tuple[float, float]:
    """What the sampler draws: 1.42 exponential numbers a task."""
    rng, begun = np.random.default_rng(seed), process_time()
    for _ in range(142):
        rng.standard_exponential(count // 100)
    return process_time() - begun, float("nan")


def played(count: int, seed: int) -> tuple[float, float]:
    """Tasks by machines: a producer, a broker, and two hundred workers, over a network."""
    jobs = {"kind": "queue", "workers": 200, "delivery": DELIVERY, "work": WORK}
    cluster = ha.Cluster(name="speed", parts={"jobs": jobs}, up=["jobs"])
    begun = process_time()
    run = ha.simulate(cluster.during(ha.Load(RATE)), over=f"{count / RATE}s", seed=seed)
    took = process_time() - begun
    figures = run.tasks["jobs"].figures().executions
    assert figures is not None
    return took * count / len(run.tasks["jobs"]), figures.value


def written_by_hand(count: int, seed: int) -> tuple[float, float]:
    """The same in plain SimPy."""
    rng, env = np.random.default_rng(seed), simpy.Environment()
    executions = 0

    def source() -> Iterator[Any]:
        for _ in range(count):
            env.process(task())
            yield env.timeout(rng.exponential(1 / RATE))

    def task() -> Iterator[Any]:
        nonlocal executions
        done = env.event()
        while not done.triggered:
            executions += 1
            env.process(attempt(done))
            yield env.timeout(1.0) | done

    def attempt(done: simpy.Event) -> Iterator[Any]:
        yield env.timeout(rng.exponential())
        if not done.triggered:
            done.succeed()

    env.process(source())
    begun = process_time()
    env.run()
    return process_time() - begun, executions / count


CONTESTANTS: dict[str, Contestant] = {
    "drawing its random numbers, nothing else": (SAMPLED, random_numbers),
    "hasim, sampler": (SAMPLED, sampled),
    "hasim, machines in the protocol engine": (PLAYED, played),
    PEER: (WRITTEN, written_by_hand),
}


def main() -> None:
    """Let all take turns, and print how much each does in a CPU second."""
    take_turns(__doc__, CONTESTANTS, ROUNDS, "executions a task", "{:.4f} executions")


if __name__ == "__main__":
    main()
