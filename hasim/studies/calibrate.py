"""What releases cost is measured by playing them, and written into the model for the engines that count time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import at, shown
from hasim.errors import ModelError
from hasim.model.cluster import Cluster
from hasim.model.demand import Load
from hasim.model.demand.route import NoRoute, route_of
from hasim.model.upgrades.calendar import Measured, Releases
from hasim.streams import seed_or_fresh
from hasim.studies.calibration import EQUIVALENT, Calibration, ReleaseCost, budget_of
from hasim.studies.compare import run_seed
from hasim.studies.one_release import Cost, Trial, loads_of, play_release, trial_of
from hasim.studies.strata import LEAST_S, Strata, chance_over, law_of, mean_if_any, mean_over
from hasim.units import s

Progress = Callable[[int, int], object]
Floats = NDArray[np.float64]

RUNS_MAX: Final = 1_000_000
AHEAD: Final = 64  # runs handed to an executor before the first is asked for
FEW: Final = 30
"""So few releases of a kind are too few for the interval of a mean, which takes it as nearly normal."""


@dataclass(frozen=True)
class _Job:
    """One release to be played: of which calendar entry, bad or good, with which seed."""

    name: str
    bad: bool
    seed: int


def calibrate(
    model: Cluster,
    runs: int = 200,
    seed: int | None = None,
    load: Load | Sequence[Load] | None = None,
    level: float = 0.95,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Play every planned release `runs` times alone, and return the cluster that knows what one of them costs.

    Of each entry of the model's `upgrades`, single releases are simulated on a cluster in which nothing else fails or
    is planned, so that nothing is counted twice. Bad ones are rare: where a release may be bad, half of the runs are of
    bad ones and half of good ones, put together by the declared chance (stratified sampling). `load` (or several) is
    what is asked meanwhile, by default the loads of the model that go to the upgraded pool.

    Two things are measured. How long members are missing, since their pods are not ready: `solve` and `estimate` see
    that as planned windows. And requests that fail although as many members as required are ready: they become outages
    of the part as a whole, as long as all requests would have had to fail for as many failures. Such an equivalent adds
    up over a year as failed requests do; its outages are not those that users see.

    A bad version may be noticed after days. Pods are played for all that time, which costs nothing, and requests only
    around what happens to pods: the rollout, and the rollback. What errors of a bad version come to is its exposure
    (the time that all requests together meet it) times their share, without noise; connections that break, queues and
    timeouts are counted. Where that is not all that errors do, because clients or balancers try again, eject servers or
    keep to one, or a bad version is slower too, all failures are counted, and in the time between, in which nothing
    changes, the same share of requests is taken to fail as shortly before. A bad version that nobody notices lasts
    until the next release. Without any load, only errors by exposure are known.

    Intervals hold at `level`. One `seed` gives one result whatever `executor` (of concurrent.futures) plays the runs;
    `progress(done, total)` counts them. How many releases a month are safe is then `Calibration.safe_releases`:

        found = ha.calibrate(cluster, runs=200, seed=1)
        print(found)
        print(ha.solve(found.cluster))           # hardware and releases
        print(found.safe_releases("99.9%"))      # (budget - hardware) / cost of a release

    Raises ModelError for wrong arguments, a model without planned releases, and loads that have no way.
    """
    _check(model, runs, level, executor, progress)
    seed = seed_or_fresh(seed)
    loads = _loads(model, load)
    trials = {name: trial_of(model, releases, loads) for name, releases in model.upgrades.items()}
    jobs = [job for name, releases in model.upgrades.items() for job in _jobs(name, releases, runs, seed)]
    costs = _played(trials, jobs, executor, progress)
    found, measured, warnings = {}, {}, []
    for name, releases in model.upgrades.items():
        strata = _strata(name, releases, jobs, costs)
        found[name] = _figures(model, name, releases, trials[name], strata, level)
        measured[name] = _measured(trials[name], strata, found[name], runs, seed, level)
        warnings += _warnings(name, releases, strata)
    upgrades = {
        name: releases.model_copy(update={"measured": measured[name]}) for name, releases in model.upgrades.items()
    }
    # Checked as a whole: members that are missing for longer than from one release to the next are refused there.
    cluster = model.replace("upgrades", upgrades)
    unasked = [name for name, trial in trials.items() if not trial.loads]
    notes = [EQUIVALENT, *(f"{name}: no load was played, so that only errors of bad versions fail" for name in unasked)]
    return Calibration(cluster, found, runs, seed, level, tuple(notes), tuple(warnings))


