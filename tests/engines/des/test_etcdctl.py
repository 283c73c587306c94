"""The handle of a small etcd cluster: clients and verdicts, beginnings, a partition seen by all."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

import hasim as ha
from hasim.checks.report import report
from hasim.engines.des.etcd.handle import Etcd
from hasim.model.placement import member_names
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.bootstrap import Discovery, Srv
from hasim.protocols.etcd.discovery import Dns, Registry, SrvTarget
from hasim.results.requests import request_figures_by, request_kind

# ------------------------------------------------------------------------- history, clients and verdicts


def test_what_is_asked_by_hand_is_in_the_history_with_all_that_was_seen() -> None:
    etcd = Etcd(3, seed=2)
    etcd.run("3s")
    etcd.put("k", "1")
    etcd.get("k", at="etcd-2")
    etcd.get("k", mode="serializable")
    etcd.ask(asked.Cas("k", "1", "2"))
    etcd.ask(asked.Cas("k", "1", "3"))
    etcd.delete("k")
    etcd.members()
    etcd.endpoint_health()
    history = etcd.history
    assert [(each.kind, each.value, each.outcome) for each in history] == [
        ("put", "1", "ok"),
        ("get", "1", "ok"),
        ("get", "1", "ok"),
        ("cas", "2", "ok"),
        ("cas", "3", "failed"),
        ("delete", None, "ok"),
    ]
    assert history[1].node == "etcd-2" and history[2].mode == "serializable"
    assert [each.version for each in history] == [2, 2, 2, 3, 3, 4]
    assert all(each.client == "etcdctl" for each in history)
    assert all(one.returned < other.called for one, other in pairwise(history))
    assert etcd.check().ok


def test_a_read_that_was_stale_by_hand_is_convicted_though_no_time_lay_between() -> None:
    etcd = Etcd(3, seed=2)
    etcd.run("3s")
    etcd.put("k", "1")
    etcd.put("k", "2")
    etcd.get("k")
    history = etcd.history
    assert report(history).ok
    verdict = report([*history[:-1], replace(history[-1], value="1")])
    assert not verdict.ok
    assert "not linearizable: key 'k'" in str(verdict)


def test_requests_that_got_no_answer_are_unknown_if_they_write_and_failed_if_they_read() -> None:
    etcd = Etcd(3, seed=3)
    etcd.run("3s")
    leader = etcd.leader
    assert leader is not None
    etcd.pause(leader)
    write, read = etcd.put("k", "1", at=leader, timeout="1s"), etcd.get("k", at=leader, timeout="1s")
    assert (write.error, write.unknown) == (asked.DEADLINE, True)
    assert (read.error, read.unknown) == (asked.DEADLINE, False)
    etcd.crash(leader)
    refused = etcd.put("k", "2", at=leader)
    assert (refused.error, refused.unknown, refused.took) == (asked.CONNECTION_REFUSED, False, 0.0)
    assert [each.outcome for each in etcd.history] == ["unknown", "failed", "failed"]
    assert "outcome unknown" in str(write) and "nothing was done" in str(refused)


def test_a_client_works_while_time_passes_and_its_open_requests_count() -> None:
    etcd = Etcd(3, seed=4)
    etcd.run("3s")
    client = etcd.client(rate=100, requests="put", retries="none")
    assert client.workload.name == "client-1"
    assert client.workload.endpoints == ("etcd-1", "etcd-2", "etcd-3")
    assert etcd.history == []
    etcd.run("1s")
    assert 60 < len(etcd.history) < 140
    etcd.crash(*[name for name in etcd.world.nodes if name != etcd.leader])
    etcd.run("500ms")
    under_way = [each for each in etcd.history if math.isinf(each.returned)]
    assert len(under_way) > 10
    assert {each.outcome for each in under_way} == {"unknown"}, "a read may have seen them already"
    assert [each.called for each in etcd.history] == sorted(each.called for each in etcd.history)
    assert etcd.check().ok


def test_a_workload_may_be_handed_over_whole() -> None:
    etcd = Etcd(3, seed=4)
    workload = ha.Workload(name="reader", endpoints="etcd-2", think="10ms", requests="serializable")
    client = etcd.client(workload)
    etcd.run("5s")
    assert client.workload is workload
    assert {each.node for each in etcd.history if each.outcome == "ok"} == {"etcd-2"}


def test_the_same_seed_tells_the_same_story() -> None:
    def play(seed: int) -> tuple[Any, ...]:
        etcd = Etcd(3, seed=seed)
        etcd.client(rate=20)
        etcd.play(ha.Partition("etcd-1", at="3s", lasting="3s"))
        etcd.run("10s")
        return tuple(etcd.history), tuple(map(str, etcd.trace))

    assert play(5) == play(5)
    assert play(5) != play(6)


def test_a_scripted_fault_is_noted_when_it_begins_and_ends() -> None:
    etcd = Etcd(["a", "b", "c"], seed=6, zones={"a": "north", "b": "north", "c": "south"})
    etcd.run("3s")
    etcd.play(ha.Partition("north", at="1s", lasting="2s"))
    etcd.run("5s")
    noted = [(fact.kind, round(fact.at, 6), fact.subject) for fact in etcd.trace.filter(["fault begun", "fault ended"])]
    assert noted == [("fault begun", 4.0, "north"), ("fault ended", 6.0, "north")]


def test_zones_and_latencies_reach_the_network() -> None:
    zones = {"a": "north", "b": "north", "c": "south"}
    etcd = Etcd(["a", "b", "c"], seed=6, zones=zones, latencies={("north", "south"): {"fixed": "50ms"}})
    etcd.run("5s")
    etcd.move_leader("c")
    assert etcd.leader == "c"
    etcd.run("1s")
    took = etcd.put("k", "1", at="c").took
    assert 0.1 < took < 0.11, "one round trip to the north"


# ------------------------------------------------------------------------------------------- beginnings


@pytest.mark.parametrize(
    ("members", "note"),
    [
        (2, "2 members tolerate no failure, like 1"),
        (4, "4 members tolerate 1 failure, like 3"),
        (6, "2 failures, like 5"),
    ],
)
def test_an_even_number_of_members_is_noted(members: int, note: str) -> None:
    etcd = Etcd(members, seed=1)
    assert len(etcd.notes) == 1 and note in etcd.notes[0]
    assert note in repr(etcd)
    assert Etcd(members + 1, seed=1).notes == []


def declared(**parts: Any) -> ha.Cluster:
    zones = {f"zone-{letter}": {"hosts": [f"host-{letter}"]} for letter in "abc"}
    return ha.Cluster(name="declared", topology={"zones": zones}, parts=parts, services={"writes": [next(iter(parts))]})


def quorum(**more: Any) -> ha.Quorum:
    return ha.Quorum(members=3, on=["zone-a", "zone-b", "zone-c"], spread="zone", **more)


def test_a_declared_quorum_that_plays_raft_stands_in_its_zones() -> None:
    cluster = declared(etcd=quorum(raft={"election_timeout": "2s"}))
    etcd = Etcd.of(cluster, seed=1)
    assert list(etcd.world.nodes) == member_names("etcd", cluster.parts["etcd"])
    assert [node.zone for node in etcd.world.nodes.values()] == ["zone-a", "zone-b", "zone-c"]
    assert etcd.raft.election_timeout == 2.0
    etcd.run("8s")
    etcd.partition("zone-b")
    etcd.run("8s")
    assert etcd.leader in ("etcd-1", "etcd-3")


def test_a_cluster_without_a_quorum_that_plays_raft_or_with_several_is_refused() -> None:
    with pytest.raises(ha.ModelError, match=r"^cluster: no part of the cluster plays Raft; give a quorum `raft"):
        Etcd.of(declared(etcd=quorum()))
    two = declared(etcd=quorum(raft={}), events=quorum(raft={}))
    with pytest.raises(ha.ModelError, match=r"^part: several parts play Raft; name one of etcd, events"):
        Etcd.of(two)
    with pytest.raises(ha.ModelError, match=r"^part: got 'event'; parts that play Raft are etcd, events; did you mean"):
        Etcd.of(two, "event")
    assert "events-1" in Etcd.of(two, "events", seed=1).world.nodes
    with pytest.raises(ha.ModelError, match=r"^cluster: got 'etcd'; give a cluster"):
        Etcd.of("etcd")  # type: ignore[arg-type]


def booted(told: dict[str, Any], **options: Any) -> Etcd:
    etcd = Etcd.bootstrap(told, seed=1, **options)
    etcd.run("5s")
    return etcd


def test_founders_with_one_list_serve_once_a_majority_is_switched_on() -> None:
    assert booted({name: ["a", "b", "c"] for name in "ab"}).put("k", "1").ok
    alone = booted({"a": ["a", "b", "c"]})
    assert alone.leader is None
    assert alone.put("k", "1").error == asked.CONNECTION_REFUSED, "it opens its port once it has a leader"


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ({"a": ["a", "b", "c"], "b": ["a", "b", "c"], "c": ["a", "b", "c", "d"]}, {}),
        ({name: ["a", "b", "c"] for name in "abc"}, {"tokens": {"c": "another"}}),
    ],
)
def test_members_with_other_lists_or_tokens_belong_to_another_cluster_and_are_refused(
    told: dict[str, Any], options: dict[str, Any]
) -> None:
    etcd = booted(told, **options)
    assert etcd.leader in ("a", "b")
    assert any(note.startswith("cluster ID mismatch: a, b in ") for note in etcd.notes)
    table = etcd.endpoint_status().set_index("endpoint")
    assert table["leader"]["c"] is None and table["term"]["c"] == 1
    assert etcd.put("k", "1", at="a").ok
    assert etcd.check().ok


def test_two_clusters_under_one_roof_may_both_have_a_leader_in_one_term() -> None:
    etcd = booted({**{name: list("abc") for name in "abc"}, **{name: list("def") for name in "def"}})
    roles = list(etcd.endpoint_status()["role"])
    assert roles.count("leader") == 2
    assert etcd.check().ok, "each is judged by itself"


def test_a_member_that_is_not_on_its_own_list_does_not_start() -> None:
    etcd = booted({"a": ["a", "b"], "b": ["a", "b"], "c": ["a", "b"]})
    why = 'couldn\'t find local name "c" in the initial cluster configuration'
    assert f"c does not start: {why}" in etcd.notes
    assert list(etcd.endpoint_status()["role"])[2] == "not started"
    with pytest.raises(ha.ModelError, match=r"^names: c does not start: couldn't find local name"):
        etcd.start("c")
    assert etcd.put("k", "1").ok


def test_discovery_waits_for_all_and_turns_away_whoever_comes_too_late() -> None:
    def through(names: str) -> dict[str, Any]:
        return {name: Discovery("token", Registry(3)) for name in names}

    waiting = booted(through("ab"))
    assert waiting.leader is None
    assert waiting.notes == [f"{name} does not start: waiting for peers from discovery service" for name in "ab"]
    full = booted(through("abcd"))
    assert full.leader in ("a", "b", "c")
    assert full.notes == ["d does not start: failed to join discovery cluster (discovery: cluster is full)"]


def test_members_whose_dns_answers_differ_found_different_clusters() -> None:
    addresses = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}

    def answers(hosts: str) -> Srv:
        return Srv(Dns("example", http=tuple(SrvTarget(host) for host in hosts), addresses=addresses))

    same = booted({name: answers("abc") for name in "abc"})
    assert same.leader is not None and same.notes == []
    torn = booted({"a": answers("abc"), "b": answers("abc"), "c": answers("ac")})
    assert torn.leader in ("a", "b")
    assert any("cluster ID mismatch" in note for note in torn.notes)


# ------------------------------------------------------------------ one partition, seen from both sides


@pytest.mark.parametrize("leader_side", ["minority", "majority"])
def test_a_partition_of_five_is_seen_by_clients_as_their_side_has_it(leader_side: str) -> None:
    etcd = Etcd(5, seed=3)
    etcd.run("10s")
    followers = [name for name in etcd.world.nodes if name != etcd.leader]
    minority = [etcd.leader or "", followers[0]] if leader_side == "minority" else followers[:2]
    majority = [name for name in etcd.world.nodes if name not in minority]
    mix = {"put": 1, "linearizable": 1, "serializable": 1}
    for name, ends in (("minority", minority), ("majority", majority)):
        etcd.client(name=name, endpoints=ends, rate=30, requests=mix, retries="none")
    etcd.run("5s")
    cut_at = etcd.now
    etcd.partition(*minority)
    etcd.run("20s")
    healed_at = etcd.now
    etcd.heal()
    etcd.run("15s")
    during = request_figures_by(
        lambda op: f"{op.client} {request_kind(op)}", etcd.history, cut_at + 3.0, healed_at - 8.0
    )
    for kind in ("put", "linearizable get", "serializable get"):
        assert during[f"majority {kind}"].served_share == 1.0
    for kind in ("put", "linearizable get"):
        assert during[f"minority {kind}"].served == 0
        assert during[f"minority {kind}"].requests > 50
    stale = during["minority serializable get"]
    assert stale.served_share == 1.0
    assert stale.stale == stale.compared > 50
    first = [
        op for op in etcd.history if op.client == "minority" and op.kind == "put" and cut_at < op.called < cut_at + 12
    ]
    way = 0.0004, 0.0008  # to the member and back
    assert len(first) > 50
    assert all(7 + way[0] <= op.returned - op.called <= 7 + way[1] for op in first)
    assert {op.outcome for op in first} <= {"unknown", "failed"}

    around = request_figures_by(
        lambda op: op.client, (op for op in etcd.history if op.kind == "put"), cut_at, healed_at
    )
    pause = around["majority"].longest_silence_s
    assert (pause > 0.8) == (leader_side == "minority"), "it pauses for an election only if the leader was cut off"
    later = request_figures_by(lambda op: op.client, etcd.history, healed_at + 8.0, etcd.now - 1.0)
    assert later["minority"].served_share == later["majority"].served_share == 1.0
    verdict = etcd.check()
    assert verdict.ok and verdict.stale


def test_a_write_that_timed_out_may_appear_later() -> None:
    etcd = Etcd(3, seed=7)
    etcd.run("5s")
    follower = next(name for name in etcd.world.nodes if name != etcd.leader)
    leader = etcd.leader or ""
    etcd.crash(*[name for name in etcd.world.nodes if name not in (leader, follower)])
    etcd.partition(leader)
    late = etcd.put("k", "late", at=leader, timeout="500ms")
    assert late.unknown
    etcd.heal()
    etcd.run("10s")
    assert etcd.get("k").value == "late"
    assert etcd.check().ok


def test_a_fault_at_play_tells_when_it_begins_and_ends_and_whether_it_did_anything() -> None:
    etcd = Etcd(3, seed=1).run("5s")
    etcd.play(ha.Pause("etcd-1", at="1s", lasting="2s"))
    etcd.play(ha.SlowDisk("etcd-2", extra="1s", at="1s", lasting="2s"))  # nobody writes
    begun = etcd.now
    etcd.run("5s")
    facts = etcd.trace.filter(["fault begun", "fault ended"])
    told = [(round(fact.at - begun, 6), fact.kind, fact.subject, fact.detail) for fact in facts]
    assert told == [
        (1.0, "fault begun", "etcd-1", {"fault": "Pause"}),
        (1.0, "fault begun", "etcd-2", {"fault": "SlowDisk"}),
        (3.0, "fault ended", "etcd-1", {"fault": "Pause"}),
        (3.0, "fault ended", "etcd-2", {"fault": "SlowDisk", "touched": "nothing"}),
    ]
