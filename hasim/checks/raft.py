"""The invariants of Raft, judged fact by fact while a run goes on, or afterwards from its trace.

The judge follows the log of every server from the facts that members announce with `RaftConfig(log_facts=True)`, and
the disk of every server from the records that the driver reports. It never compares whole logs: that any two agree up
to a common entry follows, link by link, from each entry's data and predecessor being the same wherever it stands
(Ongaro & Ousterhout 2014, figure 3). So each fact costs a few look-ups, and compacted entries are forgotten.

Not among the invariants is that a leader's log is the most up to date of all: a correct Raft can break it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from hasim.checks.invariant import InvariantBroken, Violation
from hasim.checks.replica import Line, Replica
from hasim.errors import ModelError
from hasim.trace import Fact

Name = str

INVARIANTS: dict[str, str] = {
    "Election Safety": "at most one leader is elected in a term",
    "Leader Append-Only": "a leader never overwrites or deletes entries of its log",
    "Log Matching": "two logs with an entry of the same index and term are the same up to there",
    "Leader Completeness": "an entry committed in a term is in the logs of the leaders of all higher terms",
    "State Machine Safety": "no two servers apply different entries at the same index",
    "Committed Never Changes": "what is committed at an index stays committed there",
    "Committed On A Quorum": "a committed entry is on the disks of a majority (of both while joint)",
    "Committed Is Durable": "no disk and no log gives a committed entry up",
    "One Vote A Term": "a server votes at most once in a term",
    "Term And Vote Stay": "term and vote never go back, not even across a restart",
    "Indexes In Order": "entries are applied one by one, applied <= commit <= last index, and commit never goes back",
}
"""The name of each invariant, and what it says."""


class DiskRecord(Protocol):
    """What the judge reads in a record that has become durable; entries after the last of `entries` are void."""

    @property
    def term(self) -> int: ...
    @property
    def vote(self) -> Name | None: ...
    @property
    def commit(self) -> int: ...
    @property
    def entries(self) -> Sequence[Any]: ...
    @property
    def snapshot(self) -> Any: ...
    @property
    def keep(self) -> int | None: ...


class RaftInvariants:
    """A judge of a Raft cluster: tell it all facts in order, and all records when they are safe on a disk.

    Violations are recorded in `violations`; with `raising` the first is raised as InvariantBroken. Without `disks` the
    driver reports no records, and the judge asks nothing of the disks.
    """

    def __init__(self, raising: bool = True, disks: bool = True) -> None:
        for field, given in (("raising", raising), ("disks", disks)):
            if not isinstance(given, bool):
                raise ModelError(f"got {given!r}; give True or False; facts come later, by observe", field)
        self.raising = raising
        self.disks = disks
        self.violations: list[Violation] = []
        self.servers: dict[Name, Server] = {}
        self.leaders: dict[int, Fact] = {}  # term: who was elected
        self.committed: dict[int, Line] = {}
        self.committed_last = 0
        self.commits: dict[int, int] = {}  # term: how far its leader has committed
        self._applied: dict[int, tuple[Line, Name]] = {}
        self._links: dict[tuple[int, int], tuple[Any, int]] = {}  # index, term: data, and the term of the entry before
        self._floor = 0  # all up to here is forgotten
        self._owned: set[Name] = set()  # servers that no clone shares

    def observe(self, fact: Fact) -> None:
        """Take in the next fact; kinds that say nothing about logs and terms are passed over."""
        hear = _HEARS.get(fact.kind)
        if hear is not None:
            hear(self, self._server(fact.subject), fact, fact.detail)

    def disk(self, node: Name, record: DiskRecord, at: float = 0.0) -> None:
        """Take in a record that is safe on the node's disk from now (`at`, in seconds) on; records come in order."""
        server = self._server(node)
        fact = Fact(at, "saved", node, {"term": record.term, "vote": record.vote, "commit": record.commit})
        server.follow_vote(record.term, record.vote, self._against(fact))
        snapshot, keep = record.snapshot, record.keep
        if snapshot is not None:
            if keep is None:
                server.disk = Replica(snapshot.index + 1, (), snapshot.term)
            else:
                server.disk.forget(snapshot.index - keep)
                server.log.forget(snapshot.index - keep)
                self._forget()
        if record.entries:
            first = record.entries[0].index
            lines = [(entry.term, entry.data) for entry in record.entries]
            self._still_committed(server.disk, first, lines, fact, "the disk")
            server.disk.put(first, lines)
        if not server.disk_commit <= record.commit <= max(server.disk.last, 0):
            said = (
                f"{node} saved commit {record.commit}, after {server.disk_commit}; its log ends at {server.disk.last}"
            )
            self._convict("Indexes In Order", fact, said)
        server.disk_commit = record.commit

    def clone(self) -> RaftInvariants:
        """A judge that knows the same, to go another way from here."""
        other = object.__new__(RaftInvariants)
        other.raising, other.disks, other._floor = self.raising, self.disks, self._floor
        other.violations = self.violations.copy()
        other.servers = self.servers.copy()
        self._owned, other._owned = set(), set()
        other.leaders, other.commits = self.leaders.copy(), self.commits.copy()
        other.committed, other.committed_last = self.committed.copy(), self.committed_last
        other._applied = self._applied.copy()
        other._links = self._links.copy()
        return other

    # ------------------------------------------------------------------------------- terms and votes

    def _started(self, server: Server, fact: Fact, detail: Any) -> None:
        term, vote = detail["term"], detail["vote"]
        server.boot()
        server.term, server.vote = term, vote
        if term < server.disk_term or (term == server.disk_term and server.disk_vote not in (None, vote)):
            saved = f"term {server.disk_term} and its vote for {server.disk_vote}"
            self._convict("Term And Vote Stay", fact, f"{fact.subject} came back without {saved}")
        if detail["commit"] > detail["last"]:
            said = f"{fact.subject} starts with commit {detail['commit']}, but its log ends at {detail['last']}"
            self._convict("Indexes In Order", fact, said)

    def _members(self, server: Server, fact: Fact, detail: Any) -> None:
        server.voters, server.leaving = tuple(detail["voters"]), tuple(detail["leaving"])

    def _follower(self, server: Server, fact: Fact, detail: Any) -> None:
        server.leads = None
        server.follow_term(detail["term"], self._against(fact))

    def _candidate(self, server: Server, fact: Fact, detail: Any) -> None:
        server.leads = None
        server.cast(detail["term"], fact.subject, self._against(fact))

    def _voted(self, server: Server, fact: Fact, detail: Any) -> None:
        server.cast(detail["term"], detail["candidate"], self._against(fact))

    def _leader(self, server: Server, fact: Fact, detail: Any) -> None:
        term = detail["term"]
        server.follow_term(term, self._against(fact))
        server.leads = term
        first = self.leaders.setdefault(term, fact)
        if first.subject != fact.subject:
            said = f"{first.subject} and {fact.subject} were both elected in term {term}"
            self._convict("Election Safety", fact, said, first)
        needed = max((upto for earlier, upto in self.commits.items() if earlier < term), default=0)
        self._complete(server, fact, needed)

    def _complete(self, server: Server, fact: Fact, upto: int) -> None:
        """The last entry is enough to look at: Log Matching has the others follow."""
        line = self.committed.get(upto)
        if line is not None and upto >= server.log.first and server.log.line(upto) != line:
            said = f"{server.name} leads term {server.leads}, but lacks entry {upto} of term {line[0]}"
            self._convict("Leader Completeness", fact, f"{said}, which was committed before")

    # ------------------------------------------------------------------------------------------ logs

    def _log(self, server: Server, fact: Fact, detail: Any) -> None:
        first = detail["first"]
        before = 0 if first == 1 else server.disk.term(first - 1)
        lines = detail["entries"]
        server.log = Replica(first, (), before)
        self._link(server.log, first, lines, fact)
        server.log.put(first, lines)
        kept = min(server.disk.last, self.committed_last)
        held = server.disk.line(kept)
        if held is not None and held == self.committed.get(kept) and kept >= first and server.log.line(kept) != held:
            said = (
                f"{server.name} came back without entry {kept} of term {held[0]}, which was committed and on its disk"
            )
            self._convict("Committed Is Durable", fact, said)

    def _appended(self, server: Server, fact: Fact, detail: Any) -> None:
        first, lines, log = detail["first"], detail["entries"], server.log
        if server.leads is not None and first <= log.last:
            said = f"{server.name} leads term {server.leads} and writes entry {first}, where its log has one already"
            self._convict("Leader Append-Only", fact, said)
        self._still_committed(log, first, lines, fact, "the log")
        self._link(log, first, lines, fact)
        log.put(first, lines)

    def _link(self, log: Replica, first: int, lines: Iterable[Line], fact: Fact) -> None:
        """Log Matching: an entry of this index and term has the same data and the same predecessor everywhere."""
        before = log.term(first - 1)
        for index, (term, data) in enumerate(lines, first):
            known = self._links.get((index, term))
            if known is None:
                if before is not None:
                    self._links[index, term] = (data, before)
            elif known[0] != data or (before is not None and known[1] != before):
                said = f"entry {index} of term {term} is {data!r} after term {before} on {fact.subject}"
                self._convict("Log Matching", fact, f"{said}, but {known[0]!r} after term {known[1]} elsewhere")
            before = term

    def _still_committed(self, log: Replica, first: int, lines: Sequence[Line], fact: Fact, where: str) -> None:
        """What is about to be overwritten or cut off must not be committed entries."""
        for index in range(max(first, log.first), min(log.last, self.committed_last) + 1):
            held = log.line(index)
            place = index - first
            if held == self.committed.get(index) and (place >= len(lines) or lines[place] != held):
                term = held[0] if held else None
                said = f"{where} of {fact.subject} gives up entry {index} of term {term}, which is committed"
                self._convict("Committed Is Durable", fact, said)
                return

    def _snapshot(self, server: Server, fact: Fact, detail: Any) -> None:
        index, term = detail["index"], detail["term"]
        line = self.committed.get(index)
        if index > self.committed_last or (line is not None and line[0] != term):
            said = f"{server.name} took in a snapshot that ends with entry {index} of term {term}"
            self._convict("State Machine Safety", fact, f"{said}, which was never committed")
        server.log = Replica(index + 1, (), term)
        server.applied = index

    # ------------------------------------------------------------------------------------ committing

    def _committed(self, server: Server, fact: Fact, detail: Any) -> None:
        """A leader has committed everything up to an index."""
        index, term = detail["index"], detail["term"]
        self.commits[term] = max(self.commits.get(term, 0), index)
        start = max(min(server.checked, self.committed_last), self._floor, server.log.first - 1) + 1
        for place in range(start, index + 1):
            line = server.log.line(place)
            if line is None:
                said = f"{server.name} commits entry {place}, but its log ends at {server.log.last}"
                self._convict("Indexes In Order", fact, said)
                return
            if place > self.committed_last:
                self.committed[place] = line
                self.committed_last = place
            elif self.committed[place] != line:
                was = self.committed[place]
                said = (
                    f"{server.name} commits entry {place} of term {line[0]} ({line[1]!r}); it was committed before as"
                )
                self._convict("Committed Never Changes", fact, f"{said} one of term {was[0]} ({was[1]!r})")
                return
            if self.disks:
                self._on_a_quorum(server, place, line, fact)
        server.checked = index
        for other in self.servers.values():
            if other.leads is not None and other.leads > term:
                self._complete(other, fact, index)

    def _on_a_quorum(self, server: Server, index: int, line: Line, fact: Fact) -> None:
        # By the membership in force on the leader that commits: it need not be in force anywhere else yet.
        for voters in (server.voters, server.leaving):
            holders = [name for name in voters if name in self.servers and self.servers[name].disk.has(index, line)]
            if voters and 2 * len(holders) <= len(voters):
                said = f"{server.name} commits entry {index} of term {line[0]}, which is on the disks of {holders} only"
                self._convict("Committed On A Quorum", fact, f"{said} of {list(voters)}")
                return

    def _applied_one(self, server: Server, fact: Fact, detail: Any) -> None:
        index, line = detail["index"], (detail["term"], detail["data"])
        known = self._applied.setdefault(index, (line, server.name))
        if known[0] != line:
            said = f"entry {index} was applied as {known[0][1]!r} of term {known[0][0]} on {known[1]}"
            here = f"as {line[1]!r} of term {line[0]} on {server.name}"
            self._convict("State Machine Safety", fact, f"{said}, and {here}")
        elif index > self.committed_last:
            said = f"{server.name} applies entry {index}, but only {self.committed_last} are committed"
            self._convict("State Machine Safety", fact, said)
        elif index > self._floor and self.committed.get(index, line) != line:
            said = f"{server.name} applies entry {index} of term {line[0]}; committed is one of another term"
            self._convict("State Machine Safety", fact, said)
        if index > server.log.last or (server.applied is not None and index != server.applied + 1):
            said = f"{server.name} applies entry {index} after {server.applied}; its log ends at {server.log.last}"
            self._convict("Indexes In Order", fact, said)
        server.applied = index

    # -------------------------------------------------------------------------------------- the rest

    def _server(self, name: Name) -> Server:
        """A server to change."""
        if name not in self._owned:
            self._owned.add(name)
            server = self.servers.get(name)
            self.servers[name] = Server(name) if server is None else server.clone()
        return self.servers[name]

    def _against(self, fact: Fact) -> Callable[[str, str], None]:
        return lambda invariant, what: self._convict(invariant, fact, what)

    def _convict(self, invariant: str, fact: Fact, what: str, *earlier: Fact) -> None:
        assert invariant in INVARIANTS
        violation = Violation(invariant, fact.at, what, (*earlier, fact))
        self.violations.append(violation)
        if self.raising:
            raise InvariantBroken(violation)

    def _forget(self) -> None:
        """Forget entries that are in no log and on no disk any more."""
        floor = min(min(server.disk.first, server.log.first) for server in self.servers.values()) - 1
        floor = min(floor, self.committed_last) - 1
        if floor <= self._floor:
            return
        for index in range(self._floor + 1, floor + 1):
            self.committed.pop(index, None)
            self._applied.pop(index, None)
        self._links = {place: link for place, link in self._links.items() if place[0] > floor}
        self._floor = floor


