"""The benchmark problems as clusters, their exact values, and the two ways of comparing."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hasim.engines.montecarlo.book import ServiceTally, Tally
from hasim.engines.montecarlo.merge import Merged
from hasim.engines.montecarlo.plan import Route, make_plan, run_block
from hasim.model.load import loads
from hasim.model.system import System, compile_system
from hasim.units import YEAR

TRUTH = Path(__file__).resolve().parents[2] / "data" / "availability_truth.json"
HOUR = 3600.0
Z = 3.5  # two-sided, a correct program fails one comparison in 2000; seeds are fixed, so it does so never or always

HEAD = "hasim: 1\nname: problem\n"
POOL = """
parts: {u: {kind: pool, replicas: 3, required: 2}}
failures: {u: {mtbf: 1000h, mttr: 10h}}
up: [u]
"""
MODELS = {
    "P1": POOL,
    "P2": """
topology: {zones: {z1: {hosts: [h1, h2]}, z2: {hosts: [h3, h4]}, z3: {hosts: [h5]}}}
failures: {host: {mtbf: 2160h, mttr: 4h}, zone: {mtbf: 43800h, mttr: 2h}}
parts: {etcd: {kind: quorum, members: 5, on: [z1, z2, z3]}}
up: [etcd]
""",
    "P3": POOL.replace("10h}", "10h, crew: us}") + "crews: {us: {size: 1}}\n",
    "P4": """
parts: {p: {kind: standby, members: 2, mode: cold, failover: {takes: 30s, coverage: 95%, manual: 30m}}}
failures: {p: {mtbf: 2000h, mttr: 4h}}
up: [p]
""",
    "P5": """
topology: {zones: {z: {hosts: [h1, h2, h3]}}}
failures:
  host: {mtbf: 2160h, mttr: 4h}
  lb: {mtbf: 8760h, mttr: 2h}
  api: {mtbf: 720h, mttr: 0.1h}
  etcd: {mtbf: 1440h, mttr: 0.25h}
  sched: {mtbf: 720h, mttr: 0.1h}
parts:
  lb: {kind: pool, replicas: 2}
  api: {kind: pool, replicas: 3, on: [h1, h2, h3]}
  etcd: {kind: quorum, members: 3, on: [h1, h2, h3]}
  sched: {kind: pool, replicas: 2, on: [h1, h2]}
up: [lb, api, etcd, sched]
""",
}


@cache
def truth(problem: str) -> dict[str, Any]:
    """Exact values of a problem, numbers as floats."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        try:
            return float(value)
        except (TypeError, ValueError):
            return value

    found = plain(json.loads(TRUTH.read_text(encoding="utf-8"))[problem])
    assert isinstance(found, dict)
    return found


def system(text: str) -> System:
    """A system from the text of a model without its head, or from the name of a problem."""
    return compile_system(loads(HEAD + MODELS.get(text, text)))


def tally(
    model: str, runs: int, *, seed: int = 7, years: float = 1.0, new: bool = False, route: Route | None = None
) -> Tally:
    """What `runs` histories showed, by the route asked for."""
    plan = make_plan(system(model), years * YEAR, runs, seed, new=new, route=route)
    merged = Merged(len(plan.system.services))
    for block in range(plan.blocks):
        merged.add(run_block(plan, block))
    return merged.total()


def one(model: str, runs: int, **how: Any) -> ServiceTally:
    """The same of a model with one service."""
    (service,) = tally(model, runs, **how).services
    return service


def z_of_mean(samples: Any, expected: float) -> float:
    """How many standard errors the mean of independent samples is from what it should be."""
    x = np.asarray(samples, dtype=np.float64)
    return float((x.mean() - expected) / (x.std(ddof=1) / np.sqrt(x.size)))


def z_of_two(one: Any, other: Any) -> float:
    """How many standard errors two means of independent samples are apart."""
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    error = np.sqrt(x.var(ddof=1) / x.size + y.var(ddof=1) / y.size)
    return float((x.mean() - y.mean()) / error)
