"""Trials with one task: what a late ack is worth, how soon a task comes back, and a task that takes too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hasim.validation.queues.bench import BEGIN_S, Bench
from hasim.validation.queues.record import QueueConfig, System

FIRST_S: Final = 1.5
SECOND_S: Final = 0.9
"""What the first and the second execution take with a deadline of 1 s: the second ends after the first, in time."""
KILLED_S: Final = 0.3
"""When a worker is killed or falls silent, in seconds after the workers began."""


def _played(config: QueueConfig, seed: int, trials: int) -> Sequence[Bench]:
    benches = [Bench(config, seed, number) for number in range(trials)]
    for bench in benches:
        bench.begin()
    return benches


def late_acks(system: System, taken: bool, seed: int, trials: int) -> tuple[int, int]:
    """How many trials have the late ack of the first worker accepted, and how many that of the second.

    The second worker has the task by then (`taken`), or there is none.
    """
    lasts = (FIRST_S, SECOND_S)
    config = QueueConfig(system, 1.0, workers=1 + taken, tasks=1, lasts=lasts)
    first = second = 0
    for bench in _played(config, seed, trials):
        bench.run_to(5.0)
        refused = [fact.at - BEGIN_S for fact in bench.told("ack refused")]
        assert len(bench.told("effect")) > taken
        between = (FIRST_S + 1.0 + SECOND_S) / 2
        first += not any(at < between for at in refused)
        second += taken and not any(at > between for at in refused)
    return first, second


def redelivered_after(system: System, deadline: float, seed: int, trials: int, silent: bool = False) -> list[float]:
    """From the first start of a task to the next, with a free worker.

    The first worker works on for too long, or, `silent`, is gone and its connection stays open.
    """
    config = QueueConfig(system, deadline, workers=2, tasks=1, lasts=(2 * deadline, 0.1))
    found = []
    for bench in _played(config, seed, trials):
        bench.run_to(KILLED_S)
        if silent:
            bench.end(bench.told("work begun")[0].subject, silent=True)
        bench.run_to(2 * deadline)
        first, again = bench.starts()["t1"][:2]
        found.append(again - first)
    return found


def handovers(system: System, seed: int, trials: int) -> list[float]:
    """From the kill of a worker to the start of its task elsewhere; 0.7 s of the deadline are left."""
    config = QueueConfig(system, 1.0, workers=2, tasks=1, lasts=(9.0, 0.1))
    found = []
    for bench in _played(config, seed, trials):
        bench.run_to(KILLED_S)
        bench.end(bench.told("work begun")[0].subject)
        bench.run_to(2.0)
        found.append(bench.starts()["t1"][1] - KILLED_S)
    return found


def poisoned(system: System, within: float, seed: int) -> tuple[int, float | None]:
    """How often a task is started that always takes half as long again as its deadline; when it is done, if ever."""
    config = QueueConfig(system, 1.0, workers=4, tasks=1, lasts=(FIRST_S,) * (2 * int(within)), cap=within)
    (bench,) = _played(config, seed, 1)
    bench.run_to(within)
    acked = bench.told("task acked")
    return len(bench.starts()["t1"]), acked[0].at - BEGIN_S if acked else None
