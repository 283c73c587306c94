"""The rules that all engines share, with laws so fixed that every instant is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from montecarlo_models import HOUR, Z, one, system, tally, z_of_mean

from hasim.engines.montecarlo.lockstep import run_lockstep
from hasim.streams import Streams
from hasim.units import YEAR


def fixed(hours: float) -> str:
    return f"{{fixed: {hours}h}}"


def history(text: str, hours: float) -> list[Any]:
    """First outage and lengths of all outages, in hours, of each service in one history of a new cluster."""
    seen = run_lockstep(system(text), 1, hours * HOUR, Streams(1), warm_up=0.0, new=True).services
    return [(service.first[0] / HOUR, np.round(service.durations / HOUR, 9).tolist()) for service in seen]


def outages(text: str, hours: float) -> tuple[float, list[float]]:
    """The same of a model with one service."""
    (only,) = history(text, hours)
    return only  # type: ignore[no-any-return]


ONE_CREW = """
parts: {{a: {{kind: unit}}, b: {{kind: unit}}, c: {{kind: unit}}}}
crews: {{us: {{size: {size}, discipline: {discipline}}}}}
failures:
  a: {{mtbf: {{fixed: 10h}}, mttr: {{fixed: 5h}}, crew: us, priority: 3}}
  b: {{mtbf: {{fixed: 11h}}, mttr: {{fixed: 5h}}, crew: us, priority: 2}}
  c: {{mtbf: {{fixed: 12h}}, mttr: {{fixed: 5h}}, crew: us, priority: 1}}
services: {{a: {{up: [a]}}, b: {{up: [b]}}, c: {{up: [c]}}}}
"""


@pytest.mark.parametrize(
    ("size", "discipline", "a", "b", "c"),
    [
        # a is repaired from 10 to 15, then by the line: fifo b 15 to 20, c 20 to 25.
        (1, "fifo", 5, 9, 13),
        (1, "lifo", 5, 14, 8),
        (1, "priority", 5, 14, 8),
        (2, "fifo", 5, 5, 8),
        (3, "fifo", 5, 5, 5),
    ],
)
def test_a_crew_serves_by_its_discipline(size: int, discipline: str, a: float, b: float, c: float) -> None:
    text = ONE_CREW.format(size=size, discipline=discipline)
    assert history(text, 24.9999) == [
        (10, [a]),
        (11, [min(b, 13.9999)]),
        (12, [min(c, 12.9999)]),
    ]


def test_a_random_crew_calls_each_waiting_unit_equally_often() -> None:
    seen = run_lockstep(
        system(ONE_CREW.format(size=1, discipline="random")), 4_000, 24.9 * HOUR, Streams(2), warm_up=0, new=True
    )
    b_first = np.isclose(seen.services[1].downtime, 9 * HOUR)
    assert abs(z_of_mean(b_first, 0.5)) < Z


def test_a_restart_comes_before_the_crew_and_may_save_the_repair() -> None:
    text = """
parts: {a: {kind: unit}, b: {kind: unit}}
crews: {us: {size: 1}}
failures:
  a: {mtbf: {fixed: 10h}, mttr: {fixed: 5h}, crew: us}
  b:
    mtbf: {fixed: 11h}
    mttr: {fixed: 5h}
    crew: us
    detect: {fixed: 1h}
    restart: {takes: {fixed: 2h}, works: WORKS}
services: {a: {up: [a]}, b: {up: [b]}}
"""
    assert history(text.replace("WORKS", "100%"), 15) == [(10, [5]), (11, [3])]
    # Detection until 12, restart in vain until 14, the crew is busy with a until 15, repair until 20.
    assert history(text.replace("WORKS", "0%"), 21)[1] == (11, [9])


def test_a_restart_works_with_its_probability() -> None:
    text = """
parts: {a: {kind: unit}}
crews: {us: {size: 1}}
failures: {a: {mtbf: {fixed: 10h}, mttr: {fixed: 5h}, crew: us, restart: {takes: {fixed: 1h}, works: 30%}}}
up: [a]
"""
    seen = run_lockstep(system(text), 4_000, 16 * HOUR, Streams(2), warm_up=0, new=True).services[0]
    assert set(np.round(seen.downtime / HOUR, 9)) == {1.0, 6.0}
    assert abs(z_of_mean(seen.downtime < 2 * HOUR, 0.3)) < Z


def test_spares_are_taken_ordered_and_waited_for() -> None:
    text = """
parts: {a: {kind: unit}, b: {kind: unit}, c: {kind: unit}}
spares: {disks: {stock: 1, restock: {fixed: 20h}}}
failures:
  a: {mtbf: {fixed: 10h}, mttr: {fixed: 1h}, spares: disks}
  b: {mtbf: {fixed: 12h}, mttr: {fixed: 1h}, spares: disks}
  c: {mtbf: {fixed: 13h}, mttr: {fixed: 1h}, spares: disks}
