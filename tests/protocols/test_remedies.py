"""Self-healing: its detection and its false alarms against closed forms, its limits one by one, and the storm.

The storm is a load shared by all replicas that stand, where one that gets more than its capacity looks sick, and a
restart takes it away for a while. How many survive is worked out by hand below, without the controller.
Delays are judged by Kolmogorov and Smirnov at the level 1e-3, means within four standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hasim.errors import ModelError
from hasim.machine import Announce
from hasim.protocols.reconcile.remedy import Begin, Remedy, RemedyController, detection, false_alarm_every

CHECK_S = 10.0


def remedy(**changes: Any) -> Remedy:
    return Remedy(**({"symptom": "errors", "action": "restart", "check": "10s"} | changes))


def never(chance: float) -> bool:
    raise AssertionError("chance is asked for only where there is some")


def begun(said: list[Begin | Announce]) -> list[str]:
    return [each.name for each in said if isinstance(each, Begin)]


def held(said: list[Begin | Announce]) -> dict[str, str]:
    """The limit that held each back."""
    facts = [each.detail for each in said if isinstance(each, Announce) and each.kind == "remedy held back"]
    return {detail["name"]: detail["limit"] for detail in facts if not isinstance(detail, str)}


def all_sick(count: int) -> dict[str, bool]:
    return {f"web-{n}": True for n in range(count)}


# ------------------------------------------------------------------------------------------- what it does


def test_what_is_sick_is_treated_once_and_noted() -> None:
    controller = RemedyController(remedy(), never)
    detail = {"name": "a", "symptom": "errors", "action": "restart"}
    assert controller.step(0.0, {"a": True, "b": False}) == [
        Announce("remedy begun", {**detail, "sick": True}),
        Begin("a", "restart"),
    ]
    assert controller.step(10.0, {"a": True, "b": False}) == []
    assert controller.finished("a", 15.0, True) == [Announce("remedy worked", {**detail, "took": 15.0})]
    assert controller.finished("a", 16.0, True) == []  # said before
    assert controller.step(20.0, {"a": False, "b": False}) == []
    assert begun(controller.step(30.0, {"a": True})) == ["a"]


def test_nothing_watched_and_nothing_sick_is_nothing_to_do() -> None:
    controller = RemedyController(remedy(at_once="10%", stop_above="0%", per_hour=1), never)
    assert controller.step(0.0, {}) == controller.step(10.0, {"a": False}) == []


def test_a_symptom_must_last_and_begins_anew_when_it_goes() -> None:
    controller = RemedyController(remedy(after="30s"), never)
    looks = [True, True, True, False, True, True, True, True]
    assert [begun(controller.step(CHECK_S * n, {"a": sick})) for n, sick in enumerate(looks)] == [[]] * 7 + [["a"]]


def test_what_did_not_work_is_tried_again_at_once_and_what_worked_is_watched_anew() -> None:
    for worked, again in ((False, 40.0), (True, 70.0)):
        controller = RemedyController(remedy(after="30s"), never)
        for n in range(4):
            controller.step(CHECK_S * n, {"a": True})
        controller.finished("a", 35.0, worked)
        times = [40.0 + CHECK_S * n for n in range(4)]
        assert [t for t in times if begun(controller.step(t, {"a": True}))] == [again]


def test_those_sick_for_longest_come_first_and_what_is_gone_is_forgotten() -> None:
    controller = RemedyController(remedy(after="20s", at_once=1), never)
    controller.step(0.0, {"a": False, "b": False, "c": True, "d": True})
    controller.step(10.0, {"a": True, "b": True, "c": True, "d": True})
    assert begun(controller.step(20.0, {"a": True, "b": True, "d": True})) == ["d"]
    controller.finished("d", 25.0, True)
    assert begun(controller.step(30.0, {"a": True, "b": True, "c": True})) == ["a"]  # c is new to it
    assert begun(controller.step(40.0, {"b": True, "c": True})) == []  # a is gone, but not its treatment
    controller.finished("a", 41.0, False)
    assert begun(controller.step(50.0, {"b": True, "c": True})) == ["b"]


def test_who_has_been_sick_for_longer_comes_before_who_is_named_first() -> None:
    controller = RemedyController(remedy(at_once=1), never)
    assert begun(controller.step(0.0, {"x": True, "a": False, "b": True})) == ["x"]
    controller.step(10.0, {"x": True, "a": True, "b": True})
    controller.finished("x", 15.0, True)
    assert begun(controller.step(20.0, {"x": False, "a": True, "b": True})) == ["b"]


@pytest.mark.parametrize("after", ["0s", "10s", "25s", "60s"])
def test_detection_takes_as_long_as_the_law_says(after: str) -> None:
    settings = remedy(after=after)
    law = detection(settings)
    rng = np.random.default_rng(1)
    times = []
    for _ in range(2000):
        onset, n = 100.0 * rng.random(), 0
        controller = RemedyController(settings, never)
        while not begun(controller.step(CHECK_S * n, {"a": CHECK_S * n >= onset})):
            n += 1
        times.append(CHECK_S * n - onset)
    assert law.low - 1e-9 <= min(times) and max(times) <= law.high + 1e-9
    assert stats.kstest(law.cdf(times), "uniform").pvalue > 1e-3


def test_rounding_does_not_cost_a_check() -> None:
    for check, after in (("100ms", "300ms"), ("1s", "7s"), ("10s", "90s"), ("300ms", "900ms")):
        settings = remedy(check=check, after=after)
        controller, n, first = RemedyController(settings, never), 0, 10_000_000
        while not begun(controller.step((first + n) * settings.check, {"a": True})):
            n += 1
        assert n == settings.checks - 1 == round(settings.after / settings.check)


@pytest.mark.parametrize(("q", "after"), [(0.3, "0s"), (0.5, "20s"), (0.8, "50s")])
def test_false_alarms_come_as_often_as_runs_of_mistakes(q: float, after: str) -> None:
    settings = remedy(after=after, false_positive=q)
    rng = np.random.default_rng(2)
    times = []
    for _ in range(1500):
        controller, n = RemedyController(settings, lambda chance: bool(rng.random() < chance)), 1
        while not begun(controller.step(CHECK_S * n, {"a": False})):
            n += 1
        times.append(CHECK_S * n)
    assert abs(np.mean(times) - false_alarm_every(settings)) <= 4 * np.std(times) / math.sqrt(len(times))
    assert false_alarm_every(remedy()) == math.inf


def test_a_needless_remedy_is_noted_as_one() -> None:
    controller = RemedyController(remedy(false_positive=0.5), lambda chance: chance == 0.5)
    facts = [each.detail for each in controller.step(0.0, {"a": True, "b": False}) if isinstance(each, Announce)]
    assert [(detail["name"], detail["sick"]) for detail in facts if not isinstance(detail, str)] == [
        ("a", True),
        ("b", False),
    ]


# --------------------------------------------------------------------------------------------- the limits


@pytest.mark.parametrize(
    ("at_once", "watched", "most"),
    [(1, 100, 1), (7, 100, 7), ("10%", 100, 10), ("10%", 5, 1), ("29%", 100, 29), ("50%", 3, 1), (None, 9, math.inf)],
)
def test_at_once_is_a_count_or_a_share_that_is_never_none(at_once: Any, watched: int, most: float) -> None:
    settings = remedy(at_once=at_once)
    assert settings.most(watched) == most
    controller = RemedyController(settings, never)
    said = controller.step(0.0, all_sick(watched))
    assert begun(said) == list(all_sick(watched))[: int(min(most, watched))]
    assert set(held(said).values()) <= {"at_once"} and len(held(said)) == watched - len(begun(said))
    # One that has ended makes room for one.
    if most < watched:
        controller.finished("web-0", 5.0, True)
        assert len(begun(controller.step(10.0, all_sick(watched)))) == 1


def test_what_is_held_back_is_noted_once_for_each_limit() -> None:
    controller = RemedyController(remedy(at_once=1, spacing="1m"), never)
    sick = all_sick(2)
    assert held(controller.step(0.0, sick)) == {"web-1": "at_once"}
    assert controller.step(10.0, sick) == []
    controller.finished("web-0", 15.0, True)
    assert held(controller.step(20.0, {"web-0": False, "web-1": True})) == {"web-1": "spacing"}
    assert controller.step(30.0, {"web-0": False, "web-1": True}) == []
    assert begun(controller.step(60.0, {"web-0": False, "web-1": True})) == ["web-1"]


def test_what_was_well_in_between_is_held_back_anew() -> None:
    controller = RemedyController(remedy(at_once=1), never)
    seen = [
        held(controller.step(CHECK_S * n, {"a": True, "b": sick})) for n, sick in enumerate([True, True, False, True])
    ]
    assert seen == [{"b": "at_once"}, {}, {}, {"b": "at_once"}]


def begins(settings: Remedy, hours: float, took: float = 0.0, watched: int = 300) -> list[float]:
    """When treatments begin, if all are always sick and each takes so long."""
    controller = RemedyController(settings, never)
    times: list[float] = []
    ends: list[tuple[float, str]] = []
    for n in range(int(hours * 3600 / settings.check) + 1):
        now = n * settings.check
        for end, name in [each for each in ends if each[0] <= now]:
            ends.remove((end, name))
            controller.finished(name, end, True)
        for name in begun(controller.step(now, all_sick(watched))):
            times.append(now)
            ends.append((now + took, name))
    return times


def test_drains_are_ten_minutes_apart_unless_it_is_said_otherwise() -> None:
    """Draino's drain-buffer."""
    assert begins(remedy(action="drain and replace"), 1.0) == [0, 600, 1200, 1800, 2400, 3000, 3600]
    assert begins(remedy(action="drain and replace", spacing="25m"), 1.0) == [0, 1500, 3000]
    assert len(begins(remedy(action="drain and replace", spacing="0s"), 0.0)) == 300
    assert len(begins(remedy(action="restart"), 0.0)) == 300


