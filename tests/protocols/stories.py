"""Scripted stories in which a planted bug shows; each says what convicted it, if anything did."""

from __future__ import annotations

from collections.abc import Callable

from cluster import Cluster, make_cluster
from planted import SlowApplier

from hasim.machine import Proposed
from hasim.protocols.raft import Change, JointChange, Write
from hasim.protocols.raft.messages import Append, HeartbeatReply

LINEARIZABLE = "Linearizable Reads"
READS = {LINEARIZABLE: "a read sees every write that was answered before the read began"}
Story = Callable[[], list[str]]
"""Play it; the names of all that was broken, in order, each once."""

THREE = ("n1", "n2", "n3")
FIVE = ("n1", "n2", "n3", "n4", "n5")


def verdict(cluster: Cluster, *stale: str) -> list[str]:
    """What the judge found, and what the readers did."""
    return list(dict.fromkeys([*(violation.invariant for violation in cluster.judge.violations), *stale]))


def led(*names: str, votes: tuple[str, ...] = (), **settings: object) -> Cluster:
    """A cluster that n1 leads in term 1, with its first entry applied by all voters, and nothing on its way."""
    cluster = make_cluster(names, raising=False, **settings)  # type: ignore[arg-type]
    cluster.elect("n1", *(votes or names[1:]))
    cluster.pass_on(*cluster.state("n1").members.voters)
    cluster.drop()
    return cluster


def _come_back(cluster: Cluster, name: str, campaigns: int = 1) -> None:
    """Crash, boot, and campaign in vain so many times, to get past the terms of others."""
    cluster.crash(name, power=False)
    cluster.boot(name)
    for _ in range(campaigns):
        cluster.fire(name)
        cluster.drop()


def figure_8() -> list[str]:
    """The paper's figure 8, d: an entry of term 1 is on three of five servers when its leader leads again."""
    cluster = led(*FIVE, message_bytes_max=1)
    cluster.write("n1", "w", size=2)
    cluster.relay("n1", "n2")
    cluster.drop()
    cluster.elect("n5", "n3", "n4")
    cluster.drop()
    _come_back(cluster, "n1")
    cluster.elect("n1", "n2", "n3")
    cluster.replicate("n1", "n2")
    # n3 gets the entry of term 1, alone in its message, but not the one of the leader's own term.
    cluster.relay("n1", "n3")
    cluster.relay("n3", "n1")
    cluster.deliver(cluster.packets("n1", "n3", Append)[0])
    cluster.relay("n3", "n1")
    cluster.drop()
    assert cluster.state("n3").log.last == 2
    cluster.crash("n1", power=False)
    _come_back(cluster, "n5", campaigns=2)
    cluster.elect("n5", "n3", "n4")
    cluster.replicate("n5", "n3", "n4")
    return verdict(cluster)


def two_candidates_and_a_power_failure() -> list[str]:
    """n3 votes for n1 and loses power before the vote is on its disk; then n2 asks it for the same term."""
    cluster = make_cluster(THREE, raising=False)
    cluster.fire("n1")
    cluster.fire("n2")
    cluster.hold = True
    cluster.relay("n1", "n3")
    cluster.hold = False
    cluster.crash("n3", power=True)
    cluster.boot("n3")
    cluster.relay("n3", "n1")
    cluster.relay("n2", "n3")
    cluster.relay("n3", "n2")
    return verdict(cluster)


def two_candidates_and_a_crash() -> list[str]:
    """n3 votes for n1, crashes, and boots; then n2 asks it for the same term."""
    cluster = make_cluster(THREE, raising=False)
    cluster.fire("n1")
    cluster.fire("n2")
    cluster.relay("n1", "n3")
    cluster.crash("n3", power=False)
    cluster.boot("n3")
    cluster.relay("n3", "n1")
    cluster.relay("n2", "n3")
    cluster.relay("n3", "n2")
    return verdict(cluster)


def power_failure_during_a_sync() -> list[str]:
    """n2 loses power while it syncs an entry, and is elected by n3, which never had it."""
    cluster = led(*THREE)
    cluster.write("n1", "w")
    cluster.hold = True
    cluster.relay("n1", "n2")
    cluster.hold = False
    cluster.relay("n2", "n1")
    cluster.crash("n2", power=True)
    cluster.boot("n2")
    cluster.crash("n1", power=True)
    cluster.drop()
    cluster.elect("n2", "n3")
    return verdict(cluster)