services: {a: {up: [a]}, b: {up: [b]}, c: {up: [c]}}
"""
    # Whoever asks orders one for 20 h later. a takes the one on the shelf at 10; those of 30, 32 and 33 go to b, c and
    # a (waiting since 12, 13 and 21); that of 41 lies on the shelf for b at 43; a and c wait from 44 and 46.
    a, b, c = history(text, 52)
    assert a == (10, [1, 13, 8])
    assert b == (12, [19, 1])
    assert c == (13, [20, 6])


def test_without_a_stock_each_repair_orders_its_own_spare() -> None:
    text = """
parts: {a: {kind: unit}, b: {kind: unit}}
spares: {disks: {stock: 0, restock: {fixed: 20h}}}
failures:
  a: {mtbf: {fixed: 10h}, mttr: {fixed: 1h}, spares: disks}
  b: {mtbf: {fixed: 12h}, mttr: {fixed: 1h}, spares: disks}
services: {a: {up: [a]}, b: {up: [b]}}
"""
    assert history(text, 35) == [(10, [21]), (12, [21])]


def test_a_spare_is_claimed_before_the_crew_and_no_crew_waits_for_it() -> None:
    text = """
parts: {a: {kind: unit}, b: {kind: unit}}
spares: {disks: {stock: 1, restock: {fixed: 100h}}}
crews: {us: {size: 1}}
failures:
  z: {mtbf: {fixed: 5h}, mttr: {fixed: 1h}, spares: disks}
  a: {mtbf: {fixed: 10h}, mttr: {fixed: 5h}, spares: disks, crew: us}
  b: {mtbf: {fixed: 12h}, mttr: {fixed: 5h}, crew: us}
services: {a: {up: [a]}, b: {up: [b]}}
""".replace("parts: {", "parts: {z: {kind: unit}, ")
    # z takes the only spare at 5: a waits from 10 until 105 without holding the crew, so b is back after 5 hours.
    a, b = history(text, 28)
    assert a == (10, [18])
    assert b == (12, [5])


def test_a_burst_takes_those_that_are_up() -> None:
    text = """
topology: {racks: {r: {hosts: [h1, h2]}}}
bursts: {b: {within: rack, every: {fixed: 10h}, mttr: {fixed: 14h}, share: 100%}}
parts: {u: {kind: pool, replicas: 2, on: [h1, h2]}}
up: [u]
"""
    # Hit at 10, still down at 20, back at 24, hit again at 30.
    assert outages(text, 45) == (10, [14, 14])


@pytest.mark.parametrize(("law", "expected"), [("share: 30%", 0.3 * 4), ("hosts: 3", 3.0)])
def test_a_burst_hits_as_many_as_it_says(law: str, expected: float) -> None:
    text = f"""
topology: {{racks: {{r: {{hosts: [h1, h2, h3, h4]}}}}}}
bursts: {{b: {{within: rack, every: {{fixed: 10h}}, mttr: {{fixed: 1h}}, {law}}}}}
parts: {{u: {{kind: unit}}}}
services: {{h1: {{up: [h1]}}, h2: {{up: [h2]}}, h3: {{up: [h3]}}, h4: {{up: [h4]}}}}
"""
    seen = run_lockstep(system(text), 2_000, 10.5 * HOUR, Streams(4), warm_up=0, new=True).services
    hit = np.array([service.downtime > 0 for service in seen])
    if "hosts" in law:
        assert (hit.sum(axis=0) == 3).all()
    for row in hit:
        assert abs(z_of_mean(row, expected / 4)) < Z


def test_windows_open_and_close_to_the_second() -> None:
    text = """
parts: {a: {kind: unit}, b: {kind: unit}}
failures: {a: {mtbf: {fixed: 1000h}, mttr: 1h}}
maintenance: {m: {on: [a, b], every: 24h, lasting: 2h, first: 3h, one_by_one: true}}
services: {a: {up: [a]}, b: {up: [b]}, both: {up: [a, b]}, either: {up: {any_of: [a, b]}}}
"""
    for route in ("scan", "lockstep"):
        a, b, both, either = tally(text, 1, years=50 * HOUR / YEAR, new=True, route=route).services
        assert np.allclose([a.first[0], b.first[0]], [3 * HOUR, 5 * HOUR], rtol=0, atol=1e-6)
        assert np.allclose(a.durations, [2 * HOUR, 2 * HOUR], rtol=0, atol=1e-6)
        # One window ends at the instant at which the next begins: that is one outage.
        assert np.allclose(both.durations, [4 * HOUR, 4 * HOUR], rtol=0, atol=1e-6)
        assert both.outages.tolist() == [2]
        assert either.downtime.tolist() == [0]


def test_a_steady_start_meets_the_calendar_at_any_phase() -> None:
    text = """
