"""What each strategy does to a pool and its requests: capacity, shares of versions, switches, tests, stalls, orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from upgrade_scenes import (
    STANDARD_ERRORS,
    Floats,
    agrees,
    bad,
    exponential,
    failed,
    happens,
    noticed,
    only,
    play,
    scene,
    versions_at_end,
)

import hasim as ha
from hasim.engines.des.upgrades.lanes import ClientLanes
from hasim.model.upgrades import Upgrade
from hasim.results.outcomes import ERROR, OK
from hasim.results.upgrades import UpgradeLog

UNLIKELY = 1e-5
"""Chance that a test of a law fails where the engine is right; seeds are fixed."""

NEVER = ha.Release(bad=1, errors=1.0, never_ready=1)


def orders(*given: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Orders as (seconds after the begin, what, how many)."""
    return [{"after": ha.s(each[0]), "do": each[1], **({"replicas": each[2]} if each[2:] else {})} for each in given]


def versions(run: ha.Run, log: UpgradeLog) -> list[str]:
    """The version that each request met."""
    assert run.requests is not None
    names = [*log.spans.names, "none"]
    return [names[place] for place in log.spans.version_of(run.requests)]


def met(run: ha.Run, log: UpgradeLog, start: float, end: float) -> dict[str, int]:
    """How many of the requests between two moments met each version."""
    assert run.requests is not None
    inside = (run.requests.arrived_s >= start) & (run.requests.arrived_s < end)
    found = [version for version, here in zip(versions(run, log), inside, strict=True) if here]
    return {name: found.count(name) for name in {*found, log.old, log.new}}


# ------------------------------------------------------------------------------------------ capacity

BUILT = 5.0


@pytest.mark.parametrize(
    ("upgrade", "ready", "pods", "lasts"),
    [
        (ha.Rolling("api"), 6, 10, 2 * BUILT),  # 25 % of 8
        (ha.Rolling("api", surge=1, unavailable=0), 8, 9, 8 * BUILT),
        (ha.Rolling("api", surge=0, unavailable=1), 7, 8, 8 * BUILT),
        (ha.Rolling("api", surge=0, unavailable=0), 7, 8, 8 * BUILT),  # both 0: one unavailable
        (ha.Rolling("api", surge=1, unavailable=0, min_ready="2s"), 8, 9, 8 * (BUILT + 2.0)),
        (ha.Rolling("api", surge="100%", unavailable=0), 8, 16, BUILT),
        (ha.Recreate("api"), 0, 8, BUILT),
        (ha.Ordered("api"), 7, 8, 8 * BUILT),
        (ha.Ordered("api", partition=5), 7, 8, 3 * BUILT),
        (ha.InPlace("api", batch=3), 5, 8, 3 * BUILT),
        (ha.InPlace("api", batch=4, notice="1s", pause="3s"), 4, 8, 2 * (BUILT + 1.0) + 3.0),
        (ha.AllAtOnce("api"), 0, 8, BUILT),
        (ha.BlueGreen("api", warm="1s", tests="2s", keep="10s"), 8, 16, BUILT + 13.0),
        (ha.Canary("api", steps=[{"share": 0.25, "bake": "20s"}], surge=1, unavailable=0), 8, 11, 9 * BUILT + 20.0),
        (ha.Window("api", lasting="30s"), 0, 8, 30.0),
        (ha.Window("api", lasting="30s", work="40s"), 0, 8, 40.0 + BUILT),
    ],
)
@pytest.mark.parametrize("load", [(), (ha.Load(rate=2, lasting="1m"),)])
def test_capacity_pods_and_length(upgrade: Upgrade, ready: int, pods: int, lasts: float, load: Any) -> None:
    log = only(play(scene(8, BUILT), upgrade, *load, over=150))
    assert (log.min_ready, log.most_pods, log.outcome) == (ready, pods, "rolled out")
    # Requests under way are waited for, a few milliseconds, wherever servers leave before others come.
    assert log.duration_s == pytest.approx(lasts, abs=0.1)


