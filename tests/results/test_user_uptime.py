"""User-uptime follows its definition: by hand, by brute force, and by what must hold for every record."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from hasim.errors import ModelError
from hasim.results.user_uptime import UserUptime, doubling_windows, user_uptime, windowed_minimum

Record = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]


def record(seed: int, users: int = 5, count: int = 60, end: int = 400, healthy: float = 0.6) -> Record:
    """Answers at whole seconds, in no order, with ties."""
    rng = np.random.default_rng(seed)
    times = rng.integers(0, end, count).astype(float)
    return rng.integers(users, size=count), times, rng.random(count) < healthy


def by_seconds(given: Record, end: int, cutoff: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many users are up and how many active in each second, by asking each user's last answer."""
    users, times, ok = given
    up, active = np.zeros(end, dtype=np.int64), np.zeros(end, dtype=np.int64)
    for second in range(end):
        for user in range(int(users.max()) + 1):
            heard = [(t, i) for i, t in enumerate(times.tolist()) if users[i] == user and t <= second]
            if heard and second - max(heard)[0] < cutoff:
                active[second] += 1
                up[second] += bool(ok[max(heard)[1]])
    return up, active


# ----------------------------------------------------------------------------------------------- by hand


def test_an_answer_holds_until_the_next_one_and_no_longer_than_the_cutoff() -> None:
    # a: up 0-100, down 100-160, up from 160; b: down 50-150 (the cutoff), up from 180; the record ends at 250.
    users = ["a", "b", "a", "a", "b"]
    times = [0.0, 50.0, 100.0, 160.0, 180.0]
    found = user_uptime(users, times, [True, False, False, True, True], end=250.0, cutoff=100.0)
    assert found == UserUptime(up_s=100 + 90 + 70, down_s=60 + 100, requests=5, served=3)
    assert found.share == pytest.approx(260 / 420)
    assert found.success_ratio == 0.6


def test_the_default_cutoff_is_half_an_hour() -> None:
    assert user_uptime([1], [0.0], [True], end=1e6).up_s == 1800.0


def test_who_asks_most_does_not_count_most() -> None:
    # One robot fails a thousand times in the ten minutes in which 99 people are fine.
    users = np.concatenate([np.zeros(1000, dtype=int), np.repeat(np.arange(1, 100), 2)])
    times = np.concatenate([np.arange(1000) * 0.6, np.tile([0.0, 300.0], 99)])
    found = user_uptime(users, times, users > 0, end=600.0)
    assert found.share == pytest.approx(0.99)
    assert found.success_ratio == pytest.approx(198 / 1198)


def test_the_worst_window_is_found_wherever_it_lies() -> None:
    # One user, down from 1000 s to 1060 s. The worst window of w ≥ 60 s holds all of it.
    found = windowed_minimum(
        [7] * 4, [0.0, 500.0, 1000.0, 1060.0], [True, True, False, True], 2000.0, [30, 60, 120, 600]
    )
    assert found == pytest.approx([0.0, 0.0, 0.5, 0.9], abs=0)


def test_a_window_without_anybody_does_not_count() -> None:
    assert windowed_minimum([1, 1], [0.0, 900.0], [True, True], 1000.0, [100.0, 400.0], cutoff=50.0).tolist() == [1, 1]
    assert user_uptime([], [], [], end=5.0) == UserUptime(0.0, 0.0, 0, 0)
    assert user_uptime([], [], [], end=5.0).share is None and user_uptime([], [], [], end=5.0).success_ratio is None
    assert np.isnan(windowed_minimum([], [], [], 5.0, [1.0, 2.0], start=0.0)).all()
    assert np.isnan(windowed_minimum([], [], [], 5.0, [1.0])).all()
    assert np.isnan(windowed_minimum([1], [5.0], [True], 5.0, [1.0], start=0.0)).all()


