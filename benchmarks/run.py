"""Component events for each second of CPU time: `estimate` beside its peers and beside the random numbers alone.

    python benchmarks/run.py            # everything; peers from PyPI go into .venv-bench
    python benchmarks/run.py --no-peers # only what is installed already

An event is a failure or a repair of one unit. Every engine is credited with the exact rate of events times the time
it simulated, so none gains by counting. Each figure is the median of several runs in CPU time (process_time); the
random numbers are timed again beside each, because the speed of a shared machine drifts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import heap_loop
import numpy as np
import simpy_peer
from problems import PROBLEMS, Problem

from hasim.engines.montecarlo import estimate
from hasim.engines.montecarlo.plan import make_plan, run_block
from hasim.model.system import compile_system
from hasim.units import YEAR

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".venv-bench"
PACKAGES = ("repyability[fast]", "availsim4")
REPEATS = 5
YEAR_H = 8760.0


@dataclass(frozen=True)
class Row:
    """One line of the table: events a CPU second, and the unavailability as a check."""

    problem: str
    engine: str
    speed: float
    unavailability: float | None


def random_numbers() -> float:
    """Exponential variates a CPU second, in blocks that stay in the cache: one is the least that an event needs."""
    rng = np.random.Generator(np.random.SFC64(1))
    block = np.empty(1 << 14)
    before = process_time()
    for _ in range(2000):
        rng.standard_exponential(out=block)
    return 2000 * block.size / (process_time() - before)


def timed(problem: Problem, engine: str, hours: float, once: Callable[[int], float], repeats: int = REPEATS) -> Row:
    once(0)  # imports and caches
    speeds, seen = [], []
    for seed in range(1, repeats + 1):
        before = process_time()
        seen.append(once(seed))
        speeds.append(problem.toggles_per_hour * hours / (process_time() - before))
    return Row(problem.name, engine, statistics.median(speeds), statistics.mean(seen))


def ours(problem: Problem) -> list[Row]:
    cluster, general = problem.cluster(), problem.general()
    system = compile_system(cluster)
    runs = int(2e7 / (problem.toggles_per_hour * YEAR_H))

    def whole(model: object, runs: int) -> Callable[[int], float]:
        def once(seed: int) -> float:
            figures = estimate(model, over="1y", runs=runs, seed=seed).services["cluster"]  # type: ignore[arg-type]
            assert figures.unavailability is not None
            return figures.unavailability.value

        return once

    def by_lockstep(seed: int) -> float:
        plan = make_plan(system, YEAR, runs // 8, seed, new=False, route="lockstep")
        down = sum(float(run_block(plan, i).services[0].downtime.sum()) for i in range(plan.blocks))
        return down / (runs // 8 * YEAR)

    return [
        timed(problem, "hasim estimate, exponential", runs * YEAR_H, whole(cluster, runs)),
        timed(problem, "hasim estimate, Weibull + lognormal", runs // 4 * YEAR_H, whole(general, runs // 4)),
        timed(problem, "hasim lockstep (what crews and failovers use)", runs // 8 * YEAR_H, by_lockstep, 3),
    ]


def bare(problem: Problem) -> list[Row]:
    hours = 4e5 / problem.toggles_per_hour
    return [
        timed(problem, "heapq loop, plain Python", hours, lambda seed: heap_loop.run(problem, hours, seed)),
        timed(problem, "SimPy, one process for each unit", hours, lambda seed: simpy_peer.run(problem, hours, seed)),
    ]


def peers(problem: Problem) -> list[Row]:
    """Programs from PyPI, each in a process of the benchmark's own environment."""
    rows = []
    for name, script, years, runs in (
        ("RePyability, compiled engine", "peer_repyability.py", 10.0, 4000),
        ("availsim4", "peer_availsim4.py", 10.0, 40 if problem.name == "P1" else 10),
    ):
        command = [str(PEERS / "bin" / "python"), str(HERE / script), problem.name, str(years), str(runs)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{name} did not run on {problem.name}: {run.stderr.strip()[-200:]}", file=sys.stderr)
            continue
        found = json.loads(run.stdout.splitlines()[-1])
        speed = problem.toggles_per_hour * YEAR_H * years * runs / found["cpu_s"]
        rows.append(Row(problem.name, name, speed, found["unavailability"]))
    return rows


def install_peers() -> bool:
    if not (PEERS / "bin" / "python").exists():
        print("making the environment of the peers in .venv-bench", file=sys.stderr)
        venv.create(PEERS, with_pip=True)
    command = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"the peers cannot be installed: {run.stderr.strip()[-200:]}", file=sys.stderr)
    return run.returncode == 0


def table(problem: Problem, rows: list[Row], random: float) -> str:
    simpy = next(row.speed for row in rows if row.engine.startswith("SimPy"))
    lines = [
        f"| {problem.name} | events a CPU second | times SimPy | of the random numbers | unavailability seen |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: -row.speed):
        seen = "" if row.unavailability is None else f"{row.unavailability:.3g}"
        ratios = f"{row.speed / simpy:,.3g} | {row.speed / random:.2g}"
        lines.append(f"| {row.engine} | {row.speed / 1e6:,.3g} M | {ratios} | {seen} |")
    lines.append(f"| exact | | | | {problem.unavailability:.3g} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--no-peers", action="store_true", help="leave out the programs from PyPI")
    with_peers = not parser.parse_args().no_peers and install_peers()
    for problem in PROBLEMS:
        random = [random_numbers()]
        rows = ours(problem)
        random.append(random_numbers())
        rows += bare(problem)
        rows += peers(problem) if with_peers else []
        random.append(random_numbers())
        bound = statistics.median(random)
        rows.append(Row(problem.name, "drawing one random number an event, nothing else", bound, None))
        print(table(problem, rows, bound), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
