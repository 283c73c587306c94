"""The agreement matrix: every shipped model, every engine that takes it, every quantity that two of them give.

Each random engine runs a number of independent batches; two engines agree when their means differ by less than a
Student bound on the standard errors of the batches. The bound is set so that the whole matrix would fail by chance in
one of a hundred choices of seeds, if all were well (Bonferroni); it has no other tolerance.

What is compared is a twin of each model in which everything fails thirty times as often: then every kind of outage
that counts is seen many times in every batch, the rare long ones too, and means of batches are nearly normal. The model
itself is compared by the intervals that `estimate` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
import pytest
from scipy import stats

import hasim as ha
from hasim.results import ServiceFigures

BATCHES = 12
FALSE_ALARMS = 0.01  # chance that the whole matrix fails although all engines are right
CELLS = 700  # comparisons in the matrix, rounded up; counted below
QUANTITIES = ("unavailability", "outages_per_year", "mean_outage_s", "degraded")
BLAMED = 3  # the most blamed of each service are compared too
STRESS = 30.0
REFUSED = {"three-tier-maintenance"}  # a calendar that takes members of a failover away is not a Markov chain
YEARS_SIMULATED = 6  # of a batch; models in which single processes fail many times a year need fewer
YEARS_SAMPLED = 100  # as histories of a month: many short ones side by side cost least
PLAYED = "100d"  # of a batch in which protocols are played out, from all new: that is forgotten in hours
PLAYED_FEWER = {"three-control-planes": "40d"}  # three protocols at once, hit a thousand times a year
# How many times fewer years some models need.
BUSY = {
    "etcd-quorum": 3,
    "external-etcd": 3,
    "stacked-control-plane": 3,
    "three-control-planes": 3,
    "two-zones": 3,
}

compared: set[tuple[str, ...]] = set()


def stressed(cluster: ha.Cluster, factor: float) -> ha.Cluster:
    """The same cluster, in which everything fails that many times as often."""
    failures = {
        target: [failure.model_copy(update={"mtbf": failure.mtbf.scaled(1 / factor)}) for failure in group]
        for target, group in cluster.failures.items()
    }
    twin = cluster.replace("failures", failures)
    for name, burst in cluster.bursts.items():
        twin = twin.replace(f"bursts.{name}.every", burst.every.scaled(1 / factor))
    return twin


@cache
def exact(model: str, factor: float) -> ha.Solution | None:
    """The solution, or None where `solve` refuses by name."""
    try:
        return ha.solve(stressed(ha.load(model), factor) if factor != 1 else ha.load(model))
    except ha.CannotModel as refusal:
        assert refusal.what
        assert refusal.instead
        return None


def value(figures: ServiceFigures, quantity: str) -> float:
    estimate = getattr(figures, quantity)
    return float("nan") if estimate is None else estimate.value


def blame_of(figures: ServiceFigures, unit: str) -> float:
    return next((blame.share for blame in figures.blame if blame.unit == unit), 0.0)


@dataclass(frozen=True)
class Batches:
    """What independent batches of one engine found of one service."""

    figures: tuple[ServiceFigures, ...]

    def of(self, read: Callable[[ServiceFigures], float]) -> tuple[float, float]:
        """(mean, standard error) over the batches."""
        found = np.array([read(figures) for figures in self.figures])
        return float(found.mean()), float(found.std(ddof=1) / sqrt(len(found)))


def years(model: str, enough: float) -> float:
    """Length of a batch."""
    return enough / BUSY.get(model, 1)


@cache
def sampled(model: str) -> dict[str, Batches]:
    cluster = stressed(ha.load(model), STRESS)
    runs = round(years(model, YEARS_SAMPLED) * 365 / 30)
    results = [ha.estimate(cluster, over="30d", runs=runs, seed=100 + i) for i in range(BATCHES)]
    return {name: Batches(tuple(result.services[name] for result in results)) for name in cluster.services}


@cache
def simulated(model: str) -> dict[str, Batches]:
    cluster = stressed(ha.load(model), STRESS)
    over = f"{years(model, YEARS_SIMULATED):g}y"
    results = [ha.simulate(cluster, over=over, seed=200 + i, start="steady", protocols=False) for i in range(BATCHES)]
    return {name: Batches(tuple(result.services[name] for result in results)) for name in cluster.services}


@cache
def played(model: str) -> dict[str, Batches]:
    """Histories in which elections are not drawn from a law but played out, message by message."""
    cluster = stressed(ha.load(model), STRESS)
    over = PLAYED_FEWER.get(model, PLAYED)
    results = [ha.simulate(cluster, over=over, seed=300 + i, requests=False) for i in range(BATCHES)]
    return {name: Batches(tuple(result.services[name] for result in results)) for name in cluster.services}


def readings(model: str, service: str) -> Iterator[tuple[str, Callable[[ServiceFigures], float]]]:
    """Every quantity to compare of one service: its figures, and the shares of the most blamed."""
    for quantity in QUANTITIES:
        yield quantity, lambda figures, quantity=quantity: value(figures, quantity)
    solution = exact(model, STRESS)
    figures = sampled(model)[service].figures[0] if solution is None else solution.services[service]
    for blame in figures.blame[:BLAMED]:
        yield f"blame of {blame.unit}", lambda figures, unit=blame.unit: blame_of(figures, unit)


def agree(model: str, engines: str, left: tuple[float, float], right: tuple[float, float], what: str) -> str | None:
    """None if two (mean, standard error) pairs agree, else a line that says by how much they do not."""
    compared.add((model, engines, what))
    error = sqrt(left[1] ** 2 + right[1] ** 2)
    bound = float(stats.t.ppf(1 - FALSE_ALARMS / CELLS / 2, BATCHES - 1))
    difference = abs(left[0] - right[0])
    if difference <= bound * error or difference <= 1e-12 * abs(left[0]):
        return None
    apart = difference / max(error, 1e-300)
    return f"{model}, {what}, {engines}: {left[0]:.6g} and {right[0]:.6g} are {apart:.1f} errors apart"


def is_only_played(model: str) -> bool:
    """Whether pods or remedies make it a matter of `simulate` alone, which the others refuse by name."""
    cluster = ha.load(model)
    return cluster.kubernetes is not None or bool(cluster.remedies)


def by_model(models: list[str]) -> list[object]:
    """Cases that workers side by side take model by model: all tests of one share what its engines found."""
    return [pytest.param(model, marks=pytest.mark.xdist_group(model)) for model in models]


MODELS = [model for model in ha.models() if not is_only_played(model)]


@pytest.mark.parametrize("model", by_model(MODELS))
def test_the_exact_answer_is_what_the_random_engines_find(model: str) -> None:
    solution = exact(model, STRESS)
    if solution is None:
        assert model in REFUSED, "a refusal that is not expected"
        return
    wrong = []
    for name, figures in solution.services.items():
        for what, read in readings(model, name):
            if not np.isnan(read(figures)):
                truth = (read(figures), 0.0)
                wrong.append(agree(model, "solve, estimate", truth, sampled(model)[name].of(read), f"{name} {what}"))
                wrong.append(agree(model, "solve, simulate", truth, simulated(model)[name].of(read), f"{name} {what}"))
    assert not any(wrong), "\n".join(line for line in wrong if line)


@pytest.mark.parametrize("model", by_model(MODELS))
def test_the_two_random_engines_find_the_same(model: str) -> None:
    wrong = []
    for name in sampled(model):
        for what, read in readings(model, name):
            left, right = sampled(model)[name].of(read), simulated(model)[name].of(read)
            if not np.isnan(left[0]):
                wrong.append(agree(model, "estimate, simulate", left, right, f"{name} {what}"))
    assert not any(wrong), "\n".join(line for line in wrong if line)


PROTOCOLS = [
    model
    for model in MODELS
    if any(getattr(part, kind, None) for part in ha.load(model).parts.values() for kind in ("raft", "lease"))
]


@pytest.mark.parametrize("model", by_model(PROTOCOLS))
def test_elections_that_are_played_out_cost_what_their_law_says(model: str) -> None:
    wrong = []
    for name in sampled(model):
        for what, read in readings(model, name):
            left, right = sampled(model)[name].of(read), played(model)[name].of(read)
            if not np.isnan(left[0]):
                wrong.append(agree(model, "estimate, protocols", left, right, f"{name} {what}"))
    assert not any(wrong), "\n".join(line for line in wrong if line)


@pytest.mark.parametrize("model", by_model(MODELS))
def test_no_cell_is_empty(model: str) -> None:
    """Every batch of every engine saw outages of every service by the dozen."""
    both = ((sampled(model), years(model, YEARS_SAMPLED)), (simulated(model), years(model, YEARS_SIMULATED)))
    for batches, length in both:
        for name, found in batches.items():
            seen = [value(figures, "outages_per_year") * length for figures in found.figures]
            assert min(seen) > 12, f"{model}, {name}: a batch with {min(seen):.0f} outages"


def test_the_matrix_is_as_large_as_its_bound_supposes() -> None:
    if len({model for model, _, _ in compared}) == len(MODELS):
        assert CELLS / 3 < len(compared) <= CELLS


@pytest.mark.parametrize("model", by_model([model for model in MODELS if model != "external-etcd"]))
def test_printed_intervals_hold_the_exact_answer_of_the_model_itself(model: str) -> None:
    solution = exact(model, 1.0)
    if solution is None:
        assert model in REFUSED, "a refusal that is not expected"
        return
    level = 1 - FALSE_ALARMS / 40
    sample = ha.estimate(ha.load(model), over="1y", runs=4000, seed=3, level=level)
    for name, figures in solution.services.items():
        for quantity in ("availability", "unavailability", "outages_per_year", "downtime_s_per_year"):
            found = getattr(sample.services[name], quantity)
            assert found.covers(value(figures, quantity)), (
                f"{name} {quantity}: {found}, exactly {value(figures, quantity)}"
            )
