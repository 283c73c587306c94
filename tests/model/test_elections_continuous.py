"""Elections with continuous timers: closed forms, and the sampler against them and against published experiments."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pytest

from hasim.errors import ModelError
from hasim.model.elections.closed_forms import (
    earliest_timeout_cdf,
    earliest_timeout_mean,
    election_time,
    election_time_without_split,
    mean_wait_already_served,
    split_vote_probability,
    terms_needed,
)
from hasim.model.elections.continuous import ContinuousSettings, sample_continuous
from hasim.model.elections.experiments import availsim_wan, lan_benchmark

SAMPLED = 60_000
SIGMAS = 4.9  # a test of a share or a mean fails by chance once in a million runs
QUANTILES = {"p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}
QUANTILES["p999"] = 0.999


def figures(start: str) -> dict[str, dict[str, Any]]:
    text = (files("hasim") / "validation" / "data" / "raft-published.json").read_text(encoding="utf-8")
    return {figure["id"]: figure for figure in json.loads(text)["figures"] if figure["id"].startswith(start)}


def assert_near(value: float, figure: dict[str, Any]) -> None:
    kind, size, target = figure["tolerance"]["type"], figure["tolerance"]["value"], figure["value"]
    if kind == "factor":
        assert target / size <= value <= target * size, (figure["id"], value)
    else:
        allowed = size * target if kind == "relative" else size
        assert abs(value - target) <= allowed, (figure["id"], value)


# -------------------------------------------------------------------------------------------- closed forms

SPLITS = [  # members, available, latency as a share of the range, probability as printed, half a unit of its last digit
    (5, 4, 0.01, 0.0006, 0.00005),
    (5, 4, 0.1, 0.052, 0.0005),
    (5, 4, 0.2, 0.181, 0.0005),
    (5, 3, 0.2, 0.488, 0.0005),
    (9, 7, 0.2, 0.148, 0.0005),
    (9, 5, 0.2, 0.67, 0.005),
    (9, 6, 0.2, 0.345, 0.0005),
    (9, 5, 0.1, 0.41, 0.005),
    (7, 6, 0.2, 0.099, 0.0005),
]


@pytest.mark.parametrize(("members", "available", "latency", "printed", "half"), SPLITS)
def test_split_votes_have_the_printed_probability(
    members: int, available: int, latency: float, printed: float, half: float
) -> None:
    assert abs(split_vote_probability(latency, available, members) - printed) <= half


def test_all_published_splits_and_first_timeouts_are_met() -> None:
    seen = 0
    for name, figure in figures("split-vote/fixed").items():
        case = name.rsplit("/", 1)[1]
        members, available = int(case[1]), int(case[3])
        probability = split_vote_probability(float(case.split("l")[1]), available, members)
        assert probability == pytest.approx(figure["value"], abs=1.5e-5 if figure["value"] < 0.001 else 6e-3), name
        seen += 1
    for name, figure in figures("first-timeout/mean").items():
        assert earliest_timeout_mean(int(name[-1])) == pytest.approx(figure["value"], abs=5e-4)
        seen += 1
    assert seen > 15


def test_of_four_timers_the_first_fires_in_the_first_quarter_two_times_in_three() -> None:
    assert earliest_timeout_cdf(0.25, 4) == pytest.approx(0.68, abs=0.005)
    assert earliest_timeout_cdf(0.0, 4) == 0.0 and earliest_timeout_cdf(1.0, 4) == 1.0


@pytest.mark.parametrize(("failed", "printed"), [(0, 0.425), (1, 0.460), (2, 0.630)])
def test_the_mean_election_time_is_that_of_the_formula(failed: int, printed: float) -> None:
    assert election_time(0.3, 0.035, 5 - failed, 5) == pytest.approx(printed, abs=0.0005)


def test_without_split_votes_an_election_takes_the_first_timeout_and_a_round_trip() -> None:
    served = mean_wait_already_served(0.15)
    assert served == pytest.approx(0.15 / 4)
    # section 9.1 in units of the base: 1 + 1/5 + 2 L + W - 1/4
    assert election_time_without_split(0.15, 0.005, 4, write=0.005, served=served) == pytest.approx(
        0.15 * (1.2 - 0.25) + 2 * 0.005 + 0.005
    )
    assert election_time(1.0, 0.0, 4, 5) == election_time_without_split(1.0, 0.0, 4)


def test_with_too_few_servers_no_term_is_ever_won() -> None:
    assert split_vote_probability(0.1, 2, 5) == 1.0 and terms_needed(1.0) == math.inf
    assert terms_needed(0.5) == 2.0


# ------------------------------------------------------------------------------------------ the sampler


@pytest.mark.parametrize(("members", "available", "latency"), [(3, 2, 0.2), (5, 4, 0.2), (5, 3, 0.1), (9, 6, 0.2)])
def test_first_terms_are_split_as_often_as_the_formula_says(members: int, available: int, latency: float) -> None:
    settings = ContinuousSettings(
        servers=members, failed=members - available, timeout=(1.0, 2.0), latency=(latency, latency)
    )
    found = sample_continuous(settings, SAMPLED, np.random.default_rng(1))
    exact = split_vote_probability(latency, available, members)
    assert abs(np.mean(found.terms > 1) - exact) <= SIGMAS * math.sqrt(exact * (1 - exact) / SAMPLED)


@pytest.mark.parametrize("available", [3, 4])
def test_latencies_that_vary_split_as_many_votes_as_in_the_thesis(available: int) -> None:
    settings = ContinuousSettings(servers=5, failed=5 - available, timeout=(1.0, 2.0), latency=(0.1, 0.2))
    found = sample_continuous(settings, SAMPLED, np.random.default_rng(2))
    assert_near(float(np.mean(found.terms > 1)), figures("split-vote/var")[f"split-vote/var/n5s{available}"])


def test_without_latency_the_first_timer_wins_at_once() -> None:
    found = sample_continuous(
        ContinuousSettings(servers=7, failed=2, timeout=(1.0, 2.0), latency=(0.0, 0.0)),
        20_000,
        np.random.default_rng(3),
    )
    assert np.all(found.terms == 1) and np.array_equal(found.t_leader, found.t_accepted)
    for t in (0.05, 0.1, 0.3):
        exact = earliest_timeout_cdf(t, 5)
        assert abs(np.mean(found.t_leader <= 1 + t) - exact) <= SIGMAS * math.sqrt(exact * (1 - exact) / 20_000)


def quantity(times: np.ndarray, name: str) -> float:
    """A statistic of times in seconds, in milliseconds."""
    return 1e3 * float(times.mean() if name == "mean" else np.quantile(times, QUANTILES[name]))


@pytest.mark.parametrize(("logs", "failed"), [("same", 0), ("same", 1), ("same", 2), ("diff", 0)])
def test_elections_across_a_wide_area_take_as_long_as_in_the_thesis(logs: str, failed: int) -> None:
    found = sample_continuous(availsim_wan(failed, logs_differ=logs == "diff"), SAMPLED, np.random.default_rng(4))
    published = figures(f"availsim-wan/logs-{logs}/f{failed}/")
    assert len(published) == 10
    for name, figure in published.items():
        assert_near(quantity(found.t_leader, name.rsplit("/", 1)[1]), figure)
    for name, figure in figures(f"availsim-wan/text/f{failed}").items():
        if logs == "same":
            assert_near(quantity(found.t_leader, name.rsplit("-", 1)[1]), figure)


CALIBRATED = [(150, 155), (12, 24), (50, 100)]
PREDICTED = [(150, 151), (150, 175), (150, 200)]


@pytest.mark.parametrize(("low", "high"), CALIBRATED + PREDICTED)
def test_the_curves_of_figure_16_are_met(low: int, high: int) -> None:
    count = 20_000 if high > 151 else 4_000
    found = sample_continuous(lan_benchmark(low / 1e3, high / 1e3), count, np.random.default_rng(5))
    for name, figure in figures(f"raft-lan-benchmark/{low}-{high}/").items():
        statistic = name.rsplit("/", 1)[1]
        if statistic in {"min", "max"}:  # of a thousand trials: their median over as many thousands as were sampled
            thousands = found.t_accepted.reshape(-1, 1000)
            value = 1e3 * float(np.median(getattr(thousands, statistic)(axis=1)))
        else:
            value = quantity(found.t_accepted, statistic)
        assert_near(value, figure)


def test_without_randomness_an_election_takes_more_than_ten_seconds() -> None:
    found = sample_continuous(lan_benchmark(0.15, 0.15), 1000, np.random.default_rng(6), horizon=10.0)
    # 99 of a hundred in the paper; how often depends on the jitter alone, so that only the regime is judged.
    endless = np.isinf(found.t_accepted)
    assert np.mean(endless) > 0.5 and np.all(found.terms[endless] >= 60)


def test_timers_that_are_all_alike_need_a_horizon() -> None:
    with pytest.raises(ModelError, match="equal timers can split votes for ever, so give a horizon"):
        sample_continuous(lan_benchmark(0.15, 0.15), 1, np.random.default_rng(6))


def test_a_longer_log_refuses_its_vote_and_only_those_with_long_logs_win() -> None:
    # With the same seed and no other difference, elections among unlike logs take longer.
    same, differ = (
        sample_continuous(availsim_wan(0, logs_differ=unlike), 10_000, np.random.default_rng(7)).t_leader
        for unlike in (False, True)
    )
    assert differ.mean() - same.mean() > SIGMAS * math.sqrt((differ.var() + same.var()) / 10_000)


@pytest.mark.parametrize("count", [0, 1, 40_000])
def test_as_many_elections_are_sampled_as_asked_for_and_the_seed_decides_them(count: int) -> None:
    settings = ContinuousSettings(timeout=(1.0, 2.0), latency=(0.01, 0.02))
    one, two = (sample_continuous(settings, count, np.random.default_rng(8)) for _ in range(2))
    assert one.t_leader.shape == (count,) and np.all(np.isfinite(one.t_accepted))
    assert np.all(one.t_accepted > one.t_leader) and np.all(one.terms >= 1)
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in vars(one))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"failed": 3}, "failed: got 3 of 5 servers; 3 must be left to elect"),
        ({"timeout": (2.0, 1.0)}, "timeout: got 2 to 1; a range goes up from 0 or more"),
        ({"latency": (-1.0, 1.0)}, "latency: got -1 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        ContinuousSettings(**wrong)
    assert message in str(caught.value)


def test_every_case_of_a_split_adds_up() -> None:
    # One vote fewer than a majority taken away from the first candidate is not enough: between none and all.
    for members, available in product((3, 5, 7), (3, 5, 7)):
        if members // 2 < available <= members:
            shares = [split_vote_probability(latency, available, members) for latency in np.linspace(0, 1, 11)]
            assert shares[0] == 0.0 and shares[-1] == pytest.approx(1.0) and np.all(np.diff(shares) >= 0)
