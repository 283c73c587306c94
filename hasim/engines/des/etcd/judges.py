"""Who watches over the Raft of a simulated etcd cluster: a judge for each logical cluster there is or was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hasim.checks.invariant import Violation
from hasim.checks.raft import RaftInvariants
from hasim.protocols.raft.saved import Record, Saved
from hasim.trace import Fact


class Judges:
    """The invariants of Raft, judged fact by fact and record by record; `violations` has all that were broken.

    Members that refuse each other belong to different clusters, which may have two leaders in one term.
    """

    def __init__(self, names: Iterable[str], clusters: Mapping[str, int]) -> None:
        """One judge for all, or one for each of the `clusters` that members found themselves in."""
        judges = {cluster: RaftInvariants(raising=False) for cluster in [0, *clusters.values()]}
        self._of = {name: judges[clusters.get(name, 0)] for name in names}
        self._all = list(judges.values())

    def hear(self, fact: Fact) -> None:
        """Take in a fact, if it is about a member."""
        if fact.subject in self._of:
            self._of[fact.subject].observe(fact)

    def on_disk(self, name: str, record: Record, at: float) -> None:
        """A record has become safe on a member's disk, at a time in seconds."""
        self._of[name].disk(name, record, at)

    def joins(self, name: str, whom: str) -> None:
        """A member joins the cluster of another."""
        self._of[name] = self._of[whom]

    def begins_anew(self, name: str, saved: Saved, at: float) -> None:
        """A member becomes a cluster of its own, by force: nothing but its disk counts, as far as that says so."""
        self._of[name] = judge = RaftInvariants(raising=False)
        self._all.append(judge)
        if saved.snapshot is not None:
            judge.disk(name, Record(saved.term, saved.vote, saved.snapshot.index, snapshot=saved.snapshot), at)
        judge.disk(name, Record(saved.term, saved.vote, saved.commit, tuple(saved.entries)), at)
        if saved.entries:
            lines = tuple((entry.term, entry.data) for entry in saved.entries)
            judge.observe(Fact(at, "log", name, {"first": saved.entries[0].index, "entries": lines}))
            judge.observe(Fact(at, "committed", name, {"index": saved.commit, "term": saved.term}))

    @property
    def violations(self) -> list[Violation]:
        """Everything that was broken, cluster by cluster."""
        return [violation for judge in self._all for violation in judge.violations]
