"""What befalls a cluster in a trial, and what is measured while it lasts and afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from hasim.faults.verdict import DROP, PASS, Rule
from hasim.validation.bench import Bench, election_values, first_at
from hasim.validation.etcd_trials import PROCESS_START_S, Outcome
from hasim.validation.probes import KINDS, Asked, Kind, first_after, longest_gap, silences, successes

AFTER_S: Final = 0.3  # watched after service is back
CALM_S: Final = 2.0  # watched where no election is to be expected
OPS_S: Final = (0.02, 0.5, 1.2, 2.5)  # after two of three are gone, when the lone member is asked
PAIR_BACK_S: Final = 14.2  # and when the two are started again
STEP_S: Final = 0.5  # between the members of a rolling restart
SILENCE_S: Final = 0.05  # shorter ones were the machine's noise in a rolling restart
STEADY_REQUESTS: Final = 100


def one_trial(bench: Bench) -> Outcome:
    """Play one trial on a settled cluster, and let it settle again."""
    fault = bench.trial.fault
    if fault == "lossq":
        outcome = _lose_quorum(bench)
    elif fault == "rolling":
        outcome = _restart_all(bench)
    elif fault == "steady":
        outcome = _measure_latencies(bench)
    else:
        outcome = _one_member(bench)
    bench.probes.stop()
    bench.settle()
    return outcome


# ------------------------------------------------------------------------------------------ one member


def _one_member(bench: Bench) -> Outcome:
    """Something befalls the leader, or a follower, and is undone later."""
    trial = bench.trial
    fault_at = bench.lead_in()
    leader = bench.etcd.leader
    assert leader is not None
    of_follower = trial.fault in ("fkill", "fpart")
    victim = bench.choose([name for name in bench.names if name != leader]) if of_follower else leader
    survivors = [name for name in bench.names if name != victim]
    term = bench.etcd.office[leader]
    outcome = Outcome(variant=victim, fault_at=fault_at)
    with _struck(bench, victim):
        if of_follower:
            bench.run_for(CALM_S)
        else:
            bench.run_until(lambda: _is_served(bench, survivors, fault_at, term))
            bench.run_for(AFTER_S)
        if not of_follower:
            quorum = trial.members // 2 + 1
            outcome.values |= election_values(bench.facts, survivors, quorum, fault_at, term)
        if trial.load == "patient":
            _wait_for_answers(bench)
            outcome.asked = bench.probes.asked
        elif trial.fault in ("kill", "fkill", "term"):
            bench.probes.stop()
        outcome.values |= _client_values(bench, survivors, fault_at)
        bench.run_to(fault_at + trial.held_for)
        outcome.values |= _victim_values(bench, victim, fault_at)
    healed_at = bench.now
    if trial.fault in ("part", "fpart", "pause") and trial.load == "probes":
        outcome.values |= _values_after(bench, victim, healed_at)
    else:
        bench.run_until(lambda: not math.isnan(first_at(_since(bench, healed_at), ("serving",), (victim,))))
        outcome.values["rejoin.t_serve"] = first_at(_since(bench, healed_at), ("serving",), (victim,)) - healed_at
    return outcome


def _struck(bench: Bench, victim: str) -> AbstractContextManager[object]:
    """The fault, undone at the end."""
    world, fault = bench.etcd.world, bench.trial.fault
    if fault in ("kill", "fkill"):
        return world.held_down(victim, "")
    if fault in ("part", "fpart"):
        return world.rule(_cut(victim))
    return world.paused(victim) if fault == "pause" else _stopped(bench, victim)


def _cut(victim: str) -> Rule:
    return lambda src, dst, _: DROP if victim in (src, dst) else PASS


@contextmanager
def _stopped(bench: Bench, victim: str) -> Iterator[None]:
    node = bench.etcd.world.nodes[victim]
    node.stop()
    yield
    node.start()


def _is_served(bench: Bench, survivors: list[str], fault_at: float, term: int) -> bool:
    """Whether the survivors have a new leader and, if there are clients, have served them."""
    if not any(bench.etcd.office.get(name, 0) > term for name in survivors):
        return False
    if bench.trial.load == "idle":
        return True
    served = (successes(bench.probes.asked, kind, survivors, bench.trial.patience) for kind in ("put", "lin"))
    return not any(math.isnan(first_after(each, fault_at)) for each in served)


def _wait_for_answers(bench: Bench) -> None:
    bench.probes.stop()
    bench.run_until(lambda: all(each.answered < math.inf for each in bench.probes.asked))


def _client_values(bench: Bench, survivors: list[str], fault_at: float) -> dict[str, float]:
    """What clients of the survivors see: the longest silence, and the first success of what is issued afterwards."""
    values = {}
    if bench.trial.load != "idle":
        for kind in KINDS:
            served = successes(bench.probes.asked, kind, survivors, bench.trial.patience)
            values[f"{kind}.gap_any"] = longest_gap(served, fault_at)
            values[f"{kind}.first_any"] = first_after(served, fault_at)
            ends = [longest_gap([each for each in served if each.member == name], fault_at) for name in survivors]
            values[f"{kind}.gap_worst"] = max(ends)
    return values


def _victim_values(bench: Bench, victim: str, fault_at: float) -> dict[str, float]:
    """What the victim itself did and said while cut off."""
    exited = first_at(bench.facts, ("process exited",), (victim,))
    values = {
        "victim_view.t_stepdown": first_at(bench.facts, ("lost quorum",), (victim,)) - fault_at,
        "victim_view.fires": float(
            sum(fact.kind in ("candidate", "pre-candidate") and fact.subject == victim for fact in bench.facts)
        ),
        "t_exit": exited - fault_at,
    }
    for kind in KINDS:
        ok = successes(bench.probes.asked, kind, [victim], bench.trial.patience)
        values[f"victim_view.{kind}.ok_in_hold"] = float(sum(each.issued >= fault_at for each in ok))
    return values


def _since(bench: Bench, at: float) -> list:  # type: ignore[type-arg]
    return [fact for fact in bench.facts if fact.at >= at]


def _values_after(bench: Bench, victim: str, healed_at: float) -> dict[str, float]:
    """What the return of a member that was cut off or paused does to the others."""
    leader = bench.etcd.leader
    term = max((bench.etcd.office.get(name, 0) for name in bench.names), default=0)
    bench.run_until(lambda: _all_serve_at(bench, healed_at) < math.inf)
    stable_at = _all_serve_at(bench, healed_at)
    bench.run_for(AFTER_S)
    facts = _since(bench, healed_at)
    after = max((bench.etcd.office.get(name, 0) for name in bench.names), default=0)
    values = {
        "heal.extra_terms": float(after - term),
        "heal.leader_changed": float(after != term or bench.etcd.leader != leader),
        "heal.fires": float(sum(fact.kind in ("candidate", "pre-candidate") for fact in facts)),
        "heal.t_victim_knows": next(
            (f.at for f in facts if f.subject == victim and f.kind == "follower" and f.detail["leader"] is not None),
            math.nan,
        )
        - healed_at,
        "t_stable_after_heal": stable_at - healed_at,
    }
    for kind in KINDS:
        served = successes(bench.probes.asked, kind, bench.names, bench.trial.patience)
        values[f"heal.{kind}_gap_any"] = longest_gap(served, healed_at)
        at_victim = [each for each in served if each.member == victim]
        values[f"victim_view.{kind}.first_ok_after_heal"] = first_after(at_victim, healed_at)
    return values


def _all_serve_at(bench: Bench, since: float) -> float:
    """When every member had served every kind of request since they were last of one mind; infinite: not yet."""
    start = max(since, bench.agreed_at)
    if start == math.inf:
        return math.inf
    first: dict[tuple[str, str], float] = {}
    for each in reversed(bench.probes.asked):
        if each.issued < start - bench.trial.spacing:
            break
        if not each.error and each.issued >= start and each.took <= bench.trial.patience:
            first[each.member, each.kind] = each.answered
    return max(first.values()) if len(first) == len(KINDS) * len(bench.names) else math.inf


# ---------------------------------------------------------------------------------------- several members


def _lose_quorum(bench: Bench) -> Outcome:
    """Kill two of three at once, ask the lone member for things, and start the two again."""
    bench.run_for(float(bench.chance.random()) * bench.trial.heartbeat)
    fault_at = bench.now
    leader = bench.etcd.leader
    assert leader is not None
    followers = [name for name in bench.names if name != leader]
    lone = leader if bench.chance.random() < 0.5 else bench.choose(followers)
    outcome = Outcome(variant="leader_survives" if lone == leader else "follower_survives", fault_at=fault_at)
    gone = [name for name in bench.names if name != lone]
    bench.facts.clear()
    for name in gone:
        bench.etcd.world.nodes[name].crash()
    for offset in OPS_S:
        bench.run_to(fault_at + offset)
        for kind in KINDS:
            outcome.asked.append(bench.probes.ask(kind, lone))
    bench.run_to(fault_at + PAIR_BACK_S)
    outcome.values["t_stepdown"] = first_at(bench.facts, ("lost quorum",), (lone,)) - fault_at
    outcome.values["lone_fires"] = float(sum(fact.kind in ("candidate", "pre-candidate") for fact in bench.facts))
    back_at = bench.now
    bench.probes.start()
    bench.run_for(PROCESS_START_S)
    for name in gone:
        bench.etcd.world.nodes[name].start()

    def first(kind: Kind) -> float:
        return first_after(successes(bench.probes.asked, kind, bench.names, bench.trial.patience), back_at)

    bench.run_until(lambda: not (math.isnan(first("put")) or math.isnan(first("lin"))))
    outcome.values |= {"restart.put": first("put"), "restart.lin": first("lin")}
    return outcome


def _restart_all(bench: Bench) -> Outcome:
    """Restart all members gracefully, one by one."""
    begun = bench.lead_in()
    outcome = Outcome(fault_at=begun)
    before = max(bench.etcd.office.values())
    for place in bench.chance.permutation(len(bench.names)):
        name = bench.names[int(place)]
        node = bench.etcd.world.nodes[name]
        node.stop()
        bench.run_until(lambda node=node: node.process is None)  # type: ignore[misc]
        bench.run_for(PROCESS_START_S)
        started = bench.now
        node.start()
        bench.run_until(
            lambda name=name, at=started: not math.isnan(first_at(_since(bench, at), ("serving",), (name,)))  # type: ignore[misc]
        )
        bench.run_for(STEP_S)
    outcome.values = {
        "total": bench.now - STEP_S - begun,
        "leaders": float(sum(fact.kind == "leader" for fact in bench.facts)),
        "terms": float(max(bench.etcd.office.values()) - before),
    }
    for kind in KINDS:
        served = successes(bench.probes.asked, kind, bench.names, bench.trial.patience)
        outcome.values[f"{kind}.unavail_any"] = silences(served, SILENCE_S)
        outcome.values[f"{kind}.longest_any"] = longest_gap(served, begun)
    return outcome


def _measure_latencies(bench: Bench) -> Outcome:
    """Ask the leader and a follower for things, one after the other, and note how long each took."""
    leader = bench.etcd.leader
    assert leader is not None
    follower = bench.choose([name for name in bench.names if name != leader])
    outcome = Outcome(fault_at=bench.now)
    for role, name in (("leader", leader), ("follower", follower)):
        for kind in KINDS:
            took = sorted(_ask_and_wait(bench, kind, name).took for _ in range(STEADY_REQUESTS))
            outcome.values[f"{kind}_{role}.p50"] = took[len(took) // 2]
            outcome.values[f"{kind}_{role}.p99"] = took[int(0.99 * len(took))]
    return outcome


def _ask_and_wait(bench: Bench, kind: Kind, name: str) -> Asked:
    """Ask in a closed loop, from a phase of its own."""
    bench.run_for(1e-3 + bench.trial.heartbeat * float(bench.chance.random()) / 10)
    asked = bench.probes.ask(kind, name)
    bench.run_until(lambda: asked.answered < math.inf)
    return asked
