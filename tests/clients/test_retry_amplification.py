"""How retries multiply load: the closed forms, against calls played through the policies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hasim.clients import FAILURES, Budget, BudgetMeter, ConcurrentRetries, Retry, RetryRatio, TokenBucket
from hasim.streams import Streams


def attempts_of_a_call(
    retry: Retry, meter: BudgetMeter | None, failing: float, rng: np.random.Generator, now: float, failure: str = "5xx"
) -> int:
    """Play one call whose attempts fail independently and take no time; returns how many there were."""
    if meter is not None:
        meter.asked(now)
    attempt = 1
    while True:
        failed = rng.random() < failing
        if meter is not None:
            meter.ended(now, retry=attempt > 1)
            if not failed:
                meter.succeeded(attempt > 1, now, failure if attempt > 1 else "")
        if not failed or not retry.wants(failure, attempt):
            return attempt
        if meter is not None and not meter.may_retry(failure, now):
            return attempt
        attempt += 1


@pytest.mark.parametrize("failing", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("attempts", [1, 2, 3, 6])
def test_mean_attempts_are_a_geometric_sum(attempts: int, failing: float) -> None:
    # E = Σ f^k, k < m, = (1 − f^m)/(1 − f); four standard errors, which 6 in 100 000 seeds exceed.
    retry, rng = Retry(attempts=attempts, backoff="none"), Streams(3)[f"{attempts}/{failing}"]
    made = np.array([attempts_of_a_call(retry, None, failing, rng, 0.0) for _ in range(10_000)])
    expected = (1 - failing**attempts) / (1 - failing)
    second = sum((2 * k + 1) * failing**k for k in range(attempts))  # E[N²] = Σ (2k + 1) P(N > k)
    standard_error = math.sqrt((second - expected**2) / len(made))
    assert abs(made.mean() - expected) <= 4 * standard_error


@pytest.mark.parametrize(("attempts", "layers", "expected"), [(3, 5, 243), (3, 1, 3), (2, 4, 16), (4, 3, 64)])
def test_layers_that_each_retry_multiply(attempts: int, layers: int, expected: int) -> None:
    retry = Retry(attempts=attempts, backoff="none")

    def arrivals(layer: int) -> int:
        """What reaches the last layer, all of which fails, for one call that reaches this one."""
        if layer == layers:
            return 1
        sent, attempt = arrivals(layer + 1), 1
        while retry.wants("timeout", attempt):
            attempt += 1
            sent += arrivals(layer + 1)
        return sent

    assert arrivals(0) == expected == attempts**layers


def test_only_the_failures_named_are_tried_again() -> None:
    retry = Retry(on=["refused", "429"])
    assert [failure for failure in FAILURES if retry.wants(failure, 1)] == ["refused", "429"]
    assert [Retry().wants("reset", attempt) for attempt in (1, 2, 3)] == [True, True, False]


def test_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    patient = Retry(backoff={"kind": "constant", "wait": "2s"})
    assert [patient.delay(1, 0.0, 0.5, asked) for asked in (0.0, 1.0, 5.0)] == [2.0, 2.0, 5.0]
    deaf = Retry(backoff={"kind": "constant", "wait": "2s"}, honour_retry_after=False)
    assert deaf.delay(1, 0.0, 0.5, 5.0) == 2.0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5])
def test_a_ratio_without_reserve_bounds_amplification_by_one_plus_the_share(share: float) -> None:
    # 20 000 calls over 200 s, all of which fail: without a budget 3 attempts each.
    meter = RetryRatio(share=share, reserve=0).start()
    retry, rng = Retry(backoff="none"), Streams(4)["ratio"]
    total, calls = 0, 20_000
    for i in range(calls):
        total += attempts_of_a_call(retry, meter, 1.0, rng, i * 0.01)
        assert total <= (1 + share) * (i + 1) + 1e-6
    # It spends all it may, but for a part of a retry in the last window and in each bucket that was left over.
    assert total >= (1 + share) * calls - 200


def test_google_s_budget_turns_threefold_load_into_a_tenth_more() -> None:
    # Google SRE, chapter 21: with three attempts and a budget of 10 %, the growth is 1.1 times where it was 3 times.
    for budget, expected in ((None, 3.0), (RetryRatio(share=0.1, reserve=0), 1.1)):
        meter = None if budget is None else budget.start()
        rng = Streams(5)["google"]
        total = sum(attempts_of_a_call(Retry(), meter, 1.0, rng, i * 0.001) for i in range(20_000))
        assert total / 20_000 == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(
    ("budget", "failure", "retries"),
    [
        (TokenBucket(), "5xx", 100),
        (TokenBucket(), "timeout", 50),
        (RetryRatio(share=0), "5xx", 100),  # the reserve of 10 a second, over 10 s
        (RetryRatio(), "5xx", 300),  # and 20 % of 1000
    ],
    ids=["aws-errors", "aws-timeouts", "finagle-reserve", "finagle"],
)
def test_a_thousand_failing_calls_at_once_get_this_many_retries(budget: Budget, failure: str, retries: int) -> None:
    meter = budget.start()
    retry = Retry(attempts=10, backoff="none")
    for _ in range(1000):
        meter.asked(0.0)
    granted = 0
    for _ in range(1000):
        attempt = 1
        while retry.wants(failure, attempt) and meter.may_retry(failure, 0.0):
            attempt, granted = attempt + 1, granted + 1
    assert granted == retries


def test_an_empty_token_bucket_lets_through_what_successes_pay_for() -> None:
    # Two attempts, each fails with f. A retry costs 5 and returns 5 with 1 − f; a first success returns 1. Balance:
    # retries a call g with 5 g f = 1 − f, so g = (1 − f)/(5 f) = 0.05 for f = 0.8, where 0.8 were wanted.
    failing, batches, size = 0.8, 100, 500
    meter, retry, rng = TokenBucket().start(), Retry(attempts=2, backoff="none"), Streams(7)["bucket"]

    def batch() -> int:
        return sum(attempts_of_a_call(retry, meter, failing, rng, 0.0) for _ in range(size)) - size

    for _ in range(10):  # empties the bucket
        batch()
    shares = np.array([batch() / size for _ in range(batches)])
    # The tokens held move by less than a retry between batches, so these are all but independent.
    standard_error = shares.std(ddof=1) / math.sqrt(batches)
    assert abs(shares.mean() - (1 - failing) / (5 * failing)) < 4 * standard_error


def test_concurrent_retries_add_a_quarter_when_all_fails() -> None:
    # Calls begin every 10 ms, an attempt takes 1 s and fails. With n firsts and r retries in flight, r ≤ 20 % of n + r,
    # so r ≤ n/4: with 100 firsts in flight, 25 retries. Without the budget there would be 200.
    meter, retry = ConcurrentRetries().start(), Retry(backoff="none")
    ends: list[list[int]] = [[] for _ in range(3_100)]  # by hundredths of a second: the attempts that end then
    most = 0
    for tick in range(3_000):
        for attempt in ends[tick]:
            meter.ended(tick / 100, retry=attempt > 1)
            if retry.wants("timeout", attempt) and meter.may_retry("timeout", tick / 100):
                ends[tick + 100].append(attempt + 1)
        meter.asked(tick / 100)
        ends[tick + 100].append(1)
        most = max(most, meter.retries)
        assert meter.retries <= max(3, 0.2 * (meter.firsts + meter.retries) + 0.25)  # one first has just ended
    assert meter.firsts == 100
    assert 24 <= most <= 25
