"""Stories that take time: what a planted bug costs is a leader, or progress."""

from __future__ import annotations

from itertools import combinations

from timed import Compacting, Run

from hasim.protocols.raft import Change, Write

STABLE = "Stable Leader"
PROGRESS = "Progress"
CATCHES_UP = "Followers Catch Up"
LEADER_LOSS = "Leader Kept"
LIVENESS = {
    STABLE: "a leader that reaches a majority is not deposed again and again (here: at most twice)",
    PROGRESS: "while a majority is connected, writes go on being committed (here: one in the last 10 s)",
    CATCHES_UP: "a follower that came back gets by with a few snapshots (here: at most two)",
    LEADER_LOSS: "a leader that is as fast as the election timeout asks stays in office",
}
THREE = ("n1", "n2", "n3")
FIVE = ("n1", "n2", "n3", "n4", "n5")


def _verdict(run: Run, since: float) -> list[str]:
    """What was broken since the fault began."""
    run.held.close()
    broken = []
    if run.count("leader", since) > 2:
        broken.append(STABLE)
    if run.last_commit.at < run.env.now - 10:
        broken.append(PROGRESS)
    return broken


def a_removed_member_does_not_know() -> list[str]:
    """n4 is removed while it is cut off, so it never hears of that, and times out again and again."""
    run = Run(FIVE[:4], seed=1, pre_vote=False)
    run.let_lead("n1")
    run.lose([("n4", name) for name in THREE])
    run.propose("n1", Write(Change("remove", "n4")))
    run.write(until=4)
    run.losses.clear()
    since = run.env.now
    run.write(until=34)
    return _verdict(run, since)


def a_partial_partition() -> list[str]:
    """Of five, 1, 2 and 3 reach each other, 4 reaches only 2, and 5 only 3; no lease rule (Howard & Abraham 2020)."""
    run = Run(FIVE, seed=1, check_quorum=False)
    run.let_lead("n2")
    whole = {("n1", "n2"), ("n1", "n3"), ("n2", "n3"), ("n2", "n4"), ("n3", "n5")}
    run.lose(set(combinations(FIVE, 2)) - whole)
    run.write(until=62)
    return _verdict(run, 2)


def a_leader_with_one_link() -> list[str]:
    """Of five, 5 is dead, the leader 4 reaches only 2, and 1, 2 and 3 reach each other."""
    run = Run(FIVE, seed=1)
    run.let_lead("n4")
    run.world.nodes["n5"].crash()
    run.lose([("n1", "n4"), ("n3", "n4")])
    run.write(until=32)
    return _verdict(run, 2)


def a_lossy_link() -> list[str]:
    """As at Cloudflare in 2020: the link between the leader 3 and 1 loses 80 % of all messages, 2 reaches both."""
    run = lossy(seed=1, share=0.8, pre_vote=True, lasting=100)
    return _verdict(run, 2)


def lossy(seed: int, share: float, pre_vote: bool, lasting: float, writes: bool = True) -> Run:
    """The leader is n3, and its link with n1 loses this share of the messages, both ways, for so many seconds."""
    run = Run(THREE, seed, pre_vote=pre_vote)
    run.let_lead("n3")
    run.lose([("n1", "n3")], share)
    if writes:
        run.write(until=2 + lasting)
    else:
        run.env.run(until=2 + lasting)
    return run


def a_deaf_leader() -> list[str]:
    """The leader's messages arrive, but it receives none."""
    run = Run(THREE, seed=1)
    run.let_lead("n1")
    run.losses.update({("n2", "n1"): 1.0, ("n3", "n1"): 1.0})
    run.write(until=32)
    return _verdict(run, 2)


def a_follower_far_behind() -> list[str]:
    """n3 comes back after 5 s of 200 writes a second; a snapshot takes a second to arrive."""
    run = Run(THREE, seed=1, build=Compacting, bandwidth=1_000_000)
    run.let_lead("n1")
    run.world.nodes["n3"].crash()
    run.write(until=7, every=0.005)
    run.world.nodes["n3"].start()
    run.write(until=20, every=0.005)
    lag = run.state("n1").log.last - run.state("n3").log.last
    behind = run.count("snapshot installed", 7, "n3") > 2 and lag > 20
    return [*_verdict(run, 2), *([CATCHES_UP] if behind else [])]


STALL = 0.5
"""For how long the leader's disk syncs nothing, in seconds."""


def a_stalled_disk() -> list[str]:
    """No sync of the leader's disk ends for a while, and its heartbeats wait for that."""
    run = Run(THREE, seed=1)
    run.let_lead("n1")
    with run.world.stalled_disk("n1"):
        run.write(until=2 + STALL)
    run.write(until=14)
    return [*_verdict(run, 2), *([LEADER_LOSS] if run.count("leader", 2) else [])]
