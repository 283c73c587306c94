"""The verb: play many histories of a cluster and say what they showed, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Literal

from hasim.engines.montecarlo.book import Tally
from hasim.engines.montecarlo.figures import service_figures
from hasim.engines.montecarlo.merge import DURATIONS_MAX, Merged
from hasim.engines.montecarlo.plan import Plan, make_plan, run_block
from hasim.engines.montecarlo.progress import cpu_seconds
from hasim.engines.montecarlo.tasks import estimate_tasks
from hasim.errors import CannotModel, ModelError, nearest
from hasim.model.cluster import Cluster
from hasim.model.outlook import refuse_endless, refuse_slow_elections, refuse_what_is_played
from hasim.model.scenario import Scenario
from hasim.model.system import compile_system
from hasim.results import Sample
from hasim.streams import seed_or_fresh
from hasim.units import human, seconds

Progress = Callable[[int, int], object]
Start = Literal["steady", "new"]

RUNS_MAX = 1_000_000_000
EVENTS_MAX = 1e12  # hours at the fastest route
EVENTS_OF_A_RUN_MAX = 1e8  # a history must fit into memory
TASKS_MAX = 1_000_000_000
AHEAD = 64  # blocks handed to an executor before the first is asked for


def estimate(
    cluster: Cluster | Scenario,
    over: str = "1y",
    runs: int = 10_000,
    seed: int | None = None,
    start: Start = "steady",
    level: float = 0.95,
    executor: Executor | None = None,
    progress: Progress | None = None,
    tasks: int = 100_000,
) -> Sample:
    """Play `runs` independent histories of a cluster, each `over` long, and report what they showed.

    `start` is "steady", a random moment in the long life of the cluster, or "new", everything up and new at time
    zero. Intervals hold at `level`. One seed gives one result, bit for bit, whatever `executor` (anything from
    concurrent.futures) computes the blocks of runs; `progress(done, total)` is called after each. Interrupted
    from the keyboard it returns the blocks that are complete, with a warning. Of each queue that declares `delivery`
    and `work`, so many `tasks` are followed, each with a worker that is free (`Sample.tasks`). Scripted faults are
    refused (CannotModel): they belong to one history.
    """
    if isinstance(cluster, Scenario):
        if cluster.faults:
            raise CannotModel("scripted faults", "they happen at set times of one history", engine="estimate")
        instead = "use ha.simulate, or estimate the cluster alone"
        raise CannotModel("a load", "its figures count time, not requests", instead, "estimate")
    if not isinstance(cluster, Cluster):
        raise ModelError(f"estimate takes a Cluster, got {type(cluster).__name__}; read a file with ha.load")
    if executor is not None and not hasattr(executor, "submit"):
        raise ModelError(f"got {executor!r}; an executor is one of concurrent.futures", "executor")
    if progress is not None and not callable(progress):
        raise ModelError(f"got {progress!r}; progress is called as progress(done, total)", "progress")
    horizon = _checked(over, runs, start, level, tasks)
    system = compile_system(cluster)
    refuse_slow_elections(system, "estimate")
    refuse_what_is_played(cluster, "estimate")
    refuse_endless(system, horizon * runs, EVENTS_MAX, "estimate")
    refuse_endless(system, horizon, EVENTS_OF_A_RUN_MAX, "estimate")
    plan = make_plan(system, horizon, int(runs), seed_or_fresh(seed), new=start == "new")
    before = cpu_seconds()
    merged = _carried_out(plan, executor, progress)
    sample = _sample(cluster, plan, merged, level, cpu_seconds() - before)
    figures, notes = estimate_tasks(cluster, tasks, plan.seed, level)
    return replace(sample, tasks=figures, warnings=(*sample.warnings, *notes), cpu_s=cpu_seconds() - before)


def _checked(over: object, runs: object, start: object, level: object, tasks: object) -> float:
    try:
        horizon = seconds(over)
    except ValueError as error:
        raise ModelError(str(error), "over") from None
    if horizon <= 0:
        raise ModelError(f"got {over!r}; a history lasts longer than nothing, like '1y'", "over")
    if isinstance(runs, bool) or not isinstance(runs, int) or not 1 <= runs <= RUNS_MAX:
        raise ModelError(f"got {runs!r}; the number of runs is a whole number from 1 to {RUNS_MAX}", "runs")
    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 1 <= tasks <= TASKS_MAX:
        raise ModelError(f"got {tasks!r}; the number of tasks is a whole number from 1 to {TASKS_MAX}", "tasks")
    if start not in ("steady", "new"):
        raise ModelError(
            f"got {start!r}; a run starts 'steady' or 'new'{nearest(str(start), ['steady', 'new'])}", "start"
        )
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        raise ModelError(f"got {level!r}; the level of an interval lies between 0 and 1, like 0.95", "level")
    return horizon


def _carried_out(plan: Plan, executor: Executor | None, progress: Progress | None) -> Merged:
    """Compute the blocks, merge them in order; an interruption keeps what is complete."""
    merged = Merged(len(plan.system.services))
    blocks = _here(plan) if executor is None else _there(plan, executor)
    try:
        for block in blocks:
            merged.add(block)
            if progress is not None:
                progress(merged.runs, plan.runs)
    except KeyboardInterrupt:
        if not merged.runs:
            raise
    return merged


def _here(plan: Plan) -> Iterator[Tally]:
    for block in range(plan.blocks):
        yield run_block(plan, block)


def _there(plan: Plan, executor: Executor) -> Iterator[Tally]:
    """Blocks computed by an executor, in order; only so many are under way that memory stays bounded."""
    waiting: list[Future[Tally]] = []
    try:
        for block in range(plan.blocks):
            waiting.append(executor.submit(run_block, plan, block))
            if len(waiting) >= AHEAD:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()


def _sample(cluster: Cluster, plan: Plan, merged: Merged, level: float, cpu_s: float) -> Sample:
    tally = merged.total()
    services, cautions = {}, []
    for index, service in enumerate(plan.system.services):
        services[service.name], caution = service_figures(plan, index, tally.services[index], level)
        if caution is not None:
            cautions.append(f"{service.name}: {caution}")
        if merged.durations_dropped[index]:
            cautions.append(
                f"{service.name}: the length of the first {DURATIONS_MAX} outages was kept, not of the others"
            )
    names = [service.name for service in plan.system.services]
    by_name = dict(zip(names, tally.services, strict=True))
    return Sample(
        cluster=cluster.name,
        services=services,
        runs=tally.runs,
        horizon_s=plan.horizon,
        seed=plan.seed,
        downtime_s={name: each.downtime for name, each in by_name.items()},
        outages={name: each.outages for name, each in by_name.items()},
        outage_durations_s={name: each.durations for name, each in by_name.items()},
        first_outage_s={name: each.first for name, each in by_name.items()},
        events=tally.events,
        cpu_s=cpu_s,
        warnings=(
            *_interrupted(plan, tally.runs),
            *cautions,
            *_start(plan),
            *cluster.assumptions(),
            plan.text(),
        ),
    )


def _interrupted(plan: Plan, runs: int) -> list[str]:
    return [] if runs == plan.runs else [f"interrupted after {runs} of {plan.runs} runs"]


def _start(plan: Plan) -> list[str]:
    if not plan.new:
        return []
    span = human(plan.horizon)
    return [f"everything is up and new at first: the figures are of the first {span}, not of the long run"]
