"""Figures of request logs: fates, windows, phases, intervals, rows by time; by hand or from closed forms."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

import hasim as ha
from hasim.checks.history import Operation
from hasim.results.fates import FATE_OF, FATES
from hasim.results.intervals import t_interval
from hasim.results.outcomes import CODES, OUTCOMES
from hasim.results.phases import FaultSpan, fault_spans, phases_of
from hasim.results.request_log import RequestLog
from hasim.results.request_tables import PHASES_MAX, request_rows, served_text
from hasim.results.requests import request_figures
from hasim.trace import Fact

Row = tuple[Any, ...]


def log_of(rows: list[Row], end: float = 10.0, loads: tuple[str, ...] = ("load",)) -> RequestLog:
    """A log from rows (arrived, ended, outcome, attempts, server, load, user, write), the last five optional."""
    full = [(*row, *(1, 0, 0, 0, False)[len(row) - 3 :]) for row in rows]
    arrived, ended, outcome, attempts, server, load, user, write = zip(*full, strict=True) if full else [()] * 8
    return RequestLog(
        loads=loads,
        servers=("api-1", "api-2"),
        load=np.array(load, dtype=np.int16),
        arrived_s=np.array(arrived, dtype=np.float64),
        ended_s=np.array(ended, dtype=np.float64),
        attempts=np.array(attempts, dtype=np.int32),
        server=np.array(server, dtype=np.int32),
        outcome=np.array([CODES[name] for name in outcome], dtype=np.int8),
        user=np.array(user, dtype=np.int32),
        write=np.array(write, dtype=np.bool_),
        start_s=0.0,
        end_s=end,
    )


def log_of_arrays(arrived: NDArray[np.float64], latency: NDArray[np.float64], end: float, **more: Any) -> RequestLog:
    n = len(arrived)
    return RequestLog(
        loads=("load",),
        servers=("api-1",),
        load=np.zeros(n, np.int16),
        arrived_s=arrived,
        ended_s=arrived + latency,
        attempts=np.ones(n, np.int32),
        server=np.zeros(n, np.int32),
        outcome=more.get("outcome", np.zeros(n, np.int8)),
        user=np.zeros(n, np.int32),
        write=np.zeros(n, np.bool_),
        start_s=0.0,
        end_s=end,
    )


def random_log(seed: int, n: int = 4_000, end: float = 61.0) -> RequestLog:
    rng = np.random.default_rng(seed)
    arrived = np.sort(rng.uniform(0, end, n))
    outcome = rng.choice(len(OUTCOMES), n, p=[0.7, *[0.3 / 12] * 12]).astype(np.int8)
    latency = rng.exponential(0.2, n)
    latency[outcome == CODES["unanswered"]] = (end - arrived)[outcome == CODES["unanswered"]]
    return log_of_arrays(arrived, latency, end, outcome=outcome)


def fates_of(log: RequestLog) -> list[str]:
    return [FATES[code] for code in log.fate]


SHOP = ha.Cluster(
    name="shop",
    parts={
        "api": {"kind": "pool", "replicas": 3, "serving": {"takes": "20ms", "slots": 16}},
        "lb": {"kind": "balancer", "to": "api", "check": {"interval": "500ms"}, "connect_timeout": "1s"},
    },
    services={"web": {"up": ["lb"]}},
)


@pytest.fixture(scope="module")
def run() -> ha.Run:
    """A minute of a shop whose first server crashes for ten seconds."""
    load = ha.Load(rate=100, clients=ha.Clients(timeout="2s"))
    return ha.simulate(SHOP.during(load, ha.Crash("api-1", at="20s", lasting="10s")), over="60s", seed=4)


# ------------------------------------------------------------------------------------------------- fates


def test_each_outcome_has_a_fate() -> None:
    assert tuple(FATE_OF) == OUTCOMES
    failed = [name for name, fate in FATE_OF.items() if fate == "failed"]
    # Nothing of these reached a server's work.
    assert failed == ["429", "503", "refused", "expired", "not sent", "notice"]


def test_only_a_single_attempt_that_was_turned_away_certainly_had_no_effect() -> None:
    rows = [(1, 2, "refused", 1), (1, 2, "refused", 3), (1, 2, "503", 2), (1, 1, "not sent", 0), (1, 2, "ok", 3)]
    assert fates_of(log_of(rows)) == ["failed", "unknown", "unknown", "failed", "served"]


def test_the_end_of_a_run_cuts_off_what_might_still_be_served_and_no_more() -> None:
    rows = [(1.0, 3.0, "ok"), (2.0, 10.0, "unanswered"), (8.0, 10.0, "unanswered"), (9.5, 10.0, "unanswered")]
    log = log_of(rows)
    # The slowest took two seconds: who waited for eight hangs, who waited for two or less may be served yet.
    assert fates_of(log) == ["served", "unknown", "cut off", "cut off"]
    figures = log.figures()
    assert (figures.requests, figures.unknown, figures.cut_off) == (2, 1, 2)


def test_patience_is_that_of_the_load_and_of_the_whole_run() -> None:
    rows = [(1.0, 4.0, "ok", 1, 0, 0), (8.0, 10.0, "unanswered", 1, 0, 0), (8.0, 10.0, "unanswered", 1, 0, 1)]
    log = log_of(rows, loads=("buy", "look"))
    assert fates_of(log) == ["served", "cut off", "unknown"]
    assert fates_of(log.between(7, 10)) == ["cut off", "unknown"]
    assert fates_of(log.of(outcome="unanswered")) == ["cut off", "unknown"]


def test_parts_of_a_log_add_up_to_the_whole() -> None:
    log = random_log(1)
    parts = [log.between(0, 20), log.between("20s", 45.5), log.between(45.5, 61)]
    assert sum(len(part) for part in parts) == len(log)
    assert np.array_equal(np.concatenate([part.fate for part in parts]), log.fate)
    by_outcome = [log.of(outcome=name) for name in OUTCOMES]
    assert sum(len(part) for part in by_outcome) == len(log)


# ------------------------------------------------------------------------------------------------ choosing


def test_a_window_takes_requests_by_arrival_from_its_start_to_before_its_end() -> None:
    log = log_of([(1, 9, "ok"), (2, 3, "ok"), (3, 4, "ok"), (5, 6, "ok")])
    part = log.between("2s", 5)
    assert (list(part.arrived_s), part.start_s, part.end_s) == ([2.0, 3.0], 2.0, 5.0)
    assert len(log.between(0, 10)) == 4


def test_requests_are_chosen_by_load_outcome_and_writing() -> None:
    rows = [(1, 2, "ok", 1, 0, 0, 0, True), (2, 3, "503", 1, 0, 1), (3, 4, "ok", 1, 0, 1), (4, 5, "timeout", 1, 0, 1)]
    log = log_of(rows, loads=("buy", "look"))
    assert list(log.of(load="look").arrived_s) == [2, 3, 4]
    assert list(log.of(outcome=["503", "timeout"]).arrived_s) == [2, 4]
    assert list(log.of(write=True).arrived_s) == [1]
    assert list(log.of(load="look", outcome="ok", write=False).arrived_s) == [3]


# ------------------------------------------------------------------------------------------------ figures


def test_figures_of_a_log_are_those_of_the_same_operations() -> None:
    log = random_log(2)
    fates = fates_of(log)
    rows = zip(log.arrived_s, log.ended_s, fates, strict=True)
    told = {"served": "ok", "failed": "failed", "unknown": "unknown"}
    operations = [
        Operation(client="c", kind="put", key="k", value=None, called=called, returned=returned, outcome=told[fate])  # type: ignore[arg-type]
        for called, returned, fate in rows
        if fate != "cut off"
    ]
    ours, theirs = log.figures("x"), request_figures(operations, 0, 61.0, "x")
    for name in ("served", "failed", "unknown", "requests", "served_share", "latency_p50_s", "latency_p99_s"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.longest_silence_s, ours.silence_from_s) == (theirs.longest_silence_s, theirs.silence_from_s)


def test_counts_attempts_goodput_and_shares_of_servers() -> None:
    rows = [(1, 2, "ok", 1, 0), (2, 3, "ok", 4, 1), (3, 4, "ok", 1, 1), (4, 5, "503", 2, -1), (5, 6, "ok", 1, -1)]
    figures = log_of(rows).figures()
    assert figures.outcomes == {"ok": 4, "503": 1}
    assert figures.attempts_per_request == pytest.approx(9 / 5)
    assert figures.goodput_per_s == pytest.approx(0.4)
    assert figures.servers == {"api-1": 0.25, "api-2": 0.5}
    assert "1.8 attempts a request" in str(figures)


def test_a_log_without_requests_or_without_served_ones_has_no_latency() -> None:
    nobody, unlucky = log_of([]).figures(), log_of([(1, 2, "503")]).figures()
    assert (nobody.served_share, nobody.latency, nobody.attempts_per_request) == (None, {}, None)
    assert (unlucky.served_share, unlucky.latency_p50_s, unlucky.servers) == (0.0, None, {})
    assert json.dumps(unlucky.to_json(), allow_nan=False)


def exact_coverage(n: int, p: float, level: float = 0.95) -> float:
    """How often the interval of order statistics covers, for a continuous law: a sum of binomial probabilities."""
    tail = (1 - level) / 2
    first = next(k for k in range(n + 1) if binom.cdf(k, n, p) > tail)  # the low end is sample number `first`
    last = next(k for k in range(n + 1) if binom.cdf(k, n, p) >= 1 - tail)
    return float(binom.cdf(last, n, p) - binom.cdf(first - 1, n, p))


@pytest.mark.parametrize(("label", "p"), [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)])
def test_quantiles_cover_those_of_an_exponential_law_as_often_as_the_binomial_says(label: str, p: float) -> None:
    n, trials, rng = 400, 400, np.random.default_rng(11)
    arrived = np.linspace(0, 9.9, n)
    truth, covered = -math.log1p(-p), 0
    for _ in range(trials):
        latency = log_of_arrays(arrived, rng.exponential(1.0, n), 10.0).figures().latency
        covered += latency[label].covers(truth)
    chance = exact_coverage(n, p)
    low, high = (float(binom.ppf(share, trials, chance)) for share in (1e-5, 1 - 1e-5))  # 1 in 50 000 fails by chance
    assert chance >= 0.95
    assert low <= covered <= high


def sojourns(rng: np.random.Generator, rate: float, horizon: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arrivals and sojourn times of an M/M/1 queue with service rate 1, by Lindley's recursion, in its long run."""
    n = rng.poisson(rate * horizon)
    arrived = np.sort(rng.uniform(0, horizon, n))
    service = rng.exponential(1.0, n)
    step = service[:-1] - np.diff(arrived)
    # The first to come finds a queue as in the long run: its wait is 0, or with chance `rate` exponential.
    first = rng.exponential(1 / (1 - rate)) * (rng.random() < rate)
    sums = np.concatenate([[0.0], np.cumsum(step)])
    wait = sums - np.minimum(np.minimum.accumulate(sums), -first)
    return arrived, wait + service