def test_pods_that_leave_come_on_top() -> None:
    """Requests of 6 s keep old pods for up to 6 s longer, while two new ones come every second."""
    cluster = scene(8, 1.0, takes={"fixed": "6s"})
    log = only(play(cluster, ha.Rolling("api", at="20s", surge=2, unavailable=0), ha.Load(rate=40), over=60))
    leaving = log.leaving[:, 0]
    assert log.most_pods == 16 and leaving.max() == 8
    last = float(log.at_s[np.flatnonzero(leaving > 0)[-1] + 1])
    assert 24.0 + 5.0 < last <= 24.0 + 6.0 + 1e-6
    assert log.ready.sum(axis=1).min() == 8
    short = scene(8, 1.0, takes={"fixed": "6s"}, grace="2s")
    cut = only(play(short, ha.Rolling("api", at="20s", surge=2, unavailable=0), ha.Load(rate=40), over=60))
    assert cut.leaving[:, 0].max() == 4 and cut.most_pods == 14  # killed 2 s after they were asked: two pairs at most


# ---------------------------------------------------------------------------------- shares of canaries


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_weights_are_the_share_of_requests(share: float) -> None:
    upgrade = ha.Canary("api", at="1s", steps=[{"share": share, "bake": "200s"}])
    run = play(scene(4), upgrade, ha.Load(rate=20), over=200)
    found = met(run, only(run), 1.0, 200.0)
    happens(share, found["v2"], found["v1"] + found["v2"])


def test_pods_get_their_share_by_chance() -> None:
    upgrade = ha.Canary("api", at="1s", steps=[{"share": 0.5, "bake": "200s"}], traffic="pods")
    run = play(scene(4, lb={"policy": "random"}), upgrade, ha.Load(rate=20), over=200)
    found = met(run, only(run), 1.0, 200.0)
    happens(2 / 6, found["v2"], found["v1"] + found["v2"])
    assert only(run).exposure[-1] == pytest.approx(1 / 3)


def test_the_first_canaries_wait_for_their_share() -> None:
    cluster = scene(8, start_up={"exponential": "10s"})
    run = play(cluster, ha.Canary("api", steps=[{"share": 0.5, "bake": "20s"}]), ha.Load(rate=20), over=60)
    log = only(run)
    begins = log.when("bake begun")
    assert begins is not None and begins > 5.0
    assert met(run, log, 0.0, begins)["v2"] == 0
    assert set(log.exposure[log.at_s < begins]) == {0.0}


def test_each_bake_time_is_analysed_at_its_own_end() -> None:
    """Two steps of one share: what the first is too short for is found at the end of the second, and not within it."""
    steps = [{"share": 0.5, "bake": "20s"}, {"share": 0.5, "bake": "40s"}]
    upgrade = ha.Canary("api", steps=steps, release=ha.Release(bad=1, errors=0.003), analysis=ha.Analysis())
    told = [only(play(scene(4), upgrade, ha.Load(rate=50), over=70, seed=seed)).noticed_s for seed in range(20)]
    assert {None if at is None else round(at, 6) for at in told} <= {20.0, 60.0, None} and 60.0 in told


def test_an_analysis_of_nothing_turns_nothing_down() -> None:
    upgrade = ha.Canary("api", steps=[{"share": 0.5, "bake": "10s"}], release=bad(), analysis=ha.Analysis())
    for load in ((), (ha.Load(rate=10, begins="20s"),)):
        assert only(play(scene(4), upgrade, *load, over=30)).outcome == "rolled out"


# ------------------------------------------------------------------------------------------- switches


def test_each_client_follows_a_switch_after_a_time_of_its_own() -> None:
    """Requests that still go to blue come as the law's survival says: so many seconds after, an exponential."""
    clients = {"count": 200_000}
    upgrade = ha.BlueGreen("api", at="5s", keep="10m", client_propagation={"exponential": "10s"})
    run = play(scene(4), upgrade, ha.Load(rate=60, clients=clients), over=150)
    log = only(run)
    assert run.requests is not None
    after = run.requests.arrived_s - 5.0
    blue = after[(np.array(versions(run, log)) == "v1") & (after >= 0)]
    assert stats.kstest(blue, "expon", args=(0.0, 10.0)).pvalue > UNLIKELY
    expected = 1.0 - np.exp(-(log.at_s[1:] - 5.0) / 10.0)
    assert np.abs(log.exposure[1:] - expected).max() < 0.003  # in steps of one client in four hundred
    assert log.exposure_s == pytest.approx(145.0 - 10.0, abs=0.3)


