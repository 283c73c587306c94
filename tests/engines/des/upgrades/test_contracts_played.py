"""Versions that cannot talk to one another, and forms of stored data, while both are upgraded under load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.protocols.contracts import check_steps

SERVING: dict[str, Any] = {"takes": "5ms", "slots": 50, "start_up": {"fixed": "5s"}, "pre_stop": "3s"}
BALANCER: dict[str, Any] = {"kind": "balancer", "to": "a", "view_delay": "1s", "policy": "random"}
RATE = 200.0
NEXT = ha.Release(version="2")
SIGMAS = 4.5


def two_services(**contract: Any) -> ha.Cluster:
    """A calls B; an adapter between them can be deployed."""
    pool = {"kind": "pool", "replicas": 6, "serving": SERVING, "version": "1"}
    adapter = {"kind": "pool", "replicas": 2, "serving": SERVING, "deployed": False}
    return ha.Cluster(
        name="a calls b",
        parts={"a": pool, "b": pool, "adapter": adapter, "lb": BALANCER},
        contracts=[{"caller": "a", "server": "b", "works": {"1": ["1"], "2": ["2"]}, **contract}],
        services={"web": {"up": ["lb", "b"]}},
    )


def play(model: ha.Cluster, *upgrades: Any, over: str = "4m", seed: int = 1, writes: float = 0.0) -> ha.Run:
    return ha.simulate(model.during(*upgrades, ha.Load(to="lb", rate=RATE, writes=writes)), over=over, seed=seed)


def errors(run: ha.Run) -> int:
    assert run.requests is not None
    return len(run.requests.of(outcome="500"))


def step_at(times: np.ndarray, log: Any) -> np.ndarray:
    """The share of requests that meet the new version at each of these times; zero before the upgrade begins."""
    place = np.searchsorted(log.at_s, times, side="right") - 1
    return np.where(place >= 0, log.exposure[np.maximum(place, 0)], 0.0)


@pytest.mark.parametrize("together", [False, True])
def test_calls_fail_as_often_as_wrong_versions_meet(together: bool) -> None:
    b = ha.Rolling("b", at="20s", surge=1, unavailable=0, release=NEXT)
    a = ha.Rolling("a", at="20s" if together else "60s", surge=2, unavailable=0, release=NEXT)
    run = play(two_services(), b, a)
    times = np.arange(0.0, 240.0, 0.001)
    new_b, new_a = (step_at(times, run.upgrades[name]) for name in ("rolling", "rolling-2"))
    wrong = new_a * (1 - new_b) + (1 - new_a) * new_b
    expected = RATE * wrong.sum() * 0.001
    assert expected > 500
    assert abs(errors(run) - expected) < SIGMAS * np.sqrt(expected)


def test_an_adapter_keeps_incompatible_versions_talking() -> None:
    model = two_services(adapter="adapter", adapted={"1": ["2"], "2": ["1"]})
    plan = ha.one_after_another(
        ha.Deploy("adapter", at="10s"),
        ha.Rolling("b", release=NEXT),
        ha.Rolling("a", release=NEXT),
        ha.Remove("adapter"),
        pause="2s",
    )
    run = play(model, *plan)
    assert [log.outcome for log in run.upgrades.values()] == ["rolled out"] * 4
    begins = [log.began_s for log in run.upgrades.values()]
    ends = [log.until_s for log in run.upgrades.values()]
    assert all(begin >= end + 2.0 for begin, end in zip(begins[1:], ends[:-1], strict=True))
    assert errors(run) == 0
    without = play(model, *ha.one_after_another(ha.Rolling("b", at="10s", release=NEXT), ha.Rolling("a", release=NEXT)))
    assert errors(without) > 500


def test_an_adapter_that_is_removed_too_early_helps_no_more() -> None:
    model = two_services(adapter="adapter", adapted={"1": ["2"], "2": ["1"]})
    plan = ha.one_after_another(
        ha.Deploy("adapter", at="10s"), ha.Rolling("b", release=NEXT), ha.Remove("adapter"), pause="2s"
    )
    run = play(model, *plan)
    removed = run.upgrades[plan[-1].called].began_s
    assert run.requests is not None
    bad = run.requests.of(outcome="500").arrived_s
    assert len(bad) > 1000
    assert bad.min() > removed - 0.1


def test_a_plan_stops_where_a_step_is_rolled_back() -> None:
    bad = ha.Release(version="2", bad=1, errors=0.5)
    first = ha.Rolling("b", at="10s", release=bad, detection=ha.Detection(takes={"fixed": "3s"}))
    run = play(two_services(), *ha.one_after_another(first, ha.Rolling("a", release=NEXT)))
    assert [log.outcome for log in run.upgrades.values()] == ["rolled back"]


def test_a_version_that_is_a_wrong_one_from_the_beginning_fails_all_along() -> None:
    model = two_services(works={"1": ["2"], "2": ["1", "2"]})
    run = play(model, over="30s")
    assert run.requests is not None
    assert errors(run) == len(run.requests.of(outcome=["ok", "500"]))


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        (ha.Rolling("b", release=ha.Release(version="3")), "the contract of a and b knows 1, 2 of b"),
        (ha.Deploy("a"), "a is there from the beginning"),
        (ha.Migrate("a", migrates=ha.MigrationStep(name="x", adds="new")), "it migrates data, and a has none"),
    ],
)
def test_what_does_not_fit_the_cluster_is_refused(upgrade: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        two_services().during(upgrade)


def test_circles_and_unknown_names_in_a_plan_are_refused() -> None:
    model = two_services()
    with pytest.raises(ha.ModelError, match="which is no upgrade"):
        model.during(ha.Rolling("b", release=NEXT, after="nobody"))
    with pytest.raises(ha.ModelError, match="waits for itself"):
        model.during(
            ha.Rolling("b", release=NEXT, name="one", after="two"),
            ha.Rolling("a", release=NEXT, name="two", after="one"),
        )


def test_nothing_may_need_a_pool_that_is_not_there_at_first() -> None:
    with pytest.raises(ha.ModelError, match="not there at first"):
        ha.Cluster(
            name="x",
            parts={"a": {"kind": "pool", "replicas": 2, "serving": SERVING, "deployed": False}},
            services={"web": {"up": ["a"]}},
        )


# Stored data.


def stored(change: Any) -> ha.Cluster:
    pool = {"kind": "pool", "replicas": 6, "serving": SERVING, "version": "v1", "data": change.contract}
    return ha.Cluster(name="stored", parts={"a": pool, "lb": BALANCER}, services={"web": {"up": ["lb"]}})


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("store", ["columns", "documents"])
def test_expand_migrate_contract_never_errs_and_ends_in_the_new_form(store: Any, seed: int) -> None:
    change = ha.expand_contract(items=3000, store=store)
    plan = ha.migration("a", change, ha.Rolling("a", at="10s"), per_second=400, pause="1s")
    run = play(stored(change), *plan, seed=seed, writes=0.3)
    data = run.data["a"]
    assert (data.errors, data.stale, data.lost_values, errors(run)) == (0, 0, 0, 0)
    assert data.counts == {("new",): 3000}
    assert [log.outcome for log in run.upgrades.values()] == ["rolled out"] * 6
    assert bool(check_steps(*change))


def test_a_backfill_takes_as_long_as_its_items_do() -> None:
    change = ha.expand_contract(items=4000)
    plan = ha.migration("a", change, ha.Rolling("a", at="10s"), per_second=400)
    run = play(stored(change), *plan, over="3m")  # no writes: all items are converted by the backfill alone
    took = run.upgrades["backfill"].duration_s
    assert took == pytest.approx(4000 / 400 - 1.0)  # a portion at its begin, then one a second


def test_big_bang_under_load_errs_in_both_directions() -> None:
    change = ha.big_bang(items=3000)
    plan = ha.migration("a", change, ha.Rolling("a", at="10s"), per_second=100)
    run = play(stored(change), *plan, writes=0.3)
    data = run.data["a"]
    table = data.to_frame()
    assert not check_steps(*change)
    assert data.errors == errors(run) > 50
    assert table.loc["v2", "unreadable"] > 0  # items that were not converted yet
    assert table.loc["v1", "stale"] + table.loc["v1", "unreadable"] > 0  # what v2 has written


def test_big_bang_while_stopped_errs_never_and_is_an_outage_as_long_as_the_conversion() -> None:
    change = ha.big_bang(items=3000, stopped=True)
    window = ha.Window("a", at="10s", lasting="10s")
    run = play(stored(change), *ha.migration("a", change, window, per_second=100), writes=0.3)
    assert (run.data["a"].errors, run.data["a"].stale) == (0, 0)
    assert run.upgrades["big bang"].duration_s == pytest.approx(3.0 + 3000 / 100 + 5.0, abs=0.3)
    assert run.upgrades["big bang"].when("window overrun") == pytest.approx(20.0)


def rolled_back_after(step: str) -> ha.Run:
    """Go the way of expand and contract up to a step, and then bring the first version back at once."""
    change = ha.expand_contract(items=2000)
    plan = list(ha.migration("a", change, ha.Rolling("a", at="10s"), per_second=1000))
    names = [upgrade.called for upgrade in plan]
    plan = plan[: names.index(step) + 1]
    back = ha.Rolling("a", name="back", after=step, at="20s", release=ha.Release(version="v1"))
    return play(stored(change), *plan, back, over="4m", writes=0.3)


@pytest.mark.parametrize(
    ("step", "good"), [("write both", True), ("read new", True), ("write new only", False), ("contract", False)]
)
def test_the_way_back_is_safe_until_the_point_of_no_return(step: str, good: bool) -> None:
    run = rolled_back_after(step)
    first = run.data["a"].to_frame().loc["v1"]
    assert bool(first["stale"] + first["unreadable"] + first["refused"] == 0) is good
    report = check_steps(*ha.expand_contract())
    verdict = next(each for each in report.verdicts if each.step.name == step)
    assert ("v1" in verdict.returns) is good


def test_two_versions_back_in_one_step_lets_the_newer_one_read_old_values_meanwhile() -> None:
    run = rolled_back_after("read new")  # v1 writes the old form alone, and v3 reads the new one beside it
    assert run.data["a"].to_frame().loc["v3", "stale"] > 0


def test_a_rollback_past_the_point_of_no_return_is_told_with_what_it_finds() -> None:
    change = ha.expand_contract(items=2000)
    plan = list(ha.migration("a", change, ha.Rolling("a", at="10s"), per_second=1000))
    only = next(i for i, upgrade in enumerate(plan) if upgrade.called == "write new only")
    orders = (ha.Order(after="8s", do="roll back"),)
    plan[only] = plan[only].model_copy(update={"orders": orders})
    run = play(stored(change), *plan[: only + 1], writes=0.3)
    (back,) = run.data["a"].returns
    assert back.version == "v3"
    assert back.safe  # v3 reads the new form, and writes both
    assert run.data["a"].errors == 0


def test_versions_that_the_data_do_not_know_are_refused() -> None:
    change = ha.expand_contract(items=10)
    with pytest.raises(ha.ModelError, match="the data of a know v1, v2, v3, v4"):
        stored(change).during(ha.Rolling("a", release=ha.Release(version="v9")))
    with pytest.raises(ha.ModelError, match="`data` says how v1, v2, v3, v4 read and write"):
        stored(change).replace("a.version", "v0")
    with pytest.raises(ha.ModelError, match="got the form 'nwe'"):
        stored(change).during(ha.Migrate("a", migrates=ha.MigrationStep(name="x", adds="nwe")))
    with pytest.raises(ha.ModelError, match="per_second"):
        ha.Migrate("a", migrates=ha.MigrationStep(name="x", backfills=("old", "new")))
    with pytest.raises(ha.ModelError, match="which only a window does"):
        ha.Rolling("a", migrates=ha.MigrationStep(name="x", adds="new", stopped=True))


def test_what_scripts_hold_has_no_row_of_its_own_beside_empty_places() -> None:
    model = two_services()
    run = play(model, ha.Rolling("a", at="10s", release=NEXT), ha.Crash("b-1", at="20s", lasting="10s"), over="1m")
    assert not [name for name in run.intervals if name.startswith(("held: ", "killed: "))]
    assert "absent: a-7 (planned)" in run.intervals
