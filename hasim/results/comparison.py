"""A Comparison is what several models did with the same luck, run by run, and how sure their difference is."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasim.errors import ModelError, nearest
from hasim.results.estimate import Estimate, Unit, html_cell
from hasim.results.intervals import FEW_OUTAGES, clopper_pearson, proportion_estimate, t_interval
from hasim.results.tables import how_made

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

NO_SPREAD = "all runs alike: no spread to judge by"
NO_SPREAD_SHARE = "all runs alike: bound by their number"


@dataclass(frozen=True)
class Difference:
    """How much more a model shows than another one with the same luck: the mean over runs of `model` - `other`.

    `mean` has the interval and the standard error of the paired differences. `lower`, `equal` and `higher` are the
    chances that in a run the model shows less than the other, the same, or more; which of them is better depends on
    what is compared. `variance_saved` is the share of the variance of the difference that pairing took away,
    1 - Var(a - b)/(Var a + Var b): negative if it added some, None if nothing varied.
    """

    model: str
    other: str
    mean: Estimate
    lower: Estimate
    equal: Estimate
    higher: Estimate
    variance_saved: float | None

    @property
    def always_equal(self) -> bool:
        """Tell whether every run showed the same difference, so that there is no spread to judge by."""
        return self.mean.method in (NO_SPREAD, NO_SPREAD_SHARE)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "to": self.other,
            "mean": self.mean.to_json(),
            "standard_error": self.mean.standard_error,
            "lower": self.lower.to_json(),
            "equal": self.equal.to_json(),
            "higher": self.higher.to_json(),
            "variance_saved": self.variance_saved,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """What each of several models showed in the same runs; run i of every model had the same seed.

    `samples` holds for each measure the numbers, shape (models, runs), in the order of `names` and of `seeds`: run i of
    a model is `ha.simulate(model, over=…, seed=seeds[i])`. `units` says of each measure whether it is a share from 0 to
    1. `over_s` is the length of a run in seconds, `seed` the one that the seeds come from, `level` that of all
    intervals. Means have Student's interval; chances have that of Wilson, or of Clopper and Pearson.
    """

    names: tuple[str, ...]
    samples: Mapping[str, Floats]
    seeds: tuple[int, ...]
    over_s: float
    seed: int
    level: float = 0.95
    start: str = "new"
    units: Mapping[str, Unit] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is a number for each model and run."""
        for measure, numbers in self.samples.items():
            shape = (len(self.names), len(self.seeds))
            assert numbers.shape == shape and np.isfinite(numbers).all(), f"{measure}: {numbers.shape} for {shape}"

    @property
    def runs(self) -> int:
        """The number of runs of each model."""
        return len(self.seeds)

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of what was measured in each run."""
        return tuple(self.samples)

    @property
    def values(self) -> Floats:
        """The numbers of the first measure, shape (models, runs)."""
        return self.samples[self.measures[0]]

    def mean(self, model: str, measure: str | None = None) -> Estimate:
        """Return the mean over runs of what a model showed, with its interval; ModelError for unknown names."""
        numbers, unit = self._measured(measure)
        return _mean_of(numbers[self._row(model)], unit, self.level)

    def difference(self, model: str, other: str | None = None, measure: str | None = None) -> Difference:
        """Return how much more `model` shows than `other`, by default the first one, in pairs of runs with one luck.

        The interval is Student's for the mean of the differences, often far narrower than those of the two means.
        Where all differences are equal there is no spread to judge by: the difference of two shares (or of two events)
        is then bounded by how rarely a run can be otherwise, Clopper and Pearson's bound for none in so many runs; any
        other number has an interval without width, and `notes` says so. ModelError for unknown names.
        """
        numbers, unit = self._measured(measure)
        a, b = numbers[self._row(model)], numbers[self._row(self.names[0] if other is None else other)]
        apart = a - b
        alone = float(a.var()) + float(b.var())
        lower, equal, higher = (
            proportion_estimate(int(np.count_nonzero(seen)), self.runs, self.level)
            for seen in (apart < 0, apart == 0, apart > 0)
        )
        return Difference(
            model=model,
            other=self.names[0] if other is None else other,
            mean=_mean_difference(apart, unit, self.level),
            lower=lower,
            equal=equal,
            higher=higher,
            variance_saved=1.0 - float(apart.var()) / alone if alone > 0 else None,
        )

    def notes(self, measure: str | None = None) -> list[str]:
        """Return what to know before believing the intervals of a measure: a sentence each, or none."""
        numbers, _ = self._measured(measure)
        found = []
        for model in self.names[1:]:
            apart = numbers[self._row(model)] - numbers[0]
            _, counts = np.unique(apart, return_counts=True)
            odd = self.runs - int(counts.max())
            if odd == 0 and self.runs > 1:
                most = clopper_pearson(0, self.runs, self.level)[1]
                found.append(
                    f"{model} differs from {self.names[0]} by {apart[0]:g} in every run: no spread to judge by; runs "
                    f"that differ otherwise may come with a chance of up to {100 * most:.2g} %"
                )
            elif 2 * odd < self.runs and odd < FEW_OUTAGES:
                some = f"{odd} of {self.runs} {'run differs' if odd == 1 else 'runs differ'}"
                found.append(
                    f"{model}: only {some} from {self.names[0]} otherwise than the rest: so few cannot "
                    "tell of rarer, larger differences; give it more runs"
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: means and differences to the first model, not the numbers of each run."""
        first, *others = self.names
        return {
            "verb": "compare",
            "seed": self.seed,
            "runs": self.runs,
            "over_s": float(self.over_s),
            "start": self.start,
            "level": self.level,
            "models": list(self.names),
            "measures": {
                measure: {
                    "means": {name: self.mean(name, measure).to_json() for name in self.names},
                    "differences": {name: self.difference(name, first, measure).to_json() for name in others},
                    "notes": self.notes(measure),
                }
                for measure in self.measures
            },
            "warnings": list(self.warnings),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row for each measure and model.

        Columns: `value`, `low`, `high` and `standard_error` of the mean; `difference`, `difference_low`,
        `difference_high` and `difference_error` of the mean difference to the first model; `variance_saved` by pairing;
        the shares of runs that were `lower`, `equal` and `higher` than those of the first model; `level`. What the
        first model would be compared with itself for is NaN.
        """
        import pandas as pd

        rows = {}
        for measure in self.measures:
            for name in self.names:
                mean = self.mean(name, measure)
                row = {"value": mean.value, "low": mean.low, "high": mean.high, "standard_error": mean.standard_error}
                if name != self.names[0]:
                    row |= _columns(self.difference(name, measure=measure))
                rows[measure, name] = {**row, "level": self.level}
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame.index = pd.MultiIndex.from_tuples(rows, names=["measure", "model"])
        columns = [*_MEAN, *_DIFFERENCE, "level"]
        return frame.reindex(columns=columns).astype(np.float64)

    def __str__(self) -> str:
        lines = []
        for measure in self.measures:
            lines.append(f"{measure} [compare, {self._how()}]")
            for name in self.names:
                said = [f"{name}: {mean_text(self.mean(name, measure))}"]
                if name != self.names[0]:
                    said += difference_texts(self.difference(name, measure=measure), self.units.get(measure, ""))
                lines.append(f"  {'; '.join(said)}")
            lines += [f"  warning: {note}" for note in self.notes(measure)]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def _repr_html_(self) -> str:
        tables = "".join(self._table(measure) for measure in self.measures)
        notes = [note for measure in self.measures for note in self.notes(measure)] + list(self.warnings)
        items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
        return tables + (f"<ul>{items}</ul>" if items else "")

    def _table(self, measure: str) -> str:
        heads = ("model", "mean", f"difference to {self.names[0]}", "lower in", "higher in", "variance saved")
        unit = self.units.get(measure, "")
        rows = ""
        for name in self.names:
            cells = f"<th>{html.escape(name)}</th>" + html_cell(self.mean(name, measure))
            if name == self.names[0]:
                cells += "<td>–</td>" * 4
            else:
                apart = self.difference(name, measure=measure)
                value, bracket, interval = difference_texts(apart, unit)[0].partition(" (")
                small = f"<br><small>{html.escape(interval.replace(')', ''))}</small>" if bracket else ""
                saved = "–" if apart.variance_saved is None else f"{100 * apart.variance_saved:.0f} %"
                cells += f"<td>{html.escape(value.removeprefix('difference '))}{small}</td>"
                cells += html_cell(apart.lower) + html_cell(apart.higher) + f"<td>{saved}</td>"
            rows += f"<tr>{cells}</tr>"
        caption = html.escape(f"{measure}, compare, {self._how()}")
        return (
            f"<table><caption>{caption}</caption>"
            f"<thead><tr>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def _how(self) -> str:
        """How it was made, in words: `400 runs of 20m, seed 11, in pairs`."""
        return f"{how_made(self.seed, self.over_s, self.runs)}, in pairs"

    def _measured(self, measure: str | None) -> tuple[Floats, Unit]:
        name = self.measures[0] if measure is None else measure
        if name not in self.samples:
            known = ", ".join(self.measures)
            raise ModelError(f"got {name!r}; measured is {known}{nearest(str(name), self.measures)}", "measure")
        return self.samples[name], self.units.get(name, "")

    def _row(self, model: str) -> int:
        if model not in self.names:
            known = ", ".join(self.names)
            raise ModelError(f"got {model!r}; compared are {known}{nearest(str(model), self.names)}", "model")
        return self.names.index(model)


def mean_text(mean: Estimate) -> str:
    """Return a mean with its interval, or, where all runs were alike, with just these words."""
    if mean.method == NO_SPREAD:
        return f"{mean.value:.6g} (in every run)"
    return str(mean)


def difference_texts(apart: Difference, unit: Unit) -> list[str]:
    """Return a difference in words: how much with its interval, in how many runs, and what pairing saved."""
    points = " points" if unit == "share" else ""
    mean = apart.mean.scaled(100.0) if unit == "share" else apart.mean
    if mean.method == NO_SPREAD:
        return [f"difference {mean.value:{'+' if mean.value else ''}.6g} (in every run)"]
    value, _, interval = str(mean).partition(" (")
    said = [f"difference {'+' * (mean.value > 0)}{value}{points} ({interval}"]
    if apart.always_equal:
        return [f"{said[0]}, the same in every run"]
    said.append(f"lower in {_percent(apart.lower)} and higher in {_percent(apart.higher)} of runs")
    if apart.variance_saved is not None:
        saved = apart.variance_saved
        said.append(f"pairing {'added' if saved < -0.005 else 'saved'} {100 * abs(saved):.0f} % of the variance")
    return said


_MEAN = ("value", "low", "high", "standard_error")
_DIFFERENCE = (
    *("difference", "difference_low", "difference_high", "difference_error"),
    *("variance_saved", "lower", "equal", "higher"),
)


def _columns(apart: Difference) -> dict[str, float | None]:
    mean = apart.mean
    chances = (apart.lower.value, apart.equal.value, apart.higher.value)
    numbers = (mean.value, mean.low, mean.high, mean.standard_error, apart.variance_saved, *chances)
    return dict(zip(_DIFFERENCE, numbers, strict=True))


def _percent(chance: Estimate) -> str:
    share = 100 * chance.value
    return f"{share:.0f} %" if share in (0, 100) or 1 <= share <= 99 else f"{share:.{2 if share < 1 else 4}g} %"


def _mean_of(numbers: Floats, unit: Unit, level: float) -> Estimate:
    """The mean with Student's interval; of events, that of a chance; of equal shares, what their number allows."""
    n, share = numbers.size, unit == "share"
    if share and bool(np.isin(numbers, (0.0, 1.0)).all()):
        return proportion_estimate(int(numbers.sum()), n, level)
    low, high = (0.0, 1.0) if share else (-math.inf, math.inf)
    estimate = _student(numbers, unit, level, reach=1.0)
    return replace(estimate, low=max(low, estimate.low), high=min(high, estimate.high), unit=unit)


def _mean_difference(apart: Floats, unit: Unit, level: float) -> Estimate:
    # Two shares differ by at most 1, so a run may be off the common difference d by at most 1 + |d|.
    estimate = _student(apart, unit, level, reach=1.0 + abs(float(apart[0])))
    most = 1.0 if unit == "share" else math.inf
    return replace(estimate, low=max(-most, estimate.low), high=min(most, estimate.high))


def _student(numbers: Floats, unit: Unit, level: float, reach: float) -> Estimate:
    """The mean with Student's interval; where all are equal, no more than `reach` times the chance that one is not."""
    n, common = numbers.size, float(numbers[0])
    if n > 1 and bool((numbers == common).all()):
        most = reach * clopper_pearson(0, n, level)[1] if unit == "share" else 0.0
        method = NO_SPREAD_SHARE if unit == "share" else NO_SPREAD
        return Estimate(common, common - most, common + most, level, method, standard_error=0.0)
    value = float(numbers.mean())
    low, high = t_interval(numbers, level)
    error = None if n < 2 else float(numbers.std(ddof=1)) / math.sqrt(n)
    return Estimate(value, min(low, value), max(high, value), level, f"t, {n} runs", standard_error=error)