def test_a_switch_back_finds_clients_that_have_not_heard_of_the_switch() -> None:
    """On green are those who have heard of the switch and not of the way back: (1 - S(t)) S(t - b), for any client."""
    now, law = [0.0], exponential(10.0)
    delays = np.random.default_rng(1).exponential(10.0, (2, 20_000))
    there = ClientLanes("v1", "v2", 0.0, law, lambda _: None, iter(delays[0]).__next__, lambda: now[0])
    for client in range(20_000):
        there.lane_for(client)
    back = ClientLanes("v2", "v1", 8.0, law, lambda _: None, iter(delays[1]).__next__, lambda: now[0], there)
    for at in (8.0, 12.0, 20.0, 50.0):
        now[0] = at
        green = sum(back.lane_for(client) == 0 for client in range(20_000))
        share = (1.0 - np.exp(-at / 10.0)) * np.exp(-(at - 8.0) / 10.0)
        assert back.share_of("v2", at) == pytest.approx(share) == 1.0 - back.share_of("v1", at)
        happens(float(share), green, 20_000)


def two_doors() -> ha.Cluster:
    """One pool behind two balancers."""
    pool = {"kind": "pool", "replicas": 2, "serving": {"takes": "1ms"}}
    doors = {name: {"kind": "balancer", "to": "api"} for name in ("east", "west")}
    return ha.Cluster(name="doors", parts={"api": pool, **doors}, services={"web": {"up": ["east"]}})


TWO_LOADS = (ha.Load(rate=0.02, to="east"), ha.Load(rate=0.02, to="west"))


def test_each_balancer_follows_a_switch_after_a_time_of_its_own() -> None:
    upgrade = ha.BlueGreen("api", at="1s", keep="10m", propagation={"exponential": "10s"})
    delays: list[float] = []
    for seed in range(150):
        log = only(play(two_doors(), upgrade, *TWO_LOADS, over=400, seed=seed))
        assert set(log.exposure) <= {0.0, 0.5, 1.0}
        delays += [float(log.at_s[np.flatnonzero(log.exposure >= share)[0]]) - 1.0 for share in (0.5, 1.0)]
    assert stats.kstest(delays, "expon", args=(0.0, 10.0)).pvalue > UNLIKELY


def test_a_switch_that_is_heard_late_does_not_undo_the_switch_back() -> None:
    """Who hears of the way back first never sends anybody to green: delays of U(0, 60 s), two seconds apart."""
    upgrade = ha.BlueGreen(
        "api", keep="10m", propagation={"uniform": {"low": "0s", "high": "60s"}}, orders=orders((2.0, "roll back"))
    )
    unharmed, runs = 0, 150
    loads = [ha.Load(rate=10, to=door, name=door, lasting="70s") for door in ("east", "west")]
    for seed in range(runs):
        run = play(two_doors(), upgrade, *loads, over=80, seed=seed)
        assert only(run).outcome == "rolled back" and only(run).exposure[-1] == 0.0
        assert run.requests is not None
        harmed = {int(load) for load in run.requests.load[run.requests.outcome != OK]}
        unharmed += 2 - len(harmed)
    chance = (58.0 / 60.0) ** 2 / 2.0
    assert unharmed >= 2 * runs * chance - STANDARD_ERRORS * (2 * runs * chance * (1.0 - chance)) ** 0.5


