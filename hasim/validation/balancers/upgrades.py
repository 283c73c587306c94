"""Rolling upgrades and blue-green switches behind HAProxy, declared as the upgrades that they were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hasim.model.laws import Fixed
from hasim.model.upgrades import BlueGreen, InPlace, Release
from hasim.results.upgrades import UpgradeLog
from hasim.validation.balancers.bench import POOL, Bench, Played, watching
from hasim.validation.balancers.faults import LAST_ANSWERS_S, Row, sequence
from hasim.validation.balancers.record import Recorded

ROLLING_SERVERS: Final = 4
GAP_S: Final = 0.28
"""After each step of a rollout that waits for the balancer, in seconds: the record's rollouts less their steps."""
COLOUR: Final = 3
"""Servers of each colour; the blue ones stand first."""
LEAD_S: Final = 3.0
"""Before a rollout or a switch begins, in seconds: checks have gone round."""
WARM_S: Final = 1.0
"""How long before the switch green is up, in seconds, where it is not late."""
SWITCH_S: Final = 2.5
"""After a switch, until all is as it will be."""


def bench_of(config: Mapping[str, Any]) -> Bench:
    """The set-up of one configuration; in a rollout every process takes `s` to listen."""
    rolling = config["kind"] == "rolling"
    check = {"interval": f"{config['inter']}ms", "fall": config["fall"], "rise": config["rise"], "in_step": not rolling}
    return Bench(
        servers=ROLLING_SERVERS if rolling else COLOUR,
        rate=config["rate"],
        mean_ms=config["mean_ms"],
        slots=config["conc"],
        balancer={
            "check": check,
            "retries": config["retries"],
            "redispatch": config["redispatch"],
            "connect_timeout": "1s",
            "server_timeout": "2s",
        },
        start_up_s=config["s"] if rolling else 0.0,
    )


def rollout_of(config: Mapping[str, Any], at: float) -> InPlace:
    """Server by server: its checks fail, it stops, the next process starts, and the next server may follow."""
    waits = config["gate"] == "lb"
    return InPlace(
        target=POOL,
        at=f"{at}s",
        notice=f"{config['d']}s",
        pause=f"{GAP_S if waits else 0.0}s",
        gate="balancer" if waits else "ready",
        graceful=config["term"] == "graceful",
    )


def switch_of(config: Mapping[str, Any], at: float) -> BlueGreen:
    """Blue servers are let out, and the green ones in, out of maintenance: up until their checks fail.

    Late ones begin to start as they are let in.
    """
    late = config["green_late"]
    lead = 0.0 if late else WARM_S
    return BlueGreen(
        target=POOL,
        at=f"{at - lead}s",
        warm=f"{lead}s",
        waits=not late,
        checked=False,
        keep=f"{SWITCH_S + LAST_ANSWERS_S}s",
        release=Release(start_up=Fixed(value=f"{late}s") if late else None),
    )


def play_all(recorded: Recorded, trials: int, seed: int) -> list[Row]:
    """Play a configuration so many times; one row a trial, with the names of the record."""
    bench = bench_of(recorded.config)
    play = play_rollout if recorded.config["kind"] == "rolling" else play_switch
    return [play(bench, recorded.config, chance) for chance in sequence(recorded.name, trials, seed)]


def play_rollout(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """One rollout; the record's is over when the balancer has used the last server for as long as between steps."""
    rng = np.random.default_rng(chance)
    begin = LEAD_S + rng.random() * config["inter"] / 1e3
    upgrade = rollout_of(config, begin)
    longest = ROLLING_SERVERS * (config["d"] + config["s"] + GAP_S + 3 * config["rise"] * config["inter"] / 1e3)
    played = bench.play(watching, begin + longest + LAST_ANSWERS_S, int(rng.integers(2**31)), upgrade)
    log = played.run.upgrades[upgrade.called]
    steps = begun(log)
    assert log.ended_s is not None and len(steps) == ROLLING_SERVERS, "a rollout goes through all servers"
    seen = _row_of(played, begin, log.ended_s) | {"rollout_s": log.duration_s + upgrade.pause}
    return seen | {f"down.{server}": _down(played, server, start) for server, start in enumerate(steps)}


def begun(log: UpgradeLog) -> list[float]:
    """When each step began, in seconds: an old server was warned, or stopped, and so was no longer ready."""
    return [float(at) for at in log.at_s[np.diff(log.ready[:, 0], prepend=log.replicas) < 0]]


def _down(played: Played, server: int, start: float) -> float:
    """How long after the start of a step its server was taken out, in seconds; NaN if it never was."""
    return played.when("server down", server, start) - start


def play_switch(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """One switch."""
    rng = np.random.default_rng(chance)
    upgrade = switch_of(config, LEAD_S + rng.random() * config["inter"] / 1e3)
    end = LEAD_S + config["inter"] / 1e3 + SWITCH_S + LAST_ANSWERS_S
    played = bench.play(watching, end, int(rng.integers(2**31)), upgrade)
    begin = played.run.upgrades[upgrade.called].when("switched")
    assert begin is not None
    seen = _row_of(played, begin, begin + SWITCH_S)
    after = played.within(begin, math.inf)
    old = after & played.ok & (played.log.server < COLOUR)
    seen["old_hits_after"] = float(old.sum())
    bad = played.log.arrived_s[played.bad]
    seen["err_last_arr"] = float(bad.max()) - begin if bad.size else math.nan
    return seen


def _row_of(played: Played, begin: float, end: float) -> Row:
    """What rollouts and switches have in common."""
    return {
        "n_fail": float(played.bad.sum()),
        "wretr": float(played.retried),
        "wredis": float(played.redispatched),
        **{f"kinds.{kind}": float(count) for kind, count in played.kinds().items()},
        **played.latencies("all", played.within(begin, end)),
    }