def test_the_mean_of_a_queue_is_covered_by_batches_and_not_by_taking_requests_as_independent() -> None:
    rate, horizon, trials = 0.6, 20_000.0, 300
    truth = 1 / (1 - rate)  # M/M/1: mean sojourn 1/(μ - λ)
    rng = np.random.default_rng(5)
    missed = naive = 0
    for _ in range(trials):
        arrived, latency = sojourns(rng, rate, horizon)
        missed += not log_of_arrays(arrived, latency, horizon).figures().latency["mean"].covers(truth)
        low, high = t_interval(latency)
        naive += not low <= truth <= high
    # `ratio_interval` covers 94 to 96 % by the table in its docstring: misses are at most binomial with 6 %.
    assert missed <= binom.ppf(1 - 1e-5, trials, 0.06)
    assert naive > binom.ppf(1 - 1e-5, trials, 0.06)


# --------------------------------------------------------------------------------------------- rows by time


@pytest.mark.parametrize("width", [1.0, "1s", 7.3, "2m"])
def test_rows_by_time_are_what_grouping_one_by_one_gives(width: float | str) -> None:
    log = random_log(3)
    frame = log.per(width)
    width_s = {"1s": 1.0, "2m": 120.0}.get(str(width), width)
    assert isinstance(width_s, float)
    slow = pd.DataFrame(
        {"bin": np.floor(log.arrived_s / width_s), "fate": fates_of(log), "latency": log.latency_s}
    ).assign(outcome=[OUTCOMES[code] for code in log.outcome])
    assert len(frame) == math.ceil(61.0 / width_s)
    for number, (_, row) in enumerate(frame.iterrows()):
        inside = slow[slow.bin == number]
        assert row.arrived == len(inside)
        for fate in FATES:
            assert row[fate] == (inside.fate == fate).sum()
        for outcome in OUTCOMES[1:]:
            assert row[outcome] == (inside.outcome == outcome).sum()
        served = inside.latency[inside.fate == "served"]
        assert row.p50_s == np.quantile(served, 0.5, method="inverted_cdf")
        assert row.p99_s == np.quantile(served, 0.99, method="inverted_cdf")
    assert np.array_equal(frame[list(FATES)].sum(axis=1), frame.arrived)