def test_sticky_connections_stay_on_blue_until_it_leaves() -> None:
    load = ha.Load(rate=30, clients={"count": 50, "connections": "sticky"})
    run = play(scene(4), ha.BlueGreen("api", at="20s", keep="30s"), load, over=100)
    log = only(run)
    assert run.requests is not None
    known = {int(user) for user in run.requests.user[run.requests.arrived_s < 20.0]}
    for user, at, version in zip(run.requests.user, run.requests.arrived_s, versions(run, log), strict=True):
        if int(user) in known:
            assert version == ("v1" if at < 50.0 else "v2")
    assert failed(run) == 0 and log.exposure[-1] == 1.0


def test_a_colour_with_a_store_of_its_own_loses_writes() -> None:
    load = ha.Load(rate=20, writes=0.4)
    lost = ha.BlueGreen("api", at="10s", warm="30s", keep="1m", state="own")
    run = play(scene(4, 2.0), lost, load, over=120)
    log, requests = only(run), run.requests
    assert requests is not None
    blue = requests.write & (requests.arrived_s >= 10.0) & (requests.ended_s < 42.0)
    assert log.when("switched") == pytest.approx(42.0)
    assert abs(log.lost_writes(requests) - np.count_nonzero(blue)) <= 1  # one may be under way
    shared = play(scene(4, 2.0), ha.BlueGreen("api", at="10s", warm="30s", keep="1m"), load, over=120)
    assert shared.requests is not None and only(shared).lost_writes(shared.requests) == 0


def test_tests_on_green_find_as_many_as_they_should_and_then_nobody_met_it() -> None:
    upgrade = ha.BlueGreen("api", tests="5s", catches=0.4, keep="10s", release=bad(0.5, 0.7))
    logs = []
    for seed in range(300):
        run = play(scene(2), upgrade, ha.Load(rate=2, lasting="15s"), over=20, seed=seed)
        log = only(run)
        logs.append(log)
        caught = log.when("noticed by tests") is not None
        assert (log.outcome == "rolled back") == caught == (log.bad and log.exposure_s == 0.0)
        if caught:
            assert run.requests is not None
            assert "v2" not in versions(run, log) and not (run.requests.outcome == ERROR).any()
    badly = [log for log in logs if log.bad]
    happens(0.5, len(badly), 300)
    happens(0.4, sum(log.outcome == "rolled back" for log in badly), len(badly))


# -------------------------------------------------------------------------------- bad releases, noticed


@pytest.mark.parametrize(
    ("replicas", "more", "rest"),
    [(10, {}, (8, 5)), (3, {"surge": 1, "unavailable": 0}, (3, 1)), (1, {}, (1, 1)), (4, {}, (3, 2))],
)
def test_pods_that_are_never_ready_stay_and_cost_what_may_be_unavailable(
    replicas: int, more: dict[str, Any], rest: tuple[int, int]
) -> None:
    upgrade = ha.Rolling("api", release=NEVER, detection=noticed(5.0), progress_deadline="60s", **more)
    log = only(play(scene(replicas, 2.0), upgrade, ha.Load(rate=5), over=300))
    assert (int(log.ready[-1, 0]), int(log.starting[-1, 1])) == rest
    assert log.outcome == "under way" and log.when("rollback begun") is None and log.exposure_s == 0.0
    assert log.when("progress deadline exceeded") == pytest.approx(61.0, abs=1e-3)


def test_a_stall_that_counts_is_rolled_back() -> None:
    stall = noticed(5.0, on_stall=True)
    upgrade = ha.Rolling("api", release=NEVER, detection=stall, progress_deadline="60s")
    log = only(play(scene(10, 2.0), upgrade, over=300))
    assert log.when("noticed by its stall") == log.when("rollback begun") == pytest.approx(61.0, abs=1e-3)
    assert log.outcome == "rolled back" and log.ended_s == pytest.approx(63.0, abs=1e-3)


def test_people_take_their_time() -> None:
    detection = noticed(20.0, rollback="human", decide={"exponential": "30s"})
    upgrade = ha.Rolling("api", release=bad(), detection=detection)
    waits = []
    for seed in range(200):
        log = only(play(scene(4), upgrade, over=900, seed=seed))
        begun = log.when("rollback begun")
        assert begun is not None and log.noticed_s == pytest.approx(20.0)
        waits.append(begun - 20.0)
    agrees(30.0, waits)
    assert stats.kstest(waits, "expon", args=(0.0, 30.0)).pvalue > UNLIKELY


