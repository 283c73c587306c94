"""The rules by which measured and simulated numbers are called equal, on samples whose answer is known."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from hasim.validation import verdicts
from hasim.validation.probes import Asked, first_after, longest_gap, silences, successes
from hasim.validation.record import Figure, published, published_curve, recorded
from hasim.validation.verdicts import Row


def rows_with(*p_values: float | None) -> list[Row]:
    return [Row("x", str(p), "", "", "agrees", "", p) for p in p_values]


def test_holm_multiplies_the_smallest_p_by_the_number_of_tests_and_the_next_by_one_less() -> None:
    # 0.012 × 4 < 0.05, but 0.02 × 3 > 0.05, and nothing behind it may differ either.
    judged = verdicts.holm(rows_with(0.02, 0.9, 0.012, 0.024))
    assert [row.verdict for row in judged] == ["agrees", "agrees", "differs", "agrees"]


def test_rows_without_a_test_keep_their_verdict_and_do_not_count_for_holm() -> None:
    judged = verdicts.holm([*rows_with(0.04), *rows_with(None)])
    assert [row.verdict for row in judged] == ["differs", "agrees"]


def test_a_shifted_distribution_differs_and_an_equal_one_agrees() -> None:
    rng = np.random.default_rng(5)
    theirs = rng.exponential(1.0, 100)
    same = verdicts.distributions("x", "t", theirs, rng.exponential(1.0, 400))
    other = verdicts.distributions("x", "t", theirs, 0.5 + rng.exponential(1.0, 400))
    assert [row.verdict for row in verdicts.holm([same, other])] == ["agrees", "differs"]


def test_pooling_finds_what_each_configuration_is_too_small_to_show() -> None:
    rng = np.random.default_rng(6)
    right = [(rng.normal(size=50), rng.normal(size=2000)) for _ in range(20)]
    wrong = [(theirs + 0.25, ours) for theirs, ours in right]
    assert verdicts.pooled("x", right).verdict == "agrees"
    assert verdicts.pooled("x", wrong).verdict == "differs"
    single = verdicts.holm([verdicts.distributions("x", "t", *pair) for pair in wrong])
    assert sum(row.verdict == "agrees" for row in single) > 15


def test_pooling_says_how_far_samples_of_that_size_stray_when_the_model_is_right() -> None:
    rng = np.random.default_rng(7)
    row = verdicts.pooled("x", [(rng.normal(size=100), rng.normal(size=20_000)) for _ in range(4)])
    said = re.search(r"right: ([\d.]+) in the median, ([\d.]+) at 95 %", row.theirs)
    assert said is not None
    # Kolmogorov's distribution has its median at 0.828 / √n and its 95 % point at 1.358 / √n; the estimates of 1000
    # repeats have standard errors below 0.01 and 0.03 of these units.
    assert float(said[1]) * 20 == pytest.approx(0.828, abs=0.05)
    assert float(said[2]) * 20 == pytest.approx(1.358, abs=0.12)


def test_means_may_differ_by_five_percent_or_two_standard_errors() -> None:
    exact = np.array([1.0, 1.0 + 1e-9, 1.0 - 1e-9])
    assert verdicts.means("x", "t", exact, exact * 1.049).verdict == "agrees"
    assert verdicts.means("x", "t", exact, exact * 1.051).verdict == "differs"
    wide = np.array([0.0, 2.0] * 8)  # its standard error is 0.26
    assert verdicts.means("x", "t", wide, exact * 1.5).verdict == "agrees"
    assert verdicts.means("x", "t", wide, exact * 1.6).verdict == "differs"


def test_shares_may_differ_by_two_standard_errors_of_both() -> None:
    theirs = np.repeat([1.0, 0.0], [17, 83])
    assert verdicts.shares("x", "s", theirs, np.repeat([1.0, 0.0], [40, 360])).verdict == "agrees"  # 10 %: 1.9 errors
    assert verdicts.shares("x", "s", theirs, np.repeat([1.0, 0.0], [32, 368])).verdict == "differs"  # 8 %: 2.7


def test_a_published_figure_says_how_near_is_near_enough() -> None:
    for of, width, near, far in (
        ("relative", 0.1, 219.9, 220.1),
        ("absolute", 5, 204.9, 205.1),
        ("factor", 2, 399, 401),
    ):
        figure = Figure("x", 200.0, "ms", "digitised", {"type": of, "value": width})
        assert figure.agrees(near)
        assert not figure.agrees(far)


def test_every_recorded_trial_is_read() -> None:
    sizes = {name: each.entry["trials"] for name, each in recorded().items()}
    assert sum(sizes.values()) == 438
    assert recorded()["kill_n5_50-500"].column("t_leader").size == 100
    assert recorded()["lossq_n3_100-1000"].column("t_stepdown").size == 6  # where the leader was left alone


def test_a_published_curve_ends_where_its_samples_do() -> None:
    values, levels = published_curve("raft-lan-benchmark/150-200")
    assert (levels[0], levels[-1]) == (0.0, 1.0)
    assert np.all(np.diff(values) > 0)
    assert values[-1] == pytest.approx(published()["raft-lan-benchmark/150-200/max"].value * 1e-3)


def asked(kind: str, issued: float, answered: float = math.inf, error: str = "", member: str = "n1") -> Asked:
    return Asked(kind, member, issued, answered, error)  # type: ignore[arg-type]


def test_only_good_answers_within_the_patience_of_the_client_count() -> None:
    served = successes(
        [
            asked("put", 0.0, 0.1),
            asked("put", 0.0, 0.5),  # too late
            asked("put", 0.0, 0.1, "etcdserver: request timed out"),
            asked("put", 0.0, 0.1, member="n2"),
            asked("lin", 0.0, 0.1),
            asked("put", 0.0),
        ],
        "put",
        ["n1"],
        patience=0.4,
    )
    assert [each.answered for each in served] == [0.1]


def test_silences_are_between_completions_and_the_first_success_was_asked_for_after_the_fault() -> None:
    served = [asked("put", at, at + 0.01) for at in (0.0, 0.1, 2.0)] + [asked("put", 0.99, 1.2)]
    assert longest_gap(served, since=1.0) == pytest.approx(1.2 - 0.11)  # 0.11 to 1.20
    assert longest_gap(served, since=2.0) == pytest.approx(2.01 - 1.2)
    assert first_after(served, 1.0) == pytest.approx(1.01)  # what was asked at 0.99 does not count
    assert silences(served, longer_than=0.5) == pytest.approx((1.2 - 0.11) + (2.01 - 1.2))
    assert math.isnan(longest_gap(served, since=3.0))
    assert math.isnan(first_after(served, 3.0))