def a_candidate_that_missed_a_write() -> list[str]:
    """n3 has missed a committed write and campaigns."""
    cluster = led(*THREE)
    cluster.write("n1", "w")
    cluster.relay("n1", "n2")
    cluster.relay("n2", "n1")
    assert cluster.answers["write w"] == 2
    cluster.drop()
    cluster.elect("n3", "n2")
    return verdict(cluster)


def a_heartbeat_to_a_log_that_differs() -> list[str]:
    """n1 comes back with entries that nobody else has, and hears a heartbeat of the new leader before any append."""
    cluster = led(*THREE)
    cluster.write("n1", "a")
    cluster.write("n1", "b")
    cluster.drop()
    cluster.elect("n2", "n3")
    cluster.write("n2", "c")
    cluster.replicate("n2", "n3")
    cluster.drop()
    cluster.fire("n2", "heartbeat")
    cluster.relay("n2", "n1", "n3")
    return verdict(cluster)


def an_append_that_does_not_fit() -> list[str]:
    """n1 comes back with entries that nobody else has, to a leader that begins where its own log ends."""
    cluster = led(*THREE)
    cluster.write("n1", "a")
    cluster.write("n1", "b")
    cluster.drop()
    cluster.elect("n2", "n3")
    cluster.write("n2", "c")
    cluster.replicate("n2", "n3")
    cluster.drop()
    _come_back(cluster, "n2")
    cluster.elect("n2", "n3")
    cluster.relay("n2", "n1")
    return verdict(cluster)


def a_leader_with_an_open_entry() -> list[str]:
    """n2 has an entry of n1 that is not known to be committed, and is elected."""
    cluster = led(*THREE)
    cluster.write("n1", "a")
    cluster.relay("n1", "n2")
    cluster.drop()
    cluster.elect("n2", "n3")
    cluster.replicate("n2", "n3")
    return verdict(cluster)


def an_old_append_once_more() -> list[str]:
    """The network delivers the first of two appends again, after both were acknowledged."""
    cluster = led(*THREE)
    cluster.write("n1", "a")
    first = cluster.packets("n1", "n2", Append)[0]
    cluster.write("n1", "b")
    cluster.deliver(first, keep=True)
    for packet in cluster.packets("n1", "n2", Append):
        if packet != first:
            cluster.deliver(packet)
    cluster.relay("n2", "n1")
    assert cluster.answers["write b"] == 3
    cluster.deliver(first)
    cluster.crash("n1", power=False)
    cluster.drop()
    cluster.elect("n2", "n3")
    return verdict(cluster)


def two_leaders_change_the_members() -> list[str]:
    """{1,2,3,4}: n1 appends "+5" on {1,5}, n2 leads and appends "-1" on {2,3}, n1 is elected again by {4,5}."""
    cluster = led(*FIVE, voters=FIVE[:4], votes=FIVE[1:4])
    cluster.step("n1", Proposed(Write(Change("add", "n5")), "+5"))
    cluster.replicate("n1", "n5")
    assert cluster.state("n5").log.last == 2
    cluster.drop()
    cluster.elect("n2", "n3", "n4")
    cluster.drop("n4")
    cluster.step("n2", Proposed(Write(Change("remove", "n1")), "-1"))
    cluster.replicate("n2", "n3")
    cluster.drop()
    _come_back(cluster, "n1")
    cluster.elect("n1", "n4", "n5")
    assert "n1" in cluster.leaders()
    return verdict(cluster)


def a_candidate_behind_on_changes() -> list[str]:
    """{1,2,3} has become {1,2,3,4,5}, but only n2 has applied that when it and n3 campaign."""
    cluster = make_cluster(FIVE, voters=THREE, build=SlowApplier, raising=False)
    for name in ("n1", "n2"):
        cluster.nodes[name].member.raft.slow = False  # type: ignore[attr-defined]
    cluster.elect("n1", "n2", "n3")
    cluster.pass_on(*THREE)
    for number, member in enumerate(("n4", "n5"), 2):
        cluster.step("n1", Proposed(Write(Change("add", member)), f"+{member}"))
        cluster.replicate("n1", "n2", "n3", *FIVE[3 : number + 2])
    cluster.drop()
    assert cluster.state("n2").members.voters == FIVE
    assert cluster.state("n3").members.voters == THREE
    cluster.crash("n1", power=False)
    cluster.boot("n1")
    cluster.elect("n2", "n4", "n5")
    cluster.drop()
    cluster.elect("n3", "n1")
    return verdict(cluster)


