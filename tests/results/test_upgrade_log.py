"""Figures of upgrades, from logs made by hand whose answers are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.results.outcomes import CODES
from hasim.results.request_log import RequestLog
from hasim.results.upgrades import Spans, UpgradeLog

SERVERS = ("a-1", "a-2", "a-3")

Step = tuple[float, tuple[int, int], tuple[int, int], tuple[int, int], float]
"""From when on; ready, starting and leaving pods of the old version and of the new; the share that meets the new."""

ROLLED_BACK: list[Step] = [
    (10.0, (1, 0), (0, 1), (1, 0), 0.0),  # two places: one pod leaves, one starts on top
    (12.0, (1, 0), (0, 1), (0, 0), 0.0),
    (15.0, (1, 1), (0, 0), (0, 0), 0.0),
    (16.0, (1, 1), (0, 0), (0, 0), 0.5),  # the balancer has heard
    (36.0, (1, 0), (1, 0), (0, 1), 0.0),  # noticed, and back
    (40.0, (2, 0), (0, 0), (0, 1), 0.0),
    (43.0, (2, 0), (0, 0), (0, 0), 0.0),
]
BACK = ((10.0, "rollout begun"), (36.0, "noticed by its errors"), (36.0, "rollback begun"), (40.0, "rolled back"))


def made(steps: list[Step] = ROLLED_BACK, facts: Any = BACK, **other: Any) -> UpgradeLog:
    """Two replicas from v1 to v2 from 10 s on, in a run of 100 s; a bad version that came back, unless said."""
    rows = [np.array([step[part] for step in steps]).reshape(-1, 2) for part in (1, 2, 3)]
    known: dict[str, Any] = {
        "name": "up", "strategy": "rolling", "part": "a", "old": "v1", "new": "v2", "replicas": 2, "bad": True,
        "began_s": 10.0, "ended_s": 40.0, "noticed_s": 36.0, "run_end_s": 100.0,
        "at_s": np.array([step[0] for step in steps]), "exposure": np.array([step[4] for step in steps]),
        "ready": rows[0], "starting": rows[1], "leaving": rows[2], "facts": facts,
        "spans": spans(("a-1", 0, 12, "v1"), ("a-2", 0, 100, "v1"), ("a-3", 10, 43, "v2"), ("a-1", 36, 100, "v1")),
    }  # fmt: skip
    return UpgradeLog(**known | other)


def spans(*rows: tuple[str, float, float, str]) -> Spans:
    servers, begins, ends, versions = zip(*rows, strict=True)
    return Spans(servers, np.array(begins, dtype=float), np.array(ends, dtype=float), versions)


def asked(*rows: tuple[Any, ...], end: float = 100.0) -> RequestLog:
    """Rows of arrival, end, server (or "" for none), outcome, and "write" for writes."""
    ordered = sorted(rows, key=lambda row: row[0])
    columns = list(zip(*(row[:4] for row in ordered), strict=True)) or [[], [], [], []]
    names = ["", *SERVERS]
    count = len(ordered)
    return RequestLog(
        loads=("load",),
        servers=SERVERS,
        load=np.zeros(count, dtype=np.int16),
        arrived_s=np.array(columns[0], dtype=float),
        ended_s=np.array(columns[1], dtype=float),
        attempts=np.ones(count, dtype=np.int32),
        server=np.array([names.index(name) - 1 for name in columns[2]], dtype=np.int32),
        outcome=np.array([CODES[name] for name in columns[3]], dtype=np.int8),
        user=np.zeros(count, dtype=np.int32),
        write=np.array([len(row) > 4 for row in ordered], dtype=np.bool_),
        start_s=0.0,
        end_s=end,
        slowest_served_s=np.array([1.0]),
    )


# ------------------------------------------------------------------------------------------- what it was


def test_what_a_rolled_back_upgrade_was() -> None:
    log = made()
    assert log.outcome == "rolled back" and not log.cut_off
    assert log.duration_s == 30.0
    assert log.min_ready == 1 and log.min_capacity == 0.5
    assert log.most_pods == 3
    assert log.settled_s == 43.0  # the last pod leaves after the end
    assert log.exposure_s == 10.0  # half of the requests for 20 s
    assert (log.first_met_s, log.last_met_s) == (16.0, 36.0)
    assert log.detect_s == 20.0 and log.recover_s == 20.0
    assert log.server_s == 3 * 2 + 2 * 24 + 3 * 7
    assert log.extra_server_s == 2 + 7
    assert log.when("noticed by its errors") == 36.0 and log.when("switched") is None


def test_the_version_mix_is_of_ready_pods() -> None:
    mix = made().version_mix()
    assert list(mix.columns) == ["v1", "v2"]
    assert mix.loc[15.0].tolist() == [0.5, 0.5] and mix.loc[43.0].tolist() == [1.0, 0.0]
    none = made([(10.0, (0, 0), (0, 2), (2, 0), 0.0)]).version_mix()
    assert none.isna().all(axis=None)


def test_a_rollback_that_the_run_cut_off_is_under_way() -> None:
    facts = ((10.0, "rollout begun"), (20.0, "rolled out"), (90.0, "rollback begun"))
    log = made(facts=facts, ended_s=20.0)
    assert log.outcome == "under way" and log.cut_off
    assert log.duration_s == 90.0  # so far
    assert "under way for" in str(log)
    figures = log.figures(asked())
    assert figures["cut_off"] is True and figures["failed"] == 0 and figures["failed_share"] is None


def test_an_upgrade_rolled_out_again_after_a_rollback_counts_its_last_end() -> None:
    log = made(facts=(*BACK, (50.0, "rollout begun"), (60.0, "rolled out")), ended_s=60.0)
    assert log.outcome == "rolled out" and log.duration_s == 50.0


def test_a_bad_version_that_stays_is_met_to_the_end_of_the_run() -> None:
    steps: list[Step] = [(10.0, (0, 0), (0, 2), (2, 0), 0.0), (20.0, (0, 2), (0, 0), (0, 0), 1.0)]
    log = made(steps, ((10.0, "rollout begun"), (20.0, "rolled out")), ended_s=20.0, noticed_s=None)
    assert log.outcome == "rolled out" and log.cut_off
    assert log.detect_s is None and log.recover_s is None and log.last_met_s is None
    assert log.exposure_s == 80.0 and log.over_s == 100.0 and log.min_capacity == 0.0
    requests = asked((15, 15.1, "", "503"), (50, 50.1, "a-1", "500"), (99, 99.1, "a-1", "ok"))
    assert log.failed(requests) == 2
    good = replace(log, bad=False)
    assert not good.cut_off and good.failed(requests) == 1 and good.over_s == 20.0


def test_a_bad_version_that_nobody_met_ends_with_its_rollback() -> None:
    steps: list[Step] = [(10.0, (2, 0), (0, 2), (0, 0), 0.0), (20.0, (2, 0), (0, 0), (0, 0), 0.0)]
    facts = ((10.0, "rollout begun"), (20.0, "noticed by tests"), (20.0, "rolled back"))
    log = made(steps, facts, ended_s=20.0, noticed_s=20.0)
    assert log.detect_s is None and log.recover_s is None and log.exposure_s == 0.0 and not log.cut_off
    assert log.failed(asked((15, 15.1, "", "503"), (19, 19.1, "a-1", "ok"), (50, 50.1, "", "503"))) == 1


def test_all_down_for_a_moment_is_no_recovery() -> None:
    steps: list[Step] = [
        (10.0, (0, 2), (0, 0), (0, 0), 1.0),
        (95.0, (0, 0), (0, 2), (0, 0), 0.0),  # the new pods have crashed and come again
    ]
    assert made(steps, ((10.0, "rolled out"),), ended_s=10.0).last_met_s is None


def test_an_upgrade_without_steps_or_replicas_has_figures() -> None:
    log = made([], ((10.0, "rollout begun"), (10.0, "rolled out")), ended_s=10.0, replicas=0, bad=False)
    figures = log.figures(asked())
    assert figures["duration_s"] == 0.0 and figures["min_capacity"] == 1.0 and figures["exposure_s"] == 0.0
    assert log.to_frame().empty and log.version_mix().empty


# ------------------------------------------------------------------------------------------- requests


def test_requests_that_were_under_way_meanwhile_count() -> None:
    log = made()
    requests = asked(
        (5, 5.1, "a-1", "500"),  # before
        (9.9, 10.2, "a-1", "reset"),  # under way at the begin
        (11, 11.1, "", "503"),
        (20, 20.1, "a-3", "500"),
        (21, 21.1, "a-3", "ok"),
        (30, 30.1, "", "notice"),
        (39.9, 42, "a-2", "timeout"),
        (42.5, 42.6, "a-3", "refused"),  # the balancer did not know yet
        (44, 44.1, "a-2", "ok"),
        (50, 50.1, "a-2", "500"),  # after
    )
    assert log.failed(requests) == 6
    assert log.failed_share(requests) == 6 / 7
    figures = log.figures(requests)
    assert (figures["notices"], figures["errors"], figures["failed"]) == (1, 1, 6)


def test_where_nobody_is_there_at_its_end_it_goes_on_until_a_server_is_found() -> None:
    steps: list[Step] = [(10.0, (0, 0), (2, 0), (0, 2), 0.0), (40.0, (2, 0), (0, 0), (0, 0), 0.0)]
    log = made(steps)
    before = (39.0, 39.1, "", "503")
    found = asked(before, (41, 41.1, "", "503"), (42, 42.1, "a-1", "ok"), (42.05, 42.2, "", "503"))
    assert log.settled_s == 40.0
    assert log.failed(found) == 2
    assert log.failed(asked(before, (41, 41.1, "", "503"), (99, 99.1, "", "503"))) == 3
    assert log.failed(asked((39.0, 39.1, "a-1", "ok"), (41, 41.1, "", "503"))) == 0
    again = asked(before, (41, 42, "a-1", "ok"), (41.5, 41.6, "", "503"), (42, 42.1, "a-1", "ok"))
    again.attempts[1] = 3
    assert log.failed(again) == 2


def test_what_the_end_of_the_run_cut_off_does_not_count() -> None:
    log = made(facts=BACK[:1], ended_s=None)
    requests = asked((50, 50.1, "a-2", "ok"), (99.5, 100, "a-2", "unanswered"), (20, 100, "a-2", "unanswered"))
    assert log.failed(requests) == 1  # the one that hung
    assert log.failed_share(requests) == 0.5


def test_requests_belong_to_the_version_that_was_in_the_place() -> None:
    log = made()
    requests = asked(
        (11.5, 11.9, "a-1", "ok"),  # v1, before it left
        (11.6, 12.0, "a-1", "reset"),  # v1: killed with it
        (11.7, 12.01, "a-1", "ok"),  # v1: its answer was under way
        (11.8, 12.02, "a-1", "refused"),  # nobody is there
        (12.5, 12.6, "", "503"),
        (20, 20.1, "a-3", "ok"),
        (20.5, 20.6, "a-3", "500"),
        (35, 36.0, "a-1", "ok"),  # not by the pod that begins at that instant
        (37, 41, "a-1", "ok"),
    )
    codes = log.spans.version_of(requests)
    names = [*log.spans.names, "none"]
    assert [names[code] for code in codes] == ["v1", "v1", "v1", "none", "none", "v2", "v2", "v1", "v1"]
    counts = log.by_version(requests)
    assert counts.loc["v1"].tolist() == [4, 1]
    assert counts.loc["v2"].tolist() == [1, 1]
    assert counts.loc["none"].tolist() == [0, 2]


def test_servers_of_other_pools_have_no_version() -> None:
    other = replace(asked((20, 20.1, "a-1", "ok")), servers=("b-1", "b-2", "b-3"))
    assert made().spans.version_of(other).tolist() == [-1]
    assert made().spans.version_of(asked()).size == 0


def test_the_budget_is_that_of_the_window() -> None:
    log = made()
    rows = [(float(at), at + 0.1, "a-2", "ok") for at in range(100) if at != 20]
    requests = asked(*rows, (20.0, 20.1, "a-3", "500"))
    # One a second: 1000 s have 1000 requests, 1 in 100 may fail.
    assert log.budget_used(requests, "99%", "1000s") == pytest.approx(0.1)
    assert log.budget_used(requests, 1.0) == math.inf
    assert log.budget_used(asked(*rows), "100%") == 0.0
    for wrong, said in (
        (lambda: log.budget_used(requests, "99.9"), "did you mean"),
        (lambda: log.budget_used(requests, "99%", "0s"), "longer than zero"),
        (lambda: log.budget_used(asked(), "99%"), "no requests"),
    ):
        with pytest.raises(ha.ModelError, match=said):
            wrong()


# ------------------------------------------------------------------------------------------- lost writes

SWITCHED = ((10.0, "rollout begun"), (20.0, "switched"), (30.0, "rolled out"))
BOTH = spans(("a-1", 0, 100, "v1"), ("a-2", 10, 100, "v2"))
WRITES = asked(
    (8, 8.1, "a-1", "ok", "write"),  # the copy has it
    (9.9, 10.1, "a-1", "ok", "write"),  # answered after the copy
    (12, 12.1, "a-1", "ok", "write"),
    (13, 13.1, "a-1", "ok"),  # a read
    (14, 14.1, "a-1", "500", "write"),  # nobody was told that it worked
    (21, 21.1, "a-1", "ok", "write"),  # a balancer that has not heard
    (22, 22.1, "a-2", "ok", "write"),
    (60, 60.1, "a-2", "ok", "write"),
    (70, 70.1, "a-1", "ok", "write"),
)


def blue_green(facts: Any, **other: Any) -> UpgradeLog:
    steps: list[Step] = [(10.0, (1, 0), (0, 1), (0, 0), 0.0), (20.0, (1, 1), (0, 0), (0, 0), 1.0)]
    return made(steps, facts, own_state=True, spans=BOTH, **other)


def test_a_switch_loses_what_the_old_version_wrote_since_the_copy() -> None:
    log = blue_green(SWITCHED)
    assert log.lost_writes(WRITES) == log.lost_by_switch(WRITES) == 4
    assert log.lost_by_switching_back(WRITES) == 0
    assert replace(log, own_state=False).lost_writes(WRITES) == 0


def test_a_switch_back_loses_what_the_new_one_wrote_and_both_count() -> None:
    log = blue_green((*SWITCHED, (65.0, "rollback begun"), (65.0, "switched"), (66.0, "rolled back")))
    assert log.lost_by_switch(WRITES) == 3  # not what is written after it came back
    assert log.lost_by_switching_back(WRITES) == 2
    assert log.lost_writes(WRITES) == 5


def test_a_switch_that_never_came_loses_nothing() -> None:
    facts = ((10.0, "rollout begun"), (15.0, "noticed by tests"), (15.0, "rollback begun"), (16.0, "rolled back"))
    assert blue_green(facts).lost_writes(WRITES) == 0
    assert blue_green(facts[:1]).lost_writes(WRITES) == 0


# ------------------------------------------------------------------------------------------- in a run


def run_of(*upgrades: UpgradeLog, requests: RequestLog | None = None) -> ha.Run:
    logs = {log.name: log for log in upgrades}
    return ha.Run("x", {}, 0.0, 100.0, {}, requests=requests, upgrades=logs, seed=1)


def test_a_later_upgrade_takes_the_version_away() -> None:
    out = ((10.0, "rollout begun"), (20.0, "rolled out"))
    steps: list[Step] = [
        (10.0, (0, 0), (0, 2), (2, 0), 0.0),
        (20.0, (0, 2), (0, 0), (0, 0), 1.0),
        (50.0, (0, 0), (0, 0), (0, 2), 0.0),
        (55.0, (0, 0), (0, 0), (0, 0), 0.0),
    ]
    where = spans(("a-1", 0, 12, "v1"), ("a-1", 12, 55, "v2"), ("a-1", 55, 100, "v3"))
    first = made(steps, out, ended_s=20.0, noticed_s=45.0, spans=where)
    later: list[Step] = [(50.0, (0, 0), (0, 2), (2, 0), 0.0), (60.0, (0, 2), (0, 0), (0, 0), 1.0)]
    second = made(
        later, ((50.0, "rollout begun"), (60.0, "rolled out")), name="fix", old="v2", new="v3", bad=False, began_s=50.0,
        ended_s=60.0, noticed_s=None, spans=where,
    )  # fmt: skip
    requests = asked((30, 30.1, "a-1", "500"), (49.9, 50.1, "a-1", "reset"))
    run = run_of(second, first, requests=requests)
    log = run.upgrades["up"]
    assert log.exposure_s == 30.0 and log.last_met_s == 50.0 and log.recover_s == 30.0 and not log.cut_off
    assert run.upgrades["fix"].exposure_s == 40.0 and ha.exposure_s(run) == 70.0
    assert log.failed(requests) == 2 and run.upgrades["fix"].failed(requests) == 1
    assert ha.failed_requests(run) == 2  # one of them met both
    assert ha.server_hours(run) == pytest.approx(100 / 3600)  # one pool, counted once


def test_a_piece_of_a_run_sees_what_happened_in_it() -> None:
    requests = asked((11, 11.1, "", "503"), (20, 20.1, "a-3", "500"), (38, 38.1, "a-2", "ok"), (60, 60.1, "a-2", "500"))
    run = run_of(made(), requests=requests)
    early = run.between(0, 30).upgrades["up"]
    assert early.outcome == "under way" and early.noticed_s is None and early.duration_s == 20.0
    assert early.exposure_s == 7.0 and early.cut_off
    late = run.between(30, 100)
    log = late.upgrades["up"]
    assert log.outcome == "rolled back" and log.duration_s == 30.0 and log.recover_s == 20.0
    assert log.exposure_s == 3.0 and log.server_s == 2 * 6 + 3 * 7
    assert log.failed(late.requests) == 0 and log.failed_share(late.requests) == 0.0  # type: ignore[arg-type]
    assert run.between(0, 10).upgrades == {} and run.between(43, 100).upgrades == {}
    assert set(run.between(42, 100).upgrades) == {"up"}
    middle = run.between(20, 60).between(30, 50).upgrades["up"]
    assert middle.exposure_s == 3.0 and (middle.run_start_s, middle.run_end_s) == (30.0, 50.0)


def test_a_run_shows_its_upgrades() -> None:
    requests = asked((20, 20.1, "a-3", "500"), (21, 21.1, "a-2", "ok"))
    run = run_of(made(), requests=requests)
    assert "up of a: rolled back in 30 s, 1 of 2 ready at least, 3 pods at most, 1 requests not served" in str(run)
    assert "<th>up</th><td>a, v1 to v2</td><td>rolled back</td>" in run._repr_html_()
    plain = json.loads(json.dumps(run.to_json()))["upgrades"]["up"]
    assert plain["failed"] == 1 and plain["outcome"] == "rolled back" and plain["to"] == "v2"
    assert plain["facts"][0] == {"at_s": 10.0, "fact": "rollout begun"}
    assert "upgrades" not in run_of().to_json() and "upgrade" not in str(run_of()) + run_of()._repr_html_()


def test_the_frame_has_a_row_for_each_upgrade() -> None:
    requests = asked(*((float(at), at + 0.1, "a-2", "ok") for at in range(99)), (20.5, 20.6, "a-3", "500"))
    run = run_of(made(), made(name="again", ended_s=None, facts=BACK[:1], noticed_s=None), requests=requests)
    frame = run.upgrades_frame("99%", window="1000s")
    assert frame.index.name == "upgrade" and list(frame.index) == ["up", "again"]
    assert frame.loc["up", "budget_used"] == pytest.approx(0.1)
    assert frame["detect_s"].isna().tolist() == [False, True] and frame["cut_off"].tolist() == [False, True]
    assert {"part", "from", "to", "duration_s", "extra_server_hours", "failed_share"} <= set(frame)
    assert run_of().upgrades_frame().empty
    assert "failed" not in run_of(made()).upgrades_frame("99%")


def test_a_million_requests_take_less_than_a_second() -> None:
    count, servers = 1_000_000, 300
    rng = np.random.default_rng(1)
    arrived = np.sort(rng.uniform(0, 100, count))
    names = tuple(f"a-{number}" for number in range(servers))
    requests = RequestLog(
        ("load",), names, np.zeros(count, dtype=np.int16), arrived, arrived + rng.exponential(0.01, count),
        np.ones(count, dtype=np.int32), rng.integers(-1, servers, count).astype(np.int32),
        rng.choice([0, 1], count).astype(np.int8), np.zeros(count, dtype=np.int32), rng.random(count) < 0.5, 0.0, 100.0,
    )  # fmt: skip
    rows = [(name, *span) for name in names for span in ((0.0, 20.0, "v1"), (25.0, 50.0, "v2"), (50.0, 100.0, "v1"))]
    facts = (*SWITCHED, (65.0, "rollback begun"), (65.0, "switched"), (66.0, "rolled back"))
    run = run_of(made(facts=facts, own_state=True, spans=spans(*rows)), requests=requests)
    begun = perf_counter()
    frame = run.upgrades_frame()
    run.upgrades["up"].by_version(requests)
    assert perf_counter() - begun < 1.0
    assert frame.loc["up", "failed_share"] == pytest.approx(0.5, abs=0.01)


# ------------------------------------------------------------------------------------------- measures


def test_measures_are_the_numbers_of_a_run() -> None:
    requests = asked(
        (20, 20.1, "a-3", "500"), (21, 21.1, "a-2", "ok"), (60, 60.1, "a-2", "500"), (70, 70.1, "a-2", "ok")
    )
    run = run_of(made(), requests=requests)
    assert ha.failed_requests(run) == 1
    assert ha.outage_equivalent_s(run) == 50.0
    assert ha.min_capacity(run) == 0.5
    assert ha.server_hours(run) == pytest.approx((12 + 100 + 33 + 64) / 3600)
    assert ha.exposure_s(run) == 10.0
    hosts = made(spans=Spans((), np.array([]), np.array([]), ()))
    assert ha.server_hours(run_of(hosts)) == pytest.approx((2 * 100 + 9) / 3600)


def test_measures_refuse_what_they_cannot_tell() -> None:
    calls: list[tuple[Any, str]] = [
        (lambda: ha.failed_requests(run_of(made())), "played no requests"),
        (lambda: ha.failed_requests(run_of(made(), requests=asked())), "no request to judge"),
        (lambda: ha.failed_requests(run_of(requests=asked((1, 2, "a-1", "ok")))), "no upgrade has begun"),
        (lambda: ha.outage_equivalent_s(run_of(made())), "played no requests"),
        (lambda: ha.min_capacity(run_of()), "no upgrade has begun"),
        (lambda: ha.server_hours(run_of()), "no upgrade has begun"),
        (lambda: ha.exposure_s(3), "give a Run"),  # type: ignore[arg-type]
    ]
    for call, said in calls:
        with pytest.raises(ha.ModelError, match=said):
            call()


@pytest.fixture(scope="module")
def strategies() -> dict[str, ha.Scenario]:
    serving = {"takes": "20ms", "slots": 16, "start_up": {"fixed": "5s"}, "pre_stop": "2s"}
    parts = {
        "api": {"kind": "pool", "replicas": 4, "serving": serving},
        "lb": {"kind": "balancer", "to": "api", "view_delay": "1s"},
    }
    cluster = ha.Cluster(name="x", parts=parts, services={"web": {"up": ["lb"]}})
    load, release = ha.Load(rate=50, clients={"timeout": "5s"}), ha.Release(bad=0.5, errors=0.5)
    detection = ha.Detection(takes={"fixed": "10s"})
    common = {"at": "10s", "release": release, "detection": detection}
    return {
        "rolling": cluster.during(ha.Rolling("api", **common), load),
        "all at once": cluster.during(ha.AllAtOnce("api", **common), load),
    }


def test_strategies_are_compared_with_the_same_luck(strategies: dict[str, ha.Scenario]) -> None:
    of = {
        measure.__name__: measure
        for measure in (ha.failed_requests, ha.outage_equivalent_s, ha.min_capacity, ha.server_hours, ha.exposure_s)
    }
    found = ha.compare(strategies, of=of, over="1m", runs=8, seed=1)
    assert found.mean("all at once", "min_capacity").value == 0.0
    assert found.mean("rolling", "min_capacity").value == 0.75
    assert found.difference("all at once", measure="failed_requests").mean.low > 0
    assert found.difference("rolling", "all at once", measure="server_hours").mean.value > 0


def test_a_piece_is_what_a_shorter_run_would_have_shown(strategies: dict[str, ha.Scenario]) -> None:
    whole, short = (ha.simulate(strategies["rolling"], over=over, seed=3) for over in ("2m", "15s"))
    piece, log = whole.between("0s", "15s").upgrades["rolling"], short.upgrades["rolling"]
    same = ("outcome", "duration_s", "min_capacity", "most_pods", "exposure_s", "server_hours", "extra_server_hours")
    assert {name: piece.figures()[name] for name in same} == pytest.approx({name: log.figures()[name] for name in same})
