"""Tasks of a queue in a cluster: closed forms, the three engines against one another, faults, hosts and brokers."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.checks.tasks import effect_once
from hasim.results.tasks import TaskLog

SOON = {"kind": "systemd", "wait": "10ms", "burst": 0}


def cluster(workers: int = 60, **more: Any) -> ha.Cluster:
    queue = {
        "kind": "queue",
        "workers": workers,
        "delivery": {"ack_deadline": "1s"},
        "work": {"takes": "1s"},
        "restart": SOON,
        "latency": "1us",
        **more,
    }
    return ha.Cluster(name="tasks", parts={"jobs": queue}, up=["jobs"])


def played(model: ha.Cluster, rate: float = 10.0, over: str = "800s", seed: int = 1, *events: Any) -> TaskLog:
    return ha.simulate(model.during(ha.Load(rate, to="jobs"), *events), over=over, seed=seed).tasks["jobs"]


def agrees(found: ha.Estimate | None, exact: float, errors: float = 4.5, digits: float = 0.0) -> None:
    """Within so many standard errors of a value, which was given with so many digits."""
    assert found is not None
    assert abs(found.value - exact) < errors * error_of(found) + digits


def error_of(found: ha.Estimate) -> float:
    """Its standard error, or where nothing was seen the bound that this leaves."""
    return found.standard_error or max(found.high - found.value, found.value - found.low)


# ------------------------------------------------------------------------------------------- closed forms


# Executions a task, duplicates and mean time until done, of exponential work of 1 s: what is known in closed form.
@pytest.mark.parametrize(
    ("deadline", "crash", "executions", "duplicates", "done_after"),
    [
        ("1s", None, 1.4202, 0.4202, None),
        ("3s", None, 1.0499, 0.0499, None),
        ("1s", "20s", 1.449, 0.380, None),
        ("3s", "20s", 1.093, 0.041, None),
        ("10s", "20s", 1.050, 0.000, 1.45),
    ],
)
def test_a_task_fares_as_the_closed_forms_say(
    deadline: str, crash: str | None, executions: float, duplicates: float, done_after: float | None
) -> None:
    work = {"takes": "1s"} if crash is None else {"takes": "1s", "crash": crash}
    figures = played(cluster(delivery={"ack_deadline": deadline}, work=work)).figures()
    agrees(figures.executions, executions, digits=5e-4)
    agrees(figures.duplicates, duplicates, digits=5e-4)
    if done_after is not None:
        agrees(figures.done_after_s, done_after, digits=5e-3)


@pytest.mark.parametrize(
    ("deadline", "same", "executions"),
    [("3s", 0.0, 1.056), ("10s", 0.0, 1.0025), ("3s", 1.0, 1.072), ("10s", 1.0, 1.0028)],
)
def test_slowness_may_belong_to_the_task(deadline: str, same: float, executions: float) -> None:
    takes = {"lognormal": {"mean": "1s", "sigma": 1.0}}
    model = cluster(delivery={"ack_deadline": deadline}, work={"takes": takes, "same": same})
    agrees(played(model, over="1500s").figures().executions, executions, digits=5e-4)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"delivery": {"ack_deadline": "1s", "late_ack": "rejected"}},
    {"delivery": {"ack_deadline": "1s", "late_ack": "unless_taken"}},
    {"delivery": {"ack_deadline": "700ms", "max_receives": 2}},
    {
        "delivery": {"ack_deadline": "700ms", "late_ack": "rejected", "max_receives": 3},
        "work": {"takes": "1s", "crash": "5s"},
    },
    {"delivery": {"ack_deadline": "2s"}, "work": {"takes": "1s", "crash": "4s"}},
    {"delivery": {"ack_deadline": "2s"}, "work": {"takes": "1s", "crash": "4s"}, "renew": "300ms"},
    {"delivery": {"ack_deadline": "2s", "frees_lost": True}, "work": {"takes": "1s", "crash": "4s"}, "renew": "300ms"},
    {
        "delivery": {"ack_deadline": "1s", "frees_lost": True, "late_ack": "unless_taken"},
        "work": {"takes": "1s", "crash": "3s"},
    },
    {"delivery": {"ack_deadline": "1s", "max_receives": 5}, "work": {"takes": "1s", "same": 0.5}},
    {"delivery": {"ack_deadline": "1s"}, "work": {"takes": "1s", "same": 1.0}},
    {"delivery": {"ack_deadline": "1s", "max_receives": 4}, "work": {"takes": "1s", "same": 1.0, "crash": "3s"}},
    {"delivery": {"ack_deadline": "2s", "max_receives": 3}, "work": {"takes": "1s", "poison": "10%"}},
    {"delivery": {"ack_deadline": "2s", "max_receives": 3}, "work": {"takes": "1s", "crash": "3s", "poison": "20%"}},
    {"acks": "before", "work": {"takes": "1s", "crash": "4s"}},
    {"effect": "key"},
    {"effect": "fence"},
    {"effect": "two_phase"},
    {"effect": "transaction", "delivery": {"ack_deadline": "1s", "late_ack": "rejected", "max_receives": 2}},
    {"effect": "two_phase", "delivery": {"ack_deadline": "1s", "max_receives": 2}},
    {"effect": "fence", "delivery": {"ack_deadline": "1s", "max_receives": 2}, "work": {"takes": "1s", "crash": "2s"}},
    {"effect": "transaction"},
]
KNOWN = ("executions", "duplicates", "lost", "dead_letters", "done_after_s", "worker_s")


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_the_three_engines_agree(fields: dict[str, Any]) -> None:
    model = cluster(**fields)
    exact = ha.solve(model).tasks["jobs"]
    sampled = ha.estimate(model, runs=1, seed=3, tasks=200_000).tasks["jobs"]
    lived = played(model, over="600s").figures()
    for name in KNOWN:
        known = getattr(exact, name)
        if known is None:
            continue
        for engine, slack in (
            (sampled, 1e-9),
            (lived, 0.004),
        ):  # some ways of a microsecond, and results of a millisecond
            found = getattr(engine, name)
            assert found is not None, name
            seen = (name, engine is lived, found, known.value)
            assert abs(found.value - known.value) < 4.5 * error_of(found) + slack, seen


def test_lists_of_deadlines_and_windows_are_sampled_as_they_are_played() -> None:
    for fields in (
        {"delivery": {"ack_deadline": "1s", "backoff": ["500ms", "2s", "1s"]}},
        {"delivery": {"ack_deadline": "300ms"}, "effect": {"kind": "key", "window": "500ms"}},
        {"delivery": {"ack_deadline": "1s", "frees_lost": True}, "work": {"takes": "1s", "crash": "2s"}},
        {"delivery": {"ack_deadline": "2s"}, "work": {"takes": "1s", "fails": "30%"}, "nack_delay": "500ms"},
        {"delivery": {"ack_deadline": "2s"}, "work": {"takes": "1s", "fails": "30%", "crash": "5s"}, "renew": "500ms"},
    ):
        model = cluster(**fields)
        sampled = ha.estimate(model, runs=1, seed=3, tasks=200_000).tasks["jobs"]
        lived = played(model, over="600s").figures()
        assert "jobs" not in ha.solve(model).tasks
        for name in ("executions", "duplicates", "done_after_s"):
            a, b = getattr(sampled, name), getattr(lived, name)
            assert abs(a.value - b.value) < 4.5 * np.hypot(error_of(a), error_of(b)) + 0.004, name


# --------------------------------------------------------------------------------------------- a cluster


def test_no_tasks_and_one_worker() -> None:
    assert ha.simulate(cluster(workers=1), over="1m", seed=1).tasks == {}
    log = played(
        cluster(workers=1, delivery={"ack_deadline": "1h"}, work={"takes": {"fixed": "1s"}}), rate=0.5, over="2000s"
    )
    # M/D/1: the mean wait is rho / (2 (1 - rho)) services.
    wait = log.figures().wait_s
    assert wait is not None and abs(wait.value - 0.5) < 5 * (wait.standard_error or 0)
    assert np.all(log.executions[log.settled] == 1)


def test_a_paused_worker_is_the_zombie_whose_work_is_done_twice() -> None:
    model = cluster(workers=2, delivery={"ack_deadline": "5s"}, work={"takes": {"fixed": "2s"}}, renew="1s")
    load = ha.Load({"kind": "replay", "times": [0.5]})
    run = ha.simulate(model.during(load, ha.Pause("jobs-1", at="1s", lasting="20s")), over="1m", seed=1)
    log = run.tasks["jobs"]
    assert log.effects.tolist() == [2] and log.executions.tolist() == [2]
    assert log.done_s[0] == pytest.approx(0.5 + 5 + 2, abs=0.01)
    found = effect_once(run.trace)
    assert len(found) == 1 and "again" in found[0].what
    keyed = model.replace("jobs.effect", "key")
    run = ha.simulate(keyed.during(load, ha.Pause("jobs-1", at="1s", lasting="20s")), over="1m", seed=1)
    assert run.tasks["jobs"].executions.tolist() == [2] and effect_once(run.trace) == []


def test_renewal_keeps_long_tasks_where_nothing_sleeps() -> None:
    model = cluster(delivery={"ack_deadline": "1s"}, work={"takes": "5s"}, renew="300ms")
    log = played(model, rate=2.0)
    assert np.all(log.executions[log.settled] == 1)


def test_with_renewal_only_silence_longer_than_the_deadline_costs_a_task() -> None:
    # Pauses come nu = 1/52 a second, exponential with a mean of 2 s; the last renewal was up to a second before.
    work = {"takes": {"fixed": "20s"}, "pauses": {"every": "50s", "lasting": "2s"}}
    model = cluster(workers=20, delivery={"ack_deadline": "3s"}, work=work, renew="1s")
    log = played(model, rate=0.5, over="10000s")
    since = np.linspace(0.0, 1.0, 10_001)
    rate = float(np.exp(-(3.0 - since) / 2.0).mean()) / 52.0
    expired = log.counts["task expired"]
    assert abs(expired - rate * log.worked_s.sum()) < 4.5 * sqrt(expired)
    assert "jobs" not in ha.solve(model).tasks


def test_a_slow_worker_is_too_slow_for_its_deadline() -> None:
    model = cluster(workers=1, delivery={"ack_deadline": "3s"}, work={"takes": {"fixed": "1s"}})
    load = ha.Load({"kind": "replay", "times": [0.5, 20.0]})
    run = ha.simulate(model.during(load, ha.SlowServer("jobs-1", at="0s", lasting="10s", factor=4)), over="1m", seed=1)
    assert run.tasks["jobs"].counts["task expired"] == 1
    assert run.tasks["jobs"].effect_s == pytest.approx([4.5, 21.0], abs=0.01)


def test_a_worker_whose_host_falls_loses_its_task_to_another() -> None:
    parts = {
        "jobs": {
            "kind": "queue",
            "workers": 2,
            "on": ["n-1", "n-2"],
            "delivery": {"ack_deadline": "30s", "frees_lost": True},
            "work": {"takes": {"fixed": "10s"}},
            "latency": {"fixed": "1ms"},
        }
    }
    model = ha.Cluster(name="hosts", topology={"hosts": ["n-1", "n-2"]}, parts=parts, up=["jobs"])
    load = ha.Load({"kind": "replay", "times": [1.0]})
    for fault, done in (
        (ha.Crash("jobs-1", at="5s", lasting="1m"), 15.0),
        (ha.PowerLoss("n-1", at="5s", lasting="1m"), 41.0),
    ):
        # A killed process breaks its connection; a host without power says nothing, and the deadline has to pass.
        log = ha.simulate(model.during(load, fault), over="2m", seed=1).tasks["jobs"]
        assert log.done_s == pytest.approx([done], abs=0.05) and log.executions.tolist() == [2]


def test_a_host_without_power_is_missed_by_its_heartbeats() -> None:
    parts = {
        "jobs": {
            "kind": "queue",
            "workers": 2,
            "on": ["n-1", "n-2"],
            "delivery": "rabbitmq",
            "work": {"takes": {"fixed": "10s"}},
            "latency": {"fixed": "1ms"},
        }
    }
    model = ha.Cluster(name="hosts", topology={"hosts": ["n-1", "n-2"]}, parts=parts, up=["jobs"])
    load = ha.Load({"kind": "replay", "times": [31.0]})
    run = ha.simulate(model.during(load, ha.PowerLoss("n-1", at="35s", lasting="10m")), over="5m", seed=1)
    # The last beat came up to 30 s before, and 60 s after it the connection is given up.
    assert 5 + 60 + 10 <= run.tasks["jobs"].done_s[0] <= 35 + 60 + 10.1
    # Who merely sleeps is told that the channel is closed, and what it did in its sleep is not worth anything.
    run = ha.simulate(model.during(load, ha.Pause("jobs-1", at="35s", lasting="2m")), over="5m", seed=1)
    log = run.tasks["jobs"]
    assert log.effects.tolist() == [2] and log.counts["ack refused"] == 1
    assert 75 <= log.done_s[0] <= 105.1


def test_automatic_acks_never_do_anything_twice() -> None:
    model = cluster(workers=2, delivery={"ack_deadline": "2s"}, work={"takes": {"fixed": "1s"}}, acks="before")
    pauses = [ha.Pause("jobs-1", at=f"{at}s", lasting="10s") for at in (5, 40, 80)]
    log = played(model, 1.0, "2m", 3, *pauses)
    assert log.effects.max() == 1 and log.executions.max() == 1


def test_tasks_wait_while_the_broker_is_away_and_none_is_lost() -> None:
    parts = {
        "rabbit": {"kind": "unit"},
        "jobs": {
            "kind": "queue",
            "workers": 20,
            "needs": "rabbit",
            "delivery": {"ack_deadline": "10s"},
            "work": {"takes": "1s"},
        },
    }
    model = ha.Cluster(name="broker", parts=parts, up=["jobs"])
    load = ha.Load(5, to="jobs", lasting="2m")
    run = ha.simulate(model.during(load, ha.Crash("rabbit", at="30s", lasting="20s")), over="5m", seed=4)
    log = run.tasks["jobs"]
    assert bool(np.all(log.settled)) and int((log.effects == 0).sum()) == 0
    away = (log.arrived_s > 31) & (log.arrived_s < 49)
    assert np.all(log.stored_s[away] >= 50.0)
    memory = model.replace("jobs.delivery.durable", False)
    log = ha.simulate(memory.during(load, ha.Crash("rabbit", at="30s", lasting="20s")), over="5m", seed=4).tasks["jobs"]
    assert 0 < int((~np.isnan(log.gone_s)).sum()) < 30


def test_planned_windows_and_failures_take_workers_and_tasks_are_done_all_the_same() -> None:
    model = ha.Cluster(
        name="aging",
        failures={"jobs": {"mtbf": "2m", "mttr": "20s"}},
        parts={
            "jobs": {
                "kind": "queue",
                "workers": 4,
                "delivery": {"ack_deadline": "5s"},
                "work": {"takes": "1s"},
                "effect": "key",
            }
        },
        up=["jobs"],
    )
    run = ha.simulate(model.during(ha.Load(1.5, lasting="55m")), over="1h", seed=2)
    log = run.tasks["jobs"]
    assert bool(np.all(log.settled)) and log.effects.tolist() == [1] * len(log)
    assert effect_once(run.trace) == []


@pytest.mark.parametrize("system", ["sqs", "sqs_fifo", "rabbitmq", "jetstream", "celery_redis", "pubsub", "kafka"])
def test_real_queues_by_name_do_all_tasks_once_when_nothing_happens(system: str) -> None:
    delivery: Any = {"system": "kafka", "partitions": 8} if system == "kafka" else system
    model = cluster(workers=8, delivery=delivery, work={"takes": "100ms"}, effect="key")
    if system == "sqs_fifo":
        model = model.replace("jobs.producer", {"groups": 50})
    log = played(model, rate=10.0, over="60s")
    settled = log.settled
    assert settled.sum() > 0.9 * len(log)
    assert np.all(log.executions[settled] == 1) and np.all(log.effects[settled] == 1)


def test_groups_in_order_make_tasks_wait_for_one_another() -> None:
    model = cluster(
        delivery={"ack_deadline": "1m", "ordered": True}, producer={"groups": 5}, work={"takes": {"fixed": "1s"}}
    )
    log = played(model, rate=2.5, over="400s")
    wait = log.figures().wait_s
    # Each group is M/D/1 with a load of one half, however many workers there are.
    assert wait is not None and abs(wait.value - 0.5) < 5 * (wait.standard_error or 0)


def test_poison_goes_round_until_it_is_a_dead_letter_or_for_ever() -> None:
    model = cluster(work={"takes": "1s", "poison": "10%"}, delivery={"ack_deadline": "2s", "max_receives": 3})
    figures = ha.solve(model).tasks["jobs"]
    assert figures.lost is not None and figures.lost.value == pytest.approx(0.1)
    log = played(model)
    assert log.counts["dead letter"] > 0.9 * 0.1 * len(log)
    endless = model.replace("jobs.delivery", {"ack_deadline": "2s"})
    assert "jobs" not in ha.solve(endless).tasks
    log = played(endless, rate=1.0, over="200s")
    assert not np.any(log.effects[log.executions > 30]) and np.any(log.executions > 30)
    # In a partition nothing passes it.
    kafka = model.replace("jobs.delivery", {"system": "kafka", "partitions": 1})
    log = played(kafka, rate=1.0, over="30m")
    first = int(np.flatnonzero(np.isnan(log.effect_s))[0])
    assert not log.effects[first:].any()


def test_errors_bring_a_task_back_after_its_delay() -> None:
    # Attempts of a second that fail in half of the cases: a geometric number of them, with two seconds in between.
    work = {"takes": {"fixed": "1s"}, "fails": "50%"}
    model = cluster(delivery={"ack_deadline": "1m"}, work=work, nack_delay="2s")
    log = played(model, rate=5.0)
    agrees(log.figures().executions, 2.0)
    agrees(log.figures().done_after_s, 1.0 + 3.0, digits=0.01)
    assert log.counts["work failed"] > 0.9 * len(log) and log.figures().duplicates.value == 0  # type: ignore[union-attr]


def test_dead_letters_that_are_put_back_late_find_their_keys_forgotten() -> None:
    delivery = {"ack_deadline": "1s", "late_ack": "rejected", "max_receives": 2, "redrive": "1h"}
    # Attempts of 1.5 s: each has its effect, none acks in time, and an hour later all begins again.
    base = cluster(delivery=delivery, work={"takes": {"fixed": "1.5s"}})
    load = ha.Load({"kind": "replay", "times": [1.0]})
    for window, effects in (("5m", 2), ("24h", 1)):
        model = base.replace("jobs.effect", {"kind": "key", "window": window})
        log = ha.simulate(model.during(load), over="90m", seed=1).tasks["jobs"]
        assert log.effects.tolist() == [effects] and log.executions.tolist() == [4]
        assert log.counts["dead letter"] == 2 and log.counts["task redriven"] == 1


def test_a_worker_with_a_buffer_crashes_at_work_and_only_then() -> None:
    two = ha.Load({"kind": "replay", "times": [1.0, 1.01, 1.02]})
    work = {"takes": {"fixed": "1s"}, "crash": {"fixed": "1500ms"}}
    for more in ({"prefetch": 3}, {"prefetch": 3, "effect": "plain"}, {"delivery": {"system": "kafka"}}):
        model = cluster(1, **{"delivery": {"ack_deadline": "1m"}, "work": work, **more})
        log = ha.simulate(model.during(two), over="2m", seed=1).tasks["jobs"]
        assert log.counts.get("crashed at work", 0) == 0 and log.effects.tolist() == [1, 1, 1]
    # A crash frees what waits in the buffer, too: that was not begun, and executions are those of a free worker.
    frees = {"ack_deadline": "1m", "late_ack": "rejected", "frees_lost": True}
    model = cluster(3, prefetch=4, delivery=frees, work={"takes": "1s", "crash": "5s"})
    agrees(played(model, rate=1.5, over="6000s").figures().executions, 1.2)
    poison = {"ack_deadline": "1m", "frees_lost": True, "late_ack": "rejected", "max_receives": 3}
    model = cluster(1, prefetch=2, delivery=poison, work={"takes": "1s", "poison": "50%"})
    log = played(model, rate=0.2, over="2000s")
    assert log.settled.sum() > 0.97 * len(log)


def test_a_dead_letter_and_the_same_id_again_live_side_by_side() -> None:
    delivery = {"ack_deadline": "1s", "max_receives": 1, "redrive": "3s"}
    model = cluster(4, delivery=delivery, producer={"outbox": "100ms"}, latency="500ms")
    log = played(model, rate=1.0, over="200s")
    assert log.counts["task redriven"] > 0 and log.effects.sum() > len(log)


def test_an_outbox_costs_half_of_a_look_however_rare_tasks_are() -> None:
    model = cluster(4, delivery={"ack_deadline": "1m"}, producer={"outbox": "6s"})
    log = ha.simulate(model.during(ha.Load("1/h")), over="60d", seed=1).tasks["jobs"]
    waits = log.stored_s - log.arrived_s
    waits = waits[~np.isnan(waits)]
    assert abs(waits.mean() - 3.0) < 4.5 * waits.std() / sqrt(waits.size)


def test_automatic_acks_count_what_was_at_work_at_the_end_as_under_way() -> None:
    model = cluster(100, acks="before", work={"takes": {"fixed": "20s"}})
    run = ha.simulate(model.during(ha.Load(2.0)), over="60s", seed=1)
    figures = run.tasks["jobs"].figures()
    assert figures.lost is not None and figures.lost.value == 0.0
    assert any("under way at the end" in warning for warning in run.warnings)
    crashing = played(cluster(60, acks="before", work={"takes": "1s", "crash": "3s"})).figures()
    agrees(crashing.lost, 0.25)


def test_intervals_cover_under_load() -> None:
    # M/M/1 with half of the time busy: the 99 % quantile of the time to the effect is ln(100) / (1 - 0.5).
    model = cluster(1, delivery={"ack_deadline": "1d"})
    exact, seen = np.log(100.0) / 0.5, 0
    for seed in range(40):
        p99 = played(model, rate=0.5, over="4000s", seed=seed).figures().latency_p99_s
        assert p99 is not None
        seen += p99.covers(exact)
    assert seen >= 32  # 38 are due, and fewer than 33 one time in a hundred


def test_seeds_repeat_and_differ() -> None:
    a, b, c = (played(cluster(), over="60s", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(a.effect_s, b.effect_s, equal_nan=True) and len(a) != len(c)


# ------------------------------------------------------------------------------------------ wrong inputs


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"delivery": "sqss"}, "did you mean 'sqs'"),
        ({"delivery": {"ack_deadline": "0s"}}, "ack_deadline"),
        ({"delivery": None}, "delivery: is missing"),
        ({"work": None}, "work: is missing"),
        ({"prefetch": 0}, "prefetch"),
        ({"renew": "2s"}, "the deadline has passed by then"),
        ({"acks": "before", "effect": "transaction"}, "effect and ack are one"),
        ({"producer": {"groups": 3}}, "`ordered`"),
        ({"effect": "keys"}, "did you mean 'key'"),
        ({"work": {"takes": "1s", "same": 2}}, "same"),
        ({"delivery": {"ack_deadline": "1s", "closes_channel": True}}, "rejected"),
        ({"work": {"takes": {"fixed": "0s"}}}, "takes some"),
        ({"work": {"takes": "1s", "pauses": {"every": {"fixed": "0s"}, "lasting": "1s"}}}, "1ms or more"),
        ({"renew": "1us"}, "renew"),
        ({"effect": {"kind": "transaction", "every": "10s"}}, "commits come every"),
        ({"delivery": {"system": "kafka"}, "prefetch": 3}, "consumer group"),
        ({"delivery": {"system": "kafka"}, "work": {"takes": "1s", "fails": 0.1}}, "given back"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        cluster(**fields)


def test_lists_of_deadlines_keep_their_units() -> None:
    model = cluster(delivery={"ack_deadline": "5s", "backoff": ["1s", "2s"]})
    assert ha.loads(model.to_yaml()) == model
    assert model.replace("jobs.work.takes", "2s").parts["jobs"].delivery.backoff == (1.0, 2.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (lambda: ha.Load(users=3, to="jobs"), "come at a `rate`"),
        (lambda: ha.Load(3, to="jobs", clients={"timeout": "1s"}), "leave `clients` out"),
        (lambda: ha.Load(3, to="jobs", writes=0.5), "leave `writes` out"),
    ],
)
def test_loads_of_tasks_ask_for_nothing(load: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        cluster().during(load())


def test_tasks_that_are_never_done_are_refused_where_a_mean_is_asked_for() -> None:
    model = cluster(delivery={"ack_deadline": "1s", "late_ack": "rejected"}, work={"takes": {"fixed": "2s"}})
    assert "jobs" not in ha.solve(model).tasks
    assert any("never done" in warning for warning in ha.solve(model).warnings)
    log = played(model, rate=0.2, over="100s")
    assert not log.settled.any() and sqrt(log.executions.max()) > 5
    dead = played(model.replace("jobs.delivery.max_receives", 5), rate=0.2, over="100s").figures()
    assert dead.dead_letters is not None and dead.dead_letters.value == 1.0
    assert dead.lost is not None and dead.lost.value == 0.0  # each attempt has its effect, and none of them counts
