"""Passive detection by counted failures does what nginx does: a literal copy of its rules, and laws in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hasim.balancing.ejection import Detector, MaxFails, Turn
from hasim.errors import ModelError


def started(ejection: MaxFails, count: int = 3, seed: int = 1) -> Detector:
    return ejection.start(count, np.random.default_rng(seed))


def phase_of(ejection: MaxFails, seed: int) -> float:
    """Where between two whole seconds of its clock a detector of this seed starts, told from how long it waits."""
    probe = started(ejection.model_copy(update={"max_fails": 1}), seed=seed)
    probe.answered(0, "refused", 0.0)
    return ejection.fail_timeout + 1.0 - probe.wake_at


def told(turns: object) -> list[tuple[int, bool]]:
    assert isinstance(turns, list | tuple)
    return [(turn.index, turn.usable) for turn in turns]


EXACT = MaxFails(whole_seconds=False)


def test_a_refused_connection_leaves_a_server_out_for_ten_seconds() -> None:
    detector = started(EXACT)
    assert detector.chosen(1, 3.0) == ()
    assert detector.answered(1, "refused", 3.0) == [Turn(1, False, "1 failed")]
    assert detector.wake_at == 13.0
    assert told(detector.wake(13.0)) == [(1, True)]
    assert detector.wake_at == math.inf


@pytest.mark.parametrize("fails", [1, 2, 5])
def test_it_takes_max_fails_failures(fails: int) -> None:
    detector = started(EXACT.model_copy(update={"max_fails": fails}))
    turns = [told(detector.answered(0, "timeout", 1.0 + 0.1 * nth)) for nth in range(fails)]
    assert turns == [[]] * (fails - 1) + [[(0, False)]]


def test_one_request_probes_and_success_forgets_all() -> None:
    detector = started(EXACT)
    detector.answered(0, "refused", 0.0)
    assert told(detector.wake(10.0)) == [(0, True)]
    assert told(detector.chosen(0, 10.5)) == [(0, False)]  # nobody else is sent there
    assert told(detector.answered(0, None, 12.0)) == [(0, True)]
    assert detector.wake_at == math.inf
    assert told(detector.chosen(0, 12.1)) == []


def test_a_failed_probe_waits_anew_from_its_failure() -> None:
    detector = started(EXACT)
    detector.answered(0, "refused", 0.0)
    detector.wake(10.0)
    detector.chosen(0, 10.5)
    assert told(detector.answered(0, "timeout", 14.0)) == []  # it was out already
    assert detector.wake_at == 24.0


def test_a_probe_without_an_answer_is_followed_by_another() -> None:
    detector = started(EXACT)
    detector.answered(0, "refused", 0.0)
    detector.wake(10.0)
    detector.chosen(0, 11.0)
    assert detector.wake_at == 21.0
    assert told(detector.wake(21.0)) == [(0, True)]
    assert told(detector.chosen(0, 21.0)) == [(0, False)]


def test_late_failures_prolong_and_late_successes_do_not_pardon() -> None:
    detector = started(EXACT)
    assert told(detector.answered(0, "timeout", 1.0)) == [(0, False)]
    assert detector.answered(0, None, 1.5) == ()  # was sent before
    assert told(detector.answered(0, "timeout", 2.0)) == []
    assert detector.wake_at == 12.0


def test_old_failures_are_forgotten_by_a_success_and_by_nothing_else() -> None:
    two = EXACT.model_copy(update={"max_fails": 2})
    forgets = started(two)
    forgets.answered(0, "reset", 0.0)
    forgets.chosen(0, 10.0)
    forgets.answered(0, None, 10.1)
    assert told(forgets.answered(0, "reset", 10.2)) == []
    remembers = started(two)
    remembers.answered(0, "reset", 0.0)
    remembers.answered(0, None, 5.0)  # sent within fail_timeout of the failure
    assert told(remembers.answered(0, "reset", 10_000.0)) == [(0, False)]


def test_an_error_that_does_not_count_is_a_success() -> None:
    plain = started(EXACT)
    assert told(plain.answered(0, "5xx", 0.0)) == []
    plain.answered(0, "refused", 0.0)
    plain.wake(10.0)
    plain.chosen(0, 10.0)
    assert told(plain.answered(0, "5xx", 10.1)) == [(0, True)]
    strict = started(EXACT.model_copy(update={"on": ("refused", "5xx")}))
    assert told(strict.answered(0, "5xx", 0.0)) == [(0, False)]
    assert told(strict.answered(1, "timeout", 0.0)) == []


def test_a_server_that_is_alone_is_never_left_out() -> None:
    detector = started(EXACT, count=1)
    for second in range(100):
        assert told(detector.chosen(0, float(second))) == []
        assert told(detector.answered(0, "refused", float(second))) == []
    assert detector.wake_at == math.inf


def test_when_all_are_out_they_stay_out_or_are_all_forgiven() -> None:
    stays = started(EXACT, count=2)
    stays.answered(0, "refused", 0.0)
    assert told(stays.answered(1, "refused", 1.0)) == [(1, False)]
    assert told(stays.wake(10.0)) == [(0, True)]
    forgives = started(EXACT.model_copy(update={"reset_when_all_out": True, "max_fails": 2}), count=2)
    for index in (0, 1, 0):
        forgives.answered(index, "refused", 0.0)
    assert told(forgives.answered(1, "refused", 1.0)) == [(1, False), (0, True), (1, True)]
    assert forgives.wake_at == math.inf
    assert told(forgives.answered(0, "refused", 2.0)) == []  # counted from nothing


# ------------------------------------------------------------------------------------------- whole seconds


@pytest.mark.parametrize("timeout", [0.0, 2.0, 10.0])
def test_whole_seconds_make_the_wait_uniform_over_one_more_second(timeout: float) -> None:
    # A failure at a random phase u of the second is stamped floor; the next stamp that is larger by more than T comes
    # T + 1 - u later. nginx with fail_timeout 2 s was measured to probe after 2.06 to 3.18 s.
    ejection, waits = MaxFails(fail_timeout=f"{timeout}s"), []
    for seed in range(500):
        detector, now = started(ejection, seed=seed), 7.3 * seed
        detector.answered(0, "refused", now)
        waits.append(detector.wake_at - now)
        assert told(detector.wake(detector.wake_at)) == [(0, True)]
    assert stats.kstest(waits, stats.uniform(timeout, 1).cdf).pvalue > 1e-4


@pytest.mark.parametrize("early", [0, 1, 3], ids=lambda steps: f"{steps} floats early")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("whole", [True, False], ids=["whole seconds", "exact"])
def test_a_probe_at_the_first_moment_is_a_probe_even_if_the_caller_rounds_down(
    whole: bool, seed: int, early: int
) -> None:
    # With whole seconds and a fail_timeout of 0, the probe is pardoned only if it is stamped with the second it opens.
    detector = started(MaxFails(fail_timeout="0s" if whole else "1s", whole_seconds=whole), seed=seed)
    now = 1234.56 * (seed + 1)
    for _ in range(200):
        assert told(detector.answered(0, "refused", now)) == [(0, False)]
        now = detector.wake_at
        for _ in range(early):
            now = math.nextafter(now, 0.0)
        assert told(detector.wake(now)) == [(0, True)]
        assert told(detector.chosen(0, now)) == [(0, False)]
        assert told(detector.answered(0, None, now)) == [(0, True)]


@pytest.mark.parametrize("seed", range(10))
def test_a_hung_server_takes_one_read_timeout_of_requests_and_then_one_a_probe(seed: int) -> None:
    # nginx, fail_timeout 2 s, read timeout 1 s, 50 requests a second to the server, hung for 5 s. Sent before the
    # first timeout: 50. Measured: 50.3 +- 0.7. The last of these fails at 1.98 s, so the one probe comes after
    # 3.98 s and before 4.98 s, and what it shows comes after the end.
    detector = started(MaxFails(fail_timeout="2s"), seed=seed)
    usable = True
    sent: list[float] = []
    pending: list[float] = []
    for tick in range(250):
        now = tick / 50
        while pending and pending[0] <= now:
            for turn in detector.answered(0, "timeout", pending.pop(0)):
                usable = turn.usable
        if detector.wake_at <= now:
            usable = detector.wake(now)[-1].usable
        if usable:
            sent.append(now)
            pending.append(now + 1)
            for turn in detector.chosen(0, now):
                usable = turn.usable
    assert sent[:50] == [tick / 50 for tick in range(50)]
    assert len(sent) == 51
    assert 3.98 < sent[50] <= 5.0


class Reference:
    """nginx, line by line: fails, accessed and checked of each peer, and ngx_time() in whole seconds."""

    def __init__(self, count: int, max_fails: int, fail_timeout: float, phase: float) -> None:
        self.max_fails, self.fail_timeout, self.phase = max_fails, fail_timeout, phase
        self.fails, self.accessed, self.checked = [0] * count, [-math.inf] * count, [-math.inf] * count

    def time(self, now: float) -> int:
        return math.floor(now + self.phase)

    def skipped(self, peer: int, now: float) -> bool:
        return self.fails[peer] >= self.max_fails and self.time(now) - self.checked[peer] <= self.fail_timeout

    def get(self, peer: int, now: float) -> None:
        if self.time(now) - self.checked[peer] > self.fail_timeout:
            self.checked[peer] = self.time(now)

    def free(self, peer: int, failed: bool, now: float) -> None:
        if failed:
            self.fails[peer] += 1
            self.accessed[peer] = self.checked[peer] = self.time(now)
        elif self.accessed[peer] < self.checked[peer]:
            self.fails[peer] = 0


@pytest.mark.parametrize("max_fails", [1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_any_story_goes_as_in_nginx(max_fails: int, seed: int) -> None:
    ejection = MaxFails(max_fails=max_fails, fail_timeout="2s")
    detector = started(ejection, seed=seed)
    reference = Reference(3, max_fails, 2.0, phase_of(ejection, seed))
    fate, now = np.random.default_rng(100 + seed), 0.0
    usable, out = [True] * 3, 0
    pending: list[int] = []
    sick = [False] * 3
    for _ in range(3000):
        now += fate.exponential(0.1)
        while detector.wake_at <= now:
            for turn in detector.wake(detector.wake_at):
                usable[turn.index] = turn.usable
        assert usable == [not reference.skipped(peer, now) for peer in range(3)]
        out += not all(usable)
        if fate.random() < 0.02:
            sick[int(fate.integers(3))] ^= True
        if fate.random() < 0.5:
            in_panic = not any(usable) or fate.random() < 0.02  # a balancer may send to servers that are out
            peer = int(fate.integers(3) if in_panic else fate.choice(np.flatnonzero(usable)))
            turns = list(detector.chosen(peer, now))
            reference.get(peer, now)
            pending.append(peer)
        elif pending:
            peer = pending.pop(int(fate.integers(len(pending))))
            failed = bool(sick[peer] and fate.random() < 0.8)
            turns = list(detector.answered(peer, "timeout" if failed else None, now))
            reference.free(peer, failed, now)
        else:
            turns = []
        for turn in turns:
            assert usable[turn.index] != turn.usable  # a turn is a change
            usable[turn.index] = turn.usable
    assert out > 300


def test_fail_timeout_is_whole_where_the_clock_is() -> None:
    with pytest.raises(ModelError, match=r"fail_timeout is 2\.5 s; with whole_seconds it is whole seconds"):
        MaxFails(fail_timeout="2500ms")
    assert MaxFails(fail_timeout="2500ms", whole_seconds=False).fail_timeout == 2.5