def test_a_bin_with_nothing_served_has_no_latency_and_only_outcomes_that_occurred_have_columns() -> None:
    frame = log_of([(1, 2, "ok"), (6, 7, "503", 3)], end=9.0).per("4s")
    assert list(frame.index) == [0.0, 4.0, 8.0]
    assert list(frame.arrived) == [1, 1, 0]
    assert list(frame.p50_s.isna()) == [False, True, True]
    assert list(frame.attempts) == [1, 3, 0]
    assert list(frame.columns)[-1] == "503" and "502" not in frame.columns


def test_a_width_that_divides_the_run_but_for_rounding_makes_no_crumb_of_a_bin() -> None:
    log = log_of([(0.05, 0.06, "ok")], end=3 * 0.1)  # 0.30000000000000004
    assert len(log.per(0.1)) == 3


# ------------------------------------------------------------------------------------------------- phases


def fault(at: float, kind: str, subject: str, what: str) -> Fact:
    return Fact(at, f"fault {what}", subject, {"fault": kind})


def test_faults_are_told_apart_by_kind_and_subject() -> None:
    trace = [
        fault(1, "Pause", "a", "begun"), fault(2, "Crash", "a", "begun"), fault(3, "Pause", "a", "ended"),
        fault(4, "Crash", "b", "begun"), fault(5, "Crash", "a", "ended"), Fact(6, "failed", "a"),
    ]  # fmt: skip
    assert fault_spans(trace, 9.0) == [
        FaultSpan("Pause of a", 1, 3),
        FaultSpan("Crash of a", 2, 5),
        FaultSpan("Crash of b", 4, 9.0),
    ]


