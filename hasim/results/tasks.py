"""What became of the tasks of a queue: figures that all engines give, and the log of one history."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasim.results.estimate import Estimate, html_cell
from hasim.results.intervals import proportion_estimate, quantile_estimate, rate_estimate, t_interval

if TYPE_CHECKING:
    import pandas as pd

CAUTION = 0.05
"""Share of tasks under way at the end from which on a reader is told."""

BATCHES = 20
"""Tasks that follow one another share their waits: means of so many batches of them are nearly independent."""


@dataclass(frozen=True)
class TaskFigures:
    """What becomes of a task, each figure with its interval; None: this engine does not know, or there is none.

    All are means over tasks, unless they say otherwise. `executions` counts attempts that begin, `duplicates` effects
    beyond the first. Of all tasks, the share `lost` never has an effect, `duplicated` has more than one, and
    `dead_letters` are set aside. `done_after_s` is from the first delivery to the first ack that counts, of tasks that
    have one (with acks before the work: to the effect); `latency_s` from the arrival of a task to its first effect, and
    `latency_p99_s` its 99 % quantile. `worker_s` is the time of workers a task, and `busy` their share of the time at
    work. `wait_s` is from the arrival to the first delivery.
    """

    executions: Estimate | None = None
    duplicates: Estimate | None = None
    lost: Estimate | None = None
    duplicated: Estimate | None = None
    dead_letters: Estimate | None = None
    done_after_s: Estimate | None = None
    wait_s: Estimate | None = None
    latency_s: Estimate | None = None
    latency_p99_s: Estimate | None = None
    worker_s: Estimate | None = None
    busy: Estimate | None = None

    def quantities(self) -> Iterator[tuple[str, Estimate]]:
        """The figures that are known, by name."""
        for each in fields(self):
            estimate = getattr(self, each.name)
            if estimate is not None:
                yield each.name, estimate

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: estimate.to_json() for name, estimate in self.quantities()}

    def __str__(self) -> str:
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """The figures in words, what happens to a task and how long it takes."""
        said = {name: f"{_words(name)} {estimate}" for name, estimate in self.quantities()}
        exact = all(estimate.is_exact for _, estimate in self.quantities())
        if exact:
            said = {name: text.replace(" (exact)", "") for name, text in said.items()}
        times = [text for name, text in said.items() if name.endswith("_s") or name == "busy"]
        rest = [text for name, text in said.items() if not name.endswith("_s") and name != "busy"]
        return [", ".join(words) + " (exact)" * exact for words in (rest, times) if words]


def _words(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


@dataclass(frozen=True, eq=False, repr=False)
class TaskLog:
    """Each task of a queue once, in order of arrival; all arrays have one entry a task, times in seconds of the run.

    Times of what has not happened are NaN: `gone_s` is when a task was lost with the process that alone had it.
    `executions` counts attempts that began, `effects` those that had one, `worked_s` the time of workers they took.
    `attempts_s` has when each attempt began, ascending. `counts` has how often other things happened: expired
    deadlines, refused acks, crashes at work and so on. `in_doubt` has a row for each transaction that was prepared,
    [from, to). `keys_most` is the most keys that were stored at once.
    With `acks_first` workers ack before they work.
    """

    queue: str
    names: tuple[str, ...]
    arrived_s: NDArray[np.float64]
    stored_s: NDArray[np.float64]
    delivered_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    dead_s: NDArray[np.float64]
    gone_s: NDArray[np.float64]
    effect_s: NDArray[np.float64]
    executions: NDArray[np.int64]
    effects: NDArray[np.int64]
    worked_s: NDArray[np.float64]
    start_s: float
    end_s: float
    workers: int
    counts: Mapping[str, int] = field(default_factory=dict)
    in_doubt: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    attempts_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    keys_most: int = 0
    acks_first: bool = False

    def __len__(self) -> int:
        """How many tasks arrived."""
        return len(self.names)

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Which tasks nothing more is expected of: acked (or where acks come first: with an effect), dead, or gone."""
        ended = self.effect_s if self.acks_first else self.done_s
        return np.asarray(~np.isnan(ended) | ~np.isnan(self.dead_s) | ~np.isnan(self.gone_s))

    def between(self, start_s: float, end_s: float) -> TaskLog:
        """The tasks that arrived in that time; what is not counted by task stays that of the whole run."""
        first, last = np.searchsorted(self.arrived_s, [start_s, end_s])
        rows = slice(int(first), int(last))
        columns = {name: getattr(self, name)[rows] for name in (*_COLUMNS, "names")}
        return replace(self, start_s=start_s, end_s=end_s, **columns)

    def figures(self, level: float = 0.95) -> TaskFigures:
        """Return what the tasks show that are settled; those still under way at the end are left out."""
        settled = self.settled
        many = int(settled.sum())
        if not many:
            return TaskFigures()
        effects = self.effects[settled]
        first = self.effect_s if self.acks_first else self.done_s
        acked = ~np.isnan(first) & settled
        had = ~np.isnan(self.effect_s) & settled
        begun = ~np.isnan(self.delivered_s) & settled
        latency = self.effect_s[had] - self.arrived_s[had]
        busy = _mean(self.worked_s, level, "seconds")
        assert busy is not None
        of_all = len(self) / (self.workers * (self.end_s - self.start_s))
        dead = ~np.isnan(self.dead_s) & np.isnan(self.done_s)
        return TaskFigures(
            executions=_mean(self.executions[settled], level),
            duplicates=_mean(np.maximum(effects - 1, 0), level),
            lost=_share(effects == 0, level),
            duplicated=_share(effects > 1, level),
            dead_letters=_share(dead[settled], level),
            done_after_s=_mean((first - self.delivered_s)[acked], level, "seconds"),
            wait_s=_mean((self.delivered_s - self.arrived_s)[begun], level, "seconds"),
            latency_s=_mean(latency, level, "seconds"),
            latency_p99_s=_quantile(latency, 0.99, level),
            worker_s=_mean(self.worked_s[settled], level, "seconds"),
            busy=_clipped(busy.scaled(of_all, "share")),
        )

    def caution(self) -> str | None:
        """What a reader should know of the figures, if many tasks were under way at the end."""
        left = len(self) - int(self.settled.sum())
        if left <= CAUTION * len(self):
            return None
        return (
            f"{left:,} of {len(self):,} tasks were under way at the end and are left out: the figures are those of "
            "tasks that were fast enough; run longer"
        )

    @property
    def throughput(self) -> float:
        """First effects a second, over the whole time."""
        return float((~np.isnan(self.effect_s)).sum() / (self.end_s - self.start_s))

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row a task."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in _COLUMNS}
        return pd.DataFrame({"task": self.names, **columns}).set_index("task")

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: the figures, not each task."""
        found: dict[str, Any] = {"tasks": len(self), "settled": int(self.settled.sum()), **self.figures().to_json()}
        return {**found, "throughput": self.throughput, "counts": dict(self.counts)}

    def __repr__(self) -> str:
        return f"TaskLog({self.queue}: {self})"

    def __str__(self) -> str:
        under_way = len(self) - int(self.settled.sum())
        left = f", {under_way:,} of them still under way" if under_way else ""
        return f"{len(self):,} tasks{left}"


_COLUMNS = (
    "arrived_s",
    "stored_s",
    "delivered_s",
    "done_s",
    "dead_s",
    "gone_s",
    "effect_s",
    "executions",
    "effects",
    "worked_s",
)


def _share(hits: NDArray[np.bool_], level: float) -> Estimate:
    """A share, with the wider of its intervals: by trials that are independent, or by batches that need not be."""
    count = int(hits.sum())
    alone = proportion_estimate(count, hits.size, level)
    if count < 5 or hits.size - count < 5 or hits.size < 2 * BATCHES:
        return alone
    by_batches = _mean(hits.astype(np.float64), level, "share")
    assert by_batches is not None
    return by_batches if by_batches.high - by_batches.low > alone.high - alone.low else alone


def _quantile(values: NDArray[np.float64], p: float, level: float) -> Estimate | None:
    """A quantile, with the interval of as many independent values as these are worth.

    Waits hang together while a line lasts: where means of batches vary more than those of independent values would,
    only one value in so many is looked at for the interval.
    """
    if values.size < 2:
        return None
    found = quantile_estimate(np.sort(values), p, level)
    if values.size < 2 * BATCHES or not values.std():
        return found
    means = np.array([each.mean() for each in np.array_split(values, BATCHES)])
    step = max(1, round(float(means.var(ddof=1) * values.size / BATCHES / values.var(ddof=1))))
    thinned = quantile_estimate(np.sort(values)[step // 2 :: step], p, level)
    low, high = min(thinned.low, found.value), max(thinned.high, found.value)
    return replace(found, low=low, high=high, method=f"{found.method}, one in {step}" if step > 1 else found.method)


def _clipped(share: Estimate) -> Estimate:
    """A share is at most one, whatever its interval."""
    return replace(share, value=min(share.value, 1.0), low=min(share.low, 1.0), high=min(share.high, 1.0))


def _mean(values: NDArray[Any], level: float, unit: Any = "") -> Estimate | None:
    """The mean with an interval from the means of batches, which may depend on their neighbours a little."""
    if values.size == 0:
        return None
    if values.size < 2:
        return Estimate(float(values[0]), 0.0, float("inf"), level, "a single one", 1, unit=unit)
    mean = float(values.mean())
    batches = (
        values if values.size < 2 * BATCHES else np.array([each.mean() for each in np.array_split(values, BATCHES)])
    )
    if values.dtype.kind != "f" and not values.any():
        return rate_estimate(0, values.size, level)
    low, high = t_interval(batches, level)
    error = float(batches.std(ddof=1) / np.sqrt(batches.size))
    method = "t, one by one" if batches is values else f"t, {BATCHES} batches"
    return Estimate(
        mean, min(max(low, float(values.min())), mean), max(high, mean), level, method, values.size, error, unit
    )


Queues = Mapping[str, TaskFigures] | Mapping[str, TaskLog]


def lines(queues: Queues) -> list[str]:
    """Return a few lines for each queue."""
    found = []
    for name, each in queues.items():
        if isinstance(each, TaskLog):
            happened = [f"{kind} {number:,}" for kind, number in each.counts.items()]
            found += [f"{name}: {', '.join([str(each), *happened])}"]
            found += [f"  {line}" for line in each.figures().lines()]
        else:
            first, *more = each.lines() or ["nothing known"]
            found += [f"{name}: {first}", *(f"  {line}" for line in more)]
    return found


def table(queues: Queues) -> str:
    """Return a small table for a notebook: a row for each queue; nothing where there is none."""
    if not queues:
        return ""
    known = {name: dict(_figures(each).quantities()) for name, each in queues.items()}
    columns = list(dict.fromkeys(quantity for found in known.values() for quantity in found))
    head = "".join(f"<th>{html.escape(_words(column))}</th>" for column in columns)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(html_cell(found.get(column)) for column in columns)}</tr>"
        for name, found in known.items()
    )
    return f"<table><thead><tr><th>tasks of</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _figures(each: TaskFigures | TaskLog) -> TaskFigures:
    return each if isinstance(each, TaskFigures) else each.figures()


def frame_rows(queues: Queues) -> Iterable[tuple[str, str, Estimate]]:
    """Every figure of every queue, for a frame."""
    for name, each in queues.items():
        for quantity, estimate in _figures(each).quantities():
            yield name, quantity, estimate
