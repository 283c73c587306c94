"""Steady runs without a fault: what waiting costs under each policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hasim.validation.balancers.bench import POLICIES, Bench, Stage, slot_overhead_ms, transit_ms
from hasim.validation.balancers.faults import Row as Trial
from hasim.validation.balancers.faults import sequence
from hasim.validation.verdicts import Row, Z, rule, shape

LASTING_S: Final = 40.0
"""Length of a run, in seconds, as in the record."""
LEAD_S: Final = 2.0
"""Until the queues have filled, in seconds."""
LEVELS: Final = ("25", "50", "75", "90", "95", "99")
"""Points of the distribution of latencies that are compared, in per cent."""
NEAR: Final = 0.15
WEAK: Final = 0.9
"""From this load on a run of this length says only which order it has."""


def play_all(name: str, config: Mapping[str, Any], trials: int, seed: int) -> list[Trial]:
    """Play a run so many times; one row a run, in milliseconds."""
    bench = Bench(
        servers=config["servers"],
        rate=config["rate"],
        mean_ms=config["mean_ms"],
        slots=config["slots"],
        balancer={"policy": POLICIES[config["balance"]]},
    )

    def script(_: Stage) -> Any:
        yield 0.0

    rows = []
    for chance in sequence(name, trials, seed):
        played = bench.play(script, LEAD_S + LASTING_S, int(np.random.default_rng(chance).integers(2**31)))
        taken = played.latency_ms[played.ok & played.within(LEAD_S, LEAD_S + LASTING_S)]
        found = np.quantile(taken, [float(level) / 100 for level in LEVELS])
        served = config["mean_ms"] + slot_overhead_ms() + transit_ms()
        rows.append({"wait_mean": float(taken.mean()) - served} | dict(zip(LEVELS, map(float, found), strict=True)))
    return rows


def rows_of(name: str, recorded: Mapping[str, Any], trials: list[Trial]) -> list[Row]:
    """One run of the record among many of ours: within 15 %, or two standard deviations of a run."""
    measured = {"wait_mean": recorded["wait_mean"]} | {level: recorded["lat_q"][level] for level in LEVELS}
    said = {"wait_mean": "mean wait for a slot, ms"} | {level: f"latency, {level} % point, ms" for level in LEVELS}
    rows = []
    for quantity, theirs in measured.items():
        ours = np.array([trial[quantity] for trial in trials])
        spread = float(ours.std(ddof=1))
        bound = max(NEAR * theirs, Z * spread / np.sqrt(recorded["runs"]))
        texts = (f"{theirs:.1f}", f"{ours.mean():.1f} (runs differ by {spread:.1f})")
        if recorded["config"]["rho"] >= WEAK:
            rows.append(shape(name, said[quantity], *texts, "two short runs near saturation differ by half"))
        else:
            how = f"within 15 % or 2 standard deviations of a run ({bound:.1f})"
            rows.append(rule(name, said[quantity], *texts, abs(float(ours.mean()) - theirs) <= bound, how))
    return rows
