"""Which quantities of each trial are compared, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from hasim.validation.balancers.faults import UNSEEN
from hasim.validation.balancers.faults import Row as Trial
from hasim.validation.balancers.record import Recorded
from hasim.validation.balancers.rules import added, averages, laws, losses, medians, times
from hasim.validation.verdicts import Row, shape

Floats = npt.NDArray[np.float64]

MACHINE: Final = "the machine's: how long a starved process takes to die, or a command to arrive"
PHASES: Final = {"before": "before", "during": "during the fault", "ejected": "while ejected", "after": "afterwards"}
EOF: Final = "kinds.eof"


def ours(trials: Sequence[Trial], quantity: str) -> Floats:
    """One value a trial; kinds of failures that did not occur are zero, anything else that is not there is NaN."""
    missing = 0.0 if quantity.startswith("kinds.") else np.nan
    return np.array([trial.get(quantity, missing) for trial in trials])


def pair(recorded: Recorded, trials: Sequence[Trial], quantity: str) -> tuple[Floats, Floats]:
    """A quantity as measured and as simulated."""
    return recorded.column(quantity), ours(trials, quantity)


def without_eof(recorded: Recorded, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
    """Failures without those of requests that were in flight at a server when it died."""
    failed, lost = pair(recorded, trials, "n_fail"), pair(recorded, trials, EOF)
    return failed[0] - lost[0], failed[1] - lost[1]


def of_faults(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """The rows of one configuration with a fault behind HAProxy."""
    config = recorded.config
    seen = config["fault"] not in UNSEEN
    rows: list[Row] = []
    if seen:
        for quantity, said in {"t_eject": "fault to ejection", "t_readmit": "recovery to re-admission"}.items():
            both = pair(recorded, trials, quantity)
            rows += [laws(name, f"{said}, s", *both), times(name, f"{said}, s", *both)]
    rows.append(averages(name, "failed requests, less those in flight", *without_eof(recorded, trials)))
    if config["fault"] in ("kill", "drain"):
        rows.append(losses(name, "lost in flight", *pair(recorded, trials, EOF)))
    rows += _windows(name, recorded, trials)
    if "n_slow1s_during" in recorded.columns:
        rows.append(averages(name, "served after more than 1 s", *pair(recorded, trials, "n_slow1s_during")))
    rows.append(averages(name, "retries on the same server", *pair(recorded, trials, "wretr")))
    theirs, mine = (sent / asked for sent, asked in zip(*_redispatches(recorded, trials), strict=True))
    rows.append(averages(name, "redispatches per request until the ejection", theirs, mine, 3))
    rows.append(
        averages(name, "share of the server during the fault", *pair(recorded, trials, "s1_ok_share_during"), 3)
    )
    return rows + _latencies(name, recorded, trials, [phase for phase in PHASES if seen or phase != "ejected"])


def _redispatches(recorded: Recorded, trials: Sequence[Trial]) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    return pair(recorded, trials, "wredis"), pair(recorded, trials, "n_req_fault")


def _windows(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """From when to when requests failed; losses in flight alone happen at once, and show only the machine."""
    if not without_eof(recorded, trials)[0].mean() > 1:
        return []
    said = {
        "err_first": "first failure after the fault, s",
        "err_last": "last failure, s",
        "arr_last": "last arrival that failed, s",
    }
    rows = []
    for quantity, words in said.items():
        theirs, mine = pair(recorded, trials, quantity)
        if quantity == "err_first" and np.median(theirs) < 0.1:
            rows.append(shape(name, words, f"{np.median(theirs):.3f}", f"{np.nanmedian(mine):.3f}", MACHINE))
        else:
            rows.append(medians(name, words, theirs, mine, 3))
    return rows


def _latencies(name: str, recorded: Recorded, trials: Sequence[Trial], phases: Sequence[str]) -> list[Row]:
    """Middle and tail of the latencies of requests that were served, by when they came."""
    rows = []
    before = pair(recorded, trials, "before.p99")
    for phase in phases:
        for figure in ("p50", "mean"):
            both = pair(recorded, trials, f"{phase}.{figure}")
            rows.append(medians(name, f"latency {PHASES[phase]}, {figure}, ms", *both))
        theirs, mine = pair(recorded, trials, f"{phase}.p99")
        if phase == "before":
            why = "the tail holds the stalls of the machine; what the fault adds is compared"
            rows.append(
                shape(name, "latency before, p99, ms", f"{np.median(theirs):.0f}", f"{np.nanmedian(mine):.0f}", why)
            )
        else:
            said = f"latency {PHASES[phase]}, p99, ms"
            rows.append(added(name, said, (before[0], theirs), (before[1], mine)))
    return rows


def of_rollouts(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """The rows of one way to upgrade server by server."""
    steps = len(recorded.values("steps")[0])
    abrupt = recorded.config["term"] == "abrupt"
    lost = [column / steps for column in pair(recorded, trials, EOF)]
    rows = [averages(name, "failed requests, less those in flight", *without_eof(recorded, trials))]
    if abrupt:
        rows.append(losses(name, "lost in flight per server", *lost))
    downs = [step[STEP_DOWN] for rollout in recorded.values("steps") for step in rollout]
    taken_out = np.array([np.nan if down is None else down for down in downs])
    mine = np.concatenate([ours(trials, f"down.{step}") for step in range(steps)])
    share = [np.mean(np.isnan(values)) for values in (taken_out, mine)]
    if share[0] < 1:
        rows.append(laws(name, "first bad check to ejection, s", taken_out, mine))
    else:
        said = "share of servers never taken out"
        rows.append(averages(name, said, np.isnan(taken_out).astype(float), np.isnan(mine).astype(float)))
    rows.append(averages(name, "the whole rollout, s", *pair(recorded, trials, "rollout_s")))
    rows += _attempts(name, recorded, trials)
    if recorded.config["retries"] and not recorded.config["redispatch"]:
        rows.append(medians(name, "latency, mean, ms", *pair(recorded, trials, "all.mean")))
    return [*rows, _whole(name, recorded, trials)]


def _whole(name: str, recorded: Recorded, trials: Sequence[Trial]) -> Row:
    """Latency over a whole upgrade, of which no part is without a fault to hold it against."""
    theirs, mine = pair(recorded, trials, "all.p50")
    return shape(name, "latency, p50, median, ms", f"{np.median(theirs):.1f}", f"{np.median(mine):.1f}", BUSY)


BUSY: Final = "the machine was busier here (trials are used up to longer stalls), and there is no part before the fault"
STEP_DOWN: Final = 3
"""Where a recorded step (term, exit, ready, down, up, n_fail) says when its server was taken out."""


def _attempts(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    return [
        averages(name, "retries on the same server", *pair(recorded, trials, "wretr")),
        averages(name, "redispatches", *pair(recorded, trials, "wredis")),
    ]


def of_switches(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """The rows of one blue-green switch."""
    rows = [averages(name, "failed requests", *pair(recorded, trials, "n_fail"))]
    if "err_last_arr" in recorded.columns:
        both = pair(recorded, trials, "err_last_arr")
        rows += [laws(name, "last arrival that failed, s", *both), averages(name, "the same, mean", *both)]
    theirs, mine = pair(recorded, trials, "old_hits_after")
    rows.append(
        shape(name, "served by blue afterwards, median", f"{np.median(theirs):g}", f"{np.median(mine):g}", MACHINE)
    )
    return [*rows, _whole(name, recorded, trials)]


def of_nginx(name: str, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """The rows of one configuration of nginx."""
    config = recorded.config
    rows: list[Row] = []
    failed = pair(recorded, trials, "n_fail")
    if config["fault"] == "kill" and failed[0].any():
        rows.append(losses(name, "failed requests", *failed))
    else:
        rows.append(averages(name, "failed requests", *failed))
    rows.append(
        averages(name, "failed, arrived 0.5 s after the fault or later", *pair(recorded, trials, "n_fail_later"))
    )
    marks = [marks for marks in recorded.values("disabled_at") if marks]
    first, mine = np.array([marks[0] for marks in marks]), ours(trials, "first_disabled")
    if config["fault"] == "stop":
        rows.append(medians(name, "first taken out, s", first, mine, 3))
        both = pair(recorded, trials, "err_last")
        rows.append(medians(name, "last failure, s", *both, 3))
    else:
        rows.append(shape(name, "first taken out, s", f"{np.median(first):.3f}", f"{np.median(mine):.3f}", MACHINE))
        gaps = [late - soon for trial in marks for soon, late in pairwise(trial)]
        probes = np.array([gap for gap in gaps if gap > config["fail_timeout"]])
        rows.append(laws(name, "taken out to first probe, s", probes, ours(trials, "probe_gap")))
    back = pair(recorded, trials, "back_after")
    rows += [laws(name, "recovery to first answer, s", *back)]
    before, during = (pair(recorded, trials, f"{phase}.p50") for phase in ("before", "during"))
    said = "latency during the fault, p50, ms"
    return [*rows, added(name, said, (before[0], during[0]), (before[1], during[1]))]
