"""Queues against the record of beanstalkd and JetStream: all configurations, wrong settings that it convicts, data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from hasim.cli import app
from hasim.protocols.delivery.lines import Lines
from hasim.validation.queues import bench, comparing, report, single
from hasim.validation.queues.bench import Bench, Trial, play, waiting_first
from hasim.validation.queues.comparing import EXECUTIONS, GAP, LATE_OK, TWICE, UNFINISHED
from hasim.validation.queues.record import QueueConfig, config_of, missed, recorded
from hasim.validation.queues.report import FITTED, SIX, TITLES, compare, validate_queues
from hasim.validation.verdicts import Row

FEW = 48
"""Trials of each configuration in the short form."""
CHANCE = 0.0455
"""Chance that a normal value is more than two standard errors away."""
UNCOMMON = 0.001

EXPLAINED = (
    "first_js_T1_crash10",
    "second_js_T1_crash10",
    "first_bs_T1",
    "first_bs_T1_W6",
    "first_bs_T2_crash10",
    "second_bs_T3",
)
"""What differs for reasons which the page gives: clients that came late, the missed share, and what was drawn."""


@pytest.fixture(scope="module")
def honest() -> dict[str, list[Trial]]:
    played: dict[QueueConfig, list[Trial]] = {}
    for name in TITLES:
        config = config_of(name)
        if config not in played:
            played[config] = play(config, FEW, seed=1)
    return {name: played[config_of(name)] for name in TITLES}


def differing(rows: list[Row]) -> set[str]:
    return {row.quantity.removesuffix(", mean") for row in rows if row.verdict == "differs"}


def judged(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.verdict != "shape only"]


def test_hasim_repeats_tasks_as_often_as_beanstalkd_and_jetstream(honest: dict[str, list[Trial]]) -> None:
    """Executions of all configurations; the other rows but those whose difference is explained.

    What never happened: none. The others: were each a fair comparison at two standard errors, 4.55 % would differ; the
    bound is the 99.9 % point of their number.
    """
    rows = {name: compare(name, honest[name]) for name in TITLES}
    assert not [name for name in TITLES if EXECUTIONS in differing(rows[name])]
    others = judged([row for name in TITLES if name not in EXPLAINED for row in rows[name]])
    never = [row for row in others if "never" in row.how]
    assert (len(others) > 80, len(never) > 10) == (True, True)
    assert not differing(never)
    assert sum(row.verdict == "differs" for row in others) <= binom.ppf(1 - UNCOMMON, len(others), CHANCE)


def test_with_one_task_each_queue_does_what_the_real_one_did() -> None:
    rows = comparing.compare_single(seed=1, trials=5)
    assert len(rows) > 10 and not differing(rows)


def test_expired_tasks_come_before_new_ones_in_both(honest: dict[str, list[Trial]]) -> None:
    bean, jet = honest["second_bs_T1_W6"], play(SIX, FEW, seed=1)
    assert comparing.compare_order("beanstalkd", bean).verdict == "agrees"
    assert comparing.compare_order("jetstream", jet).verdict == "agrees"


def test_rows_that_are_a_fit_say_so(honest: dict[str, list[Trial]]) -> None:
    """How many expiries are missed was counted in just these trials."""
    for name in TITLES:
        executions = next(row for row in compare(name, honest[name]) if row.quantity.startswith(EXECUTIONS))
        assert executions.how.startswith(comparing.FIT) is (name in FITTED)


@pytest.mark.slow
def test_the_whole_comparison_differs_only_where_the_page_says_why() -> None:
    found = validate_queues(seed=1)
    explained = {TITLES[name] for name in EXPLAINED}
    others = judged([row for row in found.rows if row.experiment not in explained])
    assert sum(row.verdict == "differs" for row in others) <= binom.ppf(1 - UNCOMMON, len(others), CHANCE)


# Wrong settings: each is convicted by the quantity that it must change.


def with_settings(**settings: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """The queue delivers otherwise."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        honest_queue = bench.queue_of

        def queue_of(config: QueueConfig) -> Any:
            part = honest_queue(config)
            assert part.delivery is not None
            return part.model_copy(update={"delivery": part.delivery.model_copy(update=settings)})

        monkeypatch.setattr(bench, "queue_of", queue_of)

    return plant