def test_what_is_slow_to_show_is_found_after_the_end() -> None:
    """One bad release in five needs hours; it is rolled back all the same."""
    law = ha.Mixture(parts=((0.8, exponential(5.0)), (0.2, ha.Exponential(mean="2h"))))
    upgrade = ha.Rolling("api", surge=1, unavailable=0, release=bad(), detection=ha.Detection(takes=law))
    logs = [only(play(scene(4, 10.0), upgrade, over=200_000, seed=seed)) for seed in range(200)]
    late = [log for log in logs if log.noticed_s is not None and log.when("rolled out") is not None]
    happens(float(law.survival(30.0)), len(late), 200)  # three more pods after the first
    assert all(log.outcome == "rolled back" and log.duration_s > 40.0 for log in late)


def test_nobody_meets_a_version_before_it_listens() -> None:
    """A balancer that looks late goes on sending to addresses; a new pod has one of its own."""
    cluster = scene(4, 5.0, lb={"view_delay": "1s"})
    run = play(cluster, ha.Rolling("api", at="10s", release=bad(), detection=noticed(20.0)), ha.Load(rate=50), over=120)
    log = only(run)
    assert log.first_met_s == pytest.approx(16.0) and log.noticed_s == pytest.approx(36.0)
    assert met(run, log, 10.0, 15.9)["v2"] == 0


# --------------------------------------------------------------------------- orders, and one after another


def test_orders_are_obeyed() -> None:
    one = {"surge": 1, "unavailable": 0}
    paused = only(play(scene(4, 2.0), ha.Rolling("api", **one, orders=orders((3, "pause"), (33, "resume"))), over=100))
    assert paused.duration_s == pytest.approx(33.0 + 4.0, abs=1e-3)
    more = only(play(scene(4, 2.0), ha.Rolling("api", **one, orders=orders((3, "scale", 7))), over=100))
    assert more.outcome == "rolled out" and more.ready[-1].sum() == 7
    fewer = only(play(scene(4, 2.0), ha.Rolling("api", **one, orders=orders((3, "scale", 0))), over=100))
    assert fewer.ready[-1].sum() == 0
    back = only(play(scene(4, 2.0), ha.Rolling("api", **one, orders=orders((5, "roll back"))), over=100))
    assert back.outcome == "rolled back" and versions_at_end(back) == {"v1"}
    again = ha.Rolling("api", **one, orders=orders((5, "roll back"), (30, "retry")))
    assert versions_at_end(only(play(scene(4, 2.0), again, over=100))) == {"v2"}
    late = only(play(scene(4, 2.0), ha.Rolling("api", **one, orders=orders((50, "roll back"))), over=55))
    assert late.outcome == "under way" and late.when("rolled out") is not None


def test_a_canary_that_is_paused_bakes_on() -> None:
    steps = [{"share": 0.25, "bake": "10s"}, {"share": 0.5, "bake": "10s"}]
    log = only(play(scene(4), ha.Canary("api", steps=steps, orders=orders((5, "pause"), (60, "resume"))), over=100))
    assert [round(at) for at, said in log.facts if said == "bake begun"] == [0, 60]
    assert log.ended_s == pytest.approx(70.0, abs=1e-3)


def test_blue_that_is_gone_is_started_anew_before_requests_go_back() -> None:
    upgrade = ha.BlueGreen("api", keep="5s", orders=orders((50, "roll back")))
    run = play(scene(4, start_up={"exponential": "8s"}), upgrade, ha.Load(rate=20), over=150)
    log = only(run)
    switches = [at for at, said in log.facts if said == "switched"]
    assert log.outcome == "rolled back" and len(switches) == 2
    assert met(run, log, 50.0, switches[1] - 0.1)["v1"] == 0 and failed(run) == 0


