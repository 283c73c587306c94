"""Which quantities of each trial of a lease are compared, and by which rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hasim.validation.balancers.record import Recorded
from hasim.validation.balancers.rules import averages, laws, times
from hasim.validation.leases.record import LeaseConfig
from hasim.validation.leases.trials import Trial
from hasim.validation.verdicts import Row, Z, distributions, rule, shape, shares, standard_error

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAILOVER: Final = "fault to the next leader, s"
WAIT: Final = "end of the lease to the next leader, s"
BOTH: Final = "two believe that they lead, s"
DOWN: Final = "end of the fault to the old leader's stepping down, s, mean"
WRITES: Final = "the new leader's first write after the last before it, s"
CALM_S: Final = 0.02
"""Worst stall in trials that are compared by themselves as well, in seconds."""
GAP_S: Final = (0.25, 0.45)
"""Between the two modes of a wait for etcd's pass, in seconds."""
IN_FLIGHT_S: Final = 0.95
"""A wait that is longer has a renewal in it of which the holder never heard; in seconds."""
AGE: Final = "drawn, not predicted: a fault comes at any moment"
MACHINE: Final = "one request and nothing else, so it is the machine's"
READ_OFF: Final = "the pace of writes was read off these trials"
TAIL: Final = "what the record calls unexplained, and a renewal under way whose holder died before the answer"


def ours(trials: Sequence[Trial], quantity: str) -> Floats:
    """One value a trial."""
    return np.array([trial[quantity] for trial in trials])


def waits(config: LeaseConfig, age: Floats, failover: Floats) -> Floats:
    """From when the lease ends, a time to live after the last renewal that the holder knows of, to the next leader."""
    return failover - (config.ttl - age)


def compare(title: str, config: LeaseConfig, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """The rows of one configuration; verdicts of distributions wait for `holm`."""

    def pair(quantity: str) -> tuple[Floats, Floats]:
        return recorded.column(quantity), ours(trials, quantity)

    ages, failovers = pair("age_at_fault"), pair("failover")
    theirs, mine = (waits(config, age, failover) for age, failover in zip(ages, failovers, strict=True))
    rows = [
        _shown(title, "age of the last renewal at the fault, s, mean", ages, AGE),
        laws(title, FAILOVER, *failovers),
        times(title, FAILOVER, *failovers),
    ]
    if config.fault != "graceful":
        rows += [laws(title, WAIT, theirs, mine), times(title, WAIT, theirs, mine)]
        late, late_here = (f"{np.mean(values > IN_FLIGHT_S):.1%}" for values in (theirs, mine))
        rows.append(shape(title, f"of these longer than {IN_FLIGHT_S:g} s", late, late_here, TAIL))
    if config.store == "etcd" and config.fault != "graceful":
        rows += _passes(title, config, recorded, (theirs, mine), trials)
    if config.fault in ("pause", "partition"):
        both, gaps = pair("belief_overlap"), pair("write_gap")
        rows += [laws(title, BOTH, *both), times(title, BOTH, *both)]
        rows += [_shown(title, DOWN, pair("down_after_fault_end"), MACHINE)]
        rows += [laws(title, WRITES, *gaps), times(title, WRITES, *gaps)]
        rows += _stale(title, config, recorded, trials)
    return rows


def _shown(title: str, quantity: str, both: tuple[Floats, Floats], why: str) -> Row:
    """Two means side by side, with their standard errors."""
    theirs, mine = (f"{np.mean(values):.3f} ± {standard_error(values):.3f}" for values in both)
    return shape(title, quantity, theirs, mine, why)


def _shares(title: str, quantity: str, theirs: Bools, mine: Bools) -> Row:
    return shares(title, quantity, theirs.astype(np.float64), mine.astype(np.float64))


def _passes(
    title: str, config: LeaseConfig, recorded: Recorded, both: tuple[Floats, Floats], trials: Sequence[Trial]
) -> list[Row]:
    """What etcd's passes make of the wait: the same in calm trials alone, its modes, and what it owes to the last."""
    theirs, mine = both
    calm = recorded.column("lag") <= CALM_S
    rows = [distributions(title, f"the same in trials without stalls above {CALM_S:g} s", theirs[calm], mine)]
    if config.watch:
        low, high = GAP_S
        rows.append(_shares(title, f"of these up to {low:g} s", theirs <= low, mine <= low))
        between = [(values > low) & (values <= high) for values in both]
        return [*rows, _shares(title, f"of these {low:g} to {high:g} s", between[0], between[1])]
    numbers = np.array(recorded.values("trial"))
    follows = (np.diff(numbers) == 1) & (numbers[1:] % config.trials != 0)
    a, b = _correlation(theirs, follows), _correlation(mine, np.diff(ours(trials, "trial")) == 1)
    error = math.hypot(_spread(*a), _spread(*b))
    rows.append(
        rule(
            title,
            "correlation of such a wait with the one before",
            f"{a[0]:.2f} (n {a[1]})",
            f"{b[0]:.2f} (n {b[1]})",
            abs(a[0] - b[0]) <= Z * error,
            f"within 2 standard errors ({Z * error:.2f}); none if passes came at any moment",
        )
    )
    return rows


def _correlation(values: Floats, follows: Bools) -> tuple[float, int]:
    """Of neighbours, as far as no renewal was under way; and how many pairs there are."""
    short = values <= IN_FLIGHT_S
    pairs = follows & short[1:] & short[:-1]
    return float(np.corrcoef(values[:-1][pairs], values[1:][pairs])[0, 1]), int(pairs.sum())


def _spread(correlation: float, size: int) -> float:
    return (1 - correlation**2) / math.sqrt(size)


def _stale(title: str, config: LeaseConfig, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """Writes of a leader that has been replaced."""

    def pair(quantity: str) -> tuple[Floats, Floats]:
        return recorded.column(quantity), ours(trials, quantity)

    accepted, refused, window = pair("stale_accepted"), pair("stale_rejected"), pair("stale_window")
    rows = [averages(title, "writes of the old leader that were refused", *refused)]
    if refused[0].any():
        rows.append(_shares(title, "trials with any that was refused", refused[0] > 0, refused[1] > 0))
    said = "writes of the old leader that were accepted"
    if config.fault == "partition":
        spans = "first to last of these that were accepted, s"
        rows.append(shape(title, said, f"{accepted[0].mean():.1f}", f"{accepted[1].mean():.1f}", READ_OFF))
        rows += [laws(title, spans, *window), times(title, spans, *window)]
    else:
        rows.append(averages(title, said, *accepted))
    if accepted[0].any():
        rows.append(_shares(title, "trials with any that was accepted", accepted[0] > 0, accepted[1] > 0))
    return rows