# ------------------------------------------------------------------------------------------- the arguments


def _check(model: object, runs: object, level: object, executor: object, progress: object) -> None:
    if not isinstance(model, Cluster):
        raise ModelError(f"got {shown(model)}; calibrate takes a Cluster; read a file with ha.load", "model")
    if not model.upgrades:
        raise ModelError("has no planned releases; say in `upgrades` what comes how often", "upgrades")
    if isinstance(runs, bool) or not isinstance(runs, int) or not 4 <= runs <= RUNS_MAX:
        raise ModelError(f"got {runs!r}; the number of runs is a whole number from 4 to {RUNS_MAX}", "runs")
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        raise ModelError(f"got {level!r}; the level of an interval lies between 0 and 1, like 0.95", "level")
    if executor is not None and not hasattr(executor, "submit"):
        raise ModelError(f"got {executor!r}; an executor is one of concurrent.futures", "executor")
    if progress is not None and not callable(progress):
        raise ModelError(f"got {progress!r}; progress is called as progress(done, total)", "progress")


def _loads(model: Cluster, given: object) -> tuple[Load, ...]:
    if given is None:
        return loads_of(model, None)
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    for i, load in enumerate(several):
        if not isinstance(load, Load):
            raise ModelError(f"got {shown(load)}; give loads like ha.Load(rate=200)", "load")
        try:
            route_of(load, model.parts)
        except NoRoute as error:
            raise ModelError.of([at(("load", i, "to"), str(error))]) from None
    names = [load.name for load in several if isinstance(load, Load)]
    if len(set(names)) < len(names):
        raise ModelError("two loads have one name; give each a `name` of its own", "load")
    return loads_of(model, tuple(load for load in several if isinstance(load, Load)))


# ------------------------------------------------------------------------------------------------ the runs


def _jobs(name: str, releases: Releases, runs: int, seed: int) -> list[_Job]:
    """So many releases of a kind, every other one of them bad where some are."""
    bad = releases.upgrade.release.bad
    kinds = [True] if bad >= 1 else [False, True] if bad > 0 else [False]
    return [_Job(name, kinds[i % len(kinds)], run_seed(seed, i)) for i in range(runs)]


def _play(trial: Trial, job: _Job) -> Cost:
    return play_release(trial, job.bad, job.seed)


def _played(
    trials: dict[str, Trial], jobs: list[_Job], executor: Executor | None, progress: Progress | None
) -> list[Cost]:
    """Play the releases, in order."""
    found: list[Cost] = []
    line: deque[Future[Cost]] = deque()

    def told(cost: Cost) -> None:
        found.append(cost)
        if progress is not None:
            progress(len(found), len(jobs))

    try:
        for job in jobs:
            if executor is None:
                told(_play(trials[job.name], job))
                continue
            line.append(executor.submit(_play, trials[job.name], job))
            if len(line) >= AHEAD:
                told(line.popleft().result())
        while line:
            told(line.popleft().result())
    finally:
        for future in line:
            future.cancel()
    return found


@dataclass(frozen=True)
class _Stratum:
    weight: float
    costs: list[Cost]

    def of(self, read: Callable[[Cost], float]) -> tuple[float, Floats]:
        return self.weight, np.array([read(cost) for cost in self.costs])