def two_majorities_that_do_not_meet() -> list[str]:
    """{1,2,3} becomes {1,4,5}, which n1 and n4 know of; n2 and n3 are a majority of the old members."""
    cluster = led(*FIVE, voters=THREE, votes=("n2", "n3"))
    steps = (("remove", "n2"), ("remove", "n3"), ("add", "n4"), ("add", "n5"))
    swap = JointChange(tuple(Change(kind, member) for kind, member in steps))  # type: ignore[arg-type]
    cluster.step("n1", Proposed(Write(swap), "swap"))
    cluster.replicate("n1", "n2", rounds=1)
    cluster.write("n1", "w")
    cluster.replicate("n1", "n4")
    cluster.drop()
    cluster.elect("n2", "n3")
    assert "n2" in cluster.leaders()
    return verdict(cluster)


# ---------------------------------------------------------------------------------------------- reads


def _stale(cluster: Cluster, read: str, index: int) -> list[str]:
    """A read that began after the write at `index` was answered must wait for that."""
    found = cluster.answers.get(read)
    return [LINEARIZABLE] if found is not None and found < index else []


def a_deposed_leader_is_read() -> list[str]:
    """n1, cut off, is asked for a read after n2 leads and has answered a write."""
    cluster = led(*THREE)
    cluster.elect("n2", "n3")
    cluster.write("n2", "w")
    cluster.replicate("n2", "n3")
    cluster.drop()
    written = cluster.answers["write w"]
    cluster.read("n1", "r")
    return verdict(cluster, *_stale(cluster, "r", written))


def a_slow_clock_holds_a_lease() -> list[str]:
    """n1's clock runs at half speed, as far off as allowed; n2 is elected and has answered a write."""
    cluster = led(*THREE, check_quorum=True, clock_drift_max=2.0)
    cluster.fire("n1", "heartbeat")
    cluster.pass_on(*THREE)
    cluster.read("n1", "before", lease=True)
    assert cluster.answers["before"] == 1, "no lease was ever granted"
    for name in THREE:
        cluster.nodes[name].clock = 0.08 if name == "n1" else 0.16  # the least election timeout is 0.15
    cluster.elect("n2", "n3")
    cluster.write("n2", "w")
    cluster.replicate("n2", "n3")
    cluster.drop()
    cluster.read("n1", "r", lease=True)
    return verdict(cluster, *_stale(cluster, "r", cluster.answers["write w"]))


def a_new_leader_is_read() -> list[str]:
    """n2 has a committed write in its log but does not know that it is committed; it is elected, and read at once."""
    cluster = led(*THREE)
    cluster.write("n1", "w")
    cluster.relay("n1", "n2")
    cluster.relay("n2", "n1")
    cluster.drop()
    cluster.crash("n1", power=False)
    cluster.elect("n2", "n3")
    cluster.drop()
    cluster.read("n2", "r")
    cluster.relay("n2", "n3")
    cluster.relay("n3", "n2")
    cluster.fire("n2", "heartbeat")
    cluster.pass_on("n2", "n3")
    return verdict(cluster, *_stale(cluster, "r", cluster.answers["write w"]))


def a_read_is_tried_again() -> list[str]:
    """The answer to n1's heartbeat is late; n2 is elected meanwhile, and the client of n1 asks again."""
    cluster = led(*THREE)
    cluster.read("n1", "reader#1")
    cluster.relay("n1", "n2")
    late = cluster.packets("n2", "n1", HeartbeatReply)
    cluster.bag = []
    cluster.elect("n2", "n3")
    cluster.write("n2", "w")
    cluster.replicate("n2", "n3")
    cluster.bag = late
    cluster.read("n1", "reader#2")
    cluster.deliver(late[0])
    return verdict(cluster, *_stale(cluster, "reader#2", cluster.answers["write w"]))


def a_single_member_loses_power() -> list[str]:
    """The only member answers a write and loses power at once."""
    cluster = make_cluster(("n1",), raising=False)
    cluster.fire("n1")
    cluster.write("n1", "w")
    assert cluster.answers["write w"] == 2
    cluster.crash("n1", power=True)
    cluster.boot("n1")
    cluster.fire("n1")
    return verdict(cluster)
