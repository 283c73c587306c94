"""Elections held against what was published: Ongaro's closed forms and simulations, and Figure 16 of the Raft paper.

Two checks of our own stand beside them: the same machine under SimPy, message by message, agrees with the samplers
that hold many elections at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hasim.model.elections import closed_forms
from hasim.model.elections.continuous import ContinuousSettings, sample_continuous
from hasim.model.elections.experiments import VOTE_S, availsim_wan, lan_benchmark
from hasim.model.elections.ticks import TickSettings, sample_ticks
from hasim.streams import Streams
from hasim.validation import verdicts
from hasim.validation.etcd_trials import Played
from hasim.validation.machine_elections import elect
from hasim.validation.record import Figure, published, statistic
from hasim.validation.verdicts import Floats, Row

Report = Callable[[float, float], None] | None

CALIBRATED: Final = ("150-155", "12-24", "50-100")
"""Curves of Figure 16 that the latencies and disk writes were fitted to; the others are predictions."""
REGIMES: Final = ("150-151",)
"""Curves that show a regime only: without randomness, elections take seconds."""
STUCK: Final = "150-150"
"""The curve of equal timeouts, of which only that its elections take more than 10 s is published; of 100 trials."""
STUCK_TRIALS: Final = 100
STUCK_S: Final = 10.0
STUCK_HORIZON_S: Final = 100.0
"""When such an election is given up."""
SPLITS: Final = {"quick": 20_000, "full": 100_000}
"""Elections for a split rate; of the larger number half a point is more than three standard errors."""
CURVES: Final = (*CALIBRATED, "150-175", "150-200", *REGIMES)
WANS: Final = {
    "logs-same/f0": (0, False),
    "logs-same/f1": (1, False),
    "logs-same/f2": (2, False),
    "logs-diff/f0": (0, True),
}
SAMPLED: Final = {"quick": 20_000, "full": 60_000}
MACHINES: Final = {"quick": 300, "full": 2_000}
LOAD_SPACING_S: Final = 5e-3
"""Under the probes the leader sends something that often, which is when its followers last heard from it."""


@dataclass
class Elections:
    """Election times in seconds, by the name of the curve."""

    lan: dict[str, Floats] = field(default_factory=dict)
    wan: dict[str, Floats] = field(default_factory=dict)
    splits: dict[str, tuple[float, int]] = field(default_factory=dict)  # share of split first terms, and of how many
    machine: Floats = field(default_factory=lambda: np.empty(0))


def sample_all(quick: bool, seed: int, progress: Report = None, machines: int | None = None) -> Elections:
    """Sample every published experiment, and one of them with the machine itself, `machines` times if that is given."""
    size = "quick" if quick else "full"
    streams, found = Streams(seed), Elections()
    for name in CURVES:
        low, high = (float(bound) * 1e-3 for bound in name.split("-"))
        found.lan[name] = sample_continuous(lan_benchmark(low, high), SAMPLED[size], streams[f"lan/{name}"]).t_accepted
    for name, (failed, differ) in WANS.items():
        settings = availsim_wan(failed, logs_differ=differ)
        found.wan[name] = sample_continuous(settings, SAMPLED[size], streams[f"wan/{name}"]).t_leader
    for id_ in published():
        if id_.startswith("split-vote/fixed/"):
            members, available, latency = _case(id_)
            split = ContinuousSettings(
                servers=members, failed=members - available, timeout=(1.0, 2.0), latency=(latency, latency)
            )
            sampled = sample_continuous(split, SPLITS[size], streams[id_])
            found.splits[id_] = float(np.mean(sampled.terms > 1)), SPLITS[size]
    equal = float(STUCK.split("-")[0]) * 1e-3
    settings, stream = lan_benchmark(equal, equal), streams[f"lan/{STUCK}"]
    stuck = sample_continuous(settings, STUCK_TRIALS, stream, horizon=STUCK_HORIZON_S).t_accepted
    found.lan[STUCK] = np.minimum(stuck, STUCK_HORIZON_S)
    found.machine = elect(availsim_wan(1), MACHINES[size] if machines is None else machines, seed, progress)
    return found


def rows_of(elections: Elections, played: dict[str, Played], seed: int) -> list[Row]:
    """Every comparison with what is published, judged, and the samplers against the machine."""
    return [*published_rows(elections), *_samplers(elections, played, seed)]


def published_rows(elections: Elections) -> list[Row]:
    """The comparisons with published numbers alone."""
    return [*_closed_forms(), *_split_rates(elections), *_wan(elections), *_lan(elections), *_stuck(elections)]


def _closed_forms() -> list[Row]:
    groups: dict[str, list[float]] = {"split vote, probability": [], "first timeout, mean": []}
    for id_, figure in published().items():
        if id_.startswith("split-vote/fixed/"):
            members, available, latency = _case(id_)
            ours = closed_forms.split_vote_probability(latency, available, members)
            groups["split vote, probability"].append(abs(ours - figure.value))
        elif match := re.fullmatch(r"first-timeout/mean/s(\d+)", id_):
            groups["first timeout, mean"].append(abs(closed_forms.earliest_timeout_mean(int(match[1])) - figure.value))
    return [
        verdicts.rule(
            "thesis, chapter 9", name, f"{len(errors)} values", f"largest difference {max(errors):.1e}",
            max(errors) < 5e-6 + 1e-12, "closed form, to the five digits given",
        )
        for name, errors in groups.items()
    ]  # fmt: skip


def _split_rates(elections: Elections) -> list[Row]:
    """The sampler held against the closed form: how often the first term elects nobody."""
    rows = []
    for id_, (split, size) in elections.splits.items():
        figure, (members, available, latency) = published()[id_], _case(id_)
        rows.append(
            verdicts.rule(
                "thesis, chapter 9", f"split rate, {available} of {members} servers, latency {latency:g}",
                f"{figure.value:.2%}", f"{split:.2%} of {size}", figure.agrees(split), "within half a point",
            )
        )  # fmt: skip
    return rows


def _case(id_: str) -> tuple[int, int, float]:
    """Members, available ones and latency of a published split rate."""
    match = re.fullmatch(r"split-vote/fixed/n(\d+)s(\d+)l([\d.]+)", id_)
    assert match is not None, id_
    return int(match[1]), int(match[2]), float(match[3])


def _stuck(elections: Elections) -> list[Row]:
    took = elections.lan[STUCK]
    return [
        verdicts.shape(
            f"Raft paper, figure 16, {STUCK} ms (regime)", f"trials over {STUCK_S:g} s", "essentially every one of 100",
            f"{np.count_nonzero(took > STUCK_S)} of {took.size}; median {np.median(took):.0f} s",
            "no number is published; without any randomness what is left of it is the machines' own",
        )
    ]  # fmt: skip


def _wan(elections: Elections) -> list[Row]:
    rows = []
    for curve, ours in elections.wan.items():
        for name in ("mean", "p50", "p90", "p99", "p999"):
            if name == "p999" and ours.size < SAMPLED["full"]:
                continue
            figure = published()[f"availsim-wan/{curve}/{name}"]
            rows.append(_figure_row(f"thesis, WAN simulation, {curve}", name, figure, ours))
    return rows


def _lan(elections: Elections) -> list[Row]:
    rows = []
    for curve in CURVES:
        ours = elections.lan[curve]
        kind = "calibrated" if curve in CALIBRATED else "regime" if curve in REGIMES else "prediction"
        for name in ("mean", "p50", "p95", "p99"):
            figure = published()[f"raft-lan-benchmark/{curve}/{name}"]
            rows.append(_figure_row(f"Raft paper, figure 16, {curve} ms ({kind})", name, figure, ours))
    return rows


def _figure_row(experiment: str, name: str, figure: Figure, ours: Floats) -> Row:
    value = 1e3 * statistic(ours, name)
    said = f"{value:.1f} ({_interval(ours, name)})"
    return verdicts.rule(experiment, f"{name} in ms", f"{figure.value:g}", said, figure.agrees(value), figure.allowed)


def _interval(ours: Floats, name: str) -> str:
    """Where the true value of our model lies with 95 %."""
    from hasim.results.intervals import quantile_interval
    from hasim.validation.record import QUANTILES

    if name == "mean":
        width = verdicts.INTERVAL * verdicts.standard_error(ours)
        low, high = ours.mean() - width, ours.mean() + width
    else:
        low, high = quantile_interval(np.sort(ours), QUANTILES[name])
    return f"{1e3 * low:.1f} to {1e3 * high:.1f}"


def _samplers(elections: Elections, played: dict[str, Played], seed: int) -> list[Row]:
    rows = [
        verdicts.distributions(
            "machine under SimPy against sampler", "WAN, one of five failed",
            elections.wan["logs-same/f1"], elections.machine,
        )
    ]  # fmt: skip
    for name in ("kill_n3_100-1000", "kill_n5_50-500", "kill_n3_100-1000_pv"):
        ours = played[name]
        sampled = sample_ticks(tick_settings(ours), 20_000, Streams(seed)[f"ticks/{name}"])
        rows.append(
            verdicts.distributions(
                "machine under SimPy against sampler", name, sampled.t_leader, ours.column("t_leader")
            )
        )
    return verdicts.holm(rows)


def tick_settings(played: Played) -> TickSettings:
    """The sampler's settings for what was played under probes."""
    trial = played.trial
    low, high = VOTE_S
    return TickSettings(
        members=trial.members,
        heartbeat=trial.heartbeat,
        election_timeout=trial.election,
        pre_vote=trial.pre_vote,
        check_quorum=trial.check_quorum,
        latency=(low + trial.delay, high + trial.delay),
        fsync=0.0,
        spacing=LOAD_SPACING_S,
    )
