"""The trials of the record, played: any store, times, fault, check and fence.

    rows = play(LeaseConfig(store="redis", fault="pause", fence=1), trials=100, seed=1)
    [row["failover"] for row in rows]

The quantities bear the names of the record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from hasim.checks.leadership import overlaps, refused_writes, stale_effects
from hasim.faults.verdict import PASS, Delay, Draw, Verdict
from hasim.trace import Fact
from hasim.validation.leases.bench import RESOURCE, STORE, Bench, told
from hasim.validation.leases.record import LeaseConfig

Trial = dict[str, float]
"""What was seen in one trial, by the names of the record; NaN where there is nothing."""


def play(config: LeaseConfig, trials: int, seed: int) -> list[Trial]:
    """Play so many trials: `config.trials` one after the other on one store, then on another, and so on."""
    seen: list[Trial] = []
    while len(seen) < trials:
        bench = Bench(config, seed, number=len(seen) // config.trials)
        bench.boot()
        for number in range(min(config.trials, trials - len(seen))):
            seen.append({"trial": float(number), **one_trial(bench)})
    return seen


def one_trial(bench: Bench) -> Trial:
    """Let the fault befall who leads, and see it through until one alone leads again."""
    old, at = next(iter(bench.office)), bench.now
    age = at - bench.clients[old].renewed_at
    bench.forget()
    known = len(bench.facts)
    with _befallen(bench, old):
        bench.run_for(bench.config.dur)
    end = bench.now
    bench.settle()
    return {"age_at_fault": age, **_seen(bench.facts, known, old, at, end)}


def _befallen(bench: Bench, name: str) -> AbstractContextManager[Any]:
    """The fault, as long as it lasts."""
    world, end = bench.world, bench.now + bench.config.dur

    def hang(src: str, dst: str, _: Draw) -> Verdict:
        return Delay(max(0.0, end - bench.now)) if {src, dst} == {name, STORE} else PASS

    match bench.config.fault:
        case "crash":
            return world.held_down(name, "kill")
        case "pause":
            return world.paused(name)
        case "partition":
            return world.rule(hang)
        case _:
            return _gone(bench, name)


@contextmanager
def _gone(bench: Bench, name: str) -> Iterator[None]:
    """It is asked to leave, and starts again."""
    node = bench.world.nodes[name]
    node.stop()
    yield
    bench.run_until(lambda: node.process is None)
    node.start()


def _seen(facts: list[Fact], known: int, old: str, at: float, end: float) -> Trial:
    """The quantities of one trial from its facts, of which the first `known` tell what was so before the fault."""
    took = next((fact for fact in facts[known:] if fact.kind == "leading"), None)
    new, since = ("", math.nan) if took is None else (took.subject, took.at)
    down = next((fact.at for fact in facts if fact.kind == "stopped leading" and fact.subject == old), math.nan)
    stale = [violation.at for violation in stale_effects(facts)]
    refused = sum(refused_writes(facts).values())
    return {
        "failover": since - at,
        "down_after_fault_end": down - end,
        "belief_overlap": sum(overlap.lasting for overlap in overlaps(facts)),
        "stale_accepted": float(len(stale)),
        "stale_rejected": float(refused),
        "stale_writes": float(len(stale) + refused),
        "stale_window": stale[-1] - stale[0] if stale else 0.0,
        "write_gap": _write_gap(facts, new),
    }


def _write_gap(facts: list[Fact], new: str) -> float:
    """From the last write before the first of the new holder until that, in seconds."""
    before = math.nan
    for fact in facts:
        if fact.kind == "effect" and fact.subject == RESOURCE:
            if told(fact, "by") == new:
                return fact.at - before
            before = fact.at
    return math.nan
