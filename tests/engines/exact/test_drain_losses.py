"""What a planned stop costs in requests: formulas by hand, at their limits, and against plain simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hasim as ha
from hasim.engines.exact.upgrading import (
    accepts_after_deletion,
    deletion_failures,
    in_flight_failures,
    killed_after_deletion,
    killed_failures,
    restart_failures,
    safe_notice,
    switch_failures,
)

Floats = NDArray[np.float64]

STOPS = 400_000
STANDARD_ERRORS = 4.5
LAWS = [ha.Exponential(mean="0.2s"), ha.Fixed(value="0.3s"), ha.Lognormal(mean="0.5s", median="0.2s")]


def within(values: Floats, exact: float) -> bool:
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    return bool(abs(float(values.mean()) - exact) <= STANDARD_ERRORS * error + 1e-12)


def ejections(rng: np.random.Generator, interval: float, fall: int, fast: float | None) -> Floats:
    return rng.random(STOPS) * interval + (fall - 1) * (interval if fast is None else fast)


# -------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("notice", "restart", "expected"),
    [
        (0.0, 1.5, 37.5),  # 30 · (1 + 0.25)
        (1.0, 1.5, 7.5),  # 30 · 0.25
        (1.25, 1.5, 1.875),  # 30 · 0.25²/(2 · 0.5)
        (1.5, 1.5, 0.0),
        (3.0, 1.5, 0.0),
        (0.0, 0.3, 9.0),  # 30 · 0.3
        (1.25, 0.1, 1.2),  # 30 · (0.25² - 0.15²)/(2 · 0.5)
    ],
)
def test_restarts_by_hand(notice: float, restart: float, expected: float) -> None:
    assert float(restart_failures(30.0, notice, restart, 0.5, 3)) == pytest.approx(expected)


def test_retries_on_the_same_server_wait_for_the_next_process() -> None:
    assert float(restart_failures(30.0, 0.0, 1.2, 0.5, 3, retries=1)) == pytest.approx(6.0)
    assert float(restart_failures(30.0, 0.0, 1.2, 0.5, 3, retries=1, turn_around=0.5)) == pytest.approx(21.0)
    assert float(restart_failures(30.0, 0.0, 1.2, 0.5, 3, retries=2)) == 0.0
    assert float(restart_failures(30.0, 0.0, 9.0, 0.5, 3, retries=1, redispatch=True)) == 0.0
    assert float(restart_failures(30.0, 0.0, 1.5, 0.5, 3, redispatch=True)) == 37.5, "without retries nothing is tried"


def test_the_safe_notice_is_where_failures_end() -> None:
    assert float(safe_notice(0.5, 3)) == 1.5
    assert float(safe_notice(2.0, 3, 0.1, longest=0.7)) == pytest.approx(2.9)
    edge = float(safe_notice(2.0, 3, 0.1))
    lost = restart_failures(100.0, [edge - 1e-3, edge, edge + 1.0], 5.0, 2.0, 3, 0.1)
    assert lost[0] > 0
    assert lost[1:] == pytest.approx(0.0, abs=1e-9)
    whole = float(safe_notice(2.0, 3, 0.1, longest=0.7))
    assert in_flight_failures(100.0, 0.7, [whole - 1e-3, whole], 2.0, 3, 0.1)[0] > 0
    assert in_flight_failures(100.0, 0.7, whole, 2.0, 3, 0.1) == pytest.approx(0.0, abs=1e-9)


def test_switches_by_hand() -> None:
    assert float(switch_failures(150.0, 0.8, 0.5, 2, in_step=True, servers=3)) == pytest.approx(232.5)
    assert float(switch_failures(150.0, 0.8, 0.5, 2, servers=3)) == pytest.approx(213.75)
    assert float(switch_failures(100.0, 2.0, 0.5, 3, 0.1)) == pytest.approx(245.0)
    with pytest.raises(ha.ModelError, match="late"):
        switch_failures(150.0, 0.4, 0.5, 2)


def test_pods_by_hand() -> None:
    assert accepts_after_deletion([0.0, 5.0, 5.0, 26.0], [0.0, 0.0, 3.0, 5.0]).tolist() == [0.0, 5.0, 8.0, 30.0]
    assert accepts_after_deletion([10.0, 5.0, 10.0], [0.0, 0.0, 3.0], 5.0).tolist() == [5.0, 5.0, 7.0]
    assert killed_after_deletion([0.0, 3.0, 4.0, 5.0, 60.0], 5.0).tolist() == [5.0, 5.0, 6.0, 7.0, 7.0]
    assert deletion_failures(25.0, 2.0, [0.0, 0.5, 2.0, 9.0]).tolist() == [50.0, 37.5, 0.0, 0.0]
    # Requests of 8 s at a pod with 5 s of grace and a hook of 10 s: those from 1 s before its deletion to 1 s after.
    assert float(killed_failures(10.0, 8.0, 1.0, 5.0, 7.0)) == 20.0
    assert float(killed_failures(10.0, 4.0, 60.0, 0.0, 5.0)) == 0.0, "in time"
    assert float(killed_failures(10.0, ha.Fixed(value="8s"), 60.0, 0.0, 5.0)) == pytest.approx(30.0)
    assert float(killed_failures(10.0, 0.5, 60.0, 7.0, 7.0)) == 5.0, "while it is still asked"


# ---------------------------------------------------------------------------------- plain simulation


@pytest.mark.parametrize("fast", [None, 0.1])
@pytest.mark.parametrize("fall", [1, 3])
@pytest.mark.parametrize("notice", [0.0, 0.4, 1.2])
@pytest.mark.parametrize("restart", [0.2, 2.0])
def test_restarts_against_draws(fast: float | None, fall: int, notice: float, restart: float) -> None:
    ejected = ejections(np.random.default_rng(1), 0.5, fall, fast)
    seen = 20.0 * np.minimum(np.maximum(ejected - notice, 0.0), restart)
    assert within(seen, float(restart_failures(20.0, notice, restart, 0.5, fall, fast)))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("notice", [0.0, 0.3, 1.1, 1.4, 2.0])
def test_what_is_in_flight_against_draws(law: Any, notice: float) -> None:
    """A request that takes S is cut off if it came in the S before the stop, and while the server was in use."""
    rng = np.random.default_rng(2)
    service, ejected = law.quantile(rng.random(STOPS)), ejections(rng, 0.5, 3, None)
    seen = 20.0 * np.maximum(service - np.maximum(notice - ejected, 0.0), 0.0)
    assert within(seen, float(in_flight_failures(20.0, law, notice, 0.5, 3)))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_what_is_killed_against_draws(law: Any) -> None:
    rng = np.random.default_rng(3)
    service = law.quantile(rng.random(STOPS))
    for accepts, kill in ((0.0, 0.25), (0.1, 0.25), (2.0, 2.0)):
        seen = 20.0 * np.maximum(service - (kill - min(0.15, accepts)), 0.0)
        assert within(seen, float(killed_failures(20.0, law, 0.15, accepts, kill)))


def test_a_number_is_a_law_without_spread() -> None:
    notices = np.linspace(0.0, 2.5, 26)
    numbers = in_flight_failures(20.0, 0.3, notices, 0.5, 3)
    laws = [float(in_flight_failures(20.0, ha.Fixed(value="0.3s"), float(at), 0.5, 3)) for at in notices]
    assert numbers == pytest.approx(laws, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((-1.0, 0.0, 1.0, 0.5, 3), "rate"),
        ((1.0, -1.0, 1.0, 0.5, 3), "notice"),
        ((1.0, 0.0, np.inf, 0.5, 3), "restart"),
        ((1.0, 0.0, 1.0, 0.0, 3), "interval"),
        ((1.0, 0.0, 1.0, 0.5, 0), "fall"),
        ((1.0, 0.0, 1.0, 0.5, 3, 0.0), "fast_interval"),
    ],
)
def test_arguments_are_named(arguments: tuple[float, ...], named: str) -> None:
    with pytest.raises(ha.ModelError, match=named):
        restart_failures(*arguments)
