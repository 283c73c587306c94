"""hasim's ways through the same queues: the whole verb `simulate`, the same event by event, and arrays alone."""

from __future__ import annotations

import importlib
from unittest.mock import patch

import numpy as np
from requests_problems import TAKES, Problem, Turn

import hasim as ha
from hasim.engines.des.world import LeapingEnvironment
from hasim.waiting import pool_path, random_of, round_robin


def cluster(problem: Problem) -> ha.Cluster:
    serving = {"takes": f"{TAKES * 1e3:g}ms", "slots": problem.slots}
    parts: dict[str, object] = {"api": {"kind": "pool", "replicas": problem.servers, "serving": serving}}
    if problem.policy is not None:
        parts["lb"] = {"kind": "balancer", "to": "api", "policy": problem.policy}
    return ha.Cluster(name="queue", parts=parts, services={"web": {"up": [list(parts)[-1]]}})


def simulate(problem: Problem, seed: int) -> Turn:
    """As a user would: the verb chooses the way by itself."""
    model = cluster(problem)
    load = ha.Load(rate=problem.rate, to=list(model.parts)[-1])
    log = ha.simulate(model.during(load), over=f"{problem.seconds!r}s", seed=seed).requests
    assert log is not None
    return Turn(*finished(log))


def events(problem: Problem, seed: int) -> Turn:
    """Event by event: a fault that never comes keeps the verb from computing the paths without events."""
    model = cluster(problem)
    load, fault = ha.Load(rate=problem.rate, to=list(model.parts)[-1]), ha.Crash("api", at="1y", lasting="1s")
    loops: list[LeapingEnvironment] = []

    class Kept(LeapingEnvironment):
        def __init__(self, initial_time: float = 0.0) -> None:
            super().__init__(initial_time)
            loops.append(self)

    with patch.object(importlib.import_module("hasim.engines.des.simulate"), "LeapingEnvironment", Kept):
        log = ha.simulate(model.during(load, fault), over=f"{problem.seconds!r}s", seed=seed).requests
    assert log is not None and log.method.startswith("events") and len(loops) == 1
    return Turn(*finished(log), events=next(loops[0]._eid) - len(loops[0]._queue))


def finished(log: ha.RequestLog) -> tuple[np.ndarray, np.ndarray]:
    """When the requests came and ended that had their answer before the run ended."""
    done = log.outcome == 0
    return log.arrived_s[done], log.ended_s[done]


def arrays(problem: Problem, seed: int) -> Turn:
    """The recursions over arrays alone, without a model around them."""
    rng = np.random.default_rng(seed)
    arrived = np.concatenate(list(ha.Poisson(rate=problem.rate).blocks(rng, 0.0, problem.seconds)))
    takes = rng.exponential(TAKES, arrived.size)
    if problem.policy is None:
        path = pool_path(arrived, takes, None, 1, problem.slots)
    elif problem.policy == "random":
        path = pool_path(arrived, takes, random_of(arrived.size, problem.servers, rng), problem.servers, problem.slots)
    else:
        path = pool_path(arrived, takes, round_robin(arrived.size, problem.servers), problem.servers, problem.slots)
    return Turn(arrived, path.ends)