STRATEGIES: list[tuple[type[Upgrade], dict[str, Any]]] = [
    (ha.Rolling, {}),
    (ha.Recreate, {}),
    (ha.Ordered, {}),
    (ha.InPlace, {}),
    (ha.AllAtOnce, {}),
    (ha.BlueGreen, {"keep": "5s", "propagation": {"fixed": "2s"}}),
    (ha.BlueGreen, {"client_propagation": {"fixed": "60s"}}),
    (ha.Canary, {"steps": [{"share": 0.5, "bake": "5s"}]}),
    (ha.Window, {"lasting": "5s"}),
]


@pytest.mark.parametrize("first", STRATEGIES, ids=lambda each: each[0].__name__)
@pytest.mark.parametrize("second", STRATEGIES, ids=lambda each: each[0].__name__)
def test_any_two_upgrades_of_a_pool_come_one_after_the_other(
    first: tuple[type[Upgrade], dict[str, Any]], second: tuple[type[Upgrade], dict[str, Any]]
) -> None:
    """And when both are over everything goes to the last version, which all pods are."""
    one = first[0]("api", at="5s", name="one", **first[1])
    two = second[0]("api", at="6s", name="two", release=ha.Release(version="v3"), **second[1])
    run = play(scene(3, 2.0), one, two, ha.Load(rate=5, lasting="115s"), over=120)
    before, after = run.upgrades["one"], run.upgrades["two"]
    assert before.outcome == after.outcome == "rolled out"
    assert before.ended_s is not None and after.began_s >= max(before.ended_s, 6.0)
    assert versions_at_end(after) == {"v3"} and after.old == "v2"
    assert run.requests is not None
    assert set(met(run, after, 80.0, 114.0)) == {"v2", "v3"} and met(run, after, 80.0, 114.0)["v2"] == 0
    assert not (run.requests.outcome[(run.requests.arrived_s > 80.0) & (run.requests.arrived_s < 114.0)] != 0).any()


def test_it_is_too_late_for_orders_once_the_next_upgrade_has_begun() -> None:
    one = ha.Rolling("api", name="one", orders=orders((31, "roll back")))
    two = ha.Rolling("api", name="two", at="30s", release=ha.Release(version="v3"))
    run = play(scene(4, 2.0), one, two, over=100)
    assert run.upgrades["one"].outcome == "rolled out" and versions_at_end(run.upgrades["two"]) == {"v3"}


def test_a_bad_release_is_dealt_with_before_the_next() -> None:
    detection = noticed(40.0, rollback="human", decide={"fixed": "10s"})
    one = ha.Rolling("api", name="one", release=bad(), detection=detection)
    two = ha.Rolling("api", name="two", at="20s")
    run = play(scene(4, 2.0), one, two, over=100)
    first, second = run.upgrades["one"], run.upgrades["two"]
    assert first.outcome == "rolled back" and second.began_s == first.ended_s == pytest.approx(56.0, abs=1e-3)
    assert (second.old, second.new, second.outcome) == ("v1", "v2'", "rolled out")
    assert first.exposure[-1] == 0.0  # the second of its name is another one


def test_a_decision_that_outlasts_the_rollout_is_waited_for() -> None:
    """It is noticed in the middle, rolled out, and rolled back 30 s after it was noticed; then comes the next."""
    detection = noticed(3.0, rollback="human", decide={"fixed": "30s"})
    one = ha.Rolling("api", name="one", surge=1, unavailable=0, release=bad(), detection=detection)
    run = play(scene(4, 2.0), one, ha.Rolling("api", name="two", at="5s"), over=100)
    first, second = run.upgrades["one"], run.upgrades["two"]
    assert first.when("rolled out") == pytest.approx(8.0, abs=1e-3)
    assert first.when("rollback begun") == pytest.approx(35.0, abs=1e-3)
    assert first.outcome == "rolled back" and second.began_s == first.ended_s == pytest.approx(43.0, abs=1e-3)