def test_a_microsecond_of_activity_is_judged_as_surely_as_a_year() -> None:
    # A window may touch the last microsecond of a failed user and nothing else, behind 10⁵ users active for a day.
    users = np.concatenate([np.arange(100_000), [100_000]])
    times = np.concatenate([np.zeros(100_000), [90_000.0]])
    ok = users < 100_000
    found = windowed_minimum(users, times, ok, 200_000.0, [1.0, 86_400.0], cutoff=86_400.0)
    assert found[0] == 0.0
    # The window of a day that begins 3600 s after the healthy go: 3600·1 user-seconds of failure are all it has.
    assert found[1] == 0.0
    both = windowed_minimum(users, times, ok, 90_001.0, [86_402.0], cutoff=86_400.0)
    # The last window, from 3599 s on, has 82 801 s of each healthy user, and one second of the other.
    assert both[0] == pytest.approx(1 - 1 / (100_000 * 82_801 + 1), rel=1e-15)


# ------------------------------------------------------------------------------------------ brute force


@pytest.mark.parametrize("seed", range(12))
def test_the_figures_are_those_of_counting_second_by_second(seed: int) -> None:
    given, end, cutoff = record(seed), 400, (7, 40, 1000)[seed % 3]
    up, active = by_seconds(given, end, cutoff)
    found = user_uptime(*given, end=end, cutoff=cutoff)
    assert (found.up_s, found.down_s) == (up.sum(), active.sum() - up.sum())
    assert (found.requests, found.served) == (60, given[2].sum())
    windows = [1, 2, 3, 10, 37, 100, 256, 400]
    totals = [np.concatenate([[0], np.cumsum(each)]) for each in (up, active)]
    for window, worst in zip(
        windows, windowed_minimum(*given, end=end, windows=windows, cutoff=cutoff, start=0.0), strict=True
    ):
        ups, actives = (total[window:] - total[:-window] for total in totals)
        assert worst == float(min(Fraction(int(u), int(a)) for u, a in zip(ups, actives, strict=True) if a))


@pytest.mark.parametrize("seed", range(6))
def test_no_window_between_the_tried_ones_is_worse(seed: int) -> None:
    # Times on no grid; windows at random places, judged by an integral over each user's stretches.
    rng = np.random.default_rng(seed)
    users, _, ok = record(seed, users=4, count=40)
    times = np.sort(rng.uniform(0, 400, 40))
    stretches = []
    for i in range(40):
        later = [t for j, t in enumerate(times) if users[j] == users[i] and j > i]
        stretches.append((times[i], min([times[i] + 25.0, 400.0, *later]), ok[i]))
    since, until, up = (np.array(column) for column in zip(*stretches, strict=True))
    for window, worst in zip(
        (0.5, 5.0, 60.0), windowed_minimum(users, times, ok, 400.0, [0.5, 5, 60], 25.0), strict=True
    ):
        begins = rng.uniform(times[0], 400 - window, 4000)[:, None]
        overlap = np.maximum(0.0, np.minimum(until, begins + window) - np.maximum(since, begins))
        active = overlap.sum(axis=1)
        shares = (overlap * up).sum(axis=1)[active > 0.4] / active[active > 0.4]
        # Rounding moves each of the 80 begins and ends by half a nanosecond at most, in numerator and denominator.
        assert shares.min() >= worst - 2 * 80 * 0.5e-9 / 0.4


# ------------------------------------------------------------------------------------- what always holds


@pytest.mark.parametrize("seed", range(10))
def test_twice_the_window_is_never_worse(seed: int) -> None:
    given = record(seed, users=20, count=300, end=4096, healthy=0.9)
    windows = doubling_windows(1.0, 4096.0)
    assert windows.tolist() == [2.0**k for k in range(13)]
    worst = windowed_minimum(*given, end=4096.0, windows=windows, cutoff=600.0, start=0.0)
    assert np.all(np.diff(worst) >= 0)
    assert worst[0] < worst[-1]
    assert worst[-1] == pytest.approx(user_uptime(*given, end=4096.0, cutoff=600.0).share, rel=1e-14)