def _strata(name: str, releases: Releases, jobs: list[_Job], costs: list[Cost]) -> dict[bool, _Stratum]:
    """Good and bad releases of a kind, with their chances; kinds that do not occur are left out."""
    bad = releases.upgrade.release.bad
    found = {}
    for kind, weight in ((False, 1.0 - bad), (True, bad)):
        mine = [cost for job, cost in zip(jobs, costs, strict=True) if job.name == name and job.bad == kind]
        if mine:
            found[kind] = _Stratum(weight, mine)
    return found


# ------------------------------------------------------------------------------------------- what it says


def _over(strata: dict[bool, _Stratum], read: Callable[[Cost], float]) -> Strata:
    return [stratum.of(read) for stratum in strata.values()]


def _outage(cost: Cost) -> float:
    return cost.outage_s if cost.outage_s >= LEAST_S else 0.0


def _figures(
    model: Cluster, name: str, releases: Releases, trial: Trial, strata: dict[bool, _Stratum], level: float
) -> ReleaseCost:
    def down(cost: Cost) -> float:
        return sum(cost.missing[len(cost.missing) - trial.enough :])

    upgrade = releases.upgrade
    total = mean_over(_over(strata, lambda each: down(each) + _outage(each)), level)
    return ReleaseCost(
        name=name,
        strategy=upgrade.STRATEGY,
        part=upgrade.target,
        every_s=releases.every_s,
        good_runs=len(strata[False].costs) if False in strata else 0,
        bad_runs=len(strata[True].costs) if True in strata else 0,
        missing_s=mean_over(_over(strata, lambda each: sum(each.missing)), level),
        down_s=mean_over(_over(strata, down), level),
        chance=chance_over(_over(strata, _outage), level),
        outage_s=mean_if_any(_over(strata, _outage), level),
        cost_s=total,
        server_hours=mean_over(_over(strata, lambda each: each.extra_server_s / 3600), level, ""),
        budget_share=budget_of(model, total, releases.every_s),
    )


def _measured(
    trial: Trial, strata: dict[bool, _Stratum], found: ReleaseCost, runs: int, seed: int, level: float
) -> Measured:
    members = len(next(iter(strata.values())).costs[0].missing)
    missing = [
        sum(stratum.weight * float(np.mean([cost.missing[j] for cost in stratum.costs])) for stratum in strata.values())
        for j in range(members)
    ]
    while missing and missing[-1] < LEAST_S:
        missing.pop()
    rates = [load.rate.mean_rate(0.0, trial.settle_s) for load in trial.loads if load.rate is not None]
    return Measured(
        missing=tuple(_seconds(each) for each in missing),
        chance=found.chance.value,
        outage=law_of(_over(strata, _outage)),
        cost=(_seconds(found.cost_s.low), _seconds(found.cost_s.high)),
        level=level,
        runs=runs,
        seed=seed,
        load=", ".join(load.name for load in trial.loads)[:200] or None,
        rate=sum(rates) if rates and len(rates) == len(trial.loads) else None,
    )


def _warnings(name: str, releases: Releases, strata: dict[bool, _Stratum]) -> list[str]:
    said = []
    for bad, stratum in strata.items():
        if len(stratum.costs) < FEW:
            kind = "bad" if bad else "good"
            said.append(f"{name}: only {len(stratum.costs)} {kind} releases were played; intervals of means are rough")
    costs = [cost for stratum in strata.values() for cost in stratum.costs]
    late = sum(cost.late for cost in costs)
    if late:
        said.append(f"{name}: {late} of {len(costs)} took longer than from one to the next, which then has to wait")
    endless = sum(not cost.ended for cost in costs)
    if endless:
        said.append(
            f"{name}: {endless} of {len(costs)} never came to an end, and were taken as replaced by the next release, "
            "which `simulate` lets wait for them; give it a `detection` that notices them (`on_stall`)"
        )
    if any(cost.calm_failures for cost in costs):
        said.append(f"{name}: requests fail without any release, and those during a release are counted as its cost")
    return said


def _seconds(value: float) -> float:
    return s(round(max(value, 0.0), 6))
