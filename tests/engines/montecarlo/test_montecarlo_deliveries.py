"""Deliveries of many tasks at once, against the closed forms: means within their standard errors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from hasim.engines.exact.delivery import task_figures
from hasim.engines.montecarlo.deliveries import sample_deliveries
from hasim.errors import CannotModel
from hasim.model.work import Work
from hasim.protocols.delivery import Delivery

COUNT = 200_000
Z = 4.5  # standard errors: one in some hundred thousand sound comparisons fails
LOGNORMAL = {"lognormal": {"mean": "1s", "sigma": 1.0}}

CASES = [
    (deadline, takes, late_ack, most, same, crash)
    for deadline, takes, late_ack, (most, same, crash) in product(
        ("700ms", "3s"),
        ("1s", LOGNORMAL, {"weibull": {"shape": 0.7, "mean": "1s"}}),
        ("accepted", "rejected"),
        (
            (None, 0.0, None),
            (None, 0.0, "5s"),
            (4, 0.0, "5s"),
            (4, 0.6, None),
            (3, 0.6, "5s"),
            (5, 1.0, "5s"),
            (1, 1.0, None),
        ),
    )
]


def agree(sample: Any, expected: float) -> None:
    error = float(np.std(sample)) / np.sqrt(len(sample))
    assert abs(float(np.mean(sample)) - expected) <= Z * error + 1e-12


@pytest.mark.parametrize(("deadline", "takes", "late_ack", "most", "same", "crash"), CASES)
def test_tasks_fare_as_the_closed_forms_say(
    deadline: str, takes: Any, late_ack: Any, most: int | None, same: float, crash: str | None
) -> None:
    delivery = Delivery(ack_deadline=deadline, late_ack=late_ack, max_receives=most)
    work = Work(takes=takes, same=same, crash=crash)
    exact = task_figures(delivery, work)
    found = sample_deliveries(delivery, work, COUNT, np.random.default_rng(1))
    agree(found.executions, exact.executions)
    agree(found.effects, exact.effects)
    dead = exact.dead_letters
    assert abs(np.isinf(found.done_after).mean() - dead) <= Z * np.sqrt(dead * (1 - dead) / COUNT) + 1e-12
    agree(found.done_after[np.isfinite(found.done_after)], exact.done_after)


def test_the_time_until_a_task_is_done_has_its_law() -> None:
    delivery, work = Delivery(ack_deadline="1s"), Work(takes="1s")
    found = sample_deliveries(delivery, work, 50_000, np.random.default_rng(2)).done_after

    def law(t: Any) -> Any:
        # With c copies begun, at ages t, t - 1, …: exp(-(c t - c (c - 1) / 2)).
        copies = np.floor(t) + 1
        return 1 - np.exp(-(copies * t - copies * (copies - 1) / 2))

    assert kstest(found, law).pvalue > 0.001


def test_a_task_that_is_never_done_is_refused() -> None:
    never = Delivery(ack_deadline="1s", late_ack="rejected")
    with pytest.raises(CannotModel, match="max_receives"):
        sample_deliveries(never, Work(takes={"fixed": "2s"}), 1, np.random.default_rng(1))


def test_no_tasks_are_none() -> None:
    assert (
        sample_deliveries(Delivery(ack_deadline="1s"), Work(takes="1s"), 0, np.random.default_rng(1)).executions.size
        == 0
    )
