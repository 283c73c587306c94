"""Which quantities of each configuration are compared, and by which rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hasim.validation.balancers.record import Recorded
from hasim.validation.balancers.rules import NEAR_TIME, STALL_S, averages, times
from hasim.validation.queues import single
from hasim.validation.queues.bench import Trial
from hasim.validation.queues.record import QueueConfig, System
from hasim.validation.queues.record import single as stated
from hasim.validation.verdicts import NEAR, Row, Z, rule, shape, standard_error

Floats = npt.NDArray[np.float64]

EXECUTIONS: Final = "executions a task"
TWICE: Final = "tasks executed more than once, share"
THRICE: Final = "tasks executed three times or more, share"
DONE_TWICE: Final = "tasks worked to the end more than once, share"
UNFINISHED: Final = "tasks unfinished at the end"
LATE: Final = "late acks"
LATE_OK: Final = "late acks that were accepted"
GAP: Final = "from one start of a task to its next, s"
MAKESPAN: Final = "until every task was worked to the end once, s"

DRAWN: Final = "drawn, not predicted: how long the work takes"
PUT_IN: Final = "put in: one execution in ten"
FIT: Final = "a fit: how many expiries are missed was counted in these trials"
LATE_START: Final = "time, on a machine where clients began late and stalled; counts are compared"
ORDER: Final = "at least as often as measured"


def ours(trials: Sequence[Trial], quantity: str) -> Floats:
    """One value a trial."""
    return np.array([trial[quantity] for trial in trials], dtype=float)


def thrice(histograms: Iterable[Sequence[int]]) -> Floats:
    """The share of tasks that were executed three times or more, of each trial."""
    return np.array([sum(tasks[2:]) / sum(tasks) for tasks in histograms])


def gaps(trials: Iterable[Sequence[float]]) -> Floats:
    """Those of all trials together."""
    return np.array([gap for trial in trials for gap in trial])


def close(experiment: str, quantity: str, theirs: Floats, mine: Floats, digits: int = 3) -> Row:
    """Two means: within 5 % or two standard errors, both by the wider spread of the two.

    What is rare shows little spread, or none, in twenty trials, and its standard error is then far too small.
    """
    a, b = float(theirs.mean()), float(mine.mean())
    spread = max(float(values.std(ddof=1)) for values in (theirs, mine))
    bound = max(NEAR * a, Z * spread * math.sqrt(1 / theirs.size + 1 / mine.size))
    how = f"within 5 % or 2 standard errors ({bound:.{digits}f})"
    return rule(experiment, f"{quantity}, mean", _text(theirs, digits), _text(mine, digits), abs(a - b) <= bound, how)


def compare(title: str, config: QueueConfig, recorded: Recorded, trials: Sequence[Trial], fit: bool) -> list[Row]:
    """The rows of one configuration; `fit` says that how many expiries were missed was read off it."""

    def pair(quantity: str) -> tuple[Floats, Floats]:
        return recorded.column(quantity), ours(trials, quantity)

    often = thrice(recorded.values("exec_hist")), thrice(trial["exec_hist"] for trial in trials)
    rows = [
        close(title, EXECUTIONS, *pair("mean_exec")),
        close(title, TWICE, *pair("dup_frac")),
        close(title, THRICE, *often),
        *([_never_or(title, DONE_TWICE, *pair("multi_completed_frac"))] if config.crash else []),
        _never_or(title, UNFINISHED, *pair("unfinished")),
        close(title, LATE, *pair("late_acks"), digits=2),
    ]
    if config.system == "beanstalkd":
        rows.append(close(title, LATE_OK, *pair("late_ok"), digits=2))
    if fit:
        rows = [replace(row, how=f"{FIT}; {row.how}") for row in rows]
    return [*rows, *_of_time(title, config, recorded, trials), *_put_in(title, config, pair)]


def _text(values: Floats, digits: int = 3) -> str:
    return f"{values.mean():.{digits}f} ± {standard_error(values):.{digits}f}"


def _never_or(title: str, quantity: str, theirs: Floats, mine: Floats) -> Row:
    """What never happened must never happen; the rest are means."""
    return close(title, quantity, theirs, mine) if theirs.any() else averages(title, quantity, theirs, mine)


def _of_time(title: str, config: QueueConfig, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """Times: compared where workers began together on a calm machine, and else shown."""
    theirs, mine = gaps(recorded.values("redelivery_gap")), gaps(trial["redelivery_gap"] for trial in trials)
    spans = recorded.column("makespan"), ours(trials, "makespan")
    if recorded.config["series"] == 2 and config.system == "beanstalkd":
        return [times(title, GAP, theirs, mine), close(title, MAKESPAN, *spans, digits=2)]
    shown = [(MAKESPAN, *spans)]
    if theirs.size and mine.size:
        shown = [(GAP, theirs, mine), *shown]
    return [shape(title, f"{what}, mean", _text(a), _text(b), LATE_START) for what, a, b in shown]


def _put_in(title: str, config: QueueConfig, pair: Callable[[str], tuple[Floats, Floats]]) -> list[Row]:
    share = "first executions drawn longer than the deadline, share"
    drawn = [("first_over", share, DRAWN), *([("crashes", "crashes", PUT_IN)] if config.crash else [])]
    rows = []
    for name, what, why in drawn:
        theirs, mine = pair(name)
        rows.append(shape(title, f"{what}, mean", _text(theirs), _text(mine), why))
    return rows


# ------------------------------------------------------------------------------------------ one task at a time

LATE_ACKS: Final = "One task: an ack that comes too late"
COMES_BACK: Final = "One task: how soon it comes back"
POISON: Final = "One task: always longer than the deadline, workers free"
ORDERED: Final = "Six workers: what comes first"
SYSTEMS: Final[tuple[System, ...]] = ("beanstalkd", "jetstream")
NAMES: Final[dict[System, str]] = {"beanstalkd": "beanstalkd", "jetstream": "JetStream"}


def compare_single(seed: int, trials: int) -> list[Row]:
    """Late acks, returns and the task that never ends."""
    return [*_late_acks(seed, trials), *_returns(seed, trials), *_poison(seed)]


def _late_acks(seed: int, trials: int) -> list[Row]:
    rows: list[Row] = []
    for system in SYSTEMS:
        for taken, said in ((False, "nobody else has the task"), (True, "another worker has it")):
            seen = stated()["late_ack_taken" if taken else "late_ack_free"][system]
            first, second = single.late_acks(system, taken, seed, trials)
            what = f"{NAMES[system]}, {said}: accepted"
            rows.append(_all_alike(LATE_ACKS, what, seen["accepted"], seen["of"], first, trials))
            if taken:
                what = f"{NAMES[system]}, the other worker's ack after that: accepted"
                rows.append(_all_alike(LATE_ACKS, what, seen["second_accepted"], seen["of"], second, trials))
    return rows


def _all_alike(title: str, what: str, seen: int, of: int, here: int, trials: int) -> Row:
    """All or none, in both."""
    holds = (seen == of and here == trials) or seen == here == 0
    return rule(title, what, f"{seen} of {of}", f"{here} of {trials}", holds, "all or none, as measured")


def _returns(seed: int, trials: int) -> list[Row]:
    bean, handed = stated()["redelivered_after_s"]["beanstalkd"], stated()["handover_s"]
    silent, jet = stated()["silent_gap_s"], stated()["handover_s"]["jetstream"]
    waits = single.redelivered_after("beanstalkd", bean["deadline"], seed, trials)
    rows = [
        _near("beanstalkd, from a start to the next, deadline 1 s, worker alive, s", bean["p50"], waits),
        _near(
            "beanstalkd, killed: to the next start, s", handed["beanstalkd"]["p50"], _kill("beanstalkd", seed, trials)
        ),
        _near(
            "JetStream, killed 0.7 s before the deadline: to the next start, s",
            jet["mean"],
            _kill("jetstream", seed, trials),
        ),
    ]
    for system in SYSTEMS:
        gap = single.redelivered_after(system, silent["deadline"], seed, trials, silent=True)
        rows.append(
            _near(f"{NAMES[system]}, falls silent, deadline 3 s: from a start to the next, s", silent["mean"], gap)
        )
    return rows


def _kill(system: System, seed: int, trials: int) -> list[float]:
    return single.handovers(system, seed, trials)


def _near(what: str, seen: float, here: Sequence[float]) -> Row:
    """Times that hardly vary: within 3 % and 20 ms, by which stalls of the machine lengthen them."""
    middle, bound = float(np.median(here)), NEAR_TIME * seen + STALL_S
    how = f"within {NEAR_TIME:.0%} + {STALL_S * 1e3:g} ms ({bound:.3f})"
    return rule(COMES_BACK, what, f"{seen:.3f}", f"{middle:.3f}", abs(middle - seen) <= bound, how)


def _poison(seed: int) -> list[Row]:
    seen = stated()["poison"]
    starts, done = single.poisoned("beanstalkd", seen["within_s"], seed)
    what = f"beanstalkd, starts in {seen['within_s']:g} s, and never done"
    here = f"{starts}, {'never' if done is None else 'is'} done"
    rows = [rule(POISON, what, str(seen["starts"]), here, starts == seen["starts"] and done is None, "the same number")]
    _, done = single.poisoned("jetstream", seen["within_s"], seed)
    here = "never" if done is None else f"{done:.3f}"
    near = done is not None and abs(done - single.FIRST_S) <= STALL_S
    how = f"the first worker's ack is accepted, within {STALL_S * 1e3:g} ms"
    return [*rows, rule(POISON, "JetStream, done after, s", f"{single.FIRST_S:.3f}", here, near, how)]


def compare_order(system: System, trials: Sequence[Trial]) -> Row:
    """Tasks that come again against new ones."""
    seen = stated()["waiting_first"][system]
    waited, first = (int(ours(trials, name).sum()) for name in ("waited", "waited_first"))
    what = f"{NAMES[system]}, expired tasks that had to wait: delivered before any new one"
    theirs, mine = f"{seen['first']} of {seen['of']}", f"{first} of {waited}"
    return rule(ORDERED, what, theirs, mine, waited > 0 and first / waited >= seen["first"] / seen["of"], ORDER)
