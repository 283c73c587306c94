"""The phases of a run: before, during and after its scripted faults, and what became of the requests of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasim.results.requests import requests_frame
from hasim.trace import Fact

if TYPE_CHECKING:
    import pandas as pd

    from hasim.results.request_log import RequestLog
    from hasim.results.requests import RequestFigures


@dataclass(frozen=True)
class FaultSpan:
    """A scripted fault as the trace tells it: what it did to whom, from when to when in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Phase:
    """A stretch of a run between two instants at which scripted faults began or had all ended; seconds.

    `faults` says which faults were on in it, in order of their beginning.
    """

    name: str
    start_s: float
    end_s: float
    faults: tuple[str, ...] = ()


def fault_spans(trace: Iterable[object], end_s: float) -> list[FaultSpan]:
    """Return the scripted faults that a trace tells of, in order of their beginning; who knows no end has `end_s`.

    A trace names a fault by its kind and subject alone. Where several equal ones are on, an end is taken as that of the
    one that began last, as brackets are read: a short fault within a long one. What begins at the very instant of an
    end follows on it, and is another. Which of them it was makes no difference to phases.
    """
    begun: dict[tuple[str, str], list[float]] = {}
    spans: list[FaultSpan] = []
    for fact in trace:
        if not isinstance(fact, Fact) or fact.kind not in ("fault begun", "fault ended"):
            continue
        which = (_kind(fact), fact.subject)
        if fact.kind == "fault begun":
            begun.setdefault(which, []).append(fact.at)
        elif begun.get(which):
            starts = begun[which]
            before = sum(at < fact.at for at in starts)
            spans.append(FaultSpan(_said(which), starts.pop(before - 1 if before else -1), fact.at))
    spans += [FaultSpan(_said(which), at, end_s) for which, starts in begun.items() for at in starts]
    return sorted(spans, key=lambda span: (span.start_s, span.end_s, span.text))


def phases_of(spans: Iterable[FaultSpan], start_s: float, end_s: float) -> list[Phase]:
    """Return the phases of the time from `start_s` to `end_s`, in order and without gaps.

    Faults that overlap or touch are one. With one such stretch the phases are called before, during and after;
    with several the stretches are numbered, and so are the times between them. Phases without length are left out;
    with no faults at all there are no phases. What a fault does may outlast it (a server has to start
    and be believed in again): that belongs to the phase after it.
    """
    stretches: list[tuple[float, float, tuple[str, ...]]] = []
    for span in sorted(spans, key=lambda each: (each.start_s, each.end_s, each.text)):
        start, end = max(span.start_s, start_s), min(span.end_s, end_s)
        if end < start:
            continue
        if stretches and start <= stretches[-1][1]:
            first, last, names = stretches[-1]
            stretches[-1] = (first, max(last, end), (*names, span.text))
        else:
            stretches.append((start, end, (span.text,)))
    phases, free, several = [], start_s, len(stretches) > 1
    for i, (start, end, names) in enumerate(stretches, start=1):
        phases.append(Phase(f"between {i - 1}" if i > 1 else "before", free, start))
        phases.append(Phase(f"during {i}" if several else "during", start, end, names))
        free = end
    if stretches:
        phases.append(Phase("after", free, end_s))
    return [phase for phase in phases if phase.start_s < phase.end_s]


def phase_figures(log: RequestLog, phases: Iterable[Phase]) -> list[RequestFigures]:
    """Return the figures of the requests that arrived in each phase."""
    return [log.between(phase.start_s, phase.end_s).figures(phase.name) for phase in phases]


def phases_frame(log: RequestLog, phases: Iterable[Phase]) -> pd.DataFrame:
    """Return a frame with a row for each phase, indexed by its name, of the requests that arrived in it.

    Columns as in `requests_frame`, and `faults`, which says what was wrong.
    """
    phases = list(phases)
    frame = requests_frame(phase_figures(log, phases))
    frame.index.name = "phase"
    frame.insert(0, "faults", [" and ".join(phase.faults) for phase in phases])
    return frame


def _kind(fact: Fact) -> str:
    return fact.detail if isinstance(fact.detail, str) else str(fact.detail.get("fault", "fault"))


def _said(which: tuple[str, str]) -> str:
    kind, subject = which
    return f"{kind} of {subject}"
