"""What etcd does around Raft: requests without a leader, handing over, membership, space, recovery, reads.

Each run is judged after every event and every write to a disk, by the invariants of Raft; the fixture asks for the
verdict at the end, and for linearizability too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hasim as ha
from hasim.engines.des.etcd.handle import Etcd
from hasim.machine import Answer, Draw, Drawn, Proposed, Received, Save, Send, Started
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.server import EtcdMember
from hasim.protocols.raft import Entry, Record, journal, reads
from hasim.protocols.raft.membership import Membership
from hasim.protocols.raft.messages import Append, Forward, Heartbeat, ReadReply, ReadRequest

SERVER_TIMEOUT = 7.0  # 5 s and two election timeouts
TICK = 0.1
Found = Callable[..., Etcd]


@pytest.fixture
def found() -> Iterator[Found]:
    """Clusters that are settled when they are handed out, and judged at the end."""
    clusters: list[Etcd] = []

    def make(*args: Any, **options: Any) -> Etcd:
        etcd = Etcd(*args, **options)
        etcd.run("12s")  # connections count for membership changes after 5 s
        clusters.append(etcd)
        return etcd

    yield make
    for etcd in clusters:
        assert etcd.check().ok, str(etcd.check())


def others(etcd: Etcd, *names: str | None) -> list[str]:
    return [name for name in etcd.world.nodes if name not in names]


def leader_of(etcd: Etcd) -> str:
    assert etcd.leader is not None
    return etcd.leader


def asks_at_once(etcd: Etcd, name: str, *commands: Any) -> list[Any]:
    """Ask for several things in one instant; the results, in order of the commands, come as time passes."""
    results: list[Any] = [None] * len(commands)
    for number, command in enumerate(commands):

        def answered(ref: str, result: Any, number: int = number) -> None:
            results[number] = result

        etcd._etcd.calls(name, command, f"at once {number}", answered)
    return results


# ------------------------------------------------------------------------- writes without a leader


def test_a_put_sent_to_a_believer_in_the_dead_leader_hangs_seven_seconds_though_a_new_one_serves(found: Found) -> None:
    etcd = found(3, seed=1)
    dead = leader_of(etcd)
    survivor = others(etcd, dead)[0]
    etcd.crash(dead)
    reply = etcd.put("k", "lost", at=survivor, timeout="20s")
    assert reply.error == asked.TIMED_OUT_LEADER_FAILURE and reply.unknown
    assert reply.took == pytest.approx(SERVER_TIMEOUT, abs=1e-6)
    assert etcd.leader in others(etcd, dead)
    assert etcd.get("k").value is None, "what was passed on to a dead leader is lost for good"


def test_a_put_without_a_known_leader_waits_for_one(found: Found) -> None:
    etcd = found(3, seed=1)
    leader = leader_of(etcd)
    first, second = others(etcd, leader)
    etcd.crash(first, second)
    etcd.run("3s")  # the leader has stepped down by then
    assert etcd.leader is None
    etcd.start(first)
    reply = etcd.put("k", "1", at=leader, timeout="20s")
    assert reply.ok
    assert reply.took > TICK, "it waited for the election"
    assert etcd.leader is not None


def test_a_put_without_a_leader_for_seven_seconds_has_certainly_failed(found: Found) -> None:
    etcd = found(3, seed=1)
    leader = leader_of(etcd)
    etcd.crash(*others(etcd, leader))
    etcd.run("3s")
    reply = etcd.put("k", "1", at=leader, timeout="20s")
    assert reply.error == asked.DEADLINE and not reply.unknown
    assert reply.took == pytest.approx(SERVER_TIMEOUT, abs=1e-6)


def test_a_put_on_a_leader_that_loses_its_quorum_times_out_and_may_have_taken_effect(found: Found) -> None:
    etcd = found(3, seed=2)
    leader = leader_of(etcd)
    etcd.crash(*others(etcd, leader))
    reply = etcd.put("k", "1", at=leader, timeout="20s")
    assert reply.error == asked.TIMED_OUT and reply.unknown
    etcd.start(others(etcd, leader)[0])
    etcd.run("5s")
    assert etcd.get("k").value == "1", "only the old leader can win, for it has it in its log"


def test_a_read_round_under_way_fails_when_another_leader_appears_and_the_next_succeeds(found: Found) -> None:
    etcd = found(3, seed=3)
    dead = leader_of(etcd)
    survivor = others(etcd, dead)[0]
    etcd.crash(dead)
    first, *queued = results = asks_at_once(etcd, survivor, *[asked.Get("k")] * 4)
    assert (first, *queued) == (None,) * 4
    etcd.run("4s")
    assert results[0] == asked.Refused(asked.LEADER_CHANGED)
    assert all(isinstance(result, asked.Done) for result in results[1:])


# ------------------------------------------------------------------------------------- handing over


def test_moving_the_leader_answers_once_it_has_moved(found: Found) -> None:
    etcd = found(3, seed=1)
    target = others(etcd, etcd.leader)[0]
    reply = etcd.move_leader(target)
    assert reply.ok and etcd.leader == target
    assert reply.took == pytest.approx(TICK, abs=1e-9), "the server looks once a tick"
    assert etcd.ask(asked.MoveLeader(target), at=others(etcd, target)[0]).error == asked.NOT_LEADER


def test_a_stopped_leader_hands_over_to_the_member_it_has_been_connected_to_longest(found: Found) -> None:
    for seed in range(3):
        etcd = found(5, seed=seed)
        leader = leader_of(etcd)
        *fresh, oldest = others(etcd, leader)
        for name in fresh:
            etcd.crash(name)
            etcd.run("100ms")
            etcd.start(name)
        etcd.run("3s")
        stopped_at = etcd.now
        etcd.stop(leader)
        etcd.run("1s")
        assert etcd.leader == oldest
        (taken,) = etcd.trace.filter("in office", since=stopped_at)
        assert taken.at - stopped_at < 0.02, "no election timeout passes"
        (gone,) = etcd.trace.filter("process exited", leader, since=stopped_at)
        assert taken.at < gone.at <= stopped_at + 2 * TICK


def test_nobody_is_handed_leadership_who_is_a_learner_or_alone(found: Found) -> None:
    etcd = found(1, seed=1)
    assert etcd.member_add("learner", learner=True).ok
    etcd.start("learner")
    etcd.run("3s")
    assert etcd.move_leader("learner").error == asked.BAD_TRANSFEREE
    stopped_at = etcd.now
    etcd.stop("etcd-1")
    assert not etcd.trace.filter("transfer", since=stopped_at)
    assert etcd.trace.filter("process exited", "etcd-1")[0].at == stopped_at, "there is nobody to wait for"


def test_a_transfer_that_takes_an_election_timeout_is_given_up_and_proposals_are_dropped_meanwhile(
    found: Found,
) -> None:
    etcd = found(3, seed=1)
    leader = leader_of(etcd)
    target = others(etcd, leader)[0]
    etcd.partition(target)
    assert etcd.put("k", "1", at=leader).ok  # the target lacks it and cannot be caught up
    (result,) = results = asks_at_once(etcd, leader, asked.MoveLeader(target))
    assert result is None
    begun = etcd.now
    while not (reply := etcd.put("k", "2", at=leader)).ok and etcd.now < begun + 5:
        assert reply.error == asked.DROPPED and not reply.unknown
        etcd.run("10ms")
    assert 0.9 <= etcd.now - begun <= 1.02, "ten ticks, of which the first may come at once"
    etcd.run("10s")
    assert results == [asked.Refused(asked.TIMED_OUT_TRANSFER, unknown=True)]
    assert etcd.leader == leader


# --------------------------------------------------------------------------------------- membership


def test_from_one_member_to_two_the_cluster_stands_until_the_second_runs(found: Found) -> None:
    etcd = found(1, seed=3)
    assert etcd.put("k", "1").ok
    assert etcd.member_add("etcd-2").ok
    assert not etcd.put("k", "2", timeout="10s").ok
    assert not etcd.member_remove("etcd-2", at="etcd-1").ok, "there is no way back without the second"
    etcd.run("20s")
    etcd.start("etcd-2")
    etcd.run("5s")
    assert etcd.put("k", "3", at="etcd-2").ok
    assert list(etcd.members()["name"]) == ["etcd-1", "etcd-2"]


def wounded(found: Found, **options: Any) -> tuple[Etcd, str]:
    """Three members, of which a follower is down."""
    etcd = found(3, seed=4, **options)
    lost = others(etcd, etcd.leader)[0]
    etcd.crash(lost)
    etcd.run("8s")
    return etcd, lost


def test_the_strict_check_keeps_a_wounded_cluster_from_adding_first(found: Found) -> None:
    etcd, _ = wounded(found)
    assert etcd.member_add("fresh").error == asked.UNHEALTHY
    assert etcd.put("k", "1").ok


def test_without_the_strict_check_adding_first_stops_a_wounded_cluster_and_nothing_can_be_taken_back(
    found: Found,
) -> None:
    etcd, lost = wounded(found, strict_reconfig=False)
    assert etcd.member_add("fresh").ok
    assert not etcd.put("k", "1", timeout="10s").ok
    etcd.run("60s")
    assert etcd.leader is None
    for command in (asked.MemberRemove("fresh"), asked.MemberRemove(lost), asked.Put("k", "2")):
        assert not etcd.ask(command, timeout="20s").ok
    etcd.start(lost)  # three of four: only the return of the lost one, or of the fresh one, ends it
    etcd.run("5s")
    assert etcd.put("k", "3").ok


def test_removing_the_lost_member_first_and_then_adding_keeps_the_cluster_up(found: Found) -> None:
    etcd, lost = wounded(found)
    assert etcd.member_remove(lost).ok
    assert etcd.put("k", "1").ok
    assert etcd.member_add("fresh").ok
    etcd.start("fresh")
    etcd.run("8s")
    assert etcd.put("k", "2", at="fresh").ok
    assert lost not in set(etcd.members()["name"])
    assert etcd.member_add(lost).error == "etcdserver: member not found", "an ID never comes back"


def test_a_removed_leader_leads_until_that_is_applied_and_an_election_follows(found: Found) -> None:
    etcd = found(3, seed=5)
    leader = leader_of(etcd)
    assert etcd.member_remove(leader).ok
    removed_at = etcd.now
    etcd.run("5s")
    (gone,) = etcd.trace.filter("process exited", leader)
    assert gone.detail == "removed"
    assert gone.at == pytest.approx(removed_at + 1.0, abs=0.01)
    (campaign,) = etcd.trace.filter("candidate", since=removed_at)
    # The others hear it no more from when they have applied its removal.
    assert removed_at + 0.8 < campaign.at < removed_at + 1.9 + TICK
    assert etcd.put("k", "1").ok
    assert etcd.member_remove(others(etcd, leader)[0]).ok, "two members may become one"


def test_a_second_change_is_refused_while_the_first_is_not_applied(found: Found) -> None:
    etcd = found(3, seed=6)
    results = asks_at_once(etcd, leader_of(etcd), asked.MemberAdd("x", True), asked.MemberRemove(etcd.leader or ""))
    etcd.run("10s")
    assert isinstance(results[0], asked.Done)
    assert results[1] == asked.Refused(asked.TIMED_OUT, unknown=True), "its entry came to nothing: nobody answers"
    assert list(etcd.members()["name"]) == ["etcd-1", "etcd-2", "etcd-3", "x"]


def test_a_learner_is_promoted_when_it_has_nine_tenths_of_the_log_and_serves_no_linearizable_read_before(
    found: Found,
) -> None:
    etcd = found(3, seed=7)
    for number in range(30):
        assert etcd.put("k", str(number)).ok
    assert etcd.member_add("learner", learner=True).ok
    not_ready = "etcdserver: can only promote a learner member which is in sync with leader"
    assert etcd.member_promote("learner").error == not_ready, "it has not even started"
    assert etcd.member_promote("learner", at=others(etcd, etcd.leader, "learner")[0]).error == not_ready
    etcd.start("learner")
    etcd.run("2s")
    assert etcd.get("k", at="learner").error == asked.NOT_FOR_LEARNERS
    assert etcd.get("k", at="learner", mode="serializable").value == "29"
    assert etcd.member_add("another", learner=True).error == "etcdserver: too many learner members in cluster"
    assert etcd.put("k", "x", at="learner").error == asked.NOT_FOR_LEARNERS
    assert etcd.member_remove("etcd-1", at="learner").error == asked.NOT_FOR_LEARNERS
    etcd.crash("learner")
    follower = others(etcd, etcd.leader, "learner")[0]
    assert etcd.member_promote("learner", at=follower).ok, "it is in sync, though it does not run; the leader was asked"
    assert not any(etcd.members()["learner"])


@pytest.mark.parametrize(("behind", "ready"), [(0.89, False), (0.91, True)])
def test_nine_tenths_is_the_bound(found: Found, behind: float, ready: bool) -> None:
    etcd = found(3, seed=8)
    for number in range(90):  # or an entry more or less would count for too much
        assert etcd.put("k", str(number)).ok
    assert etcd.member_add("learner", learner=True).ok
    etcd.start("learner")
    etcd.run("2s")
    etcd.crash("learner")
    etcd.run("1s")
    table = etcd.endpoint_status().set_index("endpoint")
    match = int(table["index"][leader_of(etcd)])  # what the learner has
    goal = round(match / behind)
    for number in range(goal - match):
        assert etcd.put("k", str(number)).ok
    assert etcd.member_promote("learner").ok is ready


# ------------------------------------------------------------------------- space, snapshots, recovery


def test_one_full_member_stops_all_writes_and_only_reads_and_deletes_pass(found: Found) -> None:
    etcd = found(3, seed=9, quota_bytes=5_000)
    full = others(etcd, etcd.leader)[0]
    count = 0
    while (reply := etcd.put(f"k{count % 3}", "x" * 100, at=full)).ok and count < 100:
        count += 1
    assert reply.error == asked.NO_SPACE and not reply.unknown
    etcd.run("1s")
    assert set(etcd.endpoint_status()["alarms"]) == {full}, "all members know who is full"
    for name in etcd.world.nodes:
        assert etcd.put("k0", "y", at=name).error == asked.NO_SPACE
    assert etcd.get("k0").value == "x" * 100
    assert etcd.delete("k1").ok


def test_a_member_that_is_full_when_it_applies_raises_the_alarm_though_nobody_asked_it(found: Found) -> None:
    etcd = found(3, seed=9, quota_bytes=5_000)
    asked_one, *rest = etcd.world.nodes
    for _ in range(24):  # of 201 bytes: there is no room for another
        assert etcd.put("k", "x" * 100, at=asked_one).ok
    version = etcd.get("k").version
    assert version is not None and etcd.compact(version).ok
    etcd.run("1s")
    etcd.defrag(asked_one)  # the others still hold what was compacted away
    assert etcd.put("k", "x" * 100, at=asked_one).ok
    etcd.run("1s")
    assert etcd.put("k", "x" * 100, at=asked_one).error == asked.NO_SPACE
    assert set(etcd.endpoint_status()["alarms"]) == {", ".join(rest)}


def test_what_overtakes_the_alarm_is_applied_and_refused_all_the_same() -> None:
    etcd = Etcd(3, seed=9, quota_bytes=2_000)
    etcd.run("5s")
    name = leader_of(etcd)
    results = asks_at_once(etcd, name, *[asked.Put("k", f"{number:0>100}") for number in range(15)])
    etcd.run("1s")
    outcomes = [type(result) for result in results]
    assert outcomes == sorted(outcomes, key=lambda kind: kind is asked.Refused), "first those that fit"
    refused = [result for result in results if isinstance(result, asked.Refused)]
    assert refused and all(result == asked.Refused(asked.NO_SPACE, unknown=True) for result in refused)
    assert etcd.get("k").value == f"{14:0>100}"
    assert set(etcd.endpoint_status()["alarms"]) != {""}
    assert not etcd.check().violations


def test_compacting_defragmenting_and_disarming_makes_room_again(found: Found) -> None:
    etcd = found(3, seed=9, quota_bytes=5_000)
    for _ in range(30):
        reply = etcd.put("k", "x" * 100)
    assert reply.error == asked.NO_SPACE
    etcd.run("1s")
    version = etcd.get("k").version
    assert version is not None
    assert etcd.compact(version).ok
    assert etcd.alarm_disarm().ok
    assert etcd.put("k", "y" * 100).error == asked.NO_SPACE, (
        "compacting alone gives no room back: the alarm rises again"
    )
    etcd.run("1s")
    for name in etcd.world.nodes:
        assert etcd.defrag(name).ok
    assert etcd.alarm_disarm().ok
    assert etcd.put("k", "y").ok


def test_a_restored_cluster_is_a_new_one_whose_revision_has_gone_back(found: Found) -> None:
    etcd = found(3, seed=10)
    etcd.put("k", "kept")
    saved = etcd.snapshot_save("etcd-1")
    lost = etcd.put("k", "lost").version
    etcd.crash(*etcd.world.nodes)
    restored = Etcd.restored(saved, ["a", "b", "c", "d", "e"], seed=11)
    restored.run("5s")
    reply = restored.get("k")
    assert reply.value == "kept"
    assert reply.version is not None and lost is not None and reply.version < lost
    assert list(restored.members()["name"]) == ["a", "b", "c", "d", "e"]
    assert restored.put("k", "new").version == lost, "a revision is given out twice"
    assert restored.check().ok


def test_forcing_a_new_cluster_out_of_one_disk_keeps_what_that_member_knew_to_be_committed() -> None:
    etcd = Etcd(3, seed=12)
    etcd.run("5s")
    leader = leader_of(etcd)
    left, right = others(etcd, leader)
    etcd.put("k", "old")
    etcd.run("1s")
    etcd.partition(left)
    assert etcd.put("k", "new", at=leader).ok
    etcd.crash(leader, right)  # for good
    with pytest.raises(ha.ModelError, match="runs; crash or stop it first"):
        etcd.force_new_cluster(left)
    etcd.crash(left)
    etcd.force_new_cluster(left)
    etcd.run("3s")
    assert etcd.leader == left
    assert list(etcd.members()["name"]) == [left]
    assert etcd.put("other", "1").ok
    assert etcd.get("k", at=left).value == "old"
    verdict = etcd.check()
    assert not verdict.linearizable["k"], "an acknowledged write is lost, and the judge says so"
    assert not verdict.violations, "a forced cluster is judged by itself"


def test_a_follower_that_was_away_for_more_than_the_log_keeps_needs_a_snapshot(found: Found) -> None:
    etcd = found(3, seed=13, raft=ha.Raft(snapshot_count=500))
    away = others(etcd, etcd.leader)[0]
    etcd.crash(away)
    client = etcd.client(rate=3000, requests="put", keys=5, endpoints=others(etcd, away))
    etcd.run("1900ms")  # 5700 entries: more than the 5000 that stay behind a snapshot
    client.close()
    etcd.start(away)
    etcd.run("2s")
    assert [fact.detail["to"] for fact in etcd.trace.filter("snapshot sent")] == [away]  # type: ignore[index]
    assert etcd.trace.filter("snapshot installed", away)
    table = etcd.endpoint_status()
    assert table["applied"].nunique() == table["revision"].nunique() == 1
    assert etcd.get("k1", at=away, mode="serializable").value == etcd.get("k1").value


def test_a_follower_that_was_away_for_less_than_that_gets_the_entries_it_lacks(found: Found) -> None:
    etcd = found(3, seed=13, raft=ha.Raft(snapshot_count=500))
    away = others(etcd, etcd.leader)[0]
    etcd.crash(away)
    client = etcd.client(rate=1000, requests="put", keys=5, endpoints=others(etcd, away))
    etcd.run("2s")
    client.close()
    etcd.start(away)
    etcd.run("2s")
    assert not etcd.trace.filter("snapshot sent")
    assert etcd.endpoint_status()["applied"].nunique() == 1


# --------------------------------------------------------------------------------------------- reads


@pytest.mark.parametrize("seed", range(4))
def test_linearizable_reads_are_never_stale_whatever_the_network_does(found: Found, seed: int) -> None:
    etcd = found(3, seed=seed)
    for name in etcd.world.nodes:
        etcd.client(name=f"at {name}", endpoints=name, rate=15, requests={"put": 1, "linearizable": 1}, timeout="1s")
    for side in ("etcd-1", "etcd-2", "etcd-3", "etcd-1"):
        etcd.partition(side)
        etcd.run("4s")
        etcd.heal()
        etcd.run("3s")
    verdict = etcd.check()
    assert verdict.linearizable["k"].ok
    served = [each for each in etcd.history if each.kind == "get" and each.outcome == "ok"]
    assert len(served) > 300
    assert not verdict.backwards


def test_serializable_reads_on_the_minority_side_are_served_and_grow_ever_staler(found: Found) -> None:
    etcd = found(3, seed=14)
    cut = others(etcd, etcd.leader)[0]
    etcd.partition(cut)
    etcd.client(name="writer", endpoints=others(etcd, cut), rate=20, requests="put")
    reader = etcd.client(name="reader", endpoints=cut, rate=20, requests="serializable")
    etcd.run("10s")
    assert all(each.outcome == "ok" for each in reader.history)
    missed = [each.latest - each.version for each in reader.history if each.latest and each.version]
    assert missed == sorted(missed), "what is read never changes, and the store moves on"
    assert 150 < missed[-1] <= len(etcd.clients["writer"].history)
    etcd.heal()
    etcd.run("8s")
    last = reader.history[-1]
    assert last.version is not None and last.latest is not None and last.latest - last.version <= 1


def lease_read_after_a_cut(seed: int, rate: float) -> tuple[Etcd, asked.Result | None]:
    """Read by lease from an old leader that is cut off, as soon as the new one has taken a write."""
    etcd = Etcd(3, seed=seed, clock_drift_max=1.2)
    etcd.run("5s")
    etcd.put("k", "old")
    etcd.run("1s")
    leader = leader_of(etcd)
    if rate != 1:
        etcd.play(ha.ClockSkew(leader, rate=rate, at="1ms", lasting="1m"))
    etcd.run("2s")
    etcd.partition(leader)
    while etcd.leader in (leader, None) and etcd.now < 15:
        etcd.run("10ms")
    survivor = leader_of(etcd)
    assert etcd.put("k", "new", at=survivor).ok
    results = asks_at_once(etcd, leader, asked.Get("k", "lease"))
    etcd.get("k", at=leader, mode="lease", timeout="20ms")  # for the history
    return etcd, results[0]


def test_lease_reads_are_never_stale_while_clocks_keep_the_promise() -> None:
    for seed in range(6):
        etcd, result = lease_read_after_a_cut(seed, 1 / 1.19)
        assert not isinstance(result, asked.Done), "the lease has run out before anybody else is elected"
        assert etcd.check().ok


def test_a_clock_that_is_slower_than_promised_gives_a_stale_lease_read_which_the_judge_convicts() -> None:
    convicted = 0
    for seed in range(6):
        etcd, result = lease_read_after_a_cut(seed, 0.4)
        verdict = etcd.check()
        assert not verdict.violations, "Raft itself needs no clocks"
        if isinstance(result, asked.Done):
            assert result.value == "old"
            assert not verdict.linearizable["k"]
            assert "'old'" in verdict.linearizable["k"].why
            convicted += 1
        else:
            assert verdict.ok
    assert convicted >= 3


def test_a_lease_is_void_while_leadership_is_handed_over(found: Found) -> None:
    etcd = found(3, seed=1, clock_drift_max=1.01)
    leader = leader_of(etcd)
    etcd.put("k", "old")
    assert etcd.get("k", at=leader, mode="lease").took == 0.0
    target = others(etcd, leader)[0]
    asks_at_once(etcd, leader, asked.MoveLeader(target))
    assert etcd.get("k", at=leader, mode="lease").took > 0.0


# --------------------------------------------------------------------------- the judges can convict


def test_a_leader_that_commits_what_only_it_has_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Membership, "committed", lambda self, match: max(match.values()))
    etcd = Etcd(3, seed=1)
    etcd.run("3s")
    etcd.put("k", "1")
    assert "Committed On A Quorum" in {violation.invariant for violation in etcd.check().violations}


def test_a_disk_that_forgets_its_vote_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    from hasim.engines.des.etcd import world

    monkeypatch.setattr(world, "journal", _without_vote)
    etcd = Etcd(3, seed=1)
    etcd.run("3s")
    voters = etcd.trace.filter("voted").filter(subject=others(etcd, etcd.leader))
    etcd.crash(voters[0].subject)
    etcd.start(voters[0].subject)
    assert {violation.invariant for violation in etcd.check().violations} == {"Term And Vote Stay"}


def _without_vote(saved: Any, record: Record) -> Any:
    return journal(saved, record._replace(term=1, vote=None))


def test_a_leader_that_answers_reads_without_asking_a_quorum_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(member: Any, asker: str, request: Any) -> None:
        if member.role == "leader":
            reads._answer(member, asker, request.ref, member.log.commit)

    monkeypatch.setattr(reads, "on_request", trusting)
    etcd = Etcd(3, seed=1)
    etcd.run("5s")
    etcd.put("k", "old")
    leader = leader_of(etcd)
    etcd.partition(leader)
    while etcd.leader == leader and etcd.now < 10:
        etcd.run("10ms")
    assert etcd.leader is not None, "the new leader is there before the old one steps down"
    etcd.put("k", "new", at=etcd.leader)
    etcd.get("k", at=leader, timeout="20ms")
    assert not etcd.check().linearizable["k"]


# ------------------------------------------------------------------------------------- over a reboot


def test_an_answer_to_a_read_of_an_earlier_process_does_not_count() -> None:
    config = ha.Raft().config("b", ("a", "b", "c"))
    disk: list[Any] = [None]

    def boot(now: float) -> Any:
        member = EtcdMember(config)

        def step(event: Any, at: float) -> list[Any]:
            effects = list(member.step(event, at))
            for effect in effects:
                if isinstance(effect, Save):
                    disk[0] = journal(disk[0], effect.record)
                elif isinstance(effect, Draw):
                    step(Drawn(effect.name, effect.low), at)
            return effects

        step(Started(disk[0]), now)
        sent = step(Received("a", Heartbeat(1, 0)), now + 0.1)  # and with a leader it publishes itself
        said = [effect.message for effect in sent if isinstance(effect, Send)]
        (forward,) = [message for message in said if isinstance(message, Forward)]
        log = member.raft.state.log
        entry = Entry(1, log.last + 1, forward.items[0][0])
        step(Received("a", Append(1, log.last, log.last_term, (entry,), log.last + 1)), now + 0.2)
        assert member.serving
        return step

    asked_by_first = [
        effect.message
        for effect in boot(0.0)(Proposed(asked.Get("k"), "first"), 1.0)
        if isinstance(effect, Send) and isinstance(effect.message, ReadRequest)
    ]
    step = boot(2.0)
    step(Proposed(asked.Get("k"), "second"), 3.0)
    late = step(Received("a", ReadReply(1, asked_by_first[0].ref, 4)), 3.1)
    assert not [effect for effect in late if isinstance(effect, Answer)]


def test_a_lease_holds_though_the_member_that_granted_it_reboots() -> None:
    for seed in range(12):
        etcd = Etcd(["a", "b", "c"], seed=seed, clock_drift_max=1.01).run("6s")
        leader = leader_of(etcd)
        granter, stranger = others(etcd, leader)
        etcd.put("k", "old", at=leader)
        etcd.partition(stranger)
        etcd.run(f"{3 + seed * 0.05:.2f}s")
        etcd.heal()
        etcd.partition(leader)
        etcd.crash(granter)
        etcd.start(granter)
        for _ in range(60):
            etcd.run("20ms")
            if etcd.leader == stranger:
                break
        etcd.put("k", "new", at=stranger, timeout="500ms")
        etcd.get("k", at=leader, mode="lease", timeout="500ms")
        assert etcd.check().ok, str(etcd.check())


def test_what_was_acknowledged_outlives_a_forced_new_cluster_a_moment_later() -> None:
    etcd = Etcd(3, seed=2).run("8s")
    leader = leader_of(etcd)
    assert etcd.put("k", "kept", at=leader).ok
    etcd.run("200ms")  # a tick, by which the commit index is written
    etcd.crash(*etcd.world.nodes)
    etcd.force_new_cluster(leader)
    etcd.run("4s")
    assert etcd.get("k", at=leader).value == "kept"


def test_members_left_out_of_a_forced_cluster_are_not_heard() -> None:
    etcd = Etcd(3, seed=1).run("8s")
    etcd.crash(*etcd.world.nodes)
    etcd.force_new_cluster("etcd-1")
    etcd.run("4s")
    etcd.start("etcd-2", "etcd-3")
    etcd.run("6s")
    roles = etcd.endpoint_status().set_index("endpoint")["role"]
    assert roles["etcd-1"] == "leader"
    assert "leader" in {roles["etcd-2"], roles["etcd-3"]}, "the old cluster lives on: two under one name"


# -------------------------------------------------------------------------------------- small refusals


def test_a_change_of_membership_is_dropped_while_leadership_moves(found: Found) -> None:
    etcd = found(3, seed=9)
    leader = leader_of(etcd)
    results = asks_at_once(etcd, leader, asked.MoveLeader(others(etcd, leader)[0]), asked.MemberAdd("x", True))
    etcd.run("1s")
    assert results[1] == asked.Refused(asked.DROPPED)


def test_only_what_is_there_can_be_compacted_and_keys_have_a_name(found: Found) -> None:
    etcd = found(1, seed=10)
    for number in range(4):
        assert etcd.put("k", str(number)).ok
    assert etcd.compact(100).error == asked.FUTURE
    assert etcd.compact(3).ok
    assert etcd.compact(3).error == etcd.compact(2).error == asked.COMPACTED
    assert etcd.put("", "x").error == asked.NO_KEY
