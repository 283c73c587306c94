"""What agrees: rows that set a measured or published number beside ours, and the tests behind their verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Verdict = Literal["agrees", "differs", "shape only"]

LEVEL: Final = 0.05
"""Chance of a false alarm among all the distributions together (Holm)."""
NEAR: Final = 0.05
"""Means that are this near count as equal, whatever their errors."""
Z: Final = 2.0
"""Standard errors that are let pass."""
POOLED_REPEATS: Final = 1_000
_POOLED_SEED: Final = 20140619
POOLED_MARK: Final = 0.04
POOLED_ALL: Final = "1 195"
INTERVAL: Final = 1.96
"""Standard errors on either side of a 95 % interval."""


@dataclass(frozen=True)
class Row:
    """One comparison: what, in which experiment, theirs, ours with its interval, and whether that agrees.

    `p` is a p-value where there is a test; `how` says by which rule the verdict was reached.
    """

    experiment: str
    quantity: str
    theirs: str
    ours: str
    verdict: Verdict
    how: str
    p: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


def differing(rows: Sequence[Row]) -> list[Row]:
    """The comparisons that do not agree."""
    return [row for row in rows if row.verdict == "differs"]


def table(validation: str, seed: int, quick: bool, rows: Sequence[Row]) -> dict[str, Any]:
    """All comparisons of one validation as plain data, with how many agree."""
    return {
        "validation": validation,
        "seed": seed,
        "quick": quick,
        "agrees": sum(row.verdict == "agrees" for row in rows),
        "differs": len(differing(rows)),
        "rows": [row.to_json() for row in rows],
    }


# ------------------------------------------------------------------------------------------ distributions


def distributions(experiment: str, quantity: str, theirs: Floats, ours: Floats) -> Row:
    """Two samples of one quantity: the Kolmogorov–Smirnov test; the verdict waits for `holm`."""
    from scipy.stats import ks_2samp

    theirs, ours = theirs[~np.isnan(theirs)], ours[~np.isnan(ours)]
    found = ks_2samp(theirs, ours)
    bound = 1.36 * math.sqrt(1 / theirs.size + 1 / ours.size)
    return Row(
        experiment,
        f"{quantity}, distribution",
        f"{quantiles_text(theirs)} (n {theirs.size})",
        f"{quantiles_text(ours)} (n {ours.size})",
        "agrees",
        f"KS {found.statistic:.3f}, 5 % bound {bound:.3f}",
        float(found.pvalue),
    )


def holm(rows: Sequence[Row]) -> list[Row]:
    """Judge all tested rows together: the chance of any false alarm is `LEVEL` (Holm 1979).

    Each p-value is multiplied by the number of those that are not smaller, and never falls below a smaller one's.
    """
    tested = sorted((row.p, place) for place, row in enumerate(rows) if row.p is not None)
    judged, largest = list(rows), 0.0
    for rank, (p, place) in enumerate(tested):
        row = rows[place]
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        verdict: Verdict = "agrees" if largest > LEVEL else "differs"
        judged[place] = replace(row, verdict=verdict, how=f"{row.how}; p {p:.2g}, Holm {largest:.2g}")
    return judged


def pooled(experiment: str, pairs: Sequence[tuple[Floats, Floats]]) -> Row:
    """Put every value of theirs in its place among ours: over all configurations these places must be uniform.

    How far they stray from that in samples of these sizes when the model is right is played, `POOLED_REPEATS` times.
    """
    found = _strays(np.concatenate([_places(theirs, ours) for theirs, ours in pairs]))
    rng = np.random.default_rng(_POOLED_SEED)
    right = [
        _strays(np.concatenate([_places(rng.random(theirs.size), rng.random(ours.size)) for theirs, ours in pairs]))
        for _ in range(POOLED_REPEATS)
    ]
    usual, bound = np.quantile(right, [0.5, 1 - LEVEL])
    size = sum(theirs.size for theirs, _ in pairs)
    met = "met" if found <= POOLED_MARK else "missed"
    return Row(
        experiment,
        "t_leader, all configurations pooled",
        f"{size} trials; KS if the model is right: {usual:.3f} in the median, {bound:.3f} at 95 %",
        f"KS {found:.3f}",
        "agrees" if found <= bound else "differs",
        f"probability transform uniform, up to the 95 % of such samples ({bound:.3f}); the mark {POOLED_MARK:g}, which "
        f"belongs to the {POOLED_ALL} trials of the whole measurement, is {met}",
    )


def _places(theirs: Floats, ours: Floats) -> Floats:
    """Where theirs stand among ours, from 0 to 1; of the places a value might have the middle."""
    ordered = np.sort(ours)
    low = np.searchsorted(ordered, theirs, side="left")
    high = np.searchsorted(ordered, theirs, side="right")
    return np.asarray((low + high) / (2 * ordered.size))


def _strays(places: Floats) -> float:
    """The largest distance of the places from a uniform distribution (Kolmogorov and Smirnov)."""
    ordered, steps = np.sort(places), np.arange(places.size + 1) / places.size
    return float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))


# ------------------------------------------------------------------------------------------ single numbers


def means(experiment: str, quantity: str, theirs: Floats, ours: Floats, digits: int = 3) -> Row:
    """Two means, which may differ by 5 % or by two standard errors."""
    theirs, ours = theirs[~np.isnan(theirs)], ours[~np.isnan(ours)]
    a, b = float(theirs.mean()), float(ours.mean())
    error = math.hypot(_error(theirs), _error(ours))
    agrees = abs(a - b) <= max(NEAR * abs(a), Z * error)
    return Row(
        experiment,
        f"{quantity}, mean",
        f"{a:.{digits}f} ± {INTERVAL * _error(theirs):.{digits}f}",
        f"{b:.{digits}f} ± {INTERVAL * _error(ours):.{digits}f}",
        "agrees" if agrees else "differs",
        f"within 5 % or 2 standard errors ({Z * error:.{digits}f})",
    )


def shares(experiment: str, quantity: str, theirs: Floats, ours: Floats) -> Row:
    """Two shares of trials (0 or 1 each), which may differ by two standard errors."""
    a, b = float(theirs.mean()), float(ours.mean())
    both = (theirs.sum() + ours.sum()) / (theirs.size + ours.size)
    error = math.sqrt(both * (1 - both) * (1 / theirs.size + 1 / ours.size))
    return Row(
        experiment,
        quantity,
        f"{a:.1%} (n {theirs.size})",
        f"{b:.1%} (n {ours.size})",
        "agrees" if abs(a - b) <= Z * error else "differs",
        f"within 2 standard errors ({Z * error:.1%})",
    )


def rule(experiment: str, quantity: str, stated: str, ours: str, holds: bool, how: str) -> Row:
    """A statement that either holds or does not."""
    return Row(experiment, quantity, stated, ours, "agrees" if holds else "differs", how)


def shape(experiment: str, quantity: str, theirs: str, ours: str, why: str) -> Row:
    """Numbers that belong to the machine that was measured: shown side by side, not judged."""
    return Row(experiment, quantity, theirs, ours, "shape only", why)


def quantiles_text(values: Floats) -> str:
    """The 5 %, 50 % and 95 % quantiles."""
    return " / ".join(f"{quantile:.3f}" for quantile in np.quantile(values, [0.05, 0.5, 0.95]))


def mean_text(values: Floats, digits: int = 3) -> str:
    """A mean with its 95 % interval."""
    values = values[~np.isnan(values)]
    return f"{values.mean():.{digits}f} ± {INTERVAL * _error(values):.{digits}f}"


def range_text(values: Floats, digits: int = 2) -> str:
    """The smallest and the largest."""
    values = values[~np.isnan(values)]
    return f"{values.min():.{digits}f} to {values.max():.{digits}f}" if values.size else "none"


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.inf


def standard_error(values: Floats) -> float:
    """Standard error of the mean, of the values that are there."""
    return _error(values[~np.isnan(values)])
