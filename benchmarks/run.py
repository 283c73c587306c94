"""Component events for each second of CPU time: `estimate` beside its peers and beside the random numbers alone.

    python benchmarks/run.py                 # everything; peers from PyPI go into .venv-bench
    python benchmarks/run.py --no-peers      # only what is installed already
    python benchmarks/run.py --only requests # the request path alone (requests_speed.py); `units` leaves it out

An event is a failure or a repair of one unit. Every engine is credited with the exact rate of events times the time
it simulated, so none gains by counting. All take turns for several rounds, and the fastest round of each counts, in
CPU time (process_time): on a shared machine everything else measures the neighbours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import heap_loop
import numpy as np
import requests_speed
import simpy_peer
from problems import PROBLEMS, Problem

from hasim.engines.montecarlo import estimate
from hasim.engines.montecarlo.plan import make_plan, run_block
from hasim.model.cluster import Cluster
from hasim.model.system import compile_system
from hasim.units import YEAR

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".venv-bench"
PACKAGES = ("repyability[fast]", "availsim4")
ROUNDS = 6  # the first one also warms the caches
SIMPY = "SimPy, one process for each unit"
RANDOM = "drawing one random number an event, nothing else"
YEAR_H = 8760.0
YEARS = 10  # length of a run, for all that play several


@dataclass
class Engine:
    """Something timed: `once(seed)` simulates `hours` and gives the unavailability it saw, or None."""

    name: str
    hours: float
    once: Callable[[int], float | None]
    seconds: float = float("inf")
    seen: list[float] = field(default_factory=list)

    def turn(self, seed: int) -> None:
        before = process_time()
        found = self.once(seed)
        self.seconds = min(self.seconds, process_time() - before)
        if found is not None:
            self.seen.append(found)


def random_numbers(problem: Problem) -> Engine:
    """Exponential variates in blocks that stay in the cache: one is the least that an event needs."""
    rng = np.random.Generator(np.random.SFC64(1))
    block = np.empty(1 << 13)
    count = 3000

    def once(_: int) -> None:
        for _ in range(count):
            rng.standard_exponential(out=block)

    return Engine(RANDOM, count * block.size / problem.toggles_per_hour, once)


def ours(problem: Problem) -> list[Engine]:
    cluster, general = problem.cluster(), problem.general()
    system = compile_system(cluster)
    hours = YEARS * YEAR_H
    runs = int(2e7 / (problem.toggles_per_hour * hours))

    def whole(model: Cluster, runs: int) -> Callable[[int], float]:
        def once(seed: int) -> float:
            figures = estimate(model, over=f"{YEARS}y", runs=runs, seed=seed).services["cluster"]
            assert figures.unavailability is not None
            return figures.unavailability.value

        return once

    def by_lockstep(seed: int) -> float:
        plan = make_plan(system, YEARS * YEAR, runs // 8, seed, new=False, route="lockstep")
        down = sum(float(run_block(plan, i).services[0].downtime.sum()) for i in range(plan.blocks))
        return down / (runs // 8 * YEARS * YEAR)

    return [
        Engine("hasim estimate, exponential", runs * hours, whole(cluster, runs)),
        Engine("hasim estimate, Weibull + lognormal", runs // 4 * hours, whole(general, runs // 4)),
        Engine("hasim lockstep (what crews and failovers use)", runs // 8 * hours, by_lockstep),
    ]


def bare(problem: Problem) -> list[Engine]:
    hours = 4e5 / problem.toggles_per_hour
    return [
        Engine("heapq loop, plain Python", hours, lambda seed: heap_loop.run(problem, hours, seed)),
        Engine(SIMPY, hours, lambda seed: simpy_peer.run(problem, hours, seed)),
    ]


def peers(problem: Problem) -> list[Engine]:
    """Programs from PyPI, each in a process of the benchmark's own environment."""
    engines = []
    for name, script, runs in (
        ("RePyability, compiled engine", "peer_repyability.py", 4000),
        ("availsim4", "peer_availsim4.py", 40 if problem.name == "P1" else 10),
    ):
        command = [str(PEERS / "bin" / "python"), str(HERE / script), problem.name, str(YEARS), str(runs)]
        engine = Engine(name, YEAR_H * YEARS * runs, lambda _: None)
        for _ in range(2):
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{name} did not run on {problem.name}: {run.stderr.strip()[-200:]}", file=sys.stderr)
                break
            found = json.loads(run.stdout.splitlines()[-1])
            engine.seconds = min(engine.seconds, found["cpu_s"])
            engine.seen.append(found["unavailability"])
        if engine.seen:
            engines.append(engine)
    return engines


def install_peers() -> bool:
    if not (PEERS / "bin" / "python").exists():
        print("making the environment of the peers in .venv-bench", file=sys.stderr)
        venv.create(PEERS, with_pip=True)
    command = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"the peers cannot be installed: {run.stderr.strip()[-200:]}", file=sys.stderr)
    return run.returncode == 0


def table(problem: Problem, engines: list[Engine]) -> str:
    speed = {engine.name: problem.toggles_per_hour * engine.hours / engine.seconds for engine in engines}
    lines = [
        f"| {problem.name} | events a CPU second | times SimPy | of the random numbers | unavailability seen |",
        "|---|---:|---:|---:|---:|",
    ]
    for engine in sorted(engines, key=lambda engine: -speed[engine.name]):
        mine = speed[engine.name]
        seen = f"{statistics.mean(engine.seen):.3g}" if engine.seen else ""
        ratios = f"{mine / speed[SIMPY]:,.3g} | {mine / speed[RANDOM]:.2g}"
        lines.append(f"| {engine.name} | {mine / 1e6:,.3g} M | {ratios} | {seen} |")
    lines.append(f"| exact | | | | {problem.unavailability:.3g} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--no-peers", action="store_true", help="leave out the programs from PyPI")
    parser.add_argument("--only", choices=("units", "requests"), help="one of the two halves")
    given = parser.parse_args()
    if given.only != "requests":
        measure_units(not given.no_peers and install_peers())
    if given.only != "units":
        requests_speed.measure(not given.no_peers)


def measure_units(with_peers: bool) -> None:
    """Play the problems of failures and repairs and print a table for each."""
    for problem in PROBLEMS:
        engines = [random_numbers(problem), *ours(problem), *bare(problem)]
        for seed in range(ROUNDS):
            for engine in engines:
                engine.turn(seed)
        engines += peers(problem) if with_peers else []
        print(table(problem, engines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
