"""Coordinated leader election in the world of SimPy: takeovers by their law, upgrades, hand-overs, and faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import pairwise, permutations
from math import log, sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from protocols.leasing import Rig, k8s

import hasim as ha
from hasim.checks.leadership import one_leader, stale_effects
from hasim.engines.des.leases.world import settling_time
from hasim.engines.des.world import leap_again_and_again
from hasim.errors import CannotModel, ModelError
from hasim.model.elections.leases import TakeoverSettings, sample_takeovers
from hasim.model.laws import Takeover
from hasim.model.leasing import CALL_ONE_WAY, one_way
from hasim.model.parts import Elected, Standby
from hasim.protocols.lease.coordinated import LeaseCandidate
from hasim.protocols.lease.settings import Duty, Lease, TtlLease
from hasim.trace import Fact
from hasim.units import s

Floats = npt.NDArray[np.float64]

LEASE = Lease(coordinated=True)
REDIS = TtlLease(store="redis", ttl=s(3), renew=s(1), retry=s(1))
RELEASED = Lease(coordinated=True, release=True)
WAY = one_way(CALL_ONE_WAY)
MS = 0.02
"""More than all that latencies add to a takeover: some ten ways of 1.3 ms at most."""
LONGEST_POLL, LOOK, PING = 4.4, 5.0, 5.0
SURE = 1e-6
"""The chance that a sound program fails a test of a law."""
Z = 5.0  # standard errors
COUNT = 120


def started(lease: Lease = LEASE, names: Sequence[str] = "abc", seed: int = 1, **more: Any) -> Rig:
    """A world some time after its start; `versions` of its candidates may be given."""
    versions = more.pop("versions", {})
    rig = Rig(lease, tuple(names), seed=seed, latency=more.pop("latency", CALL_ONE_WAY), **more)
    rig.leases.versions.update(versions)
    return rig.start().to(settling_time(lease))


def objects(rig: Rig) -> dict[str, LeaseCandidate]:
    assert rig.leases.store is not None
    return {one.name: one for one in rig.leases.store.disk.saved().all(LeaseCandidate)}


# ---------------------------------------------------------------------------------------- the law of takeovers


@lru_cache
def played(by: Literal["crash", "stop"], names: str, count: int) -> Floats:
    """Takeovers from the machines, each in a world of its own, where nobody has gone before."""
    found = []
    for seed in range(count):
        rig = started(RELEASED if by == "stop" else LEASE, names, seed)
        rig.on(20.0 * float(np.random.default_rng(seed).random()))
        node, before = rig.leader, rig.now
        node.crash() if by == "crash" else node.stop()
        found.append(rig.next("leading").at - before)
    return np.array(found)


def drawn(by: Literal["crash", "stop"], standbys: int, latency: tuple[float, float] = WAY) -> Floats:
    lease, after = (RELEASED, "release") if by == "stop" else (LEASE, "crash")
    settings = TakeoverSettings(lease, standbys, after, latency)  # type: ignore[arg-type]
    return sample_takeovers(settings, 200_000, np.random.default_rng(5))


@pytest.mark.parametrize(("by", "names"), [("crash", "ab"), ("crash", "abc"), ("stop", "abc")])
def test_machines_and_law_have_takeovers_of_one_law(by: Literal["crash", "stop"], names: str) -> None:
    machine, law = played(by, names, COUNT), drawn(by, len(names) - 1)
    points = np.concatenate([machine, law])
    one, other = (np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (machine, law))
    assert np.max(np.abs(one - other)) < sqrt(-log(SURE / 2) / 2 * (1 / len(machine) + 1 / len(law)))
    assert abs(np.mean(machine) - np.mean(law)) < Z * np.std(machine, ddof=1) / sqrt(len(machine))


@pytest.mark.parametrize("by", ["crash", "stop"])
def test_takeovers_keep_to_their_bounds(by: Literal["crash", "stop"]) -> None:
    # After a crash the rest of the lease, and always the next look, the wait for who answers no more, the next poll.
    low, high = PING, PING + LOOK + LONGEST_POLL
    if by == "crash":
        low, high = low + 15 - 2, high + 15
    for times in (played(by, "abc", COUNT), drawn(by, 1)):
        assert low - MS < min(times)
        assert max(times) < high + MS
    assert max(drawn(by, 1)) - min(drawn(by, 1)) > 0.9 * (high - low)


@pytest.mark.parametrize(
    ("by", "mean", "variance"), [("crash", 15 - 1 + 2.5 + 5, (2**2 + 5**2) / 12), ("stop", 5 + 2.5, 5**2 / 12)]
)
def test_without_latency_takeovers_have_their_closed_form(by: Any, mean: float, variance: float) -> None:
    # Of the age of the renewal and the time to the next look; and the rest of a wait X, uniform from 2 to 4.4 s, whose
    # moments are E X^2 / 2 E X and E X^3 / 3 E X.
    of_rest = [(4.4 ** (k + 2) - 2 ** (k + 2)) / (k + 2) / 2.4 / (k + 1) / 3.2 for k in (1, 2)]
    mean, variance = mean + of_rest[0], variance + of_rest[1] - of_rest[0] ** 2
    assert of_rest[0] == pytest.approx(1.675)
    times = drawn(by, 1, latency=(0.0, 0.0))
    assert abs(np.mean(times) - mean) < Z * sqrt(variance / len(times))
    fourth = np.mean((times - np.mean(times)) ** 4)
    assert abs(np.var(times) - variance) < Z * sqrt((fourth - variance**2) / len(times))


def test_how_many_others_wait_makes_no_difference() -> None:
    assert (drawn("crash", 1) == drawn("crash", 5)).all()
    plain = [sample_takeovers(TakeoverSettings(k8s(), n), 10_000, np.random.default_rng(5)).mean() for n in (1, 5)]
    assert plain[0] > plain[1] + 1.0


# ----------------------------------------------------------------------------------------------- who is elected


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_the_oldest_version_leads_whoever_comes_first_and_the_next_oldest_after_it(order: tuple[str, ...]) -> None:
    rig = started(versions=dict(zip(order, ("1.32", "1.33", "1.34"), strict=True)))
    assert rig.leader.name == order[0]
    assert rig.record.preferred == ""
    for gone, successor in pairwise(order):
        rig.nodes[gone].crash()
        rig.next("leading", successor, limit=15 + LOOK + PING + LONGEST_POLL + MS)
    assert one_leader(rig.facts) == []


def test_a_candidate_of_the_same_version_that_comes_back_is_the_youngest() -> None:
    rig = started()
    first = rig.leader
    first.crash()
    second = rig.next("leading").subject
    first.start()
    rig.on(3600.0)
    assert rig.leader.name == second
    assert len(rig.seen("asked to go")) == 0


@pytest.mark.parametrize("fault", ["cut", "paused", "slow clock"])
def test_a_candidate_that_does_not_answer_pings_is_not_chosen(fault: str) -> None:
    rig = started(versions={"a": "1.32", "b": "1.33", "c": "1.34"})
    best, successor = rig.nodes["b"], "c"
    held: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "cut": lambda: rig.cut("b"),
        "paused": lambda: rig.world.paused("b"),
        "slow clock": lambda: rig.world.jump_clock("b", -6.0),
    }
    with held[fault]():
        rig.leader.crash()
        assert rig.next("leading").subject == successor
        assert best.process is not None
        rig.on(60.0)
        assert rig.leader.name == successor
    # It answers when it can, which is news, and then the leader makes way for it.
    # What was lost on the way may be sent again up to 2 min later.
    rig.next("asked to go", limit=120.0 + 2 * PING + LOOK + MS)
    rig.next("leading", "b", limit=2.0 + 15.0 + LOOK + PING + LONGEST_POLL + MS)
    assert one_leader(rig.facts) == []


def test_a_clock_that_is_slow_by_less_than_the_wait_answers_so_much_later() -> None:
    rig = started(versions={"a": "1.32", "b": "1.33", "c": "1.34"})
    with rig.world.jump_clock("b", -2.0):
        rig.leader.crash()
        assert rig.next("leading").subject == "b"


# ------------------------------------------------------------------------------------------------- hand-overs


@pytest.mark.parametrize("release", [False, True])
def test_a_leader_makes_way_for_an_older_version(release: bool) -> None:
    for seed in range(10):
        rig = started(RELEASED if release else LEASE, seed=seed)
        old = next(node for node in rig.nodes.values() if node.name in "abc" and node is not rig.leader)
        new = rig.leader
        old.crash()
        rig.leases.versions[old.name] = "0.9"
        rig.on(10.0)
        old.start()
        # Its old self answers no ping, and is waited for up to a look that comes 5 s after that or later.
        asked = rig.next("asked to go", limit=PING + LOOK + MS).at
        # The leader reads so at its next renewal, and stops when its deadline has passed since then.
        ended = rig.next("stopped leading", new.name, limit=2.0 + 10.0 + MS)
        assert ended.detail["why"] == "end of term"  # type: ignore[index]
        assert ended.at - asked >= 10.0
        took = rig.next("leading", limit=30.0)
        assert took.subject == old.name
        # The lease has 3 s left then, unless it is given back. Who has gone may have been pinged just before.
        rest = 0.0 if release else 3.0
        assert rest - MS < took.at - ended.at < rest + LOOK + PING + LONGEST_POLL + MS
        assert one_leader(rig.facts) == []
        # It comes back as a new candidate, of the newer version, and leaves the leader alone.
        rig.on(120.0)
        assert new.process is not None and rig.leader is old
        assert len(rig.seen("asked to go")) == 1


# ------------------------------------------------------------------------------------------------- upgrades


DOWN_S, SETTLE_S = 40.0, 30.0


def upgrade(lease: Lease, seed: int) -> tuple[bool, bool]:
    """Upgrade three control planes node by node in a random order, each when the last has settled.

    Whether the node that was upgraded second had the leader, and whether a leader of the new version ran while a
    node that was not yet taken down still had an API server of the old one.
    """
    rng = np.random.default_rng(seed)
    rig = started(lease, seed=seed, versions=dict.fromkeys("abc", "1.33"))
    rig.on(10.0 * float(rng.random()))
    waiting = [str(name) for name in rng.permutation(list("abc"))]
    upgraded: set[str] = set()
    violated, second_led = False, False
    while len(waiting) > 0:
        name = waiting.pop(0)
        second_led = second_led or (len(upgraded) == 1 and rig.leader.name == name)
        rig.facts.clear()
        rig.nodes[name].crash()
        rig.on(DOWN_S)
        rig.leases.versions[name] = "1.34"
        upgraded.add(name)
        rig.nodes[name].start()
        rig.on(SETTLE_S)
        violated = violated or (bool(waiting) and any(fact.subject in upgraded for fact in rig.seen("leading")))
    return second_led, violated


def test_with_plain_leases_a_quarter_of_upgrades_has_a_new_leader_over_an_old_api_server() -> None:
    # KEP-4355, Motivation. The first node is upgraded: the leader is on one of the two others afterwards. Is it on the
    # second (1/2), then the new one or the old one takes over there (1/2). When the third is upgraded nothing is old.
    runs = 160
    outcomes = [upgrade(k8s(), seed) for seed in range(runs)]
    second_led, violated = (sum(outcome) for outcome in zip(*outcomes, strict=True))
    assert abs(second_led / runs - 1 / 2) < Z * sqrt(1 / 4 / runs)
    assert abs(violated / second_led - 1 / 2) < Z * sqrt(1 / 4 / second_led)
    assert abs(violated / runs - 1 / 4) < Z * sqrt(3 / 16 / runs)
    assert all(led for led, is_violated in outcomes if is_violated)


def test_with_coordination_no_upgrade_has() -> None:
    outcomes = [upgrade(LEASE, seed) for seed in range(25)]
    assert sum(led for led, _ in outcomes) > 0  # not for want of occasions
    assert not any(is_violated for _, is_violated in outcomes)


# ------------------------------------------------------------------------------------------- faults of the store


def test_nobody_is_elected_while_the_store_is_paused_and_somebody_is_soon_afterwards() -> None:
    rig = started()
    assert rig.leases.store is not None
    rig.leases.set_contact("silent")
    rig.leader.crash()
    rig.on(120.0)
    assert rig.seen("elected") == [rig.seen("elected")[0]]
    assert rig.leases.leader is None
    rig.leases.set_contact("open")
    resumed = rig.now
    # Its look is overdue; those who have gone answer no ping; a poll may hang for 5 s and then wait for its turn.
    took = rig.next("leading", limit=60.0).at
    assert took - resumed < LOOK + PING + 5.0 + LONGEST_POLL + MS


@pytest.mark.parametrize("contact", ["silent", "refused"])
def test_a_long_outage_of_the_store_ends_the_leader_and_its_successor_comes_with_the_store(contact: Any) -> None:
    rig = started(versions={"a": "1.33", "b": "1.34", "c": "1.34"})
    rig.leases.set_contact(contact)
    lost = rig.next("stopped leading", "a", limit=12.0 + MS)
    assert lost.detail["why"] == "could not renew"  # type: ignore[index]
    rig.to(rig.now + 100.0)
    rig.leases.set_contact("open")
    back = rig.now
    first = rig.next("leading", limit=90.0)
    # A broken watch is begun again after up to 60 s, and until then no ping is heard.
    assert first.at - back < (60.0 if contact == "refused" else 0.0) + LOOK + PING + 5.0 + LONGEST_POLL + MS
    rig.on(400.0)
    assert rig.leader.name == "a"  # in the end
    assert one_leader(rig.facts) == []


def test_a_short_outage_of_the_store_is_survived_and_pings_are_heard_again_after_it() -> None:
    rig = started()
    leader = rig.leader
    rig.leases.set_contact("refused")
    rig.on(4.0)
    rig.leases.set_contact("open")
    rig.on(30.0)
    assert rig.leader is leader
    leader.crash()
    crashed = rig.now
    assert rig.next("leading").at - crashed < 15 + LOOK + PING + LONGEST_POLL + MS


# --------------------------------------------------------------------------------------------------- promises


def test_terms_grow_and_keep_a_leader_of_old_out_of_what_is_fenced() -> None:
    duty = Duty(every=s(0.5), takes=s(0.2), fence="token")
    rig = started(duty=duty)
    for _ in range(3):
        old = rig.leader
        with rig.world.paused(old.name):
            rig.next("leading", limit=60.0)
            rig.on(3.0)
        # Awake again it is the oldest candidate, and the new leader makes way for it; but it has lost, and ends.
        rig.on(120.0)
    terms = [fact.detail["term"] for fact in rig.seen("leading")]  # type: ignore[index]
    assert len(terms) >= 4
    assert all(before < after for before, after in pairwise(terms))
    assert stale_effects(rig.facts) == []
    assert any(fact.kind == "write refused" for fact in rig.facts)


def test_a_leader_whose_clock_is_slow_is_replaced_while_it_leads() -> None:
    # By the controller's clock each of its renewals is 20 s old. It has answered no ping for as long.
    rig = started()
    old = rig.leader
    with rig.world.jump_clock(old.name, -20.0):
        rig.next("leading", limit=15 + LOOK + PING + LONGEST_POLL + MS)
        rig.on(20.0)
    assert len(one_leader(rig.facts)) == 1


def test_the_same_seed_gives_the_same_history() -> None:
    def history(seed: int) -> list[Fact]:
        rig = started(seed=seed)
        rig.leader.crash()
        rig.on(300.0)
        return list(rig.facts)

    assert history(3) == history(3)
    assert history(3) != history(4)


# ------------------------------------------------------------------------------------------------------- leaps


DAY_S = 86_400.0


def test_a_takeover_after_weeks_of_leaps_is_like_any_other() -> None:
    rig = started()
    leap_again_and_again([rig.leases])
    rng = np.random.default_rng(11)
    times = []
    for _ in range(6):
        rig.on(20 * DAY_S + 10.0 * float(rng.random()))
        old, before = rig.leader, rig.now
        old.crash()
        times.append(rig.next("leading").at - before)
        old.start()
        rig.facts.clear()
    assert rig.leases.leapt > 0.98 * 6 * 20 * DAY_S
    assert min(times) > 18.0 - MS and max(times) < 29.4 + MS
    assert abs(np.mean(times) - 23.2) < Z * sqrt(3.6 / len(times))


def test_a_leap_disturbs_nobody_and_what_the_store_says_of_times_goes_with_it() -> None:
    rig = started(versions={"a": "1.33", "b": "1.34", "c": "1.34"})
    rig.on(100.0)
    leap_again_and_again([rig.leases])
    known = len(rig.facts)
    rig.on(30 * DAY_S)
    assert rig.leases.leapt > 29.9 * DAY_S
    assert rig.facts[known:] == []
    assert rig.now - rig.record.renewed < 2.1
    assert all(rig.now - one.renewed < 300.1 for one in objects(rig).values())
    assert rig.leases.store is not None
    rig.leases.store.crash()  # its next life has the disk alone
    rig.leases.store.start()
    rig.on(60.0)
    assert rig.facts[known:] == []


def test_nothing_is_leapt_over_while_a_candidate_that_has_gone_still_counts() -> None:
    rig = started()
    leap_again_and_again([rig.leases])
    rig.on(1000.0)
    standby = next(node for node in (rig.nodes[name] for name in "abc") if node is not rig.leader)
    standby.crash()
    gone = rig.now
    leapt = rig.leases.leapt
    rig.on(1500.0)
    assert rig.leases.leapt == leapt
    assert len(objects(rig)) == 3
    rig.on(DAY_S)
    assert rig.leases.leapt > 0.9 * DAY_S
    assert len(objects(rig)) == 2 and gone < rig.now


# ------------------------------------------------------------------------------------------------ as declared


def cluster(replicas: int = 3, lease: Lease = LEASE, versions: tuple[str, ...] = (), mtbf: str = "30d") -> ha.Cluster:
    hosts = tuple(f"h{i}" for i in range(replicas))
    return ha.Cluster(
        name="coordinated",
        topology=ha.Topology(hosts=hosts),
        failures={"host": ha.Failure(mtbf=mtbf, mttr="1h")},
        parts={"kcm": Elected(replicas=replicas, lease=lease, versions=versions, on=hosts)},
        services={"control": ha.Service(up=["kcm"])},
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"versions": ["1.33", "1.34"]}, "got 2 versions for 3 replicas"),
        ({"versions": ["1.33", "1.34", "x"]}, "got 'x'; give the numbers of a release"),
        ({"versions": [1.33, 1.34, 1.34]}, "got 1.33, a number; put it in quotes"),
        ({"versions": ["1.33"] * 3, "lease": {}}, "only where the `lease` is `coordinated`"),
        (
            {"versions": ["1.33"] * 3, "lease": None, "failover": {"takes": "10s"}},
            "only where the `lease` is `coordinated`",
        ),
        ({"versions": ["1.33"] * 3, "lease": REDIS}, "only where the `lease` is `coordinated`"),
        ({"lease": {"coordinated": True, "lock": "configmaps"}}, "only Lease objects"),
    ],
)
def test_versions_and_coordination_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    given = {"replicas": 3, "lease": {"coordinated": True}, **given}
    with pytest.raises(ModelError, match=message):
        Elected(**given)


def test_versions_of_a_member_each_are_read_and_written() -> None:
    part = Elected(replicas=2, lease=LEASE, versions=("1.33", "1.34.1"))
    assert part.versions == ("1.33", "1.34.1")
    assert Elected.model_validate_json(part.model_dump_json()) == part


def test_all_three_engines_know_a_coordinated_lease() -> None:
    exact = ha.solve(cluster())
    law = Takeover(lease=LEASE, standbys=2, after="crash", latency=s(WAY[0]), jitter=s(WAY[1] - WAY[0]))
    assert law.mean == pytest.approx(23.185, abs=0.01)
    part = cluster().parts["kcm"]
    assert part.switch is not None and part.switch.takes == law
    assert "takeover" in str(law.to_plain())
    sample = ha.estimate(cluster(), runs=2000, seed=1)
    of_time, of_law = sample.services["control"].unavailability, exact.services["control"].unavailability
    assert of_time is not None and of_law is not None
    assert of_time.low <= of_law.value <= of_time.high


def outages(run: ha.Run) -> list[float]:
    return [float(end - start) for start, end in run.down("control")]


def test_a_crash_that_is_played_costs_what_the_law_says() -> None:
    run = ha.simulate(cluster(mtbf="1000y").during(ha.Crash("h0", at="1h", lasting="1h")), "3h", seed=2)
    [outage] = outages(run)
    assert 18 - MS < outage < 29.4 + MS


@pytest.mark.parametrize("verb", [ha.solve, ha.estimate])
def test_what_no_law_says_is_refused_by_name_and_played(verb: Any) -> None:
    uneven = cluster(versions=("1.33", "1.34", "1.34"))
    with pytest.raises(CannotModel, match=r"parts\.kcm, versions: a leader makes way .* use ha\.simulate"):
        verb(uneven)
    with pytest.raises(CannotModel, match=r"parts\.kcm, lease\.coordinated: .* how long it was away"):
        verb(cluster(replicas=1))
    verb(cluster(versions=("1.34", "1.34.0", "1.34")))


def test_a_member_of_an_older_version_takes_over_when_it_comes_back() -> None:
    uneven = cluster(versions=("1.34", "1.33", "1.34"), mtbf="1000y")
    run = ha.simulate(uneven.during(ha.Crash("h1", at="1h", lasting="10m")), "2h", seed=5)
    facts = [fact for fact in run.trace if isinstance(fact, Fact) and fact.kind in ("leading", "asked to go")]
    assert [fact.kind for fact in facts] == ["leading", "leading", "asked to go", "leading"]
    assert [fact.subject == "kcm-2" for fact in facts if fact.kind == "leading"] == [True, False, True]
    crash, handover = outages(run)
    assert 18 - MS < crash < 29.4 + MS
    assert 3 - MS < handover < 3 + LOOK + PING + LONGEST_POLL + MS


def test_a_single_candidate_that_was_away_for_long_is_elected_as_soon_as_it_is_there() -> None:
    alone = cluster(replicas=1, mtbf="1000y").during(ha.Crash("h0", at="1h", lasting="10m"))
    [outage] = outages(ha.simulate(alone, "2h", seed=5))
    assert 600 + 2 < outage < 600 + LONGEST_POLL + MS


def test_a_law_of_restarts_is_refused() -> None:
    with pytest.raises(ModelError, match="how long it was away"):
        Takeover(lease=LEASE, standbys=0, after="restart")


def test_a_pair_may_be_coordinated_too() -> None:
    pair = Standby(lease=LEASE)
    assert pair.switch is not None
    assert pair.switch.takes.mean == pytest.approx(23.185, abs=0.01)
    assert any("30 m" in note for note in pair.assumptions())
