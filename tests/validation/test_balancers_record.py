"""Balancers against the record of HAProxy and nginx: all configurations, and planted bugs that it convicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy.stats import binom

from hasim.balancing import LeastRequest, round_robin
from hasim.balancing.backend import Backend
from hasim.engines.des.requests import front
from hasim.engines.des.requests.checker import Checker
from hasim.engines.des.requests.exchange import Exchange
from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.view import View
from hasim.machine import Effect, Send, SetTimer
from hasim.protocols.health import HealthCheck, Ping
from hasim.validation.balancers import bench
from hasim.validation.balancers.report import TITLES, compare, part_of, play, validate_balancers
from hasim.validation.verdicts import Row, holm

FEW = {"haproxy_faults": 16, "haproxy_upgrades": 6, "nginx": 16, "steady": 4}
"""Trials in the short form, by part of the record."""
CHANCE = 0.0455
"""Chance that a normal value is more than two standard errors away."""
UNCOMMON = 0.001

EXPLAINED = ("kill_lc_noredis",)
"""Configurations that differ for reasons which the page gives: stalls of the machine."""


def rows_of(name: str, trials: int | None = None) -> list[Row]:
    """The judged rows of one configuration; distributions among themselves."""
    return holm(compare(name, play(name, FEW[part_of(name)] if trials is None else trials, seed=1)))


def differing(rows: list[Row]) -> set[str]:
    return {row.quantity for row in rows if row.verdict == "differs"}


def test_hasim_does_what_haproxy_and_nginx_did() -> None:
    """All configurations whose differences are by chance if there are any, in few trials; three bounds.

    Laws: two-sample Kolmogorov–Smirnov tests under Holm's correction, so a false alarm in one of twenty such suites.
    What never happened: none. The others: were each a fair comparison at two standard errors, 4.55 % would differ;
    the bound is the 99.9 % point of their number.
    """
    names = [name for name in TITLES if name not in EXPLAINED]
    rows = holm([row for name in names for row in compare(name, play(name, FEW[part_of(name)], 1))])
    tested = [row for row in rows if row.p is not None]
    never = [row for row in rows if row.how.startswith("never")]
    others = [row for row in rows if row.p is None and row.verdict != "shape only" and not row.how.startswith("never")]
    assert (len(tested) > 30, len(never) > 30, len(others) > 200) == (True, True, True)
    assert not differing(tested)
    assert not differing(never)
    assert sum(row.verdict == "differs" for row in others) <= binom.ppf(1 - UNCOMMON, len(others), CHANCE)


@pytest.mark.slow
def test_the_whole_comparison_differs_only_where_the_page_says_why() -> None:
    report = validate_balancers(seed=1)
    explained = {TITLES[name] for name in EXPLAINED}
    others = [row for row in report.differing if row.experiment not in explained]
    judged = [row for row in report.rows if row.verdict != "shape only"]
    assert not [row for row in others if row.p is not None or row.how.startswith("never")]
    # Beyond that, fewer than a hundredth: bounds of 15 % leave most rows no chance to differ.
    assert len(others) < len(judged) / 100


# Planted bugs: each is convicted by the quantity that it must change.


def stuck_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed attempt takes no turn from the wheel: the next request begins where this one did not fail."""
    honest = round_robin._Wheel.choose

    def choose(self: round_robin._Wheel, key: int, avoid: Backend | None = None) -> Backend:
        before = self._at
        chosen = honest(self, key, avoid)
        if avoid is not None:
            self._at = before
        return chosen

    monkeypatch.setattr(round_robin._Wheel, "choose", choose)


