"""How a leader copies its log to the others, and when an entry counts as committed (5.3, 5.4)."""

from __future__ import annotations

from hasim.machine import Send, SetTimer
from hasim.protocols.raft import reads
from hasim.protocols.raft.config import Continuous
from hasim.protocols.raft.membership import Name
from hasim.protocols.raft.messages import (
    ENTRY_BYTES,
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    TimeoutNow,
)
from hasim.protocols.raft.progress import Progress
from hasim.protocols.raft.roles import become_follower, reset
from hasim.protocols.raft.state import State

_new = tuple.__new__  # half the cost of a named tuple is its own constructor

# ------------------------------------------------------------------------------------------- the leader


def become_leader(member: State) -> None:
    """Take office: append an empty entry of the new term, since only those commit what came before (5.4.2)."""
    reset(member, member.term)
    member.role = "leader"
    member.leader = member.name
    mine = member.progress[member.name]
    mine.to_replicate()
    mine.active = True
    # Some change of membership may still be on its way in the log: no other before all that is applied.
    member.change_index = member.log.last
    member.announce("leader", term=member.term)
    timing = member.config.timing
    if isinstance(timing, Continuous):
        member.cancel("election")
        member.asks.append(SetTimer("heartbeat", timing.heartbeat, timing.heartbeat))
        member.asks.append(SetTimer("check", timing.low, timing.low))
    append_own(member, [(None, 0)])
    broadcast_append(member)


def append_own(member: State, items: list[tuple[object, int]]) -> None:
    """Append entries to one's own log; they count for oneself once the disk has them."""
    for data, size in items:
        member.append(data, size)
    member.promise(member.name, AppendReply(member.term, member.log.last))


def broadcast_append(member: State) -> None:
    """Send everybody what they lack, as far as their window allows."""
    for name, progress in member.progress.items():
        if name != member.name:
            send_append(member, name, progress, even_empty=True)


def send_append(member: State, to: Name, progress: Progress, even_empty: bool) -> bool:
    """Send one append, or a snapshot where the log does not reach back far enough; whether anything was sent."""
    if progress.blocked(member.config.window):
        return False
    log, start = member.log, progress.next
    if start > log.last and start >= log.first and not even_empty:
        return False
    made = member.last_append
    # Followers who are equally far get the same append; a leader only adds to its log, and a state leads one term.
    sort = (start, log.first, log.last, log.commit, member.term)
    if made is None or made[0] != sort:
        entries = log.slice(start, member.config.message_bytes_max)
        member.last_append = made = sort, *_append_of(member, start, entries)
    return _send(member, to, progress, made[1], made[2])


def _append_of(member: State, start: int, entries: tuple[Entry, ...]) -> tuple[Append | None, int]:
    """An append of these entries, from `start` on, and its size; None where the log does not reach back so far."""
    log = member.log
    prev_term = log.term(start - 1)
    if prev_term is None or start < log.first:
        return None, 0
    size = ENTRY_BYTES
    for entry in entries:
        size += entry.size + ENTRY_BYTES
    return _new(Append, (member.term, start - 1, prev_term, entries, log.commit)), size


def _send(member: State, to: Name, progress: Progress, append: Append | None, size: int) -> bool:
    if append is None:
        return _send_snapshot(member, to, progress)
    member.sends.append(_new(Send, (to, append, size)))
    entries = append.entries
    if entries:
        if progress.state == "replicate":
            last = progress.next - 1 + len(entries)
            progress.next = last + 1
            progress.flights.append(last)
        else:
            progress.paused = True
    return True


def _send_snapshot(member: State, to: Name, progress: Progress) -> bool:
    if not progress.active:
        return False  # it would not hear it
    snapshot = member.log.snapshot
    progress.to_snapshot(snapshot.index)
    member.announce("snapshot sent", to=to, index=snapshot.index)
    member.send(to, InstallSnapshot(member.term, snapshot), ENTRY_BYTES + snapshot.size)
    return True


def broadcast_heartbeat(member: State, context: int) -> None:
    """A sign of life to everybody."""
    commit = member.log.commit
    sort = (member.term, commit, context)
    if member.beats[0] == sort:  # much of the life of a cluster; no follower forgets within a term what it has
        member.sends += member.beats[1]
        return
    others = [(to, progress) for to, progress in member.progress.items() if to != member.name]
    if all(progress.match >= commit for _, progress in others):
        heartbeat = Heartbeat(*sort)
        member.beats = (sort, [Send(to, heartbeat, ENTRY_BYTES) for to, _ in others])
        member.sends += member.beats[1]
        return
    for to, progress in others:
        # Never past what the follower is known to have: its log may still hold other entries there.
        member.send(to, Heartbeat(member.term, min(progress.match, commit), context))


def on_append_reply(member: State, sender: Name, reply: AppendReply) -> None:
    """Move the follower's progress on, and the commit index with it."""
    progress = member.progress.get(sender)
    if progress is None:
        return
    progress.active = True
    if reply.rejected:
        _refused(member, sender, progress, reply)
        return
    index, log = reply.index, member.log
    was_blocked = progress.blocked(member.config.window)
    if not progress.acknowledged(index) and not (progress.match == index and progress.state == "probe"):
        return
    if progress.state == "replicate":
        progress.land(index)
    elif (
        progress.state == "probe" or progress.match + 1 >= log.first or progress.match >= progress.pending_snapshot
    ):  # what is no probe waits for a snapshot
        # If the log no longer reaches back to the snapshot that has arrived, another one follows.
        progress.to_replicate()
    if progress.match > log.commit and maybe_commit(member):
        broadcast_append(member)
    elif was_blocked and sender != member.name:
        send_append(member, sender, progress, even_empty=True)
    if sender != member.name:
        while progress.next <= log.last and send_append(member, sender, progress, even_empty=False):
            pass
        if sender == member.transferee and progress.match == log.last:
            member.send(sender, TimeoutNow(member.term))


