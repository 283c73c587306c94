"""Trials with one fault behind nginx, which takes a server out for what the requests themselves show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hasim.faults.fault import Script
from hasim.validation.balancers.bench import Bench, Played, Stage
from hasim.validation.balancers.faults import LAST_ANSWERS_S, SERVERS, Row, sequence
from hasim.validation.balancers.record import Recorded

LEAD_S: Final = 1.0
"""Before the fault, in seconds."""
RETURN_S: Final = 3.5
"""After the fault, until the server is surely back: a fail_timeout of 2 s in whole seconds."""
BEGINNING_S: Final = 0.5
"""The first part of a fault, in which failures are counted apart."""


def bench_of(config: Mapping[str, Any]) -> Bench:
    """The set-up of one configuration; `proxy_next_upstream` off means one attempt, else each server may be tried."""
    tries_others = config["next"] != "off"
    return Bench(
        servers=SERVERS,
        rate=config["rate"],
        mean_ms=config["mean_ms"],
        slots=config["conc"],
        balancer={
            "ejection": {
                "kind": "max_fails",
                "max_fails": config["max_fails"],
                "fail_timeout": f"{config['fail_timeout']}s",
            },
            "retries": SERVERS - 1 if tries_others else 0,
            "redispatch": tries_others,
            "retry_on": ("reset", "timeout") if tries_others else (),
            "connect_timeout": f"{config['tread']}s",
            "server_timeout": f"{config['tread']}s",
        },
    )


def play_all(recorded: Recorded, trials: int, seed: int) -> list[Row]:
    """Play a configuration so many times; one row a trial, with the names of the record."""
    bench = bench_of(recorded.config)
    return [play(bench, recorded.config, chance) for chance in sequence(recorded.name, trials, seed)]


def play(bench: Bench, config: Mapping[str, Any], chance: np.random.SeedSequence) -> Row:
    """Play one trial: a fault of fixed length."""
    rng = np.random.default_rng(chance)
    begin, ends = LEAD_S, LEAD_S + config["dur"]

    def script(stage: Stage) -> Script:
        yield begin
        server = stage.targets[0]
        verb = stage.world.paused(server) if config["fault"] == "stop" else stage.world.held_down(server, "kill")
        with verb:
            yield config["dur"]

    played = bench.play(script, ends + RETURN_S + LAST_ANSWERS_S, int(rng.integers(2**31)))
    return _row_of(played, begin, ends)


def _row_of(played: Played, begin: float, ends: float) -> Row:
    log = played.log
    during = played.within(begin, ends)
    out = played.when("server ejected", 0, begin)
    seen = {
        "n_fail": float(played.bad.sum()),
        "n_fail_arr_before": float(played.failed(0.0, begin)),
        "n_fail_first_500ms": float(played.failed(begin, begin + BEGINNING_S)),
        "n_fail_later": float(played.failed(begin + BEGINNING_S)),
        "first_disabled": out - begin,
        "probe_gap": _probe(played, out) - out,
        "err_last": float(log.ended_s[played.bad].max()) - begin if played.bad.any() else math.nan,
        **played.latencies("before", played.within(0.0, begin)),
        **played.latencies("during", during),
    }
    back = played.ok & (log.server == 0) & (log.arrived_s >= ends)
    seen["back_after"] = float(log.ended_s[back].min()) - ends if back.any() else math.nan
    return seen


def _probe(played: Played, out: float) -> float:
    """When the server was probed for the first time, in seconds; NaN if that was never."""
    return played.when("server ejected", 0, math.nextafter(out, math.inf)) if not math.isnan(out) else math.nan
