"""Several models with the same luck: which is better, by how much, and how sure is that?"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, takewhile
from numbers import Real
from typing import Final

import numpy as np

from hasim.declared import at, shown
from hasim.engines.des import simulate
from hasim.engines.des.simulate import Start, run_length
from hasim.errors import ModelError, nearest
from hasim.model.cluster import Cluster
from hasim.model.scenario import Scenario
from hasim.results import Run
from hasim.results.comparison import Comparison
from hasim.results.estimate import Unit
from hasim.results.failed_share import failed_share
from hasim.streams import SEED_BITS, seed_or_fresh

Model = Cluster | Scenario
Measure = Callable[[Run], float]
Progress = Callable[[int, int], object]

RUNS_MAX: Final = 10_000_000
AHEAD: Final = 64  # runs handed to an executor before the first is asked for


@dataclass(frozen=True)
class _Plan:
    """All that a run needs, wherever it is played."""

    models: tuple[tuple[str, Model], ...]
    measures: tuple[tuple[str, Measure], ...]
    over: str
    over_s: float
    seed: int
    start: Start
    level: float


def compare(
    *models: Model | Mapping[str, Model],
    of: Measure | Mapping[str, Measure] = failed_share,
    over: str = "20m",
    runs: int = 400,
    seed: int | None = None,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    executor: Executor | None = None,
    progress: Progress | None = None,
    start: Start = "new",
) -> Comparison:
    """Simulate each of several models `runs` times with the same luck, and return how their numbers differ, in pairs.

    `models` are clusters or scenarios, or one mapping from names to them; `names` gives the others theirs. `of` takes a
    Run and returns a number (or True and False, for an event), like `ha.failed_share`; or it is a mapping from names to
    such functions. Run i of every model has the same seed, and streams are named: arrivals, failures and all that two
    models have in common happen in both, so that they differ only by what differs, and few runs say much.

    `over` is how long a run is, and `start` as in `ha.simulate`. Intervals hold at `level`. One `seed` gives one
    result, number by number, whatever `executor` (anything like those of concurrent.futures) plays the runs; without
    one they are played in this process. To other processes `of` must be sent: for the standard pool of processes it is
    a function of a module; others, such as `loky.get_reusable_executor()`, send lambdas as well.
    `progress(done, total)` counts runs. Ctrl-C returns the runs that all models have finished, as if no more had been
    asked for, with a warning.

    Raises ModelError for fewer than two models, for arguments that are wrong, and, with the run and its seed, where
    `of` has no number to give.
    """
    plan = _Plan(
        models=_named(models, names),
        measures=_measures(of),
        over=over,
        over_s=run_length(over),
        seed=seed_or_fresh(seed),
        start=start,
        level=level,
    )
    _check(runs, level, start, executor, progress)
    if isinstance(executor, ProcessPoolExecutor):
        _refuse_what_stays_here(plan)
    found = _carried_out(plan, runs, executor, progress)
    # Runs are kept up to the first that is missing: to keep whatever was fast would flatter.
    rows = [found[i] for i in takewhile(found.__contains__, count())]
    if not rows:
        raise KeyboardInterrupt
    samples, units = {}, {}
    for i, (name, measure) in enumerate(plan.measures):
        numbers = [[row[i][j] for row in rows] for j in range(len(plan.models))]
        samples[name] = np.asarray(numbers, dtype=np.float64)
        units[name] = _unit(measure, numbers)
    return Comparison(
        names=tuple(name for name, _ in plan.models),
        samples=samples,
        seeds=tuple(run_seed(plan.seed, i) for i in range(len(rows))),
        over_s=plan.over_s,
        seed=plan.seed,
        level=level,
        start=start,
        units=units,
        warnings=_warnings(plan, len(rows), runs),
    )


def run_seed(seed: int, run: int) -> int:
    """Return the seed of run `run`, counted from 0, of a comparison with this seed, as numpy spawns them."""
    sequence = np.random.SeedSequence(seed, spawn_key=(run,))
    return int(sequence.generate_state(1, np.uint64)[0]) >> (64 - SEED_BITS)


# ------------------------------------------------------------------------------------------- the arguments


def _named(models: tuple[Model | Mapping[str, Model], ...], names: object) -> tuple[tuple[str, Model], ...]:
    given: list[object]
    if len(models) == 1 and isinstance(models[0], Mapping):
        if names is not None:
            raise ModelError(f"got {shown(names)}; the mapping of models has their names already", "names")
        called, given = [str(name) for name in models[0]], list(models[0].values())
    else:
        given = list(models)
        called = _numbered(given) if names is None else _names(names, len(given))
    if len(given) < 2:
        raise ModelError(f"got {len(given)}; compare takes two models or more, each a Cluster or a Scenario", "models")
    found: list[tuple[str, Model]] = []
    for i, (name, model) in enumerate(zip(called, given, strict=True)):
        if not isinstance(model, Cluster | Scenario):
            raise ModelError(f"got {shown(model)}; compare takes Clusters and Scenarios", f"models[{i}]")
        found.append((name, model))
    return tuple(found)


def _names(names: object, models: int) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"got {shown(names)}; give a list of names, one for each model", "names")
    if len(names) != models or len(set(names)) != models:
        raise ModelError(f"got {shown(names)}; {models} models have as many names, and different ones", "names")
    return list(names)


def _numbered(models: Sequence[object]) -> list[str]:
    """The names of the clusters; where several have one, they are numbered: web, web-2, web-3."""
    taken: list[str] = []
    for model in models:
        name = str(getattr(getattr(model, "cluster", model), "name", "model"))
        numbers = (f"{name}-{number}" if number > 1 else name for number in count(1))
        taken.append(next(name for name in numbers if name not in taken))
    return taken


def _measures(of: object) -> tuple[tuple[str, Measure], ...]:
    if callable(of):
        function = of.func if isinstance(of, partial) else of
        name = str(getattr(function, "__name__", type(of).__name__))
        return (("value" if name == "<lambda>" else name, of),)
    if not isinstance(of, Mapping) or not of or not all(callable(measure) for measure in of.values()):
        wanted = "give a function of a Run that returns a number, like ha.failed_share, or a mapping of such functions"
        raise ModelError(f"got {shown(of)}; {wanted}", "of")
    return tuple((str(name), measure) for name, measure in of.items())


def _check(runs: object, level: object, start: object, executor: object, progress: object) -> None:
    if isinstance(runs, bool) or not isinstance(runs, int) or not 2 <= runs <= RUNS_MAX:
        raise ModelError(f"got {runs!r}; the number of runs is a whole number from 2 to {RUNS_MAX}", "runs")
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        raise ModelError(f"got {level!r}; the level of an interval lies between 0 and 1, like 0.95", "level")
    if start not in ("new", "steady"):
        near = nearest(str(start), ["new", "steady"])
        raise ModelError(f"got {start!r}; a run starts 'new' or 'steady'{near}", "start")
    if executor is not None and not hasattr(executor, "submit"):
        raise ModelError(f"got {executor!r}; an executor is one of concurrent.futures", "executor")
    if progress is not None and not callable(progress):
        raise ModelError(f"got {progress!r}; progress is called as progress(done, total)", "progress")


def _refuse_what_stays_here(plan: _Plan) -> None:
    for name, measure in plan.measures:
        try:
            pickle.dumps(measure)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ModelError(
                f"{name} cannot be sent to another process ({error}); define it with `def` in a module, or give an "
                "executor that sends functions by value, such as loky.get_reusable_executor()",
                "of",
            ) from None


# ------------------------------------------------------------------------------------------------ the runs

Row = tuple[tuple[float, ...], ...]
"""What one run of all models showed, by measure and model; events are still True and False."""


def play_run(plan: _Plan, run: int) -> Row:
    """Play run number `run` of every model with one seed, and return what `of` says, by measure and model."""
    seed = run_seed(plan.seed, run)
    by_model = []
    for name, model in plan.models:
        try:
            history = simulate(model, over=plan.over, seed=seed, start=plan.start, level=plan.level)
        except ModelError as error:
            raise ModelError.of(at((name, *each.loc), each.message) for each in error.problems) from None
        if history.end_s < plan.over_s or (history.requests is not None and history.requests.end_s < plan.over_s):
            raise KeyboardInterrupt  # the simulation took it for itself and gave a part of a run, which is no run
        by_model.append([_number(measure, what, history, name, run) for what, measure in plan.measures])
    return tuple(zip(*by_model, strict=True))


def _number(measure: Measure, what: str, history: Run, name: str, run: int) -> float:
    where = f"in run {run} of {name}, seed {history.seed}"
    try:
        value: object = measure(history)
    except ModelError as error:
        raise ModelError.of(at(each.loc, f"{each.message} ({what} {where})") for each in error.problems) from None
    except Exception as error:
        error.add_note(f"{what} {where}")
        raise
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not isinstance(value, Real):
        raise ModelError(f"got {shown(value)} from {what} {where}; it returns a number", "of")
    if not math.isfinite(number := float(value)):
        raise ModelError(f"got {number} from {what} {where}; only finite numbers can be compared", "of")
    return number


def _carried_out(plan: _Plan, runs: int, executor: Executor | None, progress: Progress | None) -> dict[int, Row]:
    """Play the runs and return them by number; an interruption keeps what is complete."""
    found: dict[int, Row] = {}
    line: deque[tuple[int, Future[Row]]] = deque()

    def told() -> None:
        if progress is not None:
            progress(len(found), runs)

    def first_of_line() -> None:
        run, future = line[0]
        found[run] = future.result()
        line.popleft()
        told()

    try:
        for run in range(runs):
            if executor is None:
                found[run] = play_run(plan, run)
                told()
                continue
            line.append((run, executor.submit(play_run, plan, run)))
            if len(line) >= AHEAD:
                first_of_line()
        while line:
            first_of_line()
    except KeyboardInterrupt:
        through = [(run, future) for run, future in line if future.done() and not future.cancelled()]
        found.update({run: future.result() for run, future in through if future.exception() is None})
    finally:
        for _, future in line:
            future.cancel()
    return found


def _unit(measure: Measure, numbers: Sequence[Sequence[float]]) -> Unit:
    """Shares from 0 to 1 are those that we know to be, and how often an event happened."""
    function = measure.func if isinstance(measure, partial) else measure
    event = all(isinstance(number, bool) for row in numbers for number in row)
    return "share" if event or function is failed_share else ""


def _warnings(plan: _Plan, done: int, runs: int) -> tuple[str, ...]:
    found = [f"interrupted after {done:,} of {runs:,} runs"] if done < runs else []
    first, model = plan.models[0]
    found += [f"{name} is the same model as {first}" for name, other in plan.models[1:] if other == model]
    assumed = [(model.cluster if isinstance(model, Scenario) else model).assumptions() for _, model in plan.models]
    everywhere = [text for text in assumed[0] if all(text in texts for texts in assumed)]
    found += everywhere
    for (name, _), texts in zip(plan.models, assumed, strict=True):
        found += [f"{name}: {text}" for text in texts if text not in everywhere]
    return tuple(found)
