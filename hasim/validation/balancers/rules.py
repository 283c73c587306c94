"""When a measured and a simulated quantity agree, one rule for each kind of quantity.

All samples hold one value a trial. The bounds are those at which two careful measurements of one thing may differ:
two standard errors of the difference, or a share of the measured value where the machine that was measured adds more
than chance does. What never happened in the record must never happen here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hasim.validation.verdicts import Row, Z, distributions, rule, shape

Floats = npt.NDArray[np.float64]

NEAR: Final = 0.15
"""By which share of the measured value a count, a share or a latency may differ."""
NEAR_ADDED: Final = 0.20
"""The same for what a fault adds to latencies, as a share of the whole."""
NEAR_TIME: Final = 0.03
"""The same for the time until checks have noticed."""
STALL_S: Final = 0.020
"""By how much the stalls of the measured machine may lengthen such a time beyond that, in seconds."""
LOST: Final = 2.0
"""By how many requests the medians of losses in flight may differ; a starved process takes its time to die."""
MEDIAN_ERROR: Final = math.sqrt(math.pi / 2)
"""Standard error of a median of normal values, in terms of that of their mean."""
NORMAL_QUARTILES: Final = 1.349
"""Distance of the quartiles of a normal law, in standard deviations."""


def laws(experiment: str, quantity: str, theirs: Floats, ours: Floats) -> Row:
    """Two samples of a time: the Kolmogorov–Smirnov test, unless ours vary less than the machine's stalls do."""
    theirs, ours = _seen(theirs), _seen(ours)
    if not ours.size:
        return _never_seen(experiment, f"{quantity}, distribution", theirs)
    low, middle, high = np.quantile(ours, [0.25, 0.5, 0.75])
    if high - low < STALL_S:
        why = f"half of ours lie within {STALL_S * 1e3:g} ms, finer than what was measured; the mean is compared"
        return shape(
            experiment, f"{quantity}, distribution", f"median {np.median(theirs):.3f}", f"median {middle:.3f}", why
        )
    return distributions(experiment, quantity, theirs, ours)


def averages(experiment: str, quantity: str, theirs: Floats, ours: Floats, digits: int = 2) -> Row:
    """Two means: within 15 % or two standard errors; exactly zero where nothing was ever seen."""
    theirs, ours = _seen(theirs), _seen(ours)
    if not theirs.any():
        said = "never, as in the record: exactly zero"
        return rule(experiment, quantity, "0", f"{_mean(ours):.{digits}f}", not ours.any(), said)
    error = math.hypot(_error(theirs), _error(ours))
    return _close(experiment, quantity, (theirs, ours), NEAR, 0.0, error, digits)


def times(experiment: str, quantity: str, theirs: Floats, ours: Floats) -> Row:
    """Two means of the time until checks have noticed: within 3 % and 20 ms, or two standard errors."""
    theirs, ours = _seen(theirs), _seen(ours)
    error = math.hypot(_error(theirs), _error(ours))
    return _close(experiment, f"{quantity}, mean", (theirs, ours), NEAR_TIME, STALL_S, error, 3)


def _close(
    experiment: str, quantity: str, both: tuple[Floats, Floats], near: float, more: float, error: float, digits: int
) -> Row:
    theirs, ours = both
    if not ours.size:
        return _never_seen(experiment, quantity, theirs)
    a, b = _mean(theirs), _mean(ours)
    bound = max(near * abs(a) + more, Z * error)
    how = f"within {near:.0%}{f' + {more * 1e3:g} ms' if more else ''} or 2 standard errors ({bound:.{digits}f})"
    return rule(
        experiment,
        quantity,
        f"{a:.{digits}f} ± {_error(theirs):.{digits}f}",
        f"{b:.{digits}f} ± {_error(ours):.{digits}f}",
        abs(a - b) <= bound,
        how,
    )


def medians(experiment: str, quantity: str, theirs: Floats, ours: Floats, digits: int = 1, near: float = NEAR) -> Row:
    """Two medians over the trials: within 15 % or two standard errors; a stall in a few trials moves neither."""
    theirs, ours = _seen(theirs), _seen(ours)
    if not ours.size:
        return _never_seen(experiment, f"{quantity}, median", theirs)
    a, b = float(np.median(theirs)), float(np.median(ours))
    error = math.hypot(_median_error(theirs), _median_error(ours))
    bound = max(near * abs(a), Z * error)
    return rule(
        experiment,
        f"{quantity}, median",
        f"{a:.{digits}f}",
        f"{b:.{digits}f}",
        abs(a - b) <= bound,
        f"within {near:.0%} or 2 standard errors ({bound:.{digits}f})",
    )


def added(experiment: str, quantity: str, theirs: tuple[Floats, Floats], ours: tuple[Floats, Floats]) -> Row:
    """What a fault adds to latencies: (before, then) of each trial, in milliseconds.

    The stalls of the measured machine lengthen latencies before the fault as well, their tail above all, so the
    difference is compared, within 20 % of the whole or two standard errors.
    """
    a, b = _seen(theirs[1] - theirs[0]), _seen(ours[1] - ours[0])
    if not b.size:
        return _never_seen(experiment, f"{quantity} less that before, median", a)
    whole = float(np.median(_seen(theirs[1])))
    error = math.hypot(_median_error(a), _median_error(b))
    bound = max(NEAR_ADDED * whole, Z * error)
    return rule(
        experiment,
        f"{quantity} less that before, median",
        f"{np.median(a):+.0f} (of {whole:.0f})",
        f"{np.median(b):+.0f} (of {np.median(_seen(ours[1])):.0f})",
        abs(float(np.median(a)) - float(np.median(b))) <= bound,
        f"within 20 % of the whole or 2 standard errors ({bound:.0f})",
    )


def losses(experiment: str, quantity: str, theirs: Floats, ours: Floats) -> Row:
    """Requests that were in flight at a server that was killed: the medians are within two of each other."""
    a, b = float(np.median(theirs)), float(np.median(ours))
    return rule(experiment, f"{quantity}, median", f"{a:g}", f"{b:g}", abs(a - b) <= LOST, "medians within 2")


def _never_seen(experiment: str, quantity: str, theirs: Floats) -> Row:
    """What the record has and none of our trials has."""
    return rule(
        experiment, quantity, f"{np.median(theirs):.3f}", "in no trial", False, "in some trials, as in the record"
    )


def _seen(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _mean(values: Floats) -> float:
    return float(values.mean())


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.inf


def _median_error(values: Floats) -> float:
    """From the quartiles, which a few wild values do not move."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(MEDIAN_ERROR * (high - low) / NORMAL_QUARTILES / math.sqrt(values.size))
