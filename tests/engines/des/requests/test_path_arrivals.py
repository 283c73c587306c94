"""When requests come: rates that change, metronomes, recordings, tides; a longer run begins as a shorter one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from path_scenes import Floats, assert_law, log_of, scene
from scipy import stats

import hasim as ha

QUICK: dict[str, Any] = {"takes": {"fixed": "1ms"}, "slots": 1000}


def arrivals(load: ha.Load, over: str, seed: int = 1) -> Floats:
    """When the requests of a load came."""
    return log_of(scene(**QUICK), load, over=over, seed=seed).arrived_s


def assert_poisson(times: Floats, low: float, high: float, rate: float) -> None:
    """What came between two times is a Poisson process of this rate: the number, and where, given the number."""
    mine = times[(times >= low) & (times < high)]
    expected = rate * (high - low)
    p = 2 * min(stats.poisson.cdf(len(mine), expected), stats.poisson.sf(len(mine) - 1, expected))
    assert p > 1e-5, f"{len(mine)} from {low} to {high}, where {expected} were expected"
    assert_law(mine, stats.uniform(low, high - low))
    assert_law(np.diff(mine), stats.expon(scale=1 / rate))


def test_a_rate_is_a_poisson_process() -> None:
    assert_poisson(arrivals(ha.Load(rate="3000/m"), "400s"), 0, 400, 50)


def test_a_load_begins_and_ends_when_it_should() -> None:
    times = arrivals(ha.Load(rate=50, begins="30s", lasting="200s"), "400s")
    assert 30.0 <= times[0] < 31.0
    assert 229.0 < times[-1] < 230.0
    assert_poisson(times, 30, 230, 50)


def test_steps_change_the_rate_when_they_should() -> None:
    steps = ha.Steps([("50s", 20), ("150s", 100), ("200s", 0), ("250s", "600/m")])
    times = arrivals(ha.Load(rate=steps), "400s")
    assert times[0] >= 50.0
    assert not ((times >= 200) & (times < 250)).any()
    for low, high, rate in ((50, 150, 20), (150, 200, 100), (250, 400, 10)):
        assert_poisson(times, low, high, rate)


def test_a_spike_comes_and_goes() -> None:
    times = arrivals(ha.Load(rate=ha.Spike(rate=10, to=200, at="100s", lasting="20s")), "300s")
    for low, high, rate in ((0, 100, 10), (100, 120, 200), (120, 300, 10)):
        assert_poisson(times, low, high, rate)


def test_a_metronome_keeps_its_distances_however_long_it_runs() -> None:
    times = arrivals(ha.Load(rate=ha.Paced(rate=300), begins="1s"), "40s")
    assert np.allclose(times, 1.0 + np.arange(39 * 300) / 300, rtol=0, atol=1e-9)


def test_a_recording_is_played_as_it_is_and_no_longer_than_the_run() -> None:
    recorded = (0.0, 0.5, 0.5, 2.25, 9.0, 11.0)
    assert arrivals(ha.Load(rate=ha.Replay(times=recorded)), "10s").tolist() == [0.0, 0.5, 0.5, 2.25, 9.0]


def test_a_day_has_its_tide_and_a_weekend_its_share() -> None:
    tide = ha.Daily(low=0.01, high=0.05, peak="10h", weekend=0.5)
    times = arrivals(ha.Load(rate=tide), "7d")
    hour = 3600.0
    for start, factor in ((0.0, 1.0), (4 * 24 * hour, 1.0), (5 * 24 * hour, 0.5), (6 * 24 * hour, 0.5)):
        for low, high in ((7, 13), (19, 25 - 1)):
            # The mean of (a + b cos(2π(t - 10)/24)) over hours low to high, integrated.
            turn = 2 * math.pi / 24
            swing = (math.sin(turn * (high - 10)) - math.sin(turn * (low - 10))) / (turn * (high - low))
            expected = factor * (0.03 + 0.02 * swing) * (high - low) * hour
            found = ((times >= start + low * hour) & (times < start + high * hour)).sum()
            p = 2 * min(stats.poisson.cdf(found, expected), stats.poisson.sf(found - 1, expected))
            assert p > 1e-5, (start, low, found, expected)


@pytest.mark.parametrize(
    "rate",
    [
        900,
        ha.Steps([("0s", 500), ("7s", 900), ("13s", 300)]),
        ha.Spike(rate=300, to=900, at="7s", lasting="3s"),
        ha.Daily(low=300, high=900, peak="1h"),
        ha.Paced(rate=700),
    ],
    ids=["poisson", "steps", "spike", "daily", "paced"],
)
def test_a_longer_run_begins_as_the_shorter_one(rate: Any) -> None:
    load = ha.Load(rate=rate, clients=ha.Clients(count=7), writes=0.5)
    short, long = (log_of(scene(), load, over=over, seed=3) for over in ("9s", "20s"))
    count = len(short)
    assert count > 2000
    for column in ("arrived_s", "user", "write"):
        assert np.array_equal(getattr(short, column), getattr(long, column)[:count])
    assert long.arrived_s[count] >= 9.0
    ended = short.ended_s < 9.0
    assert np.array_equal(short.ended_s[ended], long.ended_s[:count][ended])
