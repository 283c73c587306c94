"""Who belongs to a Raft cluster, and what a majority of it is, also while two majorities are needed (joint consensus).

Single-step changes touch one voter, so that any two majorities, of before and after, share a member (thesis 4.1).
Several changes at once go through a joint configuration, in which both the old and the new majority must agree (4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

Name = str
Verdict = Literal["won", "lost", "pending"]
ChangeKind = Literal["add", "learner", "remove"]


class Change(NamedTuple):
    """One step: `add` a voter (or promote a learner), add a `learner` (or demote a voter), `remove` either."""

    kind: ChangeKind
    member: Name
    ref: Any = None  # whose request it is


class JointChange(NamedTuple):
    """Several changes at once, through a joint configuration; none means to leave it."""

    changes: tuple[Change, ...]
    auto_leave: bool = True
    ref: Any = None  # whose request it is


_CHANGES = (Change, JointChange)


def is_change(data: object) -> bool:
    """Whether the data of an entry changes the membership."""
    return isinstance(data, _CHANGES)


class Membership(NamedTuple):
    """Voters, voters of the configuration being left (empty unless joint), and learners, each in order of name."""

    voters: tuple[Name, ...]
    leaving: tuple[Name, ...] = ()
    learners: tuple[Name, ...] = ()
    learners_next: tuple[Name, ...] = ()  # voters of `leaving` that become learners afterwards
    auto_leave: bool = False  # the leader ends the joint configuration by itself

    @property
    def joint(self) -> bool:
        """Whether two majorities are needed."""
        return bool(self.leaving)

    @property
    def all_voters(self) -> tuple[Name, ...]:
        """Everybody whose vote counts somewhere."""
        return tuple(sorted({*self.voters, *self.leaving}))

    @property
    def everybody(self) -> tuple[Name, ...]:
        """Voters and learners."""
        return tuple(sorted({*self.voters, *self.leaving, *self.learners}))

    def committed(self, match: Mapping[Name, int]) -> int:
        """The largest index that a majority has (of both configurations while joint)."""
        index = _majority_index(self.voters, match)
        return min(index, _majority_index(self.leaving, match)) if self.leaving else index

    def tally(self, votes: Mapping[Name, bool]) -> Verdict:
        """What the votes so far come to."""
        verdicts = {_majority_vote(voters, votes) for voters in (self.voters, self.leaving) if voters}
        if "lost" in verdicts:
            return "lost"
        return "won" if verdicts == {"won"} else "pending"

    def quorum_of(self, agrees: Callable[[Name], bool]) -> bool:
        """Whether a majority agrees (of both configurations while joint)."""
        return self.tally({name: agrees(name) for name in self.all_voters}) == "won"

    def after(self, change: Change) -> Membership:
        """The membership after a single-step change; one that changes nothing is no mistake."""
        assert not self.joint, "a single-step change during a joint configuration"
        voters, learners = _changed(self.voters, self.learners, (change,))
        return Membership(voters, (), learners)

    def joined(self, changes: Iterable[Change], auto_leave: bool = True) -> Membership:
        """Enter the joint configuration of several changes; demoted voters stay voters until it is left."""
        assert not self.joint, "a joint configuration within a joint configuration"
        voters, learners = _changed(self.voters, self.learners, tuple(changes))
        demoted = tuple(name for name in learners if name in self.voters)
        now = tuple(name for name in learners if name not in demoted)
        return Membership(voters, self.voters, now, demoted, auto_leave)

    def left(self) -> Membership:
        """Leave the joint configuration: only the new voters count."""
        return Membership(self.voters, (), tuple(sorted({*self.learners, *self.learners_next})))


def _changed(
    voters: tuple[Name, ...], learners: tuple[Name, ...], changes: tuple[Change, ...]
) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    voting, learning = set(voters), set(learners)
    for kind, member, _ in changes:
        voting.discard(member)
        learning.discard(member)
        if kind == "add":
            voting.add(member)
        elif kind == "learner":
            learning.add(member)
    return tuple(sorted(voting)), tuple(sorted(learning))


def _majority_index(voters: tuple[Name, ...], match: Mapping[Name, int]) -> int:
    have = sorted([match.get(name, 0) for name in voters])  # a list: half the time of a generator
    return have[(len(have) - 1) // 2] if have else 0


def _majority_vote(voters: tuple[Name, ...], votes: Mapping[Name, bool]) -> Verdict:
    quorum = len(voters) // 2 + 1
    yes = sum(1 for name in voters if votes.get(name) is True)
    no = sum(1 for name in voters if votes.get(name) is False)
    if yes >= quorum:
        return "won"
    return "pending" if len(voters) - no >= quorum else "lost"
