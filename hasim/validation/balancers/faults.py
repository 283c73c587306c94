"""Trials with one fault behind HAProxy, as they were made: the fault comes at any moment of the checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import numpy as np

from hasim.faults.fault import Held, Script, World
from hasim.validation.balancers.bench import FAST_S, POLICIES, POLL_S, POOL, Bench, Played, Stage
from hasim.validation.balancers.record import Recorded

SERVERS: Final = 3
SETTLING_S: Final = 0.2
"""After the ejection, until latencies without the server are taken; the record's counts of requests say so."""
AFTER_RECOVERY_S: Final = 0.5
"""The same after the end of a fault that the balancer does not see."""
UNSEEN: Final = ("slow", "err500")
"""Faults that no check sees, which last for a fixed time."""
LAST_ANSWERS_S: Final = 1.0
"""After the last requests that are looked at, until their answers are there."""
FULL_CHECKS: Final = 9
"""In how many intervals and timeouts of its checks a balancer has certainly taken a server out and back in."""

Row = dict[str, float]


def bench_of(config: Mapping[str, Any]) -> Bench:
    """The set-up of one configuration."""
    check = {"interval": f"{config['inter']}ms", "fall": config["fall"], "rise": config["rise"]}
    check |= {ours: f"{config[theirs]}ms" for ours, theirs in _CHECKS.items() if theirs in config}
    return Bench(
        servers=SERVERS,
        rate=config["rate"],
        mean_ms=config["mean_ms"],
        slots=config["conc"],
        balancer={
            "policy": POLICIES[config["balance"]],
            "check": check,
            "retries": config["retries"],
            "redispatch": config["redispatch"],
            "connect_timeout": f"{config['tconn']}ms",
            "server_timeout": f"{config['tserver']}ms",
        },
        holds_slot=config["fault"] != "slow",
    )


_CHECKS: Final = {"fast_interval": "fast", "down_interval": "down", "timeout": "tcheck"}


def play_all(recorded: Recorded, trials: int, seed: int) -> list[Row]:
    """Play a configuration so many times; one row a trial, with the names of the record."""
    bench = bench_of(recorded.config)
    return [play(bench, recorded.config, chance) for chance in sequence(recorded.name, trials, seed)]


def sequence(name: str, trials: int, seed: int) -> list[np.random.SeedSequence]:
    """A seed for each trial of a configuration, of its own whatever else is played."""
    return np.random.SeedSequence([seed, *name.encode()]).spawn(trials)


def play(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """Play one trial: a fault, its end some time after the ejection, the return."""
    rng = np.random.default_rng(chance)
    inter = config["inter"] / 1e3
    begin = config["pre"] + inter * rng.random()
    hold = config["hold"] + inter * rng.random()
    seen: dict[str, float] = {}

    def script(stage: Stage) -> Script:
        yield begin
        with ExitStack() as held:
            if config["fault"] in UNSEEN:
                held.enter_context(_verb(config, stage.world))
                yield config["fault_s"]
            else:
                yield from _until_seen(config, stage, held, hold)
        seen["recover"] = stage.now()

    longest = begin + hold + config["post"]
    if config["fault"] in UNSEEN:
        longest += config["fault_s"] + AFTER_RECOVERY_S
    else:
        longest += FULL_CHECKS * inter + config.get("drain_s", 0.0)
    played = bench.play(script, longest + LAST_ANSWERS_S, int(rng.integers(2**31)))
    return row_of(played, config, begin, seen["recover"])


def _until_seen(config: Mapping[str, Any], stage: Stage, held: ExitStack, hold: float) -> Script:
    """Do it, and keep it up until the balancer has left the server out for so long, and a drained process is gone."""
    held.enter_context(_verb(config, stage.world))
    exits = stage.now() + config.get("drain_s", math.inf)
    ends = math.inf
    while stage.now() < ends or exits < math.inf:
        yield POLL_S
        if ends == math.inf and not stage.front.is_used(0):
            ends = stage.now() + hold
        if stage.now() >= exits:
            held.enter_context(stage.world.held_down(stage.targets[0], "stop"))
            exits = math.inf


def _verb(config: Mapping[str, Any], world: World) -> Held:
    server = f"{POOL}-1"
    match config["fault"]:
        case "kill":
            return world.held_down(server, "kill")
        case "stop":
            return world.paused(server)
        case "slow":
            return world.slowed(server, config["slow"])
        case "err500":
            return world.failing(server, 1.0)
        case _:
            return world.unready(server)


def row_of(played: Played, config: Mapping[str, Any], fault: float, recover: float) -> Row:
    """What was seen in a trial, in the names and units of the record: seconds from the fault, milliseconds of latency.

    Re-admission counts from the recovery. A phase without good answers has no latencies.
    """
    log = played.log
    unseen = config["fault"] in UNSEEN
    out = math.nan if unseen else played.when("server down", 0, fault)
    back = math.nan if unseen else played.when("server up", 0, recover)
    during = played.within(fault, recover if unseen else out)
    after = recover + AFTER_RECOVERY_S if unseen else back
    bad = played.bad
    kinds = played.kinds()
    seen = {
        "t_eject": out - fault,
        "t_readmit": back - recover,
        "t_recover": recover - fault,
        "n_req_fault": float(during.sum()),
        "n_fail": float(bad.sum()),
        "n_fail_before": float(played.failed(0.0, fault)),
        "n_slow1s_during": float(np.sum(during & played.ok & (played.latency_ms > FAST_S * 1e3))),
        "wretr": float(played.retried),
        "wredis": float(played.redispatched),
        **{f"kinds.{kind}": float(count) for kind, count in kinds.items()},
    }
    if bad.any():
        ended, arrived = log.ended_s[bad] - fault, log.arrived_s[bad] - fault
        seen |= {"err_first": float(ended.min()), "err_last": float(ended.max()), "arr_last": float(arrived.max())}
    phases = {
        "before": played.within(0.0, fault),
        "during": during,
        "ejected": played.within(out + SETTLING_S, recover),
        "after": played.within(after, after + config["post"]),
    }
    for name, which in phases.items():
        seen |= played.latencies(name, which)
        seen[f"s1_ok_share_{name}"] = played.share(0, which)
    return seen