def _refused(member: State, sender: Name, progress: Progress, reply: AppendReply) -> None:
    probe = reply.hint_index
    if reply.hint_term > 0:
        probe, _ = member.log.conflict(reply.hint_index, reply.hint_term)
    if progress.refused(reply.index, probe):
        if progress.state == "replicate":
            progress.to_probe()
        send_append(member, sender, progress, even_empty=True)


def maybe_commit(member: State) -> bool:
    """Commit what a majority has, if it is of the current term; older entries follow along (figure 8)."""
    index = member.members.committed({name: progress.match for name, progress in member.progress.items()})
    log = member.log
    if index <= log.commit or log.term(index) != member.term:
        return False
    if log.term(log.commit) != member.term:
        member.announce("in office", term=member.term)  # from here on it knows what is committed
    log.commit = index
    if member.config.log_facts:
        member.announce("committed", index=index, term=member.term)
    reads.release_early(member)
    return True


def on_heartbeat_reply(member: State, sender: Name, reply: HeartbeatReply) -> None:
    """A follower lives: go on sending what it lacks, and count it for the reads that wait."""
    progress = member.progress.get(sender)
    if progress is None:
        return
    progress.active = True
    progress.paused = False
    if progress.flights and progress.state == "replicate" and progress.blocked(member.config.window):
        # An empty one, which is refused if what fills the window was lost: or it would never open again.
        _send(member, sender, progress, *_append_of(member, progress.next, ()))
    elif progress.match < member.log.last or progress.state == "probe":
        send_append(member, sender, progress, even_empty=True)
    if reply.context:
        reads.on_ack(member, sender, reply.context)


def on_unreachable(member: State, peer: Name) -> None:
    """The connection broke: what was in flight may be lost, so begin by probing."""
    progress = member.progress.get(peer)
    if member.role == "leader" and progress is not None:
        if progress.state == "replicate":
            progress.to_probe()
        elif progress.state == "snapshot":
            progress.pending_snapshot = 0
            progress.to_probe()
            progress.paused = True


# ----------------------------------------------------------------------------------------- the follower


def on_append(member: State, sender: Name, append: Append) -> None:
    """Take in entries that fit the own log; otherwise say where to look (5.3)."""
    hear_leader(member, sender)
    log, prev, entries = member.log, append.prev_index, append.entries
    if prev < log.commit:
        member.promise(sender, AppendReply(member.term, log.commit))
        return
    if log.term(prev) != append.prev_term:
        hint, term = log.conflict(prev, append.prev_term)
        member.promise(sender, AppendReply(member.term, prev, True, hint, term))
        return
    if entries:
        first = log.merge(entries)
        if first is not None and member.config.log_facts:
            fresh = log.entries[first - log.first :]
            member.announce("appended", first=first, entries=tuple((entry.term, entry.data) for entry in fresh))
    agreed = prev + len(entries)
    commit = append.commit
    if commit > log.commit:
        log.commit = max(log.commit, min(commit, agreed))
    member.promise(sender, _new(AppendReply, (member.term, agreed, False, 0, 0)))


def on_heartbeat(member: State, sender: Name, heartbeat: Heartbeat) -> None:
    """The leader lives."""
    hear_leader(member, sender)
    log = member.log
    if heartbeat.commit > log.commit:
        assert heartbeat.commit <= log.last, f"told to commit {heartbeat.commit}, but the log ends at {log.last}"
        log.commit = heartbeat.commit
    heard = member.beat_heard
    if heard is None or heard[0] is not heartbeat:  # at rest a leader sends one and the same again and again
        reply = Send(sender, HeartbeatReply(member.term, heartbeat.context), ENTRY_BYTES)
        member.beat_heard = heard = (heartbeat, reply)
    member.sends.append(heard[1])


def on_snapshot(member: State, sender: Name, install: InstallSnapshot) -> None:
    """Replace the log by a snapshot, unless that would throw away what is known to be committed."""
    hear_leader(member, sender)
    log, snapshot = member.log, install.snapshot
    if snapshot.index <= log.commit:
        member.promise(sender, AppendReply(member.term, log.commit))
        return
    if log.term(snapshot.index) == snapshot.term:  # the log has all of it already
        log.commit = snapshot.index
        member.promise(sender, AppendReply(member.term, log.commit))
        return
    log.restore(snapshot)
    member.members = snapshot.members
    member.new_snapshot = (snapshot, None)
    member.installed = snapshot
    member.announce("snapshot installed", index=snapshot.index, term=snapshot.term, data=snapshot.data)
    members = member.members
    member.announce("members", voters=members.voters, leaving=members.leaving, learners=members.learners)
    member.restart_timer()  # whom the snapshot makes a voter had none
    member.promise(sender, AppendReply(member.term, log.last))


def hear_leader(member: State, sender: Name) -> None:
    """Restart the election timer: the leader of this term was heard from."""
    if member.role != "follower":
        become_follower(member, member.term, sender)
        return
    if member.leader != sender:
        member.leader = sender
        member.announce("follower", term=member.term, leader=sender)
    member.heard = member.now
    if member.ticks is not None:
        member.elapsed = 0
    else:
        member.restart_timer()