@pytest.mark.parametrize("quota", [1, 6, 60])
def test_a_quota_gives_its_burst_and_then_its_rate(quota: int) -> None:
    times = begins(remedy(per_hour=quota), 3.0)
    assert times[:quota] == [0.0] * quota
    assert len(times) == quota + 3 * quota
    for n, time in enumerate(times[quota:], start=1):
        due = n * 3600.0 / quota
        assert due <= time + 1e-6 < due + CHECK_S  # at the first check that finds a whole token


def test_limits_hold_together() -> None:
    settings = remedy(at_once=2, spacing="30s", per_hour=20)
    times = begins(settings, 2.0, took=45.0)
    assert min(np.diff(times)) >= 30.0
    assert len(times) <= 20 + 2 * 20
    ends = [time + 45.0 for time in times]
    assert max(sum(begin <= t < end for begin, end in zip(times, ends, strict=True)) for t in times) == 2


@pytest.mark.parametrize(("sick", "acts"), [(1, True), (9, True), (10, False), (20, False)])
def test_above_its_share_of_sick_things_it_does_nothing(sick: int, acts: bool) -> None:
    """At 45 % of 20 it still acts, as the Cluster Autoscaler does; one more, and it does not."""
    controller = RemedyController(remedy(stop_above="45%", after="1m"), never)
    watched = {f"web-{n}": n < sick for n in range(20)}
    for n in range(6):
        controller.step(CHECK_S * n, watched)
    said = controller.step(60.0, watched)
    assert len(begun(said)) == (sick if acts else 0)
    assert set(held(said).values()) == (set() if acts else {"stop_above"})