_HEARS: dict[str, Callable[[RaftInvariants, Server, Fact, Any], None]] = {
    "started": RaftInvariants._started,
    "log": RaftInvariants._log,
    "members": RaftInvariants._members,
    "follower": RaftInvariants._follower,
    "pre-candidate": RaftInvariants._follower,
    "candidate": RaftInvariants._candidate,
    "voted": RaftInvariants._voted,
    "leader": RaftInvariants._leader,
    "appended": RaftInvariants._appended,
    "committed": RaftInvariants._committed,
    "applied": RaftInvariants._applied_one,
    "snapshot installed": RaftInvariants._snapshot,
}


class Server:
    """What the judge knows of one server: its log in memory, its disk, its votes and its membership."""

    __slots__ = (
        "applied",
        "checked",
        "disk",
        "disk_commit",
        "disk_term",
        "disk_vote",
        "leads",
        "leaving",
        "log",
        "name",
        "term",
        "vote",
        "voters",
    )

    def __init__(self, name: Name) -> None:
        self.name = name
        self.disk = Replica(1, (), 0)
        self.disk_term, self.disk_commit = 0, 0
        self.disk_vote: Name | None = None
        self.voters: tuple[Name, ...] = ()
        self.leaving: tuple[Name, ...] = ()
        self.boot()

    def boot(self) -> None:
        """Forget what a crash takes."""
        self.log = Replica(1, (), 0)
        self.leads: int | None = None  # the term it leads
        self.term = 0
        self.vote: Name | None = None
        self.applied: int | None = None
        self.checked = 0  # its log is known to agree up to here with what is committed

    def clone(self) -> Server:
        """A server of the same past."""
        other = object.__new__(Server)
        for slot in Server.__slots__:
            setattr(other, slot, getattr(self, slot))
        other.log, other.disk = self.log.clone(), self.disk.clone()
        return other

    def follow_term(self, term: int, convict: Callable[[str, str], None]) -> None:
        """The server is in this term now."""
        if term < self.term:
            convict("Term And Vote Stay", f"{self.name} went back from term {self.term} to {term}")
        if term != self.term:
            self.term, self.vote = term, None

    def cast(self, term: int, candidate: Name, convict: Callable[[str, str], None]) -> None:
        """The server votes, which a crash may still undo."""
        self.follow_term(term, convict)
        earlier = self.vote or (self.disk_vote if term == self.disk_term else None)
        if earlier not in (None, candidate):
            convict("One Vote A Term", f"{self.name} votes for {candidate} in term {term}, after {earlier}")
        self.vote = candidate

    def follow_vote(self, term: int, vote: Name | None, convict: Callable[[str, str], None]) -> None:
        """Term and vote are on the disk now."""
        if term < self.disk_term or (term == self.disk_term and vote is None and self.disk_vote is not None):
            saved = f"term {self.disk_term} and its vote for {self.disk_vote}"
            convict("Term And Vote Stay", f"{self.name} saves term {term} and its vote for {vote}, over {saved}")
        elif term == self.disk_term and self.disk_vote not in (None, vote):
            convict("One Vote A Term", f"{self.name} saves its vote for {vote} in term {term}, over {self.disk_vote}")
        self.disk_term, self.disk_vote = term, vote