def one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checks in a row that time out only the first costs its timeout."""
    honest = HealthCheck._send

    def send(self: HealthCheck) -> list[Effect]:
        effects = honest(self)
        if self.health == self.check.full:
            return effects
        return [Send(self.server, Ping(self.sent)), SetTimer("timeout", 0.0, 0.0)]

    monkeypatch.setattr(HealthCheck, "_send", send)


def born_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are down until their checks succeed."""
    honest = Checker.start

    def start(self: Checker) -> None:
        honest(self)
        self._machine.health = 0
        self._front.mark(self._replica.index, False, "not yet checked")

    monkeypatch.setattr(Checker, "start", start)


def without_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two servers of a draw are always different ones."""
    honest = LeastRequest.start
    monkeypatch.setattr(
        LeastRequest, "start", lambda self, rng: honest(self.model_copy(update={"replacement": False}), rng)
    )


def no_turn_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is tried again at once, on the same server."""
    monkeypatch.setattr(front, "TURN_AROUND", 0.0)


def no_prolonging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of requests that were under way do not prolong nginx's wait."""

    def woken(self: View) -> None:
        assert self.detector is not None
        self._wake = None
        self._turn(self.detector.wake(self._env._now))
        self._changed()

    monkeypatch.setattr(View, "_woken", woken)


def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The balancer never loses patience with a server."""
    monkeypatch.setattr(Front, "_not_served", lambda self, exchange: None)


def in_flight_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that were under way at a server that died are tried elsewhere, unasked."""
    monkeypatch.setattr(Front, "broken", lambda self, exchange: self._elsewhere(exchange))


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, str]] = {
    "stuck wheel": (stuck_wheel, "kill_rr_redis", "redispatches per request until the ejection"),
    "one timeout": (one_timeout, "stop_rr", "fault to ejection, s, distribution"),
    "born down": (born_down, "hc500_rr", "failed requests, less those in flight"),
    "without replacement": (without_replacement, "stop_rand", "failed requests, less those in flight"),
    "no turn-around": (no_turn_around, "kill_rr_noredis_blip", "failed requests, less those in flight"),
    "no prolonging": (no_prolonging, "ngx_stop_off", "last failure, s, median"),
    "endless patience": (endless_patience, "stop_rr", "failed requests, less those in flight"),
    "in flight retried": (in_flight_retried, "kill_rr_noredis_blip", "redispatches per request until the ejection"),
}


@pytest.mark.parametrize("bug", list(PLANTED))
def test_a_planted_bug_is_convicted(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, name, quantity = PLANTED[bug]
    assert quantity not in differing(rows_of(name)), "convicted without the bug"
    plant(monkeypatch)
    assert quantity in differing(rows_of(name))


def test_retries_that_wait_weigh_on_their_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were they forgotten, a dead server would look idle and draw half of all requests: a hundred, not six."""
    honest, retry = Front._not_connected, Front._connect
    waiting: dict[Exchange, Backend] = {}

    def not_connected(self: Front, exchange: Exchange, why: str) -> None:
        backend = exchange.backend
        assert backend is not None
        honest(self, exchange, why)
        if exchange.backend is backend:
            backend.active -= 1
            waiting[exchange] = backend

    def connect(self: Front, exchange: Exchange) -> None:
        if exchange in waiting:
            waiting.pop(exchange).active += 1
        retry(self, exchange)

    def caught() -> float:
        row = next(
            row for row in rows_of("kill_lc_noredis", 6) if row.quantity == "failed requests, less those in flight"
        )
        return float(row.ours.split()[0])

    assert caught() < 10
    monkeypatch.setattr(Front, "_not_connected", not_connected)
    monkeypatch.setattr(Front, "_connect", connect)
    assert caught() > 50


def test_constants_of_the_machine_come_from_its_steady_runs() -> None:
    """By hand: (10896·1.73 + 3620·2.45 + 3657·0.44) / 18173, and (10896·2.08 + 3620·2.13 + 3657·2.20) / 18173."""
    assert bench.slot_overhead_ms() == pytest.approx(1.6138, abs=1e-4)
    assert bench.transit_ms() == pytest.approx(2.1141, abs=1e-4)
