"""How fast rollouts are played: the machines in the protocol engine, the arithmetic alone, and the usual SimPy model.

    python benchmarks/upgrades_speed.py          # about a minute
    python benchmarks/upgrades_speed.py --json

Ten pods are replaced one by one with a surge of one, each ready after an exponential time of 20 s; nobody asks for
anything. hasim runs Kubernetes' Deployment and ReplicaSet controllers over every change and keeps a log; the SimPy
model is a loop that starts a pod, waits for it and removes another, and knows no failures, pauses, way back or
balancers. All take turns; the best round counts. CPU time of one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import Any

import numpy as np
import simpy
from turns import PEER, Contestant, take_turns

import hasim as ha
from hasim.protocols.rollout import staircase

PODS, START_S = 10, 20.0
EVERY_S = 1800.0
ROUNDS = 3
PLAYED, WRITTEN, COUNTED = 150, 20_000, 20_000


def played(count: int, turn: int) -> tuple[float, float]:
    """Rollouts one after another in one run; (CPU seconds, mean length in seconds)."""
    serving = {"takes": "10ms", "start_up": "20s"}
    calendar = {"r": {"upgrade": ha.Rolling("web", surge=1, unavailable=0), "every": ha.s(EVERY_S)}}
    cluster = ha.Cluster(
        name="ten pods",
        parts={"web": {"kind": "pool", "replicas": PODS, "serving": serving}},
        upgrades=calendar,
        up=["web"],
    )
    begun = process_time()
    run = ha.simulate(cluster, over=ha.s(count * EVERY_S), seed=turn)
    took = process_time() - begun
    return took, float(np.mean([log.duration_s for log in run.upgrades.values() if log.ended_s is not None]))


def written(count: int, turn: int) -> tuple[float, float]:
    """The same by hand."""
    rng, lengths = np.random.default_rng(turn), []

    def rollouts(env: simpy.Environment) -> Iterator[Any]:
        for _ in range(count):
            begun = env.now
            for _ in range(PODS):
                yield env.timeout(rng.exponential(START_S))
            lengths.append(env.now - begun)

    env = simpy.Environment()
    env.process(rollouts(env))  # type: ignore[arg-type]
    begun = process_time()
    env.run()
    return process_time() - begun, float(np.mean(lengths))


def counted(count: int, turn: int) -> tuple[float, float]:
    """The sizes alone; (CPU seconds, moves of a rollout)."""
    begun = process_time()
    moves = [len(staircase(PODS, 1, 0)) - 1 for _ in range(count)]
    return process_time() - begun, float(np.mean(moves))


CONTESTANTS: dict[str, Contestant] = {
    "hasim, machines and controllers": (PLAYED, played),
    "hasim, arithmetic of the moves alone": (COUNTED, counted),
    PEER: (WRITTEN, written),
}

if __name__ == "__main__":
    take_turns(__doc__, CONTESTANTS, ROUNDS, "mean", "mean {:.4g} (seconds; moves)")