def test_a_fault_within_an_equal_one_is_read_as_brackets_are() -> None:
    crash = ("Crash", "a")
    trace = [
        fault(1, *crash, "begun"), fault(2, *crash, "begun"), fault(3, *crash, "begun"), fault(4, *crash, "ended"),
        fault(5, *crash, "ended"), fault(6, *crash, "begun"), fault(7, *crash, "ended"), fault(9, *crash, "ended"),
        fault(10, *crash, "begun"), fault(11, *crash, "ended"), fault(12, *crash, "begun"), fault(13, *crash, "begun"),
        fault(14, *crash, "ended"),
    ]  # fmt: skip
    found = [(span.start_s, span.end_s) for span in fault_spans(trace, 20.0)]
    assert found == [(1, 9), (2, 5), (3, 4), (6, 7), (10, 11), (12, 20), (13, 14)]


def test_equal_faults_that_follow_on_one_another_are_two_whichever_is_told_first() -> None:
    begun, ended = (fault(10, "Crash", "a", what) for what in ("begun", "ended"))
    for at_ten in ([begun, ended], [ended, begun]):
        trace = [fault(0, "Crash", "a", "begun"), *at_ten, fault(20, "Crash", "a", "ended")]
        assert [(span.start_s, span.end_s) for span in fault_spans(trace, 30.0)] == [(0, 10), (10, 20)]
    assert fault_spans([begun, ended], 30.0) == [FaultSpan("Crash of a", 10, 10)]


def test_one_stretch_of_faults_has_a_before_a_during_and_an_after() -> None:
    phases = phases_of([FaultSpan("x", 3, 5), FaultSpan("y", 4, 7)], 0, 10)
    assert [(each.name, each.start_s, each.end_s) for each in phases] == [
        ("before", 0, 3),
        ("during", 3, 7),
        ("after", 7, 10),
    ]
    assert phases[1].faults == ("x", "y")


def test_phases_at_the_ends_of_a_run_are_left_out_and_no_fault_is_no_phase() -> None:
    assert [each.name for each in phases_of([FaultSpan("x", 0, 10)], 0, 10)] == ["during"]
    assert [each.name for each in phases_of([FaultSpan("x", 4, 4)], 0, 10)] == ["before", "after"]
    assert phases_of([], 0, 10) == []
    assert phases_of([FaultSpan("x", 11, 12)], 0, 10) == []


