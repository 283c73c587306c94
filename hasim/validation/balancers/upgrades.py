"""Rolling upgrades and blue-green switches behind HAProxy, as they were made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import numpy as np

from hasim.faults.fault import Script
from hasim.validation.balancers.bench import POLL_S, Bench, Played, Stage
from hasim.validation.balancers.faults import LAST_ANSWERS_S, Row, sequence
from hasim.validation.balancers.record import Recorded

ROLLING_SERVERS: Final = 4
GAP_S: Final = 0.28
"""Between two steps of a rollout that waits for the balancer, in seconds: the record's rollouts less their steps."""
COLOUR: Final = 3
"""Servers of each colour; the blue ones stand first."""
LEAD_S: Final = 3.0
"""Before a rollout or a switch begins, in seconds: checks have gone round."""
SWITCH_S: Final = 2.5
"""After a switch, until all is as it will be."""


def bench_of(config: Mapping[str, Any]) -> Bench:
    """The set-up of one configuration."""
    return Bench(
        servers=ROLLING_SERVERS if config["kind"] == "rolling" else 2 * COLOUR,
        rate=config["rate"],
        mean_ms=config["mean_ms"],
        slots=config["conc"],
        balancer={
            "check": {"interval": f"{config['inter']}ms", "fall": config["fall"], "rise": config["rise"]},
            "retries": config["retries"],
            "redispatch": config["redispatch"],
            "connect_timeout": "1s",
            "server_timeout": "2s",
        },
    )


def play_all(recorded: Recorded, trials: int, seed: int) -> list[Row]:
    """Play a configuration so many times; one row a trial, with the names of the record."""
    bench = bench_of(recorded.config)
    play = play_rollout if recorded.config["kind"] == "rolling" else play_switch
    return [play(bench, recorded.config, chance) for chance in sequence(recorded.name, trials, seed)]


def play_rollout(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """One server after the other: its checks fail, it stops, the next process starts, the balancer sees it."""
    rng = np.random.default_rng(chance)
    begin = LEAD_S + rng.random() * config["inter"] / 1e3
    ended = math.nan
    steps: list[float] = []

    def script(stage: Stage) -> Script:
        nonlocal ended
        yield begin
        for server in range(ROLLING_SERVERS):
            steps.append(stage.now())
            yield from _step(config, stage, server)
        ended = stage.now()

    longest = ROLLING_SERVERS * (config["d"] + config["s"] + GAP_S + 3 * config["rise"] * config["inter"] / 1e3)
    played = bench.play(script, begin + longest + LAST_ANSWERS_S, int(rng.integers(2**31)))
    seen = _row_of(played, begin, ended) | {"rollout_s": ended - begin}
    return seen | {f"down.{server}": _down(played, server, start) for server, start in enumerate(steps)}


def _down(played: Played, server: int, start: float) -> float:
    """How long after the start of a step its server was taken out, in seconds; NaN if it never was."""
    return played.when("server down", server, start) - start


def _step(config: Mapping[str, Any], stage: Stage, server: int) -> Script:
    """Replace one server."""
    name, world = stage.targets[server], stage.world
    with ExitStack() as gone:
        with world.unready(name):
            yield config["d"]
            if config["term"] == "graceful":
                gone.enter_context(world.gracefully([name]))
            gone.enter_context(world.held_down(name, "stop"))
        yield config["s"]
    if config["gate"] == "lb":
        yield POLL_S
        yield from stage.until_used(server, True)
        yield GAP_S


def play_switch(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """All blue servers are drained at the moment at which the green ones are let in."""
    rng = np.random.default_rng(chance)
    begin = LEAD_S + rng.random() * config["inter"] / 1e3
    blue, green = range(COLOUR), range(COLOUR, 2 * COLOUR)

    def script(stage: Stage) -> Script:
        for server in green:
            stage.front.drain(server, by=1)
        with ExitStack() as held:
            if config["green_late"]:
                for server in green:
                    held.enter_context(stage.world.held_down(stage.targets[server], "not yet started"))
            yield begin
            for server in green:
                stage.front.drain(server, by=-1)
            for server in blue:
                stage.front.drain(server, by=1)
            yield config["green_late"]

    played = bench.play(script, begin + SWITCH_S + LAST_ANSWERS_S, int(rng.integers(2**31)))
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