def with_part(**fields: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """Its workers do otherwise."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        honest_queue = bench.queue_of
        monkeypatch.setattr(bench, "queue_of", lambda config: honest_queue(config).model_copy(update=fields))

    return plant


def draws_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt at a task takes a time of its own."""
    honest_queue = bench.queue_of
    monkeypatch.setattr(bench, "queue_of", lambda config: honest_queue(replace(config, fixed=False)))


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, str]] = {
    "beanstalkd accepts late acks": (with_settings(late_ack="accepted"), "second_bs_T2_fixed", EXECUTIONS),
    "beanstalkd accepts them, six workers": (with_settings(late_ack="accepted"), "second_bs_T1_W6", LATE_OK),
    "beanstalkd refuses all late acks": (with_settings(late_ack="rejected"), "second_bs_T1_W6", TWICE),
    "JetStream refuses late acks": (with_settings(late_ack="unless_taken"), "second_js_T2_fixed", EXECUTIONS),
    "no expiry is missed": (with_settings(missed=0.0), "first_bs_T2_fixed", EXECUTIONS),
    "no expiry is missed, and nothing ends": (with_settings(missed=0.0), "first_bs_T2_fixed", UNFINISHED),
    "beanstalkd waits for the dead": (with_settings(frees_lost=False), "second_bs_T2_crash10", GAP),
    "deadlines are not renewed": (with_part(renew=None), "second_js_T1_beat", EXECUTIONS),
    "slowness is the attempt's": (draws_anew, "second_bs_T2_fixed", EXECUTIONS),
    "deadlines are longer": (with_settings(ack_deadline=2.6), "second_js_T2", TWICE),
}


@pytest.mark.parametrize("bug", list(PLANTED))
def test_a_wrong_setting_is_convicted(
    bug: str, monkeypatch: pytest.MonkeyPatch, honest: dict[str, list[Trial]]
) -> None:
    plant, name, quantity = PLANTED[bug]
    assert quantity not in differing(compare(name, honest[name])), "convicted without it"
    plant(monkeypatch)
    assert quantity in differing(compare(name, play(config_of(name), FEW, seed=1)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"late_ack": "accepted"}, "beanstalkd, another worker has it: accepted"),
        ({"late_ack": "unless_taken"}, "JetStream, another worker has it: accepted"),
        ({"late_ack": "rejected"}, "JetStream, nobody else has the task: accepted"),
        ({"frees_lost": False}, "beanstalkd, killed: to the next start, s"),
        ({"frees_lost": True}, "JetStream, killed 0.7 s before the deadline: to the next start, s"),
    ],
)
def test_with_one_task_a_wrong_setting_is_convicted_too(
    settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(**settings)(monkeypatch)
    rows = comparing.compare_single(seed=1, trials=3)
    assert [row.verdict for row in rows if row.quantity == said] == ["differs"]


def test_new_tasks_first_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "put_again", Lines.put)
    assert comparing.compare_order("jetstream", play(SIX, 10, seed=1)).verdict == "differs"


# What is carried, and what is played.


def test_the_record_is_of_one_piece() -> None:
    """Each trial counts each of its tasks once, and its shares are those of its histogram."""
    assert set(TITLES) == set(recorded()) and len(TITLES) == 22
    for name, entry in recorded().items():
        tasks, columns = entry.config["N"], entry.columns
        assert len({len(column) for column in columns.values()}) == 1, name
        for place, often in enumerate(columns["exec_hist"]):
            executions = sum((number + 1) * many for number, many in enumerate(often))
            assert sum(often) == tasks
            assert columns["mean_exec"][place] == pytest.approx(executions / tasks, abs=1e-4)
            assert columns["dup_frac"][place] == pytest.approx(sum(often[1:]) / tasks, abs=1e-4)
            assert len(columns["redelivery_gap"][place]) == executions - tasks
        if entry.config["sys"] == "bs":
            assert np.array_equal(entry.column("late_acks"), entry.column("late_ok") + entry.column("late_rejected"))


