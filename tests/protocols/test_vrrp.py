"""VRRP: RFC 5798 step by step, takeovers against their closed forms, and groups of routers under faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from ticking import Ticking

from hasim.errors import ModelError
from hasim.machine import Announce, CancelTimer, Exit, Fired, Proposed, Received, Send, SetTimer, Started, Stopping
from hasim.protocols.health.laws import takeover
from hasim.protocols.vrrp import Advertisement, SetPriority, Vrrp, VrrpRouter
from hasim.units import s

TRIALS = 5000
DOWN = 3 + 156 / 256  # Master_Down_Interval of priority 100, by hand


def backup(config: Vrrp | None = None, **settings: Any) -> VrrpRouter:
    router = VrrpRouter(config or Vrrp(), "b", ("a", "b", "c"), **settings)
    router.step(Started(), 0.0)
    return router


def master(**settings: Any) -> VrrpRouter:
    router = backup(**settings)
    router.step(Fired("master down"), 4.0)
    assert router.role == "master"
    return router


def test_a_router_waits_as_a_backup_and_takes_over_in_silence() -> None:
    router = VrrpRouter(Vrrp(), "b", ("a", "b", "c"))
    assert router.step(Started(), 0.0) == [SetTimer("master down", DOWN, DOWN), Announce("backup", {"priority": 100})]
    advert = Advertisement(100, 1.0)
    beat = [Send("a", advert), Send("c", advert), SetTimer("advert", 1.0, 1.0)]
    assert router.step(Fired("master down"), DOWN) == [*beat, Announce("master", {"priority": 100})]
    assert router.step(Fired("advert"), DOWN + 1) == beat


def test_the_owner_is_master_at_once() -> None:
    router = VrrpRouter(Vrrp(), "a", ("b",), owner=True)
    router.step(Started(), 0.0)
    assert (router.role, router.priority) == ("master", 255)


@pytest.mark.parametrize(
    ("heard", "preempt", "waits"),
    [
        (101, True, DOWN),
        (100, True, DOWN),
        (99, True, None),
        (99, False, DOWN),
        (0, True, 156 / 256),
        (0, False, 156 / 256),
    ],
)
def test_a_backup_listens_to_its_betters_only(heard: int, preempt: bool, waits: float | None) -> None:
    effects = backup(Vrrp(preempt=preempt)).step(Received("a", Advertisement(heard, 1.0)), 1.0)
    assert effects == ([] if waits is None else [SetTimer("master down", waits, waits)])


@pytest.mark.parametrize(
    ("sender", "heard", "yields"), [("a", 101, True), ("a", 99, False), ("a", 100, False), ("c", 100, True)]
)
def test_a_master_yields_to_its_betters_and_among_equals_to_the_higher_name(
    sender: str, heard: int, yields: bool
) -> None:
    router = master()
    effects = router.step(Received(sender, Advertisement(heard, 1.0)), 5.0)
    down = [CancelTimer("advert"), SetTimer("master down", DOWN, DOWN), Announce("backup", {"priority": 100})]
    assert effects == (down if yields else [])
    assert router.role == ("backup" if yields else "master")


def test_a_master_speaks_up_when_another_leaves() -> None:
    advert = Advertisement(100, 1.0)
    effects = master().step(Received("a", Advertisement(0, 1.0)), 5.0)
    assert effects == [Send("a", advert), Send("c", advert), SetTimer("advert", 1.0, 1.0)]


def test_a_backup_takes_over_the_masters_interval() -> None:
    """RFC 5798, 6.4.2: Master_Adver_Interval and what follows from it are those of the master that is heard."""
    router = backup()
    down = 3 * 0.1 + 156 / 256 * 0.1
    (wait,) = router.step(Received("a", Advertisement(200, 0.1)), 1.0)
    assert isinstance(wait, SetTimer)
    assert wait.low == wait.high == pytest.approx(down, rel=1e-12, abs=0)
    (skew,) = router.step(Received("a", Advertisement(0, 0.1)), 1.1)
    assert isinstance(skew, SetTimer)
    assert skew.low == pytest.approx(156 / 2560, rel=1e-12, abs=0)


def test_a_master_says_goodbye_and_a_backup_just_goes() -> None:
    silent = [CancelTimer("advert"), CancelTimer("master down")]
    gone = [Announce("initialize", {"priority": 100}), Exit("asked to stop")]
    bye = Advertisement(0, 1.0)
    assert master().step(Stopping(), 5.0) == [*silent, Send("a", bye), Send("c", bye), *gone]
    assert backup().step(Stopping(), 5.0) == [*silent, *gone]


def test_strangers_are_not_heard() -> None:
    assert backup().step(Received("x", Advertisement(255, 1.0)), 1.0) == []


def test_version_2_skews_by_seconds() -> None:
    assert Vrrp(version=2, advert=s(2)).master_down(200) == 6 + 56 / 256
    assert Vrrp(version=3, advert=s(2)).master_down(200) == 6 + 2 * 56 / 256


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"version": 2, "advert": "100ms"}, "advert"),
        ({"advert": "1ms"}, "advert"),
        ({"advert": "41s"}, "advert"),
        ({"priority": 0}, "priority"),
        ({"priority": 256}, "priority"),
        ({"version": 4}, "version"),
        ({"advert": 1}, "advert"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ModelError, match=f"^{field}: got"):
        Vrrp(**settings)


def test_a_wrong_priority_of_a_router_is_named() -> None:
    wrong: list[dict[str, Any]] = [{"priority": 256}, {"priority": 0}, {"priority": 100, "owner": True}]
    for router in wrong:
        with pytest.raises(ModelError, match="priority: got"):
            VrrpRouter(Vrrp(), "a", ("b",), **router)
    with pytest.raises(ModelError, match="priority: got 0"):
        backup().step(Proposed(SetPriority(0)), 1.0)


# ------------------------------------------------------------------------------------------- groups


def group(ticking: Ticking, config: Vrrp, **priorities: int) -> None:
    for name, priority in priorities.items():
        ticking.boot(name, VrrpRouter(config, name, tuple(priorities), priority))


def roles(ticking: Ticking) -> dict[str, str]:
    return {name: machine.role for name, machine in ticking.machines.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "config", [Vrrp(), Vrrp(advert=s(0.1)), Vrrp(version=2, advert=s(3))], ids=["defaults", "fast", "version_2"]
)
@pytest.mark.parametrize("clean", [False, True], ids=["crash", "stop"])
def test_a_takeover_takes_as_long_as_the_law_says(config: Vrrp, clean: bool) -> None:
    """The better of two backups, of priority 100, against the law: bounds, and KS at 1e-3 (a stop has one length)."""
    rng = np.random.default_rng(19)
    times = []
    for _ in range(TRIALS // 10 if clean else TRIALS):
        ticking = Ticking(rng)
        group(ticking, config, a=200, b=100, c=50)
        ticking.run(config.advert * (6 + rng.random()))
        assert roles(ticking) == {"a": "master", "b": "backup", "c": "backup"}
        began = ticking.now
        (ticking.stop if clean else ticking.crash)("a")
        times.append(ticking.run_to("master", began + 1e3) - began)
        assert roles(ticking)["b"] == "master"
    law = takeover(config, 100, clean)
    slack = 1e-9 * law.high
    assert law.low - slack <= min(times) <= max(times) <= law.high + slack
    if not clean:
        assert stats.kstest(law.cdf(times), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("preempt", [True, False])
def test_the_old_master_comes_back_and_takes_over_if_it_may(preempt: bool) -> None:
    ticking = Ticking(23)
    config = Vrrp(preempt=preempt)
    group(ticking, config, a=200, b=100)
    ticking.run(10.3)
    ticking.crash("a")
    ticking.run(20.0)
    assert roles(ticking) == {"b": "master"}
    ticking.boot("a", VrrpRouter(config, "a", ("a", "b"), 200))
    ticking.run(30.0)
    assert roles(ticking) == ({"b": "backup", "a": "master"} if preempt else {"b": "master", "a": "backup"})


def test_a_partition_has_two_masters_and_its_healing_one() -> None:
    ticking = Ticking(29)
    group(ticking, Vrrp(), a=100, b=100)
    ticking.run(10.0)
    assert roles(ticking) == {"a": "backup", "b": "master"}
    ticking.cut.append(frozenset(("a", "b")))
    ticking.run(20.0)
    assert roles(ticking) == {"a": "master", "b": "master"}
    ticking.cut.clear()
    ticking.run(21.0)  # one advertisement
    assert roles(ticking) == {"a": "backup", "b": "master"}


def test_a_watching_script_demotes_the_master_by_its_weight() -> None:
    """kubeadm's example of keepalived: 101 - 2 is below 100, so the backup no longer listens, and takes over."""
    ticking = Ticking(31)
    group(ticking, Vrrp(), a=101, b=100)
    ticking.run(10.0)
    last = 3 + 155 / 256 + 6  # of its advertisements, the first of which came with its taking over
    ticking.propose("a", SetPriority(99))
    taken = ticking.run_to("master", 20.0)
    assert taken == pytest.approx(last + DOWN, rel=1e-9, abs=0)
    ticking.run(taken + 0.1)
    assert roles(ticking) == {"a": "backup", "b": "master"}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_crashes_and_comes_back_one_of_the_best_is_master_in_the_end(seed: int) -> None:
    """One alone, of the highest priority that runs; among equals it may be any, for an equal does not preempt."""
    rng = np.random.default_rng(seed)
    names = ("a", "b", "c", "d")
    priorities = {name: int(rng.integers(90, 93)) for name in names}  # equal ones are likely
    config = Vrrp()
    ticking = Ticking(rng, latency=0.001)
    group(ticking, config, **priorities)
    for _ in range(30):
        ticking.run(ticking.now + rng.exponential(2.0))
        name = names[int(rng.integers(4))]
        if name not in ticking.machines:
            ticking.boot(name, VrrpRouter(config, name, names, priorities[name]))
        elif rng.random() < 0.5:
            ticking.crash(name)
        else:
            ticking.stop(name)
    ticking.run(ticking.now + 2 * config.master_down(90))
    masters = [name for name, role in roles(ticking).items() if role == "master"]
    running = [priorities[name] for name in ticking.machines]
    assert [priorities[name] for name in masters] == ([max(running)] if running else [])
