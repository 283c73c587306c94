"""Outlier detection ejects, waits and readmits as Envoy does, with times worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hasim.balancing.ejection import Detector, OutlierDetection
from hasim.errors import ModelError

ALL = {"max_ejection": 1.0}  # as many as there are


class Played:
    """A detector, woken when it wants to be, with what it has said about each server."""

    def __init__(self, settings: OutlierDetection, count: int = 10, seed: int = 1) -> None:
        self.detector: Detector = settings.start(count, np.random.default_rng(seed))
        self.first = self.detector.wake_at
        self.interval = settings.interval
        self.usable = [True] * count
        self.changed = [-math.inf] * count
        self.now = 0.0

    def until(self, now: float) -> None:
        """Let time pass, sweeps included."""
        while self.detector.wake_at <= now:
            self.now = self.detector.wake_at
            self._hear(self.detector.wake(self.now))
        self.now = now

    def sweep(self, nth: int) -> float:
        """When the nth sweep is; the first is number 0."""
        return self.first + nth * self.interval

    def answers(self, index: int, well: int = 0, badly: int = 0) -> None:
        for failure in [None] * well + ["5xx"] * badly:
            self._hear(self.detector.answered(index, failure, self.now))

    def _hear(self, turns: object) -> None:
        for turn in turns:  # type: ignore[attr-defined]
            assert self.usable[turn.index] != turn.usable  # a turn is a change
            self.usable[turn.index] = turn.usable
            self.changed[turn.index] = self.now

    @property
    def out(self) -> list[int]:
        return [index for index, usable in enumerate(self.usable) if not usable]

    def readmitted(self, index: int) -> float:
        """Let time pass until a server is back; returns when."""
        for _ in range(10_000):
            if self.usable[index]:
                break
            self.until(self.detector.wake_at)
        assert self.usable[index], "it never comes back"
        return self.changed[index]


def test_five_errors_in_a_row_eject_and_a_success_between_them_does_not() -> None:
    play = Played(OutlierDetection())
    play.answers(0, badly=4)
    play.answers(0, well=1)
    play.answers(0, badly=4)
    assert play.out == []
    play.answers(0, badly=1)
    assert play.out == [0]


@pytest.mark.parametrize("failure", ["refused", "reset", "timeout", "5xx"])
def test_every_failure_counts_as_an_error(failure: str) -> None:
    play = Played(OutlierDetection(consecutive_5xx=1))
    assert [turn.usable for turn in play.detector.answered(3, failure, 0.0)] == [False]


def first_sweep_from(play: Played, time: float) -> float:
    """The first sweep at `time` or after, whatever the rounding of the sums."""
    return play.sweep(math.ceil((time - play.first) / play.interval - 1e-9))


@pytest.mark.parametrize("seed", range(5))
def test_each_ejection_in_succession_is_longer_up_to_the_longest(seed: int) -> None:
    play = Played(OutlierDetection(), seed=seed)
    play.until(3.21)
    for nth in range(1, 15):
        play.answers(0, badly=5)
        due = play.now + min(30.0 * nth, 300.0)
        assert play.readmitted(0) == pytest.approx(first_sweep_from(play, due), abs=1e-9)
        play.until(play.now + 0.1)  # and fails at once again, before the next sweep


@pytest.mark.parametrize("quiet", range(6))
def test_every_interval_in_use_makes_the_next_ejection_shorter(quiet: int) -> None:
    # Ejected three times, back, and in use for so many whole intervals: the count falls from 3 to max(0, 3 - quiet)
    # and the next ejection takes it up by one.
    play = Played(OutlierDetection())
    play.until(1.0)
    for _ in range(3):
        play.answers(0, badly=5)
        play.readmitted(0)
        play.until(play.now + 0.1)
    play.until(play.now + 10.0 * quiet)
    play.answers(0, badly=5)
    due = play.now + 30.0 * (max(0, 3 - quiet) + 1)
    assert play.readmitted(0) == pytest.approx(first_sweep_from(play, due), abs=1e-9)


def test_the_count_of_ejections_stops_one_above_the_longest() -> None:
    # Envoy counts up while count x 30 s < 300 s + 30 s, so to 11 at most. After 15 ejections and 5 quiet intervals the
    # next one is the 7th in length.
    play = Played(OutlierDetection())
    play.until(1.0)
    for _ in range(15):
        play.answers(0, badly=5)
        play.readmitted(0)
        play.until(play.now + 0.1)
    play.until(play.now + 50.0)
    play.answers(0, badly=5)
    due = play.now + 210.0
    assert play.readmitted(0) == pytest.approx(first_sweep_from(play, due), abs=1e-9)


def test_a_server_ejected_in_a_sweep_is_back_in_the_sweep_at_the_very_end() -> None:
    for seed in range(100):
        play = Played(OutlierDetection(**ALL), count=5, seed=seed)
        for index in range(5):
            play.answers(index, well=100 if index else 50)
            for _ in range(0 if index else 25):
                play.answers(0, badly=2)
                play.answers(0, well=1)
        play.until(play.sweep(0))
        assert play.out == [0]
        assert play.readmitted(0) == pytest.approx(play.sweep(3), abs=1e-9)


def test_errors_of_requests_under_way_do_not_count_after_the_return() -> None:
    play = Played(OutlierDetection())
    play.answers(0, badly=5)
    play.answers(0, badly=7)
    play.readmitted(0)
    play.answers(0, badly=4)
    assert play.out == []
    play.answers(0, badly=1)
    assert play.out == [0]


@pytest.mark.parametrize(
    ("count", "settings", "most"),
    [
        (9, {}, 0),  # Envoy's 10 % of nine is nobody
        (10, {}, 1),
        (19, {}, 1),
        (20, {}, 2),
        (9, {"always_one": True}, 1),
        (20, {"always_one": True}, 2),
        (10, {"max_ejection": "30%"}, 3),
        (3, {"max_ejection": "34%"}, 1),
        (3, {"max_ejection": "33%"}, 0),
        (4, ALL, 4),
    ],
)
def test_no_more_are_ejected_than_the_share_allows(count: int, settings: dict[str, object], most: int) -> None:
    play = Played(OutlierDetection(**settings), count=count)
    for index in range(count):
        play.answers(index, badly=20)
    assert play.out == list(range(most))


def test_who_was_not_ejected_for_lack_of_room_is_counted_afresh() -> None:
    play = Played(OutlierDetection(base_ejection="1s"))
    play.answers(0, badly=5)
    play.answers(1, badly=5)  # no room: the count starts again
    play.answers(1, badly=4)
    play.readmitted(0)
    assert play.out == []
    play.answers(1, badly=1)
    assert play.out == [1]


# -------------------------------------------------------------------------------------------- success rates


def ejected_by_rates(settings: OutlierDetection, rates: list[float], requests: int = 100) -> list[int]:
    """Let servers succeed at these rates, errors never five in a row, and see who is out after the sweep."""
    play = Played(settings, count=len(rates))
    for index, rate in enumerate(rates):
        well = round(rate * requests)
        for nth in range(requests):
            good = (nth + 1) * well // requests > nth * well // requests  # evenly spread
            play.answers(index, well=int(good), badly=int(not good))
    assert play.out == []
    play.until(play.sweep(0))
    return play.out


RATES = OutlierDetection(consecutive_5xx=1000, **ALL)


def test_the_example_in_the_source_of_envoy() -> None:
    # "{50, 100, 100, 100, 100}: mean = 90, variance = 400, stdev = 20, threshold returned = 52"
    assert ejected_by_rates(RATES, [0.5, 1, 1, 1, 1]) == [0]
    assert ejected_by_rates(RATES.model_copy(update={"success_rate_deviations": 2.01}), [0.5, 1, 1, 1, 1]) == []


@pytest.mark.parametrize("seed", range(20))
def test_success_rates_eject_whom_the_mean_and_deviation_convict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = (rng.integers(60, 100, size=8) / 100).tolist()
    rates[int(rng.integers(8))] = 0.3
    least = np.mean(rates) - 1.9 * np.std(rates)
    assert ejected_by_rates(RATES, rates) == [index for index, rate in enumerate(rates) if rate < least]


def test_equal_rates_eject_nobody() -> None:
    for well in range(0, 101, 7):
        assert ejected_by_rates(RATES, [well / 100] * 7) == []


def test_success_rates_are_compared_only_among_enough_servers_with_enough_requests() -> None:
    assert ejected_by_rates(RATES, [0.5, 1, 1, 1]) == []
    assert ejected_by_rates(RATES, [0.5, 1, 1, 1, 1], requests=98) == []
    fewer = RATES.model_copy(update={"success_rate_hosts": 4, "success_rate_requests": 98})
    # of four, one is 1.73 deviations below the mean
    assert ejected_by_rates(fewer, [0.5, 1, 1, 1], requests=98) == []
    lower = fewer.model_copy(update={"success_rate_deviations": 1.7})
    assert ejected_by_rates(lower, [0.5, 1, 1, 1], requests=98) == [0]
    assert ejected_by_rates(lower.model_copy(update={"success_rate": False}), [0.5, 1, 1, 1], requests=98) == []


def test_a_server_that_is_out_is_not_compared() -> None:
    play = Played(OutlierDetection(**ALL), count=5)
    for _ in range(50):
        play.answers(1, well=1, badly=1)
    for index in (2, 3, 4):
        play.answers(index, well=100)
    play.answers(0, badly=5)
    play.answers(0, well=95)  # were under way
    play.until(play.sweep(0))
    assert play.out == [0]  # of five, server 1 would stand out (0.50 < 0.52); of four, there are too few


def test_only_the_last_interval_counts() -> None:
    play = Played(RATES, count=5)
    for sweep in range(3):
        for index in range(5):
            play.answers(index, well=60 if index else 30, badly=0 if index else 30)
        play.until(play.sweep(sweep))
        assert play.out == []  # 60 requests in each interval, 180 in all


@pytest.mark.parametrize(("threshold", "out"), [("85%", [0]), ("84%", [0, 1]), ("86%", [])])
def test_failure_percentage_ejects_from_its_threshold_on(threshold: str, out: list[int]) -> None:
    settings = RATES.model_copy(update={"success_rate": False})
    rates = [0.15, 0.16, 1.0, 1.0, 1.0]
    assert ejected_by_rates(settings, rates) == []  # off by default, as in Envoy
    with_threshold = OutlierDetection(consecutive_5xx=1000, success_rate=False, failure_percentage=threshold, **ALL)
    assert ejected_by_rates(with_threshold, rates) == out


# ----------------------------------------------------------------------------------------------- the rest


def test_sweeps_begin_at_a_random_time_and_keep_their_interval() -> None:
    firsts = [Played(OutlierDetection(), seed=seed).first for seed in range(300)]
    assert stats.kstest(firsts, stats.uniform(0, 10).cdf).pvalue > 1e-4
    play = Played(OutlierDetection())
    for nth in range(1000):
        assert play.detector.wake_at == pytest.approx(play.sweep(nth), abs=1e-9)
        play.until(play.detector.wake_at)


def test_a_caller_that_rounds_down_does_not_sweep_twice() -> None:
    detector = OutlierDetection().start(10, np.random.default_rng(1))
    first = detector.wake_at
    for nth in range(1, 100):
        detector.wake(math.nextafter(detector.wake_at, 0.0))
        assert detector.wake_at == pytest.approx(first + 10.0 * nth, abs=1e-9)


def test_jitter_adds_a_uniform_time() -> None:
    settings = OutlierDetection(interval="1ms", base_ejection="1s", jitter="1s")
    lengths = []
    for seed in range(150):
        play = Played(settings, seed=seed)
        play.answers(0, badly=5)
        lengths.append(play.readmitted(0))
    # a sweep is at most 1 ms late, which a test on 150 values cannot see
    assert stats.kstest(lengths, stats.uniform(1, 1).cdf).pvalue > 1e-4


def test_the_longest_ejection_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ModelError, match="max_ejection_time is 300 s, but base_ejection is 600 s"):
        OutlierDetection(base_ejection="10m")
