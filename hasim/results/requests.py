"""What the clients of a run saw: requests served, failed or unknown, how fast, and the longest silence.

Two quantities that are often mixed up are kept apart. The *served share* counts requests, and a burst that meets an
outage weighs as much as it has requests. *Availability* counts time (see `Run`), whoever may be asking. Neither
follows from the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasim.checks.history import Operation
from hasim.results.estimate import Estimate
from hasim.units import human

if TYPE_CHECKING:
    import pandas as pd

_OF_LOGS = ("cut_off", "attempts", "outcomes", "latency", "servers")
_OF_READS = ("stale", "compared", "stalest_by")
_LOG_COLUMNS = (
    *("start_s", "end_s", "requests", "served", "failed", "unknown", "cut_off", "served_share", "goodput_per_s"),
    *("attempts_per_request", "longest_silence_s", "silence_from_s"),
)


@dataclass(frozen=True)
class RequestFigures:
    """The fate of some requests between `start_s` and `end_s`, counted in one history: a measurement, no forecast.

    `unknown` requests came back with an error, or not at all, and may have taken effect. Latencies are those of the
    requests that were served, None if there were none. `longest_silence_s` is the longest time without a success for
    clients that may use any of the answers, from `silence_from_s` on; the ends of the window count as successes.
    `stale` counts the successful reads that missed a write committed before they began, out of `compared`; the
    stalest missed `stalest_by` versions.

    From a request log come also: `cut_off`, the requests that the end of the run left open, which are neither served
    nor not, and are no part of `requests`; `attempts`, how often clients asked in all; `outcomes`, the count of each
    outcome by name; `latency`, the mean and quantiles ("mean", "p50", "p90", "p99", "p99.9") in seconds with
    intervals; `servers`, the share of the served requests that each server answered.
    """

    name: str
    start_s: float
    end_s: float
    served: int
    failed: int
    unknown: int
    latency_p50_s: float | None
    latency_p99_s: float | None
    longest_silence_s: float
    silence_from_s: float
    stale: int = 0
    compared: int = 0
    stalest_by: int = 0
    cut_off: int = 0
    attempts: int | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[str, Estimate] = field(default_factory=dict)
    servers: Mapping[str, float] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self.served + self.failed + self.unknown

    @property
    def served_share(self) -> float | None:
        """Share of the requests that were served; None if there were none. It is no availability in time."""
        return self.served / self.requests if self.requests else None

    @property
    def goodput_per_s(self) -> float:
        """Requests of the window that were served, per second of the window."""
        return self.served / (self.end_s - self.start_s)

    @property
    def attempts_per_request(self) -> float | None:
        """How often clients asked for each request, retries and copies included; None if that is not known."""
        asked = self.requests + self.cut_off
        return self.attempts / asked if asked and self.attempts is not None else None

    def row(self) -> dict[str, Any]:
        """Return one flat row of a table: what was counted, then what follows from it; intervals as _low and _high."""
        if self.attempts is None:
            found = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OF_LOGS}
            return found | {"requests": self.requests, "served_share": self.served_share}
        found = {"name": self.name, **{name: getattr(self, name) for name in _LOG_COLUMNS}}
        for label, estimate in self.latency.items():
            found[f"latency_{label}_s"] = estimate.value
            found[f"latency_{label}_low_s"] = estimate.low
            found[f"latency_{label}_high_s"] = estimate.high
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON, without what is unknown."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OF_LOGS}
        found |= {"requests": self.requests, "served_share": self.served_share}
        if self.attempts is not None:
            found = {name: value for name, value in found.items() if name not in _OF_READS}
            found |= {name: getattr(self, name) for name in _LOG_COLUMNS}
            found |= {"outcomes": dict(self.outcomes), "servers": dict(self.servers)}
            found["latency"] = {label: estimate.to_json() for label, estimate in self.latency.items()}
        return {name: value for name, value in found.items() if value is not None}

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row, indexed by the name; times in seconds, `served_share` from 0 to 1."""
        return requests_frame([self])

    def __str__(self) -> str:
        """Say it in one line, with counts: a share of requests alone would hide how few there were."""
        if not self.requests:
            return f"{self.name}: no requests" + (f" but {self.cut_off:,} cut off at the end" if self.cut_off else "")
        said = [f"{self.served:,} of {self.requests:,} requests served"]
        said += [
            f"{number:,} {word}" for number, word in ((self.failed, "failed"), (self.unknown, "unknown")) if number
        ]
        if self.cut_off:
            said.append(f"{self.cut_off:,} cut off at the end")
        if self.attempts_per_request is not None and self.attempts_per_request != 1:
            said.append(f"{self.attempts_per_request:.3g} attempts a request")
        if self.latency_p50_s is not None and self.latency_p99_s is not None:
            said.append(f"served in {human(self.latency_p50_s)} (median), {human(self.latency_p99_s)} (99th centile)")
        said.append(f"longest silence {human(self.longest_silence_s)}")
        if self.compared:
            by = f", the stalest by {self.stalest_by:,}" if self.stale else ""
            said.append(f"{self.stale:,} of {self.compared:,} reads stale{by}")
        return f"{self.name}: {'; '.join(said)}"


