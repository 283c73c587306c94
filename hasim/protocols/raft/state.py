"""The state of a member while it runs, and the small acts that everything else is made of."""

from __future__ import annotations

import math
from typing import Any, Literal

from hasim.machine import Announce, CancelTimer, Draw, Effect, Save, Send, SetTimer
from hasim.protocols.raft.config import Continuous, RaftConfig, Ticks
from hasim.protocols.raft.log import Log
from hasim.protocols.raft.membership import Membership, Name
from hasim.protocols.raft.messages import ENTRY_BYTES, Append, Entry, Heartbeat, Message, ReadRequest, Snapshot
from hasim.protocols.raft.progress import Progress
from hasim.protocols.raft.saved import Record, Saved

_new = tuple.__new__  # half the cost of a named tuple is its own constructor

Role = Literal["follower", "pre-candidate", "candidate", "leader"]


class State:
    """Everything a running member knows. Only `term`, `vote` and the log survive a crash."""

    def __init__(self, config: RaftConfig, saved: Saved | None) -> None:
        """Boot from what the disk holds."""
        saved = saved or Saved()
        snapshot = saved.snapshot or config.genesis
        self.config = config
        self.name: Name = config.name
        self.ticks: Ticks | None = config.timing if isinstance(config.timing, Ticks) else None
        self.now = 0.0
        self.tick_again = SetTimer("tick", config.timing.heartbeat, config.timing.heartbeat)
        # What is much like the last time is made once: heartbeats, the answer to one, appends.
        self.beats: tuple[tuple[int, int, int], list[Effect]] = ((0, 0, 0), [])
        self.beat_heard: tuple[Heartbeat, Send] | None = None
        self.last_append: tuple[tuple[int, ...], Append | None, int] | None = None  # with what it depends on; its size

        self.term = max(saved.term, snapshot.term)
        self.vote = saved.vote
        self.log = Log(snapshot, saved.entries, saved.commit)
        self.members: Membership = snapshot.members

        self.role: Role = "follower"
        self.leader: Name | None = None
        self.votes: dict[Name, bool] = {}
        self.elapsed = 0  # ticks since the election timer was last restarted; a leader counts towards its next check
        self.timeout = 0  # ticks, drawn
        self.heard = -1e18  # when the leader was last heard from: the lease rule of continuous time

        self.progress: dict[Name, Progress] = {}
        self.change_index = 0  # no further change of membership before this index is applied
        self.transferee: Name | None = None
        self.reads = Reads()
        self.confirmed: list[tuple[str, int]] = []  # reads of this member that may go on: (ref, index to apply first)

        self.asks: list[Effect] = []  # timers, chance, facts: at once
        self.sends: list[Effect] = []  # a leader's leave while its disk works, everybody else's afterwards
        self.after: list[Effect] = []  # answers that promise what has been saved
        self.saved_term, self.saved_vote = self.term, self.vote
        self.new_snapshot: tuple[Snapshot, int | None] | None = None
        self.installed: Snapshot | None = None  # from the leader, for the layer above to take in

    # ---------------------------------------------------------------------------------------- small acts

    def send(self, to: Name, message: Any, size: int = ENTRY_BYTES) -> None:
        """Send what promises nothing: one of `messages`, or what the layer above has to say."""
        self.sends.append(_new(Send, (to, message, size)))

    def promise(self, to: Name, message: Message) -> None:
        """Send, to another or to oneself, what must not be said before the disk has it: votes and acknowledgements."""
        self.after.append(_new(Send, (to, message, ENTRY_BYTES)))

    def announce(self, kind: str, **detail: Any) -> None:
        """State a fact."""
        self.asks.append(Announce(kind, detail))

    def promotable(self) -> bool:
        """Whether this member may campaign: learners and strangers may not."""
        return self.name in self.members.voters or self.name in self.members.leaving

    def in_lease(self) -> bool:
        """Whether a leader was heard from so recently that nobody else is to be voted for (4.2.3; etcd's rule)."""
        if self.leader is None:
            return self.fresh()
        if self.ticks is not None:
            return self.elapsed < self.ticks.election
        return self.role == "leader" or self.now - self.heard < self.config.timing.election_timeout

    def fresh(self) -> bool:
        """Whether this member has just booted where leases are in use: it may have forgotten that it granted one."""
        drift = self.config.clock_drift_max
        return drift is not None and self.now - self.reads.booted < self.config.timing.election_timeout

    def restart_timer(self) -> None:
        """Begin the election timeout again: with ticks the same one, in continuous time a new one."""
        self.elapsed = 0
        timing = self.config.timing
        if isinstance(timing, Continuous) and self.role != "leader" and self.promotable():
            self.asks.append(SetTimer("election", timing.low, timing.high))

    def redraw_timeout(self) -> None:
        """Draw another election timeout; only ticks keep one from reset to reset."""
        if self.ticks is not None:
            self.asks.append(Draw("election", self.ticks.election, 2 * self.ticks.election - 1))

    def cancel(self, timer: str) -> None:
        """Void a timer."""
        self.asks.append(CancelTimer(timer))

    def append(self, data: Any, size: int) -> Entry:
        """Add an entry of the current term to one's own log."""
        entry = _new(Entry, (self.term, self.log.last + 1, data, size))
        self.log.add(entry)
        if self.config.log_facts:
            self.announce("appended", first=entry.index, entries=((entry.term, entry.data),))
        return entry

    # ---------------------------------------------------------------------------------------- collecting

    def collect(self) -> list[Effect]:
        """The effects of this step, in order, with a save where something must survive."""
        log = self.log
        must_save = log.unsaved <= log.last or self.term != self.saved_term or self.vote != self.saved_vote
        save = self._save() if must_save or log.commit_due or self.new_snapshot is not None else None
        # Most steps ask for one sort of effect; then its list goes out as it is.
        asks, sends, after = self.asks, self.sends, self.after
        if asks:
            self.asks = []
        if sends:
            self.sends = []
        if after:
            self.after = []
        if save is None:
            if not after:
                return asks + sends if asks and sends else asks or sends
            return [*asks, *sends, *after] if asks or sends else after
        if self.role == "leader":
            return [*asks, *sends, save, *after]
        return [*asks, save, *sends, *after]

    def _save(self) -> Save:
        log = self.log
        fresh = log.unsaved <= log.last
        entries = tuple(log.entries[log.unsaved - log.first :]) if fresh else ()
        snapshot, keep = self.new_snapshot or (None, None)
        # Nothing has to wait for a commit index, which the log can tell again, nor for a snapshot of one's own.
        hard = self.term != self.saved_term or self.vote != self.saved_vote
        sync = fresh or hard or (snapshot is not None and keep is None)
        log.commit_due, log.commit_saved = False, log.commit
        self.saved_term, self.saved_vote, self.new_snapshot = self.term, self.vote, None
        log.unsaved = log.last + 1
        size = 0
        for entry in entries:
            size += entry.size + ENTRY_BYTES
        record = _new(Record, (self.term, self.vote, log.commit, entries, snapshot, keep))
        return _new(Save, (record, sync, size))


class Reads:
    """Linearizable reads that wait for a leader's confirmation (etcd's read_only.go)."""

    __slots__ = ("beats", "booted", "early", "handing_over", "lease_until", "pending", "ticket")

    def __init__(self) -> None:
        self.ticket = 0  # the last one handed out
        self.pending: dict[int, tuple[Name, str, int, dict[Name, bool]]] = {}  # ticket: who, ref, index, acks
        self.early: list[tuple[Name, ReadRequest]] = []  # from before anything of the leader's term was committed
        self.beats: dict[int, float] = {}  # when the heartbeat of each ticket left, while leases are wanted
        self.lease_until = -math.inf  # on the leader's own clock
        self.booted = -math.inf  # on the own clock, carried along from term to term
        self.handing_over = False  # whoever takes over bypasses leases, so they are void for the rest of the term