@pytest.mark.parametrize("seed", range(20))
def test_phases_part_the_run_and_a_phase_has_faults_exactly_where_one_is_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 100, 1 + seed % 6)
    spans = [FaultSpan(f"f{i}", float(at), float(at + rng.integers(1, 30))) for i, at in enumerate(starts)]
    phases = phases_of(spans, 0.0, 100.0)
    assert [phases[0].start_s, phases[-1].end_s] == [0.0, 100.0]
    assert [each.end_s for each in phases[:-1]] == [each.start_s for each in phases[1:]]
    assert len({each.name for each in phases}) == len(phases)
    for instant in np.arange(0.5, 100):
        phase = next(each for each in phases if each.start_s <= instant < each.end_s)
        on = [span.text for span in spans if span.start_s <= instant < span.end_s]
        assert bool(on) == bool(phase.faults) == phase.name.startswith("during")
        assert all(name in phase.faults for name in on)


def test_the_phases_of_a_run_lie_at_its_faults_and_hold_all_requests(run: ha.Run) -> None:
    frame = run.request_phases()
    assert list(frame.index) == ["before", "during", "after"]
    assert list(frame.start_s) == [0, 20, 30] and list(frame.end_s) == [20, 30, 60]
    assert frame.loc["during", "faults"] == "Crash of api-1"
    log = run.requests
    assert log is not None
    assert (frame.requests + frame.cut_off).sum() == len(log)
    arrived = log.arrived_s
    expected = [np.sum(arrived < 20), np.sum((arrived >= 20) & (arrived < 30)), np.sum(arrived >= 30)]
    assert list(frame.requests + frame.cut_off) == expected
    # Without redispatch a third of the requests meets the dead server until its checks have failed; whoever was under
    # way when it crashed had arrived before.
    before, during, after = frame.served_share
    assert during < 0.999 < before and after == 1


def test_a_run_without_faults_is_one_phase() -> None:
    quiet = ha.simulate(SHOP.during(ha.Load(rate=20, name="buy")), over="10s", seed=1)
    assert quiet.phases() == []
    assert list(quiet.request_phases().index) == ["whole"]
    assert list(quiet.request_phases(load="buy").requests) == list(quiet.request_phases().requests)
    with pytest.raises(ha.ModelError, match="give the model or the scenario a load"):
        ha.simulate(SHOP, over="10s", seed=1).request_phases()


# --------------------------------------------------------------------------------------- shares and uptime


def test_the_failed_share_leaves_out_what_the_end_cut_off() -> None:
    rows = [(1.0, 3.0, "ok"), (2.0, 2.5, "503"), (2.0, 10.0, "unanswered"), (9.0, 10.0, "unanswered")]
    assert ha.failed_share(log_of(rows)) == pytest.approx(2 / 3)


def test_with_a_limit_a_request_counts_by_the_limit_alone() -> None:
    rows = [(1.0, 3.0, "ok"), (1.5, 2.0, "ok"), (2.0, 2.5, "503"), (8.0, 10.0, "unanswered"), (9.5, 10.0, "unanswered")]
    log = log_of(rows)
    # Within a second: the slow one, the refused one and the one open for two seconds missed; the last one is open.
    assert ha.failed_share(log, within="1s") == pytest.approx(3 / 4)
    assert ha.failed_share(log, within=2.5) == pytest.approx(1 / 3)  # both that are open may still come in time
    assert ha.failed_share(log, within=1.5) == pytest.approx(3 / 4)


def test_the_share_slower_than_a_limit_is_that_of_the_law_of_service() -> None:
    cluster = ha.Cluster(
        name="wide",
        parts={"api": {"kind": "pool", "replicas": 1, "serving": {"takes": "50ms", "slots": 1000}}},
        services={"web": {"up": ["api"]}},
    )
    run = ha.simulate(cluster.during(ha.Load(rate=200)), over="60s", seed=8)
    assert run.requests is not None
    limit = 0.12
    expected = math.exp(-limit / 0.05)  # exponential service, and nobody waits in a queue
    error = math.sqrt(expected * (1 - expected) / len(run.requests))
    assert ha.failed_share(run, within=limit) == pytest.approx(expected, abs=4 * error)
    assert ha.failed_share(run) == 0


def test_the_failed_share_of_a_load_is_its_own_and_nothing_to_judge_is_refused() -> None:
    log = log_of([(1, 2, "ok", 1, 0, 0), (2, 3, "503", 1, 0, 1)], loads=("buy", "look"))
    assert [ha.failed_share(log, load=name) for name in (None, "buy", "look")] == [0.5, 0.0, 1.0]
    with pytest.raises(ha.ModelError, match="no request to judge"):
        ha.failed_share(log_of([]))
    with pytest.raises(ha.ModelError, match="played no requests"):
        ha.failed_share(ha.simulate(SHOP, over="10s", seed=1))
    with pytest.raises(ha.ModelError, match="give a Run"):
        ha.failed_share(3)  # type: ignore[arg-type]


