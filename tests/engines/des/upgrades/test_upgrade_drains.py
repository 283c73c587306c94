"""What planned stops lose, request by request: behind checks and behind endpoints, it is what the closed forms say."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

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
from hasim.model.upgrades import Upgrade
from hasim.results.outcomes import CODES
from hasim.results.run import Run
from hasim.trace import Fact

STANDARD_ERRORS = 4.5
RATE = 40.0  # requests per second to one server
BEGIN_S = 1.0


def fixed(value: float) -> ha.Fixed:
    return ha.Fixed(value=f"{value}s")


def play(
    servers: int,
    serving: dict[str, Any],
    balancer: dict[str, Any],
    upgrade: Upgrade,
    over: float,
    seed: int,
    **load: Any,
) -> Run:
    parts = {
        "api": {"kind": "pool", "replicas": servers, "serving": {"slots": 1000, **serving}},
        "lb": {"kind": "balancer", "to": "api", **balancer},
    }
    cluster = ha.Cluster(name="drains", parts=parts, services={"web": {"up": ["lb"]}})
    run = ha.simulate(cluster.during(ha.Load(rate=RATE * servers, **load), upgrade), over=f"{over}s", seed=seed)
    assert run.upgrades[upgrade.called].outcome == "rolled out"
    return run


def count(run: Run, outcome: str) -> int:
    assert run.requests is not None
    return int(np.count_nonzero(run.requests.outcome == CODES[outcome]))


def failed(run: Run) -> int:
    """All that came to a bad end; what the end of the run cut off has not."""
    assert run.requests is not None
    return len(run.requests) - count(run, "ok") - count(run, "unanswered")


def agree(seen: list[int], expected: float) -> None:
    """The mean is as expected; where nothing is to be seen, exactly nothing is."""
    if expected < 1e-9:
        assert not any(seen)
        return
    values = np.array(seen, dtype=float)
    spread = max(float(values.var(ddof=1)), expected)  # no law here varies less than a Poisson count
    assert abs(float(values.mean()) - expected) <= STANDARD_ERRORS * np.sqrt(spread / values.size), values.mean()


# ------------------------------------------------------------------------------------- behind checks


class Restart(NamedTuple):
    """A rolling restart behind checks; times in seconds, `takes` is how long a request does."""

    notice: float = 0.0
    restart: float = 1.5
    interval: float = 0.5
    fall: int = 3
    rise: int = 2
    fast: float | None = None
    servers: int = 3
    graceful: bool = False
    retries: int = 0
    redispatch: bool = False
    takes: float = 0.02
    gate: str = "balancer"

    def play(self, seed: int, **load: Any) -> Run:
        check: dict[str, Any] = {"interval": f"{self.interval}s", "fall": self.fall, "rise": self.rise}
        if self.fast is not None:
            check["fast_interval"] = f"{self.fast}s"
        upgrade = ha.InPlace(
            target="api",
            at=f"{BEGIN_S}s",
            notice=f"{self.notice}s",
            pause="0.2s",
            gate=self.gate,
            graceful=self.graceful,
        )
        balancer = {"check": check, "retries": self.retries, "redispatch": self.redispatch}
        serving = {"takes": ha.Exponential(mean=f"{self.takes}s"), "start_up": fixed(self.restart)}
        each = self.notice + self.restart + (self.rise + 1) * self.interval + 0.3
        return play(self.servers, serving, balancer, upgrade, BEGIN_S + self.servers * each + 3.0, seed, **load)

    @property
    def refused(self) -> float:
        """What is refused by all servers together."""
        one = restart_failures(
            RATE, self.notice, self.restart, self.interval, self.fall, self.fast,
            retries=self.retries, redispatch=self.redispatch,
        )  # fmt: skip
        return self.servers * float(one)

    @property
    def broken(self) -> float:
        """What is under way as they stop."""
        if self.graceful:
            return 0.0
        law = ha.Exponential(mean=f"{self.takes}s")
        return self.servers * float(in_flight_failures(RATE, law, self.notice, self.interval, self.fall, self.fast))


RESTARTS = [
    Restart(),
    Restart(notice=1.0, servers=2),
    Restart(notice=1.25, servers=4),
    Restart(notice=3.0, takes=0.2),
    Restart(notice=1.3, takes=0.3),
    Restart(restart=0.3),
    Restart(restart=0.3, gate="ready"),
    Restart(notice=1.2, restart=0.1, graceful=True, takes=0.002),
    Restart(graceful=True, takes=0.05),
    Restart(notice=1.0, graceful=True, rise=4),
    Restart(notice=0.3, interval=1.0, fall=2, rise=1),
    Restart(interval=0.4, fall=1),
    Restart(notice=0.5, interval=1.0, fall=3, fast=0.1, rise=3),
    Restart(notice=1.1, interval=1.0, fall=3, fast=0.1, graceful=True, servers=2),
    Restart(notice=0.0, redispatch=True, retries=1),
    Restart(notice=0.4, redispatch=True, retries=3, graceful=True, takes=0.1),
    Restart(retries=3),
    Restart(notice=0.2, restart=1.5, retries=1, graceful=True),
    Restart(notice=0.6, restart=2.6, retries=2),
]


@pytest.mark.parametrize(("number", "case"), list(enumerate(RESTARTS)))
def test_a_rolling_restart_loses_what_the_closed_form_says(number: int, case: Restart) -> None:
    runs = [case.play(seed) for seed in range(100 * number, 100 * number + 40)]  # no two cases share their luck
    agree([count(run, "503") for run in runs], case.refused)
    agree([count(run, "reset") for run in runs], case.broken)
    assert all(failed(run) == count(run, "503") + count(run, "reset") for run in runs)


@pytest.mark.parametrize("fast", [None, 0.1])
def test_the_cliff_is_where_the_last_check_may_fail(fast: float | None) -> None:
    edge = float(safe_notice(0.5, 3, fast))
    before = Restart(notice=edge - 0.1, fast=fast, graceful=True)
    assert sum(failed(before.play(seed)) for seed in range(10)) > 0
    for notice in (edge, edge + 1.0):
        at = Restart(notice=notice, fast=fast, graceful=True, servers=2)
        assert [failed(at.play(seed)) for seed in range(20)] == [0] * 20


def test_a_process_that_stops_at_once_needs_the_longest_request_on_top() -> None:
    """Requests that take 0.4 s, all of them; without it some of the last are broken off."""

    def lost(notice: float) -> int:
        upgrade = ha.InPlace(target="api", at="1s", notice=f"{notice}s", gate="balancer", graceful=False)
        balancer = {"check": {"interval": "0.5s", "fall": 3, "rise": 2}, "retries": 0}
        serving = {"takes": fixed(0.4), "start_up": fixed(0.5)}
        return sum(failed(play(2, serving, balancer, upgrade, 12.0, seed)) for seed in range(20))

    assert lost(float(safe_notice(0.5, 3, longest=0.4))) == 0
    assert lost(float(safe_notice(0.5, 3, longest=0.2))) > 0


@pytest.mark.parametrize("graceful", [True, False])
def test_checks_do_not_move_connections(graceful: bool) -> None:
    """Whoever keeps one connection stays where it leads, whatever checks say: notice spares it nothing.

    A process that says goodbye loses none; one that dies breaks off what it has. Its clients go to the others, in
    turn, so that each next server has n/(n - 1) times as many: 1/n, 1/(n - 1), ... of all.
    """
    case = Restart(notice=2.0, takes=0.1, servers=4, graceful=graceful)
    seen = [failed(case.play(seed, clients=ha.Clients(connections="sticky", count=120))) for seed in range(40)]
    shares = sum((1 / 4) * (4 / 3) ** k for k in range(4))
    agree(seen, 0.0 if graceful else shares * 4 * RATE * 0.1)


# ---------------------------------------------------------------------------------- behind endpoints


class Deletion(NamedTuple):
    """A rolling update behind endpoints; times in seconds, every request takes `takes`."""

    delay: float
    pre_stop: float = 0.0
    shutdown_delay: float = 0.0
    grace: float = 30.0
    takes: float = 0.02
    graceful: bool = True
    pods: int = 2
    begin: float = 1.0
    retries: int = 0

    def play(self, seed: int, **load: Any) -> Run:
        """One new pod on top, and only when it is ready and known goes an old one."""
        serving = {
            "takes": fixed(self.takes),
            "start_up": fixed(self.delay + 1.0),
            "pre_stop": f"{self.pre_stop}s",
            "shutdown_delay": f"{self.shutdown_delay}s",
            "grace": f"{self.grace}s",
        }
        begin = self.takes + self.begin  # there is as much in flight as ever
        upgrade = ha.Rolling(target="api", at=f"{begin}s", surge=1, unavailable=0, graceful=self.graceful)
        balancer = {"view_delay": f"{self.delay}s", "retries": self.retries, "server_timeout": "5m"}
        over = begin + self.pods * (self.delay + 1.0) + min(self.pre_stop, self.grace) + self.grace + 5.0 + self.takes
        return play(self.pods, serving, balancer, upgrade, min(over, 60.0), seed, **load)

    @property
    def accepts(self) -> float:
        return float(accepts_after_deletion(self.pre_stop, self.shutdown_delay, self.grace)) if self.graceful else 0.0

    @property
    def refused(self) -> float:
        return self.pods * float(deletion_failures(RATE, self.delay, self.accepts))

    @property
    def broken(self) -> float:
        kill = float(killed_after_deletion(self.pre_stop, self.grace)) if self.graceful else 0.0
        return self.pods * float(killed_failures(RATE, self.takes, self.delay, self.accepts, kill))


DELETIONS = [
    Deletion(delay=2.0),
    Deletion(delay=2.0, graceful=False, takes=0.3),
    Deletion(delay=2.0, pre_stop=0.5, shutdown_delay=0.7, pods=3),
    Deletion(delay=1.0, shutdown_delay=0.4),
    Deletion(delay=1.0, pre_stop=1.0),
    Deletion(delay=1.0, shutdown_delay=1.0, takes=3.0),
    Deletion(delay=1.0, pre_stop=5.0, takes=4.0),
    Deletion(delay=1.0, grace=5.0, takes=4.0),  # no hook, but time enough to finish
    Deletion(delay=1.0, grace=5.0, takes=7.0),  # no hook, and not
    Deletion(delay=1.0, pre_stop=10.0, grace=5.0, takes=4.0),  # a hook longer than the grace period
    Deletion(delay=1.0, pre_stop=10.0, grace=5.0, takes=8.0),
    Deletion(delay=6.0, pre_stop=10.0, grace=2.0, takes=0.5),  # endpoints later than both
    Deletion(delay=6.0, pre_stop=10.0, grace=2.0, takes=3.0, shutdown_delay=1.0),
    Deletion(delay=1.0, pre_stop=4.5, grace=5.0, takes=5.0),  # a hook that leaves half a second gets two
]


@pytest.mark.parametrize(("number", "case"), list(enumerate(DELETIONS)))
def test_a_rolling_update_loses_what_the_closed_form_says(number: int, case: Deletion) -> None:
    runs = [case.play(seed) for seed in range(100 * number, 100 * number + 20)]
    agree([count(run, "503") for run in runs], case.refused)
    agree([count(run, "reset") for run in runs], case.broken)
    assert all(failed(run) == count(run, "503") + count(run, "reset") for run in runs)


def test_a_hook_is_long_enough_once_endpoints_are_known() -> None:
    """A server that finishes what it has needs no more; one that dies with SIGTERM, the longest request on top."""
    assert all(failed(Deletion(delay=1.5, pre_stop=1.5).play(seed)) == 0 for seed in range(10))
    assert sum(failed(Deletion(delay=1.5, pre_stop=1.4).play(seed)) for seed in range(5)) > 0


def test_the_grace_period_is_the_trap_of_a_long_hook() -> None:
    """A hook of 60 s promises that requests of 20 s end in peace; the grace period of 10 s gives them 12."""
    promised, given = Deletion(delay=1.0, pre_stop=25.0, takes=20.0), Deletion(1.0, 60.0, 0.0, 10.0, 20.0)
    assert failed(promised.play(1)) == 0
    agree([failed(given.play(seed)) for seed in range(10)], 2 * RATE * (20.0 - (12.0 - 1.0)))


def test_clients_with_one_connection_follow_its_end_not_endpoints() -> None:
    """HTTP/2 clients are told goodbye, and connect elsewhere at once: endpoints may be as late as they like.

    All of them have connected long before. A connection may be refused by a pod that has just gone, as a request may;
    then it is opened to another, where that is tried at all.
    """
    clients = ha.Clients(connections="sticky", count=60)
    case = Deletion(delay=3.0, pods=3, begin=12.0, retries=1)
    assert case.refused > 100
    assert [failed(case.play(seed, clients=clients)) for seed in range(10)] == [0] * 10


# ------------------------------------------------------------------------------------------- switches

CHECKED = {"check": {"interval": "0.5s"}, "retries": 0}
ENDPOINTS = {"view_delay": "1s", "retries": 0}


def switch(balancer: dict[str, Any], seed: int, **how: Any) -> Run:
    upgrade = ha.BlueGreen(target="api", at="1s", keep="3s", **how)
    return play(3, {"takes": fixed(0.02), "start_up": fixed(1.0)}, balancer, upgrade, 12.0, seed)


@pytest.mark.parametrize("balancer", [CHECKED, ENDPOINTS], ids=["checks", "endpoints"])
@pytest.mark.parametrize("how", [{"gate": "balancer"}, {"warm": "2s"}], ids=["gate", "warm"])
def test_a_switch_that_waits_for_balancers_loses_nothing(balancer: dict[str, Any], how: dict[str, Any]) -> None:
    """Neither at the switch, nor as blue goes: it is switched off, so that nobody need find out."""
    assert [failed(switch(balancer, seed, **how)) for seed in range(10)] == [0] * 10


@pytest.mark.parametrize("balancer", [CHECKED, ENDPOINTS], ids=["checks", "endpoints"])
def test_a_switch_to_pods_that_balancers_do_not_know_fails_until_they_do(balancer: dict[str, Any]) -> None:
    """By checks the first of three is in use after I/4 + I; by endpoints all are, a delay after they were ready."""
    seen = [failed(switch(balancer, seed)) for seed in range(30)]
    agree(seen, 3 * RATE * (0.5 / 4 + 0.5 if "check" in balancer else 1.0))


@pytest.mark.parametrize("in_step", [True, False])
def test_late_servers_that_left_maintenance_are_back_after_good_checks(in_step: bool) -> None:
    check = {"interval": "0.5s", "rise": 2, "in_step": in_step}
    late = ha.Release(start_up=fixed(0.8))
    balancer = {"check": check, "retries": 0}
    runs = [switch(balancer, seed, waits=False, checked=False, release=late) for seed in range(40)]
    agree([failed(run) for run in runs], float(switch_failures(3 * RATE, 0.8, 0.5, 2, servers=3, in_step=in_step)))


def test_checks_in_step_are_made_at_one_moment() -> None:
    """Of three servers that fail their checks together all are taken out at once, and let in again at once."""

    def turns(in_step: bool) -> list[float]:
        check = {"interval": "0.5s", "fall": 2, "in_step": in_step}
        upgrade = ha.AllAtOnce(target="api", at="1s", notice="2s")
        run = play(3, {"takes": fixed(0.02), "start_up": fixed(1.0)}, {"check": check}, upgrade, 12.0, 1)
        facts = [fact for fact in run.trace if isinstance(fact, Fact)]
        return [fact.at for fact in facts if fact.kind in ("server down", "server up")]

    assert len(turns(in_step=True)) == len(turns(in_step=False)) == 6
    assert len(set(turns(in_step=True))) == 2 and len(set(turns(in_step=False))) == 6
