"""Small clusters that are upgraded, and what the tests of upgrades measure in their logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hasim as ha
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.upgrades import UpgradeLog

Floats = NDArray[np.float64]

STANDARD_ERRORS = 4.5
"""How far a mean may be from what it should be; seeds are fixed, so a test either passes or never will."""


def scene(replicas: int = 4, start: float = 0.0, lb: dict[str, Any] | None = None, **serving: Any) -> ha.Cluster:
    """A pool `api` behind a balancer `lb`, which is told of pods at once unless its settings say otherwise."""
    served: dict[str, Any] = {"takes": "1ms", "slots": 1000, **serving}
    if start:
        served["start_up"] = {"fixed": ha.s(start)}
    parts = {
        "api": {"kind": "pool", "replicas": replicas, "serving": served},
        "lb": {"kind": "balancer", "to": "api", **(lb or {})},
    }
    return ha.Cluster(name="scene", parts=parts, services={"web": {"up": ["lb"]}})


def bad(chance: float = 1.0, errors: float = 1.0, **more: Any) -> ha.Release:
    """A release that is bad with this chance."""
    return ha.Release(bad=chance, errors=errors, **more)


def noticed(after: float | ha.Exponential, **more: Any) -> ha.Detection:
    """A bad release is noticed after so many seconds, or after a time of this law."""
    law = ha.Fixed(value=ha.s(after)) if isinstance(after, int | float) else after
    return ha.Detection(takes=law, **more)


def exponential(mean: float) -> ha.Exponential:
    """An exponential law of this mean, in seconds."""
    return ha.Exponential(mean=ha.s(mean))


def play(cluster: ha.Cluster, *events: Any, over: float, seed: int = 1) -> ha.Run:
    """Play a cluster under upgrades, loads and faults, and see that every log of an upgrade is sound."""
    run = ha.simulate(cluster.during(*events), over=ha.s(over), seed=seed)
    for log in run.upgrades.values():
        assert_sound(log)
    return run


def only(run: ha.Run) -> UpgradeLog:
    """The log of the one upgrade of a run."""
    (log,) = run.upgrades.values()
    return log


def assert_sound(log: UpgradeLog) -> None:
    """What holds of every upgrade, whatever was played: steps in order, shares, and who is in which place when."""
    assert np.all(np.diff(log.at_s) > 0)
    assert np.all((log.exposure >= 0.0) & (log.exposure <= 1.0 + 1e-12))
    for counts in (log.ready, log.starting, log.leaving):
        assert np.all(counts >= 0)
    assert log.began_s <= log.until_s <= log.run_end_s
    assert all(log.began_s <= at <= log.run_end_s for at, _ in log.facts)
    assert [at for at, _ in log.facts] == sorted(at for at, _ in log.facts)
    spans = log.spans
    assert np.all(spans.begins_s <= spans.ends_s)
    for server in set(spans.servers):
        mine = [row for row, name in enumerate(spans.servers) if name == server]
        mine.sort(key=lambda row: (spans.begins_s[row], spans.ends_s[row]))
        assert np.all(spans.begins_s[mine[1:]] >= spans.ends_s[mine[:-1]]), f"two pods at once in {server}"
    if log.outcome == "rolled out":
        assert log.when("rollout begun") is not None
    if log.outcome == "rolled back":
        assert log.when("rollback begun") is not None


def versions_at_end(log: UpgradeLog) -> set[str]:
    """The versions of the pods that are there when the run ends."""
    spans = log.spans
    last = np.flatnonzero(spans.ends_s == log.run_end_s)
    return {spans.versions[row] for row in last if spans.begins_s[row] < log.run_end_s}


def failed(run: ha.Run) -> int:
    """How many requests of a run were not served; those that its end cut off are left out."""
    assert run.requests is not None
    fate = run.requests.fate
    return int(np.count_nonzero((fate != SERVED) & (fate != CUT_OFF)))


def agrees(expected: float, seen: Sequence[float] | Floats) -> None:
    """The mean of what was seen lies within so many standard errors of what it should be."""
    values = np.asarray(seen, dtype=np.float64)
    error = float(values.std(ddof=1) / math.sqrt(values.size))
    assert float(values.mean()) == pytest.approx(float(expected), abs=STANDARD_ERRORS * error, rel=1e-9)


def happens(chance: float, times: int, of: int) -> None:
    """Something that has this chance happened so many times, within the bounds of the binomial law."""
    error = math.sqrt(chance * (1.0 - chance) * of)
    assert abs(times - chance * of) <= STANDARD_ERRORS * error + 1e-9, f"{times} of {of}, expected {chance:.4f} of them"


def counted(mean: float, times: int) -> None:
    """What comes as a Poisson process came so many times, where it should have come `mean` times."""
    assert abs(times - mean) <= STANDARD_ERRORS * math.sqrt(mean) + 1e-9, f"{times}, expected {mean:.1f}"


def exposure_at(log: UpgradeLog, times: Floats) -> Floats:
    """The share of requests that met the new version at these times."""
    place = np.searchsorted(log.at_s, times, side="right") - 1
    return np.where(place >= 0, log.exposure[np.maximum(place, 0)], 0.0)


def exposure_until(log: UpgradeLog, end: float) -> float:
    """How long all requests together met the new version up to a time, in seconds of all of them."""
    edges = np.append(np.minimum(log.at_s, end), end)
    return float(np.sum(log.exposure * np.diff(edges)))