def test_user_uptime_counts_active_time_between_answers_and_users_of_two_loads_are_two() -> None:
    rows = [
        (0.5, 1.0, "ok", 1, 0, 0), (1.5, 2.0, "ok", 1, 0, 1), (2.5, 3.0, "503", 1, 0, 0), (5.5, 6.0, "ok", 1, 0, 0),
        (9.0, 10.0, "unanswered", 1, 0, 1),
    ]  # fmt: skip
    log = log_of(rows, loads=("buy", "look"))
    found = log.user_uptime()
    # The buyer: up 1 to 3, down 3 to 6, up 6 to 10. The one who looks: up 2 to 10; the open request says nothing, since
    # the slowest of its load took half a second it hangs and is heard of at the end.
    assert (found.up_s, found.down_s) == pytest.approx((2 + 4 + 8, 3))
    assert log.user_uptime("2s").up_s == pytest.approx(2 + 2 + 2)
    assert log.user_uptime("2s").down_s == pytest.approx(2)
    # The worst three seconds: 3 to 6, when of six seconds of two users three were up; the worst ten are all there is.
    assert log.windowed_minimum(["3s", 10]) == pytest.approx([0.5, 14 / 17])
    # In the first 2.8 s the refused request has arrived and nobody has heard of it: up 1 to 2.8 and 2 to 2.8.
    early = log.between(0, 2.8).user_uptime()
    assert early.up_s == pytest.approx(1.8 + 0.8)
    assert (early.down_s, early.requests) == (0, 2)


# ------------------------------------------------------------------------------------------------- showing


def test_a_part_of_a_run_has_the_requests_of_that_part(run: ha.Run) -> None:
    part = run.between("10s", "25s")
    assert part.requests is not None and run.requests is not None
    assert np.array_equal(part.requests.arrived_s, run.requests.between(10, 25).arrived_s)
    assert list(part.request_phases().index) == ["before", "during"]


def test_a_run_prints_a_row_for_each_load_and_phase(run: ha.Run) -> None:
    figures = run.requests.figures()  # type: ignore[union-attr]
    lines = str(run).splitlines()
    heads = next(i for i, line in enumerate(lines) if line.split()[:2] == ["requests", "number"])
    shown = [line.split() for line in lines[heads + 1 : heads + 5]]
    assert [words[0] for words in shown] == ["load", "before", "during", "after"]
    assert shown[0][1] == f"{figures.requests:,}" and lines[heads + 3].endswith("Crash of api-1")
    assert sum(int(words[1].replace(",", "")) for words in shown[1:]) == figures.requests
    page = run._repr_html_()
    assert page.count("<table>") == 2 and "Crash of api-1" in page and f"<td>{figures.requests:,}</td>" in page


def test_a_run_without_requests_shows_as_before() -> None:
    plain = ha.simulate(SHOP, over="10s", seed=1)
    assert "requests" not in str(plain) and "requests" not in plain.to_json()
    assert plain._repr_html_().count("<table>") == 1


def test_json_has_the_figures_and_not_the_log(run: ha.Run) -> None:
    told = json.loads(json.dumps(run.to_json(), allow_nan=False))["requests"]["load"]
    log = run.requests
    assert log is not None
    assert sum(told["outcomes"].values()) == len(log)
    assert told["latency"]["p99"]["value"] == log.figures().latency["p99"].value
    assert [each["name"] for each in told["phases"]] == ["before", "during", "after"]
    assert told["phases"][1]["faults"] == ["Crash of api-1"]
    assert len(json.dumps(told)) < 20_000


def test_more_phases_than_can_be_read_are_left_to_the_frame() -> None:
    phases = phases_of([FaultSpan("x", at, at + 0.5) for at in range(1, 9)], 0, 10)
    assert len(phases) > PHASES_MAX
    assert [row.name for row in request_rows(log_of([(1, 2, "ok")]), phases)] == ["load"]


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0, "0 %"), (0.99957, "99.957 %"), (0.9999999, "99.99999 %"), (0.761, "76 %"), (0.00012, "0.012 %")],
)
def test_a_share_shows_what_is_missing_and_never_rounds_to_all(share: float, text: str) -> None:
    assert served_text(share) == text