def test_what_is_being_treated_counts_as_sick_for_the_breaker() -> None:
    controller = RemedyController(remedy(stop_above="50%"), never)
    assert begun(controller.step(0.0, {"a": True, "b": True, "c": False, "d": False})) == ["a", "b"]
    # The two are away, and look neither way; a third would make 75 %.
    assert held(controller.step(10.0, {"a": False, "b": False, "c": True, "d": False})) == {"c": "stop_above"}
    assert held(controller.step(20.0, {"c": True, "d": False})) == {}  # it has been said
    controller.finished("a", 25.0, True)
    assert begun(controller.step(30.0, {"a": False, "b": False, "c": True, "d": False})) == ["c"]


def test_what_is_being_replaced_counts_as_one_of_all() -> None:
    """Its name is gone, and it is 1 sick of 4 all the same; another makes 2 of 4."""
    controller = RemedyController(remedy(stop_above="50%", at_once="50%"), never)
    assert begun(controller.step(0.0, {"a": True, "b": False, "c": False, "d": False})) == ["a"]
    assert begun(controller.step(10.0, {"b": True, "c": False, "d": False})) == ["b"]


# ---------------------------------------------------------------------------------------------- the storm


class Fleet:
    """Replicas that share a load evenly; who gets more than its capacity looks sick, and a restart takes a while."""

    def __init__(
        self, capacities: list[float], load: Callable[[float], float], settings: Remedy, restart: float
    ) -> None:
        self.capacities, self.load, self.restart, self.check = capacities, load, restart, settings.check
        self.controller = RemedyController(settings, never)
        self.away: dict[str, float] = {}  # until when

    def standing(self) -> list[int]:
        return [n for n in range(len(self.capacities)) if f"web-{n}" not in self.away]

    def play(self, until: float) -> list[int]:
        """How many stand after each check."""
        survivors = []
        for n in range(int(until / self.check) + 1):
            now = n * self.check
            for name in [name for name, end in self.away.items() if end <= now]:
                del self.away[name]
                self.controller.finished(name, now, True)
            stand = self.standing()
            share = self.load(now) / len(stand) if stand else 0.0
            looks = {f"web-{n}": n in stand and share > self.capacities[n] for n in range(len(self.capacities))}
            for name in begun(self.controller.step(now, looks)):
                self.away[name] = now + self.restart
            survivors.append(len(self.standing()))
        return survivors


