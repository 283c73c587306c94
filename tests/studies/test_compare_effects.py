"""Ways to have effects once, side by side: each keeps what it promises, and costs what it says."""

from __future__ import annotations

from typing import Any

import pytest

import hasim as ha

SOON = {"kind": "systemd", "wait": "1s", "burst": 0}


def cluster(**more: Any) -> ha.Cluster:
    jobs = {
        "kind": "queue",
        "workers": 30,
        "delivery": {"ack_deadline": "2s"},
        "work": {"takes": "1s", "crash": "10s"},
        "restart": SOON,
        **more,
    }
    return ha.Cluster(name="effects", parts={"jobs": jobs}, up=["jobs"], loads={"jobs": {"to": "jobs", "rate": 5}})


@pytest.fixture(scope="module")
def table() -> Any:
    return ha.compare_effects(cluster(), over="800s", seed=1)


def test_who_loses_and_who_doubles(table: Any) -> None:
    assert table.loc["at most once", "lost"] > 0.05 and table.loc["at most once", "duplicated"] == 0
    assert table.loc["at least once", "lost"] == 0 and table.loc["at least once", "duplicated"] > 0.05
    for design in ("key with effect", "transaction", "two-phase commit"):
        assert table.loc[design, "once"] == 1.0, design
    assert table.loc["key before effect", "duplicated"] == 0 and table.loc["effect before key", "lost"] == 0
    assert table.loc["effect before key", "duplicated"] < 0.1 * table.loc["at least once", "duplicated"]


def test_what_they_cost(table: Any) -> None:
    assert table["round_trips"].to_dict() == {
        "at most once": 1,
        "at least once": 1,
        "key before effect": 2,
        "effect before key": 3,
        "key with effect": 1,
        "outbox, key with effect": 1,
        "fence": 1,
        "transaction": 1,
        "two-phase commit": 2,
    }
    assert table.loc["two-phase commit", "forced_writes"] == 5
    assert table.loc["key with effect", "store_bytes"] == 100 * round(table.loc["key with effect", "store_bytes"] / 100)
    assert table.loc["key with effect", "store_bytes"] > 0.9 * 100 * 800 * 5
    assert table.loc["two-phase commit", "in_doubt_s"] > 0 and table.loc["transaction", "in_doubt_s"] == 0
    assert "relay" in table.loc["outbox, key with effect", "needs"]
    waits = table.loc["outbox, key with effect", "latency_s"] - table.loc["key with effect", "latency_s"]
    assert waits == pytest.approx(0.5, abs=0.05)  # half of a look
    # At most once never does anything again; whoever acks later waits for deadlines after crashes.
    assert table.loc["at most once", "executions"] == 1.0
    assert table.loc["at least once", "latency_s"] > table.loc["at most once", "latency_s"]


def test_transactions_at_an_interval_wait_for_half_of_it() -> None:
    calm = cluster(work={"takes": "200ms"}, delivery={"ack_deadline": "1m"})
    kinds = {"each": {"effect": "transaction"}, "batched": {"effect": {"kind": "transaction", "every": "100ms"}}}
    found = ha.compare_effects(calm, over="400s", seed=2, designs=kinds)
    assert found.loc["batched", "latency_s"] - found.loc["each", "latency_s"] == pytest.approx(0.05, abs=0.004)


def test_a_window_that_is_too_short_leaks_and_one_that_is_long_enough_does_not() -> None:
    kinds = {window: {"effect": {"kind": "key", "window": window}} for window in ("100ms", "1h")}
    found = ha.compare_effects(cluster(), over="400s", seed=3, designs=kinds)
    assert found.loc["100ms", "duplicated"] > 0.02 and found.loc["1h", "duplicated"] == 0.0


def test_tasks_in_doubt_are_locked_until_their_coordinator_is_back() -> None:
    model = cluster(effect="two_phase", workers=4, work={"takes": {"fixed": "1s"}}, latency={"fixed": "50ms"})
    one = ha.Load({"kind": "replay", "times": [0.5]})
    alone = model.replace("loads", {})
    # It has sent its votes' requests at 1.6 s and dies before it can decide: both halves wait for it.
    dies = ha.Crash("jobs-1", at="1.68s", lasting="30s")
    log = ha.simulate(alone.during(one, dies), over="2m", seed=1).tasks["jobs"]
    assert log.effects.tolist() == [1] and log.done_s[0] > 31
    assert log.in_doubt[0, 1] - log.in_doubt[0, 0] > 29


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ha.compare_effects(cluster(), queue="job"), "did you mean 'jobs'"),
        (lambda: ha.compare_effects(cluster().replace("loads", {})), "no task came to jobs"),
        (lambda: ha.compare_effects(cluster(), designs={"x": {"effect": "keys"}}), "did you mean 'key'"),
        (lambda: ha.compare_effects(cluster(), over="soon"), "over"),
        (lambda: ha.compare_effects(3), "takes a Cluster"),
        (lambda: ha.compare_effects(cluster(), 3), "got 3"),
        (lambda: ha.compare_effects(cluster(), designs={"a": 3}), "fields of the queue by name"),
        (
            lambda: ha.compare_effects(cluster(), designs={"a": {"delivery": None, "work": None}}),
            "takes `delivery` and `work`",
        ),
        (lambda: ha.compare_effects(cluster(), designs={"a": {"prefetch": 0}}), "designs.a.prefetch"),
    ],
)
def test_mistakes_are_named(call: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        call()
