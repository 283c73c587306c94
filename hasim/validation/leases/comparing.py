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
from hasim.validation.verdicts import Row, Z, distributions, mean_text, rule, shape, shares

Floats = npt.NDArray[np.float64]

FAILOVER: Final = "fault to the next leader, s"
WAIT: Final = "end of the lease to the next leader, s"
BOTH: Final = "two believe that they lead, s"
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
        shape(title, "age of the last renewal at the fault, s, mean", *map(mean_text, ages), AGE),
        laws(title, FAILOVER, *failovers),
        times(title, FAILOVER, *failovers),
    ]
    if config.fault != "graceful":
        rows += [laws(title, WAIT, theirs, mine), times(title, WAIT, theirs, mine)]
        late = [f"{np.mean(values > IN_FLIGHT_S):.1%}" for values in (theirs, mine)]
        rows.append(shape(title, f"of these longer than {IN_FLIGHT_S:g} s", *late, TAIL))
    if config.store == "etcd" and config.fault != "graceful":
        rows += _passes(title, config, recorded, (theirs, mine), trials)
    if config.fault in ("pause", "partition"):
        rows += [laws(title, BOTH, *pair("belief_overlap")), times(title, BOTH, *pair("belief_overlap"))]
        both = pair("down_after_fault_end")
        rows.append(
            shape(title, "end of the fault to the old leader's stepping down, s, mean", *map(mean_text, both), MACHINE)
        )
        both = pair("write_gap")
        rows += [laws(title, "the new leader's first write after another, s", *both)]
        rows += [times(title, "the new leader's first write after another, s", *both)]
        rows += _stale(title, config, recorded, trials)
    return rows


def _passes(
    title: str, config: LeaseConfig, recorded: Recorded, both: tuple[Floats, Floats], trials: Sequence[Trial]
) -> list[Row]:
    """What etcd's passes make of the wait: the same in calm trials alone, its modes, and what it owes to the last."""
    theirs, mine = both
    calm = recorded.column("lag") <= CALM_S
    rows = [distributions(title, f"{WAIT[:-3]} in trials without stalls above {CALM_S * 1e3:g} ms, s", theirs[calm], mine)]
    if config.watch:
        low, high = GAP_S
        rows.append(shares(title, f"of these up to {low:g} s", theirs <= low, mine <= low))
        between = [(values > low) & (values <= high) for values in both]
        rows.append(shares(title, f"of these {low:g} to {high:g} s", *between))
        return rows
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


def _correlation(values: Floats, follows: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """Of neighbours, as far as no renewal was under way; and how many pairs there are."""
    short = values <= IN_FLIGHT_S
    pairs = follows & short[1:] & short[:-1]
    return float(np.corrcoef(values[:-1][pairs], values[1:][pairs])[0, 1]), int(pairs.sum())


def _spread(correlation: float, size: int) -> float:
    return (1 - correlation**2) / math.sqrt(size)


def _stale(title: str, config: LeaseConfig, recorded: Recorded, trials: Sequence[Trial]) -> list[Row]:
    """Writes of a leader that has been replaced."""
    accepted = (recorded.column("stale_accepted"), ours(trials, "stale_accepted"))
    refused = (recorded.column("stale_rejected"), ours(trials, "stale_rejected"))
    window = (recorded.column("stale_window"), ours(trials, "stale_window"))
    if config.fault == "partition":
        counts = [f"{values.mean():.1f}" for values in accepted]
        return [
            shape(title, "writes of the old leader that were accepted", counts[0], counts[1], READ_OFF),
            shares(title, "trials with any", *(values > 0 for values in accepted)),
            averages(title, "writes of the old leader that were refused", *refused),
            laws(title, "first to last of these that were accepted, s", *window),
            times(title, "first to last of these that were accepted, s", *window),
        ]
    rows = [
        averages(title, "writes of the old leader that were accepted", *accepted),
        averages(title, "writes of the old leader that were refused", *refused),
    ]
    if accepted[0].any():
        rows.append(shares(title, "trials with any that was accepted", *(values > 0 for values in accepted)))
    if refused[0].any():
        rows.append(shares(title, "trials with any that was refused", *(values > 0 for values in refused)))
    return rows