def spike(now: float) -> float:
    """8.5 at rest; from 1 to 11 minutes 10.5, which is more than ten replicas of capacity 1 can take."""
    return 10.5 if 60.0 <= now < 660.0 else 8.5


def by_hand(limit: int, replicas: int = 10) -> int:
    """In the spike everybody who stands gets more than its capacity: as many are away as may be."""
    return replicas - min(limit, replicas)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [({}, 10), ({"at_once": 1}, 1), ({"at_once": 3}, 3), ({"at_once": "20%"}, 2), ({"stop_above": "45%"}, 0)],
)
def test_unlimited_healing_makes_a_spike_a_total_outage_and_limits_prevent_it(
    limits: dict[str, Any], limit: int
) -> None:
    """A spike of 5 % above capacity: without healing 95 % of it would be served."""
    survivors = Fleet([1.0] * 10, spike, remedy(**limits), restart=120.0).play(660.0)
    assert survivors[:6] == [10] * 6
    assert min(survivors[6:]) == by_hand(limit)
    if limit == 10:
        # Down for 120 s, up for no longer than the next check takes, and down again: nobody serves in the spike.
        assert set(survivors[6:66]) == {0}


def test_the_breaker_lets_what_is_really_broken_be_healed() -> None:
    fleet = Fleet([0.5] + [1.0] * 9, lambda now: 8.5, remedy(stop_above="45%"), restart=60.0)
    assert min(fleet.play(300.0)) == 9


def dominoes(capacities: list[float], load: float, limit: int) -> int:
    """Who survives, by hand: the weakest of those that stand falls while its share is too much for it."""
    stand = sorted(capacities)
    while stand and len(capacities) - len(stand) < limit and load / len(stand) > stand[0]:
        share, room = load / len(stand), limit - (len(capacities) - len(stand))
        falls = [capacity for capacity in stand if capacity < share][:room]
        stand = stand[len(falls) :]
    return len(stand)


def test_one_weak_replica_brings_down_all_like_dominoes_unless_healing_is_limited() -> None:
    """Capacities 0.95, 1.00, …, 1.40 under a load of 9.8: only the weakest is overloaded, by 3 %."""
    capacities = [0.95 + 0.05 * n for n in range(10)]
    assert sum(capacity < 9.8 / 10 for capacity in capacities) == 1
    assert dominoes(capacities, 9.8, 10) == 0
    for limit in range(1, 11):
        survivors = Fleet(capacities, lambda now: 9.8, remedy(at_once=limit), restart=3600.0).play(600.0)
        assert survivors[-1] == dominoes(capacities, 9.8, limit)
    assert min(Fleet(capacities, lambda now: 9.8, remedy(stop_above="15%"), restart=3600.0).play(600.0)) == 9
    # With a load that the weakest can take, nothing falls, however unlimited.
    assert dominoes(capacities, 9.4, 10) == min(Fleet(capacities, lambda now: 9.4, remedy(), 60.0).play(600.0)) == 10


@pytest.mark.parametrize("limit", range(1, 11))
def test_a_storm_outlives_its_trigger_where_the_rest_cannot_carry_the_load_at_rest(limit: int) -> None:
    """Metastable: one begins at each check, each takes so many checks as there may be under treatment.

    When the next is looked at, limit - 1 are away. So the storm goes on at rest while 8.5 / (10 - (limit - 1)) > 1,
    which is from 3 on, and ends with the spike up to 2.
    """
    settings = remedy(at_once=limit, spacing="10s")
    survivors = Fleet([1.0] * 10, spike, settings, restart=limit * CHECK_S).play(7200.0)
    goes_on = 10 - (limit - 1) < 8.5
    assert goes_on == (limit >= 3)
    assert min(survivors[7:66]) == by_hand(limit)
    assert set(survivors[-100:]) == {by_hand(limit) if goes_on else 10}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"at_once": 0}, "at_once: got 0; it is a count of at least 1, or a share like '10%'"),
        ({"at_once": "0%"}, "at_once: got 0%; it is a count of at least 1, or a share above 0%"),
        ({"at_once": True}, "at_once: got True"),
        ({"per_hour": 0}, "per_hour: got 0"),
        ({"check": "0s"}, "check: got 0.0; give a number of at least 0.001"),
        ({"action": "reboot"}, "action: got 'reboot'"),
        ({"stop_above": 45}, "stop_above: got 45; a share is from 0 to 1"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        remedy(**wrong)


def test_settings_survive_being_written_down() -> None:
    for some in (1, 3, "10%", 1.0, None):
        settings = remedy(at_once=some, stop_above="45%", after="30s")
        assert Remedy(**settings.model_dump()) == settings
