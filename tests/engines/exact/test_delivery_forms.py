"""At-least-once delivery: published values, limits known by hand, and refusals."""

from __future__ import annotations

from math import exp, inf, log
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaincc

from hasim.engines.exact.buffers import buffer_expiries
from hasim.engines.exact.delivery import TaskMeans, task_figures
from hasim.errors import CannotModel, ModelError
from hasim.model.laws import parse_law
from hasim.model.work import Work
from hasim.protocols.delivery import Delivery

LOGNORMAL = {"lognormal": {"mean": "1s", "sigma": 1.0}}


def figures(
    deadline: float, takes: Any = "1s", late_ack: Any = "accepted", most: int | None = None, **work: Any
) -> Any:
    delivery = Delivery(ack_deadline=f"{deadline!r}s", late_ack=late_ack, max_receives=most)
    return task_figures(delivery, Work(takes=takes, **work))


# Executions a task of mean 1 s: computed for the exponential law by hand, for the lognormal by another program.
@pytest.mark.parametrize(
    ("deadline", "takes", "same", "executions", "digit"),
    [
        (1.0, "1s", 0.0, 1.4202, 5e-5),
        (3.0, "1s", 0.0, 1.0499, 5e-5),
        (3.0, LOGNORMAL, 0.0, 1.056, 5e-4),
        (10.0, LOGNORMAL, 0.0, 1.0025, 5e-5),
        (3.0, LOGNORMAL, 1.0, 1.072, 5e-4),
        (10.0, LOGNORMAL, 1.0, 1.0028, 5e-5),
    ],
)
def test_executions_are_those_of_published_values(
    deadline: float, takes: Any, same: float, executions: float, digit: float
) -> None:
    assert figures(deadline, takes, same=same).executions == pytest.approx(executions, abs=digit)


@pytest.mark.parametrize(
    ("deadline", "executions", "duplicates", "done_after"),
    [(1.0, 1.449, 0.380, None), (3.0, 1.093, 0.041, None), (10.0, 1.050, 0.000, 1.45)],
)
def test_crashes_cost_what_published_values_say(
    deadline: float, executions: float, duplicates: float, done_after: float | None
) -> None:
    found = figures(deadline, crash="20s")
    assert found.executions == pytest.approx(executions, abs=5e-4)
    assert found.duplicates == pytest.approx(duplicates, abs=5e-4)
    if done_after is not None:
        assert found.done_after == pytest.approx(done_after, abs=5e-3)


def test_exponential_work_has_its_series() -> None:
    for deadline in (0.2, 1.0, 3.0, 7.7):
        n = np.arange(400)
        series = np.exp(-deadline * n * (n + 1) / 2).sum()
        assert figures(deadline).executions == pytest.approx(series, rel=1e-12)


def test_duplicates_are_hedges() -> None:
    # While the n-th copy is the youngest, n exponentials compete: E[T] is a sum of exp(-V n(n-1)/2) (1 - e^{-nV}) / n.
    n = np.arange(1, 50)
    by_hand = (np.exp(-n * (n - 1) / 2) * -np.expm1(-n) / n).sum()
    assert figures(1.0).done_after == pytest.approx(by_hand, rel=1e-10)
    assert by_hand == pytest.approx(0.81, abs=5e-3)


def test_late_acks_rejected_are_a_geometric_law() -> None:
    for deadline in (0.5, 1.0, 4.0):
        done = 1 - exp(-deadline)
        found = figures(deadline, late_ack="rejected")
        assert found.executions == pytest.approx(1 / done, rel=1e-12)
        assert found.done_after == pytest.approx(1.0, rel=1e-9)  # what forgets its age takes as long as ever
        limited = figures(deadline, late_ack="rejected", most=3)
        assert limited.dead_letters == pytest.approx((1 - done) ** 3, rel=1e-12)
        assert figures(deadline, late_ack="unless_taken") == found


def test_a_dead_letter_is_what_is_not_done_when_the_last_deadline_passes() -> None:
    # H(V) H(2V) of two exponentials, V = 1.
    assert figures(1.0, most=2).dead_letters == pytest.approx(exp(-3), rel=1e-12)
    assert figures(1.0, most=2).executions == pytest.approx(1 + exp(-1), rel=1e-12)
    poison = figures(1.0, {"fixed": "2s"}, late_ack="rejected", most=5)
    assert poison == TaskMeans(
        executions=5.0,
        effects=5.0,
        dead_letters=1.0,
        lost=0.0,
        lost_behind_fence=0.0,
        worker_time=poison.worker_time,
        done_after=inf,
    )
    big = figures(3.0, LOGNORMAL, late_ack="rejected", most=5, same=1.0)
    tail = float(Work(takes=LOGNORMAL).takes.survival(3.0))
    assert big.dead_letters == pytest.approx(tail, rel=1e-12)
    assert big.executions == pytest.approx(1 + 4 * tail, rel=1e-12)