def request_figures(operations: Iterable[Operation], start_s: float, end_s: float, name: str = "all") -> RequestFigures:
    """Return the figures of the operations called from `start_s` to before `end_s` (seconds)."""
    assert start_s < end_s, f"a window has a length, got {start_s} to {end_s}"
    operations = list(operations)
    asked = [op for op in operations if start_s <= op.called < end_s]
    outcomes = [op.outcome for op in asked]
    latencies = np.array([op.returned - op.called for op in asked if op.outcome == "ok"])
    gaps = _gaps(operations, start_s, end_s)
    longest = int(np.argmax(gaps[:, 1] - gaps[:, 0]))
    behind = [
        max(0, op.latest - op.version)
        for op in asked
        if op.outcome == "ok" and op.kind == "get" and op.version is not None and op.latest is not None
    ]
    return RequestFigures(
        name=name,
        start_s=float(start_s),
        end_s=float(end_s),
        served=outcomes.count("ok"),
        failed=outcomes.count("failed"),
        unknown=outcomes.count("unknown"),
        latency_p50_s=_quantile(latencies, 0.5),
        latency_p99_s=_quantile(latencies, 0.99),
        longest_silence_s=float(gaps[longest, 1] - gaps[longest, 0]),
        silence_from_s=float(gaps[longest, 0]),
        stale=sum(missed > 0 for missed in behind),
        compared=len(behind),
        stalest_by=max(behind, default=0),
    )


def request_figures_by(
    what: Callable[[Operation], str], operations: Iterable[Operation], start_s: float, end_s: float
) -> dict[str, RequestFigures]:
    """Return the figures of each group of operations, say those of a client or a kind, in order of their names.

    `what` names the group: `lambda op: op.client`, or `request_kind`.
    """
    groups: dict[str, list[Operation]] = {}
    for op in operations:
        groups.setdefault(what(op), []).append(op)
    return {name: request_figures(groups[name], start_s, end_s, name) for name in sorted(groups)}


def request_kind(operation: Operation) -> str:
    """Name the kind of a request: put, delete, cas, or "linearizable get" and so on."""
    return f"{operation.mode} get" if operation.kind == "get" else operation.kind


def requests_frame(figures: Iterable[RequestFigures]) -> pd.DataFrame:
    """Return a frame with a row for each of the figures, indexed by name; times are in seconds."""
    import pandas as pd

    return pd.DataFrame([each.row() for each in figures]).set_index("name")


def silences(
    operations: Iterable[Operation], start_s: float, end_s: float, longer_than_s: float = 0.0
) -> NDArray[np.float64]:
    """Return when no success came back for longer than so many seconds, shape (k, 2), rows [start, end).

    The ends of the window count as successes. Between two requests there is always silence: what is shorter than
    the time between requests says nothing about the service.
    """
    gaps = _gaps(operations, start_s, end_s)
    return gaps[gaps[:, 1] - gaps[:, 0] > longer_than_s]


def first_success_s(operations: Iterable[Operation], since_s: float) -> float:
    """Return how long after `since_s` the first success came back among the requests made from then on.

    Infinite if none did.
    """
    ends = [op.returned for op in operations if op.outcome == "ok" and op.called >= since_s]
    return min(ends, default=math.inf) - since_s


def _gaps(operations: Iterable[Operation], start_s: float, end_s: float) -> NDArray[np.float64]:
    """The times between successive successes that came back in the window, shape (k, 2)."""
    ends = sorted(op.returned for op in operations if op.outcome == "ok" and start_s <= op.returned <= end_s)
    instants = np.array([start_s, *ends, end_s], dtype=np.float64)
    return np.column_stack([instants[:-1], instants[1:]])


def _quantile(values: NDArray[np.float64], p: float) -> float | None:
    """The smallest value that at least a share p of them does not exceed: one that was really seen."""
    return float(np.quantile(values, p, method="inverted_cdf")) if values.size else None
