"""Sending less when turned away, and sending twice when slow: held against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hasim.clients import AdaptiveThrottling, Hedge
from hasim.streams import Streams


def test_rejection_follows_the_formula_of_the_book() -> None:
    throttle = AdaptiveThrottling(k=2).start()
    for i in range(9):  # four accepts allow eight requests, and the ninth comes when there are only eight
        assert throttle.may_send(0.0, 0.0)
        throttle.answered(i < 4, 0.0)
    assert throttle.rejection(0.0) == pytest.approx((9 - 2 * 4) / (9 + 1), rel=1e-12, abs=0)
    assert not throttle.may_send(0.0999, 0.0)
    assert throttle.rejection(0.0) == pytest.approx((10 - 2 * 4) / (10 + 1), rel=1e-12, abs=0)
    throttle.answered(True, 0.0)
    assert throttle.rejection(0.0) == 0.0


def test_what_is_rejected_here_counts_as_a_request() -> None:
    throttle = AdaptiveThrottling().start()
    assert throttle.may_send(0.0, 0.0)  # nothing seen, nothing rejected
    assert not throttle.may_send(0.4, 0.0)  # 1/2
    assert not throttle.may_send(0.66, 0.0)  # 2/3
    assert throttle.may_send(0.76, 0.0)  # 3/4
    assert throttle.rejection(0.0) == pytest.approx(4 / 5, rel=1e-12, abs=0)


def test_nothing_is_rejected_while_the_server_takes_half_of_it() -> None:
    throttle = AdaptiveThrottling(k=2).start()
    for i in range(1000):
        assert throttle.may_send(0.0, i * 0.5)
        throttle.answered(i % 2 == 0, i * 0.5)


def test_after_the_window_all_is_forgotten() -> None:
    throttle = AdaptiveThrottling().start()
    for _ in range(100):
        throttle.may_send(0.5, 0.5)
    assert throttle.rejection(119.9) == pytest.approx(100 / 101, rel=1e-12, abs=0)
    assert throttle.rejection(120.0) == 0.0


@pytest.mark.parametrize("requests", [10, 1000])
def test_a_dead_server_sees_a_harmonic_number_of_requests(requests: int) -> None:
    # Nothing is accepted: request n + 1 goes out with 1 − n/(n + 1) = 1/(n + 1), independently of the others. Of N, the
    # sum of 1/n goes out on average, with variance Σ 1/n (1 − 1/n). Four standard errors.
    rng, trials = Streams(11)["dead"], 2000
    sent = []
    for _ in range(trials if requests == 10 else trials // 10):
        throttle = AdaptiveThrottling().start()
        sent.append(sum(throttle.may_send(u, 0.0) for u in rng.random(requests)))
    mean = sum(1 / n for n in range(1, requests + 1))
    variance = sum(1 / n * (1 - 1 / n) for n in range(1, requests + 1))
    assert abs(np.mean(sent) - mean) < 4 * math.sqrt(variance / len(sent))


@pytest.mark.parametrize("k", [1.5, 2.0, 3.0])
def test_an_overloaded_server_sees_k_times_what_it_accepts(k: float) -> None:
    # 50 requests a second, 5 of which are accepted. A request goes out with (k A + 1)/(R + 1), A and R being those of
    # the window, R = 1000: in the sum over all requests each accept counts k × once, spread over the window after it,
    # and each window adds one. Accepts of the last window count in part, and so do those of the window before the
    # first second. What goes out is random given that, with variance N p (1 − p): four standard deviations.
    throttle, rng = AdaptiveThrottling(k=k, window="20s", buckets=20).start(), Streams(12)[f"overload/{k}"]
    window, warm, seconds, rate = 20, 100, 1000, 50
    sent, accepts = [0] * (warm + seconds), [0] * (warm + seconds)
    for second in range(warm + seconds):
        for i in range(rate):
            now = second + i / rate
            if throttle.may_send(rng.random(), now):
                accepted = accepts[second] < 5
                throttle.answered(accepted, now)
                sent[second] += 1
                accepts[second] += accepted
    carried = [(window - age) / window for age in range(window)]  # of an accept of that age, what is still to come
    edges = sum(
        part * (accepts[warm - 1 - age] - accepts[warm + seconds - 1 - age]) for age, part in enumerate(carried)
    )
    expected = k * (sum(accepts[warm:]) + edges) + seconds / window
    p = expected / (seconds * rate)
    assert abs(sum(sent[warm:]) - expected) < 4 * math.sqrt(seconds * rate * p * (1 - p))


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize(
    ("name", "law"),
    [("exponential", stats.expon(scale=0.01)), ("lognormal", stats.lognorm(s=1.5, scale=0.01))],
    ids=["exponential", "lognormal"],
)
def test_hedged_latency_has_the_product_of_tails(name: str, law: stats.rv_continuous, most: int) -> None:
    # P(T > t) = F̄(t) F̄(t − d) F̄(t − 2d) …, and a copy is sent to each call not answered by then: F̄(d), then
    # F̄(2d) F̄(d).
    hedge = Hedge(after="15ms", most=most)
    meter, rng = hedge.start(), Streams(13)[f"{name}/{most}"]
    times = law.ppf(rng.random((20_000, 1 + most)))
    latencies, copies = [], [0] * most
    for drawn in times.tolist():
        meter.asked(0.0)
        done, out = drawn[0], 0
        while done > (out + 1) * hedge.after and meter.may_copy(out, 0.0):
            copies[out] += 1
            out += 1
            done = min(done, out * hedge.after + drawn[out])
        latencies.append(done)

    def cdf(t: np.ndarray) -> np.ndarray:
        return 1 - math.prod((law.sf(t - i * hedge.after) for i in range(1, most + 1)), start=law.sf(t))

    assert stats.kstest(latencies, cdf).pvalue > 1e-4  # a right law falls below it once in ten thousand seeds
    for i, share in enumerate([law.sf(0.015), law.sf(0.030) * law.sf(0.015)][:most]):
        assert abs(copies[i] / 20_000 - share) < 4 * math.sqrt(share * (1 - share) / 20_000)


@pytest.mark.parametrize("extra", [0.0, 0.02, 0.29])
def test_copies_keep_to_their_share_of_the_calls(extra: float) -> None:
    # Everything is slow, and every call asks for a copy: at no time are there more than the share, and it is used up.
    meter = Hedge(after="10ms", extra=extra).start()
    copies = 0
    for call in range(1, 5001):
        now = call * 0.001
        meter.asked(now)
        copies += meter.may_copy(0, now)
        assert copies == math.floor(extra * call + 1e-6)


def test_a_burst_of_slow_calls_is_paid_by_the_calls_of_the_window_alone() -> None:
    meter = Hedge(after="10ms", extra="10%").start()
    for _ in range(1000):
        meter.asked(1.0)
    assert sum(meter.may_copy(0, 9.9) for _ in range(60)) == 60
    assert sum(meter.may_copy(0, 9.9) for _ in range(60)) == 40
    for _ in range(100):
        meter.asked(12.0)  # the thousand have left the window, the copies of 9.9 s have not
    assert not meter.may_copy(0, 12.0)
    for _ in range(100):
        meter.asked(21.0)  # now they have
    assert sum(meter.may_copy(0, 21.0) for _ in range(60)) == 20


def test_calls_that_have_left_the_window_pay_for_no_copy() -> None:
    meter = Hedge(after="10ms", extra="10%").start()
    for _ in range(1000):
        meter.asked(1.0)
    assert not meter.may_copy(0, 11.0)


def test_a_call_has_no_more_copies_than_declared() -> None:
    meter = Hedge(after="10ms", most=2).start()
    assert [meter.may_copy(copies, 0.0) for copies in range(4)] == [True, True, False, False]
