"""Upgrades as somebody else would use them: his own arithmetic, odd sizes, and what he may get wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upgrade_scenes import only, play, scene, versions_at_end

import hasim as ha
from hasim.engines.exact import upgrading as exact
from hasim.protocols.rollout.staircase import staircase

# ----------------------------------------------------------------------------------------------- arithmetic


def pods(given: int | str, of: int, up: bool) -> int:
    """A number of pods, or a share of them in percent, rounded."""
    if isinstance(given, int):
        return given
    parts = int(given[:-1]) * of
    return math.ceil(parts / 100) if up else parts // 100


def worked_out(n: int, surge: int | str, unavailable: int | str, start: float, min_ready: float) -> tuple[float, int]:
    """How long a rolling update takes and how many pods are ready at least, by the rules as they are written down.

    Pods that leave do so at once; each wave is ready `start` seconds after it was begun.
    """
    above, below = pods(surge, n, up=True), pods(unavailable, n, up=False)
    below = min(max(below, 0 if above else 1), n)
    old, new, now, fewest = n, list[float](), 0.0, n
    while True:
        moved = True
        while moved:
            room = min(n - len(new), max(0, n + above - old - len(new)))
            new += [now] * room
            available = sum(began + start + min_ready <= now + 1e-9 for began in new)
            gone = max(min(old, old + available - (n - below)), 0) if not room else 0
            old -= gone
            moved = bool(room or gone)
        fewest = min(fewest, old + sum(began + start <= now + 1e-9 for began in new))
        if not old and len(new) == n and available == n:
            return now, fewest
        now = min(at for began in new for at in (began + start, began + start + min_ready) if at > now + 1e-9)


WIDTHS = st.one_of(st.integers(0, 9), st.sampled_from(["0%", "1%", "10%", "25%", "33%", "50%", "99%", "100%", "130%"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.sampled_from([1, 2, 3, 4, 7, 10, 16, 33]),
    surge=WIDTHS,
    unavailable=WIDTHS.filter(lambda width: width != "130%"),
    start=st.sampled_from([0.5, 2.0, 7.5]),
    min_ready=st.sampled_from([0.0, 3.0, 11.0]),
)
def test_rolling_takes_as_long_as_worked_out_by_hand(
    n: int, surge: int | str, unavailable: int | str, start: float, min_ready: float
) -> None:
    takes, fewest = worked_out(n, surge, unavailable, start, min_ready)
    way = ha.Rolling(
        "api", at="10s", surge=surge, unavailable=unavailable, min_ready=ha.s(min_ready), progress_deadline="1h"
    )
    log = only(play(scene(n, start=start), way, over=10 + takes + 5))
    assert log.outcome == "rolled out" and versions_at_end(log) == {"v2"}
    assert log.until_s - log.began_s == pytest.approx(takes, abs=1e-2)
    assert log.min_ready == fewest


# ----------------------------------------------------------------------------------------------- mistakes


def of_batch(batch: int | str) -> ha.InPlace:
    return ha.InPlace("api", batch=batch)


def canary_of(share: Any) -> ha.Canary:
    return ha.Canary("api", steps=[{"share": share, "bake": "3m"}])


def planned(per_month: float) -> ha.Cluster:
    return scene().replace("upgrades", {"releases": {"upgrade": ha.Rolling("api"), "per_month": per_month}})


def plan_with(pause: Any) -> object:
    return ha.one_after_another(ha.Rolling("api"), ha.Rolling("api"), pause=pause)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no batch": (lambda: of_batch(0), "batch: got 0; a batch is at least one server, or above 0%"),
    "a batch of nothing": (lambda: of_batch("0%"), "batch: got '0%'; a batch is at least one server, or above 0%"),
    "negative pause": (lambda: plan_with("-3s"), "pause: got '-3s'; a duration is zero or more"),
    "no pause": (lambda: plan_with(None), "pause: got None; a duration is text with a unit, like '30s' or '5m'"),
    "one mistake, one line": (lambda: canary_of(0), "steps[0].share: got 0.0; give a number above 0 and of at most 1"),
    "releases": (lambda: planned(-1), "per_month: got -1; give a number above 0 and of at most 1e+06"),
    "no change": (
        lambda: ha.migration("api", "expand", ha.Rolling("api")),  # type: ignore[arg-type]
        "change: got 'expand'; give a change of data, like ha.expand_contract()",
    ),
    "no way": (
        lambda: ha.migration("api", ha.expand_contract(), "rolling"),  # type: ignore[arg-type]
        "by: got 'rolling'; give an upgrade like ha.Rolling('api')",
    ),
    "replicas": (lambda: staircase("3"), "replicas: got '3'; it is a whole number of at least 0"),  # type: ignore[arg-type]
    "half a pod": (lambda: staircase(1.5), "replicas: got 1.5; it is a whole number of at least 0"),  # type: ignore[arg-type]
    "redispatch": (
        lambda: exact.restart_failures(10, 0, 1, 1, 3, redispatch="no"),  # type: ignore[arg-type]
        "redispatch: got 'no'; give true or false",
    ),
    "in step": (
        lambda: exact.switch_failures(10, 1, 1, 3, in_step=None),  # type: ignore[arg-type]
        "in_step: got nothing; give true or false",
    ),
    "power": (
        lambda: exact.requests_needed(0.1, 0.2, power=np.array([0.8, 0.9])),  # type: ignore[arg-type]
        "power: got an array; give a single chance, like 0.05",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_line(mistake: str) -> None:
    """The field, what was given and what is allowed; never a traceback, and no second line that follows from it."""
    make, said = MISTAKES[mistake]
    with pytest.raises(ha.ModelError) as raised:
        make()
    assert str(raised.value).removeprefix("upgrades.releases.") == said


@pytest.mark.parametrize("figure", ["met", "failed", "failed_share", "by_version", "budget_used"])
def test_figures_of_requests_take_a_run_with_some(figure: str) -> None:
    """A run without loads has no log of requests; `figures` leaves theirs out, and what is of them alone says so."""
    run = play(scene(2, start=1), ha.Rolling("api"), over=30)
    assert run.requests is None and "failed" not in only(run).figures(run.requests)
    more = ("99.9%",) if figure == "budget_used" else ()
    with pytest.raises(ha.ModelError, match="log: got nothing; give the `requests` of a run"):
        getattr(only(run), figure)(run.requests, *more)


@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_a_window_costs_all_of_its_time_however_early_servers_are_ready(bad: float) -> None:
    """Pods are ready after 20 s, and everybody is sent away for ten minutes; a bad version takes another window."""
    release = ha.Release(bad=bad, errors=0.5 if bad else None)
    found = ha.Detection(takes={"fixed": "10m"}) if bad else None
    window = ha.Window("api", lasting="10m", release=release, detection=found)
    cluster = scene(6, start=20).replace("upgrades", {"monthly": {"upgrade": window, "per_month": 1}})
    cost = ha.calibrate(cluster, runs=6, seed=1, load=ha.Load(rate=20, to="lb")).releases["monthly"].cost_s
    assert cost.value == pytest.approx(600.0 if not bad else 600.0 + 300.0 + 600.0, rel=0.02)


def test_no_more_than_all_pods_may_be_missing() -> None:
    with pytest.raises(ha.ModelError, match="at most all pods may be missing"):
        ha.Rolling("api", unavailable="130%")
    assert ha.Rolling("api", unavailable="100%").unavailable == "100%"