parts: {a: {kind: unit}}
failures: {a: {mtbf: {fixed: 100000h}, mttr: 1s}}
maintenance: {m: {on: a, every: 24h, lasting: 6h}}
up: [a]
"""
    for route in ("scan", "lockstep"):
        seen = one(text, 4_000, years=1 * HOUR / YEAR, route=route)
        assert abs(z_of_mean(seen.downtime / HOUR, 0.25)) < Z
        assert abs(z_of_mean(seen.outages, 1 / 24)) < Z


PAIR = """
parts: {{p: {{kind: {kind}, failover: {{takes: {{fixed: {takes}}}}}}}}}
failures:
  p-1: {{mtbf: {{fixed: {one}}}, mttr: {{fixed: {repair}}}}}
  p-2: {{mtbf: {{fixed: {two}}}, mttr: {{fixed: 1h}}}}
up: [p]
"""


def pair(kind: str, takes: str, one: str, repair: str, two: str) -> str:
    return PAIR.format(kind=kind, takes=takes, one=one, repair=repair, two=two)


def test_a_failover_lasts_as_long_as_it_takes() -> None:
    assert outages(pair("elected, replicas: 2", "1h", "10h", "5h", "100h"), 20) == (10, [1])


def test_a_member_that_was_active_resumes_if_it_is_back_before_the_failover_is_over() -> None:
    # The repair takes half an hour, the failover an hour: a standby pair carries on, an elected one waits.
    assert outages(pair("standby, members: 2", "1h", "10h", "30m", "100h"), 19) == (10, [0.5])
    assert outages(pair("elected, replicas: 2", "1h", "10h", "30m", "100h"), 19) == (10, [1])


def test_the_failover_is_off_when_too_few_stand_and_the_first_back_acts_at_once() -> None:
    # p-1 falls at 10, p-2 at 10.5 in the midst of the failover, p-2 is back at 11.5 and acts at once.
    assert outages(pair("elected, replicas: 2", "3h", "10h", "50h", "10.5h"), 20) == (10, [1.5])


def test_a_quorum_that_was_lost_comes_back_with_an_election() -> None:
    text = """
parts: {q: {kind: quorum, members: 3, failover: {takes: {fixed: 2h}}}}
failures:
  q-1: {mtbf: {fixed: 100h}, mttr: {fixed: 9h}}
  q-2: {mtbf: {fixed: 10h}, mttr: {fixed: 9h}}
  q-3: {mtbf: {fixed: 11h}, mttr: {fixed: 4h}}
up: [q]
"""
    # q-2, a follower, falls at 10; with q-3 at 11 the quorum is lost; at 15 q-3 is back, an election until 17.
    assert outages(text, 25) == (11, [6])


def test_a_cold_standby_does_not_age_and_a_warm_one_ages_slowly() -> None:
    text = """
parts: {p: {kind: standby, members: 2, mode: MODE, failover: {takes: {fixed: 1h}}}}
failures: {p: {mtbf: {fixed: 10h}, mttr: {fixed: 3h}}}
up: [p]
"""
    # p-1 acts until 10; p-2 from 11 until 21, then p-1, new since 13, from 22 on, and so forth.
    assert outages(text.replace("MODE", "cold"), 33.5) == (10, [1, 1, 1])
    # Warm at half the pace p-2 has aged 5.5 hours when it begins to act at 11, and falls at 15.5; p-1, back at 13,
    # has then aged 1.25 hours, takes over at 16.5 with 10 - 1.75 left, and falls at 24.75.
    assert outages(text.replace("MODE", "warm, warm_rate: 0.5"), 26) == (10, [1, 1, 1])
    seen = outages(text.replace("MODE", "warm, warm_rate: 0.5"), 24.5)
    assert seen == (10, [1, 1])


def test_hot_standbys_that_fall_together_leave_no_one() -> None:
    text = """
parts: {p: {kind: standby, members: 2, mode: hot, failover: {takes: {fixed: 1h}}}}
failures: {p: {mtbf: {fixed: 10h}, mttr: {fixed: 3h}}}
up: [p]
"""
    assert outages(text, 20) == (10, [3])


def test_coverage_decides_between_the_failover_and_the_person() -> None:
    text = """
parts: {p: {kind: standby, members: 2, failover: {takes: {fixed: 1h}, coverage: 80%, manual: {fixed: 4h}}}}
failures: {p-1: {mtbf: {fixed: 10h}, mttr: {fixed: 90h}}, p-2: {mtbf: {fixed: 100h}, mttr: 1h}}
up: [p]
"""
    seen = run_lockstep(system(text), 4_000, 20 * HOUR, Streams(6), warm_up=0, new=True).services[0]
    assert set(np.round(seen.downtime / HOUR, 9)) == {1.0, 4.0}
    assert abs(z_of_mean(seen.downtime < 2 * HOUR, 0.8)) < Z


def test_a_role_that_passes_on_in_no_time_makes_no_outage() -> None:
    text = """
parts: {p: {kind: standby, members: 2, mode: cold, failover: {takes: {fixed: 0s}}}}
failures: {p: {mtbf: {fixed: 10h}, mttr: {fixed: 3h}}}
up: [p]
"""
    first, lengths = outages(text, 1000)
    assert first == np.inf and lengths == []
