"""The rules by which balancers are held against the record, the page, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hasim.cli import app
from hasim.validation.balancers import report as reporting
from hasim.validation.balancers.page import BY_CHANCE, page, table
from hasim.validation.balancers.record import recorded, steady
from hasim.validation.balancers.report import PAGE, PICTURE, TITLES, BalancersReport, validate_balancers
from hasim.validation.balancers.rules import added, averages, laws, losses, medians, times
from hasim.validation.verdicts import Row, holm

ROWS = (
    Row("first", "failed", "1.0", "1.1", "agrees", "near"),
    Row("first", "retries", "0", "3", "differs", "none"),
    Row("second", "tail", "0.1", "0.0", "shape only", "the machine's"),
)


def around(mean: float, spread: float, count: int = 100) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A sample with this mean and median, and with this standard deviation (of n - 1)."""
    half = spread * math.sqrt((count - 1) / count)
    return mean + half * np.tile([1.0, -1.0], count // 2)


def test_means_may_differ_by_15_per_cent_or_two_standard_errors() -> None:
    """With n = 100 each and standard deviation 10, two standard errors of the difference are 2 √2 = 2.83."""
    assert averages("", "", around(100, 10), around(114, 10)).verdict == "agrees"
    assert averages("", "", around(100, 10), around(116, 10)).verdict == "differs"
    assert averages("", "", around(5, 10), around(7.8, 10)).verdict == "agrees"
    assert averages("", "", around(5, 10), around(7.9, 10)).verdict == "differs"


def test_what_the_record_never_shows_must_not_happen_once() -> None:
    ours = np.zeros(400)
    assert averages("", "", np.zeros(30), ours).verdict == "agrees"
    ours[7] = 1
    assert averages("", "", np.zeros(30), ours).verdict == "differs"


def test_times_may_be_late_by_what_stalls_add() -> None:
    assert times("", "", around(1.25, 0.01), around(1.25 - 0.03 * 1.25 - 0.019, 0.01)).verdict == "agrees"
    assert times("", "", around(1.25, 0.01), around(1.25 - 0.03 * 1.25 - 0.021, 0.01)).verdict == "differs"


def test_a_few_stalled_trials_move_no_median() -> None:
    rng = np.random.default_rng(1)
    theirs, ours = rng.normal(20, 1, 50), rng.normal(20, 1, 400)
    theirs[:5] = 1_000
    assert medians("", "", theirs, ours).verdict == "agrees"
    assert medians("", "", theirs * 1.2, ours).verdict == "differs"


def test_tails_are_compared_by_what_the_fault_adds() -> None:
    before, then = around(100, 1), around(300, 1)
    assert added("", "", (before, then), (before - 50, then - 50)).verdict == "agrees"
    assert added("", "", (before, then), (before - 50, then - 50 - 59)).verdict == "agrees"
    assert added("", "", (before, then), (before - 50, then - 50 - 62)).verdict == "differs"


def test_losses_in_flight_are_compared_by_medians() -> None:
    assert losses("", "", np.array([0.0, 3.0, 90.0]), np.array([1.0, 1.0, 2.0])).verdict == "agrees"
    assert losses("", "", np.array([4.0]), np.array([1.0])).verdict == "differs"


def test_laws_finer_than_a_stall_are_not_judged() -> None:
    rng = np.random.default_rng(2)
    assert laws("", "", rng.uniform(0.1, 0.6, 40), rng.uniform(0.1, 0.6, 400)).p is not None
    assert laws("", "", rng.uniform(0.106, 0.112, 40), np.full(400, 0.1)).verdict == "shape only"


def test_what_is_seen_in_no_trial_differs() -> None:
    seen, nothing = around(1, 0.1), np.full(10, np.nan)
    rows = [
        laws("", "", seen, nothing),
        times("", "", seen, nothing),
        averages("", "", seen, nothing),
        medians("", "", seen, nothing),
        added("", "", (seen, seen), (nothing, nothing)),
    ]
    assert [row.verdict for row in holm(rows)] == ["differs"] * 5


def test_trials_with_long_stalls_are_left_out() -> None:
    """Numbers of used trials as the record's own summary gives them."""
    used = {name: len(entry.used) for name, entry in recorded("haproxy_faults").items()}
    assert (used["kill_rr_redis"], used["stop_rr"], used["kill_rr_hot"], used["kill_lc_noredis"]) == (43, 55, 76, 29)
    assert [len(recorded("haproxy_upgrades")[name].used) for name in ("roll_none_d1", "bg_drain")] == [24, 46]
    assert [len(entry.used) for entry in recorded("nginx").values()] == [40, 19, 40]


def test_every_configuration_of_the_record_is_compared() -> None:
    parts = [recorded(part) for part in ("haproxy_faults", "haproxy_upgrades", "nginx")]
    assert sorted(TITLES) == sorted([*(name for part in parts for name in part), *steady()])


def test_the_page_counts_what_is_judged_and_marks_what_differs() -> None:
    text = page(BalancersReport(1, True, ROWS, {}))
    assert "Of 2 comparisons 1 agree." in text
    assert "| retries | 0 | 3 | **differs** | none |" in text
    assert BY_CHANCE in text
    assert table(BalancersReport(1, True, ROWS, {})).row_count == 5
    assert BY_CHANCE not in page(BalancersReport(1, False, ROWS, {}))


def test_trials_are_those_of_their_seed_alone() -> None:
    one, two = (validate_balancers(True, 3, names=names) for names in (["bg_drain"], ["ngx_stop_off", "bg_drain"]))
    other = validate_balancers(True, 4, names=["bg_drain"])
    assert one.trials["bg_drain"] == two.trials["bg_drain"]
    assert one.trials["bg_drain"] != other.trials["bg_drain"]


def test_the_command_writes_the_page_and_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("kill_rr_redis", "kill_rr_redis_2s", "stop_rr", "stop_rr_fast")
    monkeypatch.setattr(reporting, "TITLES", {name: TITLES[name] for name in names})
    monkeypatch.setattr(reporting, "TRIALS", dict.fromkeys(reporting.TRIALS, 40))
    found = CliRunner().invoke(app, ["validate", "balancers", "--quick", "--json", "--out", str(tmp_path)])
    assert found.exit_code == 0
    shown = json.loads(found.stdout)
    assert shown["validation"] == "balancers"
    assert shown["agrees"] + shown["differs"] == sum(row["verdict"] != "shape only" for row in shown["rows"])
    assert {row["experiment"] for row in shown["rows"]} == {TITLES[name] for name in names}
    assert (tmp_path / PICTURE).stat().st_size > 10_000
    assert f"]({PICTURE})" in (tmp_path / PAGE).read_text(encoding="utf-8")