def test_two_pools_are_upgraded_at_once() -> None:
    parts: dict[str, Any] = {
        name: {"kind": "pool", "replicas": 3, "serving": {"takes": "1ms", "start_up": {"fixed": "2s"}}}
        for name in ("api", "web")
    }
    parts |= {f"{name} lb": {"kind": "balancer", "to": name} for name in ("api", "web")}
    cluster = ha.Cluster(name="two", parts=parts, services={"all": {"up": ["api lb", "web lb"]}})
    loads = [ha.Load(rate=5, to=f"{name} lb") for name in ("api", "web")]
    run = play(cluster, ha.Rolling("api", at="5s"), ha.Rolling("web", at="5s"), *loads, over=60)
    assert {log.part for log in run.upgrades.values()} == {"api", "web"} and failed(run) == 0
    assert all(log.outcome == "rolled out" and log.duration_s == pytest.approx(6.0) for log in run.upgrades.values())


# --------------------------------------------------------------------------------------- who looks how


@pytest.mark.parametrize(
    ("lb", "clients"),
    [
        ({}, {}),
        ({"view_delay": "1s", "retries": 3, "redispatch": True}, {}),
        ({"check": {"interval": "1s"}, "redispatch": True}, {}),
        (None, {}),
        (None, {"count": 50, "dns": {"ttl": "1s"}}),
    ],
    ids=["told", "endpoints", "checks", "by name", "dns"],
)
def test_a_hook_that_outlasts_the_news_loses_nothing(lb: dict[str, Any] | None, clients: dict[str, Any]) -> None:
    """Whoever learns late of pods that leave still finds them, for as long as their hook keeps them."""
    serving = {"takes": "5ms", "slots": 50, "start_up": {"fixed": "3s"}}
    waits = {**serving, "pre_stop": "8s", "grace": "20s"}
    lost = []
    for served in (serving, waits):
        parts: dict[str, Any] = {"api": {"kind": "pool", "replicas": 4, "serving": served}}
        if lb is not None:
            parts["lb"] = {"kind": "balancer", "to": "api", **lb}
        cluster = ha.Cluster(name="door", parts=parts, services={"web": {"up": list(parts)[-1:]}})
        load = ha.Load(rate=50, clients=clients)
        run = play(cluster, ha.Rolling("api", at="10s", surge=1, unavailable=0), load, over=100)
        assert only(run).outcome == "rolled out" and only(run).exposure[-1] == pytest.approx(1.0)
        lost.append(failed(run))
    assert lost[1] == 0
    if clients:
        assert lost[0] > 0  # who has looked the name up a second ago finds nobody there


def test_what_starts_slowly_takes_longer() -> None:
    slow = ha.Release(start_up={"fixed": "9s"})
    log = only(play(scene(4, 2.0), ha.Rolling("api", surge=1, unavailable=0, release=slow), over=100))
    assert log.duration_s == pytest.approx(36.0, abs=1e-3)
    back = ha.Rolling("api", surge=1, unavailable=0, release=slow, orders=orders((50, "roll back")))
    assert only(play(scene(4, 2.0), back, over=100)).duration_s == pytest.approx(58.0, abs=1e-3)


def latency(run: ha.Run, start: float, end: float) -> Floats:
    assert run.requests is not None
    part = run.requests.between(start, end)
    return part.latency_s


def test_a_slow_release_is_slow_while_it_is_there() -> None:
    cluster = scene(4, 1.0, takes={"fixed": "10ms"})
    release = ha.Release(bad=1, errors=0.0, slower=5)
    upgrade = ha.Rolling("api", at="20s", release=release, detection=noticed(30.0))
    run = play(cluster, upgrade, ha.Load(rate=50), over=100)
    assert np.quantile(latency(run, 0.0, 19.0), 0.99) == pytest.approx(0.01, abs=1e-6)
    assert np.quantile(latency(run, 25.0, 45.0), 0.5) == pytest.approx(0.05, abs=1e-6)
    assert np.quantile(latency(run, 60.0, 99.0), 0.99) == pytest.approx(0.01, abs=1e-6)
    full = scene(4, 1.0, takes={"fixed": "10ms"}, slots=1)  # 70 % busy before, 350 % with it
    run = play(full, upgrade, ha.Load(rate=280), over=100)
    assert latency(run, 40.0, 45.0).min() > 1.0 and np.quantile(latency(run, 90.0, 99.0), 0.99) < 1.0