@pytest.mark.parametrize(
    ("name", "trials", "used", "mean", "error"),
    [
        ("first_js_T2", 40, 40, 1.0604, 0.0068),
        ("second_js_T1_crash10", 20, 20, 1.4927, 0.0168),
        ("second_js_T3_crash10", 20, 18, 1.1204, 0.0124),
        ("first_bs_T1", 40, 38, 1.4057, 0.0170),
        ("second_bs_T1_W6", 20, 20, 1.3555, 0.0193),
        ("first_bs_T2_fixed", 19, 17, 1.2721, 0.0507),
    ],
)
def test_means_are_those_that_were_printed(name: str, trials: int, used: int, mean: float, error: float) -> None:
    found = recorded()[name].column("mean_exec")
    assert (len(recorded()[name].columns["lag"]), found.size) == (trials, used)
    assert found.mean() == pytest.approx(mean, abs=1e-4)
    assert found.std(ddof=1) / math.sqrt(used) == pytest.approx(error, abs=1e-4)


def test_the_missed_share_is_what_was_counted_and_only_beanstalkds() -> None:
    assert (missed(1), missed(2)) == (45 / 330, 111 / 1970)
    assert config_of("first_bs_T1").missed == missed(1) and config_of("second_bs_T3").missed == missed(2)
    assert config_of("first_js_T2").missed == 0.0


def test_the_same_seed_gives_the_same_trials_and_another_does_not() -> None:
    config = config_of("second_bs_T2_crash10")
    first = play(config, 3, seed=7)
    assert first == play(config, 3, seed=7)
    assert first != play(config, 3, seed=8)


def test_one_execution_in_ten_ends_with_its_worker_at_any_moment() -> None:
    """Of 0.8 s that all executions take, those that crash have gone through half in the mean."""
    config = QueueConfig("beanstalkd", 60.0, crash=0.1, lasts=(0.8,) * 1000)
    ended, begun = [], 0
    for number in range(100):
        played = Bench(config, 1, number)
        played.begin()
        played.run_to(60.0)
        at = {}
        for fact in played.facts:
            if fact.kind == "work begun":
                at[fact.subject], begun = fact.at, begun + 1
            elif fact.kind == "process crashed":
                ended.append(fact.at - at[fact.subject])
    assert abs(len(ended) - 0.1 * begun) < 4.5 * math.sqrt(0.09 * begun)
    assert abs(np.mean(ended) - 0.4) < 4.5 * 0.8 / math.sqrt(12 * len(ended)) and max(ended) < 0.8


def test_who_waits_and_who_comes_first_is_counted_right() -> None:
    """Two workers die at once; while another is started both tasks wait, and come before the third."""
    played = Bench(QueueConfig("beanstalkd", 60.0, workers=2, tasks=3, lasts=(9.0, 9.0, 0.1, 0.1, 0.1)), 1)
    played.begin()
    played.run_to(0.5)
    for name in played.names:
        played._down(played.world.nodes[name], 0.5)
    played.run_to(5.0)
    assert waiting_first(played) == (2, 2)


def test_page_and_picture_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "TRIALS", 16)
    monkeypatch.setattr(report, "SINGLE", 8)
    result = CliRunner().invoke(app, ["validate", "queues", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / report.PICTURE).stat().st_size > 10_000
    text = (tmp_path / report.PAGE).read_text(encoding="utf-8")
    assert all(f"### {title}" in text for title in TITLES.values())
    assert single.poisoned("beanstalkd", 5.0, seed=1) == (5, None)
