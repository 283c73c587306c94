"""How a run shows its upgrades: a row for each, as text, HTML, or a frame."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hasim.results.request_log import RequestLog
from hasim.results.upgrades import UpgradeLog
from hasim.units import human

if TYPE_CHECKING:
    import pandas as pd

HEADS: Final = ("upgrade", "of", "outcome", "took", "ready at least", "pods at most", "extra server time", "not served")
"""What the columns of such a table are called; the last is of requests."""


def cells(name: str, log: UpgradeLog, requests: RequestLog | None) -> tuple[str, ...]:
    """Return the texts under HEADS; a dash where nothing is known."""
    took = human(log.duration_s)
    return (
        name,
        f"{log.part}, {log.old} to {log.new}",
        _outcome(log),
        f"{took} so far" if log.outcome == "under way" else took,
        f"{log.min_ready} of {log.replicas}",
        f"{log.most_pods}",
        human(log.extra_server_s),
        "–" if requests is None else f"{log.failed(requests):,}",
    )


def _outcome(log: UpgradeLog) -> str:
    return f"{log.outcome}, bad and still met" if log.cut_off and log.outcome != "under way" else log.outcome


def lines(upgrades: Mapping[str, UpgradeLog], requests: RequestLog | None) -> list[str]:
    """Return a line for each upgrade."""
    said = []
    for log in upgrades.values():
        failed = "" if requests is None else f", {log.failed(requests):,} requests not served"
        lost = 0 if requests is None else log.lost_writes(requests)
        said.append(f"{log}{failed}" + (f", {lost:,} writes lost" if lost else ""))
    return said


def table(upgrades: Mapping[str, UpgradeLog], requests: RequestLog | None) -> str:
    """Return a small table for a notebook: a row for each upgrade; nothing where there is none."""
    if not upgrades:
        return ""
    rows = []
    for name, log in upgrades.items():
        first, *more = map(html.escape, cells(name, log, requests))
        rows.append(f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in more)}</tr>")
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def frame(
    upgrades: Mapping[str, UpgradeLog], requests: RequestLog | None, target: float | str | None, window: float | str
) -> pd.DataFrame:
    """Return a frame with a row for each upgrade, indexed by its name; see `Run.upgrades_frame`."""
    import pandas as pd

    rows = []
    for log in upgrades.values():
        about = {"part": log.part, "from": log.old, "to": log.new, "began_s": log.began_s}
        budget = {}
        if target is not None and requests is not None:
            budget["budget_used"] = log.budget_used(requests, target, window)
        rows.append({**about, **log.figures(requests), **budget})
    index = pd.Index(list(upgrades), name="upgrade", dtype=object)
    found = pd.DataFrame(rows, index=index)
    times = [column for column in ("detect_s", "recover_s", "failed_share") if column in found]
    return found.astype(dict.fromkeys(times, float))