def test_a_long_deadline_pays_for_a_crash_with_waiting() -> None:
    for deadline in (100.0, 1000.0):
        crashes = 1 / 21  # of Exp(1) work with crashes each 20 s
        ended = 20 / 21  # mean of the shorter of both
        expected = ended + crashes / (1 - crashes) * deadline
        assert figures(deadline, crash="20s").done_after == pytest.approx(expected, rel=1e-6)


def test_work_of_a_fixed_time_is_counted() -> None:
    found = figures(1.0, {"fixed": "2.5s"})
    assert (found.executions, found.done_after) == (3.0, pytest.approx(2.5))
    crashing = figures(10.0, {"fixed": "1s"}, crash={"fixed": "2s"})
    assert crashing.executions == 1.0
    assert figures(10.0, {"fixed": "1s"}, crash="1s", most=4).dead_letters == pytest.approx((1 - exp(-1)) ** 4)


def test_attempts_that_are_hardly_alike_are_nearly_independent_and_the_other_way_round() -> None:
    alone, little = figures(2.0, LOGNORMAL), figures(2.0, LOGNORMAL, same=1e-4)
    assert little.executions == pytest.approx(alone.executions, rel=1e-4)
    much, same = figures(2.0, LOGNORMAL, same=0.999), figures(2.0, LOGNORMAL, same=1.0)
    assert much.executions == pytest.approx(same.executions, rel=2e-3)
    between = [figures(2.0, LOGNORMAL, same=share).executions for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert between == sorted(between)


@pytest.mark.parametrize(
    ("late_ack", "takes", "more"),
    [
        ("rejected", {"fixed": "2s"}, {}),
        ("rejected", LOGNORMAL, {"same": 1.0}),
        ("accepted", LOGNORMAL, {"same": 0.5, "crash": "20s"}),
    ],
)
def test_what_has_no_mean_is_refused(late_ack: str, takes: Any, more: dict[str, Any]) -> None:
    with pytest.raises(CannotModel, match="max_receives"):
        figures(1.0, takes, late_ack, **more)


def test_the_published_rule_of_thumb_for_the_deadline_holds() -> None:
    # With the deadline at the 99.9th percentile hardly a task in a thousand is done twice.
    assert figures(log(1000)).duplicates == pytest.approx(0.001, rel=0.01)


# ------------------------------------------------------------------------------------------- full buffers


def test_the_last_task_of_a_buffer_expires_as_published() -> None:
    # Services of 2 s on average, exponential, and a deadline of 30 s.
    late = buffer_expiries(parse_law("2s"), 20, 30.0)
    assert late[0] == pytest.approx(3e-7, rel=0.05)
    assert late[3] == pytest.approx(2e-4, rel=0.1)
    assert late[9] == pytest.approx(0.07, abs=5e-3)
    assert late[19] == pytest.approx(0.88, abs=5e-3)
    assert late.mean() == pytest.approx(0.26, abs=5e-3)


def test_sums_of_services_have_their_laws() -> None:
    number = np.arange(1, 41)
    assert buffer_expiries(parse_law("2s"), 40, 30.0) == pytest.approx(gammaincc(number, 15.0), abs=1e-7)
    gamma = parse_law({"gamma": {"shape": 2.5, "mean": "5s"}})
    assert buffer_expiries(gamma, 10, 20.0) == pytest.approx(gammaincc(2.5 * np.arange(1, 11), 10.0), abs=1e-7)
    fixed = buffer_expiries(parse_law({"fixed": "2.01s"}), 20, 30.0)
    assert fixed.tolist() == pytest.approx([0.0] * 14 + [1.0] * 6, abs=1e-9)


def test_buffers_that_cannot_be_are_refused() -> None:
    for prefetch, deadline, field in ((0, 30.0, "prefetch"), (2.5, 30.0, "prefetch"), (3, 0.0, "deadline")):
        with pytest.raises(ModelError, match=field):
            buffer_expiries(parse_law("2s"), prefetch, deadline)  # type: ignore[arg-type]


@pytest.mark.parametrize(("deadline", "most"), [("30s", 20), ("300s", 3), ("3000s", 50)])
def test_alike_tasks_with_crashes_are_known_however_far_the_last_deadline_is(deadline: str, most: int) -> None:
    work = Work(takes={"lognormal": {"median": "8s", "sigma": 0.6}}, same=1.0, crash="5m")
    found = task_figures(Delivery(ack_deadline=deadline, max_receives=most), work)
    assert 1.0 < found.executions < 1.1 and 9.0 < found.worker_time < 11.0 and found.done_after < 120.0