def test_the_order_of_the_record_and_the_names_of_users_do_not_matter() -> None:
    users, times, ok = record(3)
    times = times + np.arange(60) / 1000  # no ties
    mixed = np.random.default_rng(1).permutation(60)
    names = np.array(["ann", "bob", "cyd", "dan", "eve"])[users]
    assert user_uptime(users, times, ok, 500.0) == user_uptime(names[mixed], times[mixed], ok[mixed], 500.0)
    assert np.array_equal(
        windowed_minimum(users, times, ok, 500.0, [5, 50], 60.0),
        windowed_minimum(names[mixed], times[mixed], ok[mixed], 500.0, [5, 50], 60.0),
    )


def test_a_bad_hour_of_a_million_requests_is_found() -> None:
    rng = np.random.default_rng(5)
    users = rng.integers(10_000, size=1_000_000)
    times = np.sort(rng.uniform(0, 86_400, users.size))
    ok = rng.random(users.size) < np.where((times > 40_000) & (times < 42_000), 0.5, 0.999)
    found = user_uptime(users, times, ok, 86_400.0)
    worst = windowed_minimum(users, times, ok, 86_400.0, [60.0, 3600.0])
    assert found.share is not None and 0.98 < found.share < 0.995
    # In the bad hour half of the answers fail for 2000 s: half of these 2000/3600 of active time are down.
    assert worst[1] == pytest.approx(1 - 0.5 * 2000 / 3600, abs=0.01)
    assert worst[0] < 0.51


# ---------------------------------------------------------------------------------------------- refusals

REFUSED = [
    ({"ok": [True]}, "times: got shapes (2,), (2,) and (1,)"),
    ({"times": [0.0, 11.0]}, "times: got 11.0; answers come at finite times up to the end, 10.0"),
    ({"times": [0.0, math.nan]}, "times: got nan"),
    ({"times": None}, "times: got nothing; give a list of instants in seconds"),
    ({"times": "soon"}, "times: got 'soon'; give a list of instants in seconds"),
    ({"end": math.inf}, "end: got inf"),
    ({"end": "10s"}, "end: got '10s'; give a number of seconds"),
    ({"cutoff": 0.0}, "cutoff: got 0.0"),
    ({"cutoff": None}, "cutoff: got nothing; give a number of seconds"),
    ({"cutoff": True}, "cutoff: got True; give a number of seconds"),
    ({"windows": 1.0}, "windows: got 1.0; give a list of lengths in seconds"),
    ({"windows": "1m"}, "windows: got '1m'; give a list of lengths in seconds"),
    ({"windows": ["1m"]}, "windows: got ['1m']; give a list of lengths in seconds"),
    ({"windows": None}, "windows: got nothing; give a list of lengths in seconds"),
    ({"start": "0s"}, "start: got '0s'; give a number of seconds"),
    ({"windows": [0.0]}, "windows: got 0; a window is longer than 0 and at most the record, 10"),
    ({"windows": [10.5]}, "windows: got 10.5"),
    ({"windows": [math.nan]}, "windows: got nan"),
    ({"start": 1.0}, "start: got 1.0; the record starts no later than its first answer"),
]


@pytest.mark.parametrize(("wrong", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_wrong_record_is_refused_by_name(wrong: dict[str, object], said: str) -> None:
    right = {"users": [1, 2], "times": [0.0, 1.0], "ok": [True, False], "end": 10.0, "windows": [1.0], "cutoff": 5.0}
    with pytest.raises(ModelError) as refusal:
        windowed_minimum(**{**right, **wrong})  # type: ignore[arg-type]
    assert str(refusal.value).startswith(said)


def test_windows_that_cannot_double_are_refused() -> None:
    with pytest.raises(ModelError, match="give 0 < shortest ≤ longest"):
        doubling_windows(0.0, 5.0)
