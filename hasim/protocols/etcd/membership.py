"""Which changes of its membership etcd refuses, and with which words: the strict reconfiguration check.

A change is judged twice. The member that is asked judges it before anything is proposed (`strict_reconfig_check`):
it counts the members that are started and those it has been connected to, so that a change does not cost the quorum
that commits it. Once the change is committed every member judges it again by the list alone (`apply_check`), and a
change that fails there leaves the membership as it was. `refusal` gives the first "no" of the two.

What the check cannot see: "started" says that a member once had a name, not that it is alive, and growing from one
member to two is let through, although the cluster then stands still until the second one runs.

Source: etcd server/etcdserver/server.go (mayAddMember, mayRemoveMember, mayPromoteMember), cluster_util.go,
api/membership/cluster.go (IsReadyTo…, ValidateConfigurationChange), api/v3rpc/rpctypes/error.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from hasim.errors import ModelError

HEALTH_INTERVAL = 5.0  # seconds a connection must have stood to count; etcd's HealthInterval
READY_SHARE = 0.9  # of the leader's match index, from which on a learner is in sync; etcd's readyPercent
MAX_LEARNERS = 1  # default of --max-learners
QUORUM_RULE_SINCE = {5: 30, 6: 11}  # 3.minor → first patch in which an addition needs connections to a quorum only

MemberId = int | str  # etcd's 64-bit ID, or the name of a node: the rules only compare them


class Refusal(StrEnum):
    """Why a change is refused, in the words a client of etcd gets."""

    NOT_ENOUGH_STARTED = "etcdserver: re-configuration failed due to not enough started members"
    UNHEALTHY = "etcdserver: unhealthy cluster"
    LEARNER_NOT_READY = "etcdserver: can only promote a learner member which is in sync with leader"
    NOT_LEADER = "etcdserver: not leader"  # only the leader can judge a learner: the server asks it instead
    TOO_MANY_LEARNERS = "etcdserver: too many learner members in cluster"
    NOT_LEARNER = "etcdserver: can only promote a learner member"
    NOT_FOUND = "etcdserver: member not found"
    ID_EXISTS = "etcdserver: member ID already exist"
    URL_EXISTS = "etcdserver: Peer URLs already exists"


@dataclass(frozen=True, slots=True)
class AddVoter:
    """Add a member that votes from the moment the change is applied, whether or not it runs."""

    id: MemberId
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddLearner:
    """Add a member that follows the log without a vote."""

    id: MemberId
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Promote:
    """Give a learner its vote."""

    id: MemberId


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a member for good: its ID never comes back."""

    id: MemberId


@dataclass(frozen=True, slots=True)
class Update:
    """Change the peer URLs of a member."""

    id: MemberId
    urls: tuple[str, ...]


Change = AddVoter | AddLearner | Promote | Remove | Update


@dataclass(frozen=True, slots=True)
class Seat:
    """A member as the one that is asked sees it.

    `connected_for` is in seconds, None while there is no connection (of no account for the member itself); `match`
    is the last index it is known to have, which only the leader knows.
    """

    id: MemberId
    learner: bool = False
    started: bool = True
    connected_for: float | None = None
    match: int | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """The membership as the member `asked` sees it at this moment."""

    asked: MemberId
    seats: tuple[Seat, ...]
    removed: frozenset[MemberId] = frozenset()
    leading: bool = False
    learners_max: int = MAX_LEARNERS

    @property
    def voters(self) -> tuple[Seat, ...]:
        """The members whose vote counts."""
        return tuple(seat for seat in self.seats if not seat.learner)

    def seat(self, member: MemberId) -> Seat | None:
        """The seat of this member, None if it has none."""
        return next((seat for seat in self.seats if seat.id == member), None)

    def steadily_connected(self) -> int:
        """How many voters count as connected: itself, and those whose connection has outlasted the health interval."""
        return sum(
            1
            for seat in self.voters
            if seat.id == self.asked or (seat.connected_for is not None and seat.connected_for > HEALTH_INTERVAL)
        )


def quorum(voters: int) -> int:
    """The least number of voters that is a majority."""
    return voters // 2 + 1


def failures_tolerated(voters: int) -> int:
    """How many voters may be down while the rest is still a majority; an even member adds none."""
    return voters - quorum(voters)


def refusal(change: Change, view: View, version: str, strict: bool = True) -> Refusal | None:
    """What stands in the way of a change, None if nothing does, assuming that the view still holds when it is applied.

    `version` is that of the member asked, as "3.6.11"; `strict` is --strict-reconfig-check.
    """
    return strict_reconfig_check(change, view, version, strict) or apply_check(change, view)


def strict_reconfig_check(change: Change, view: View, version: str, strict: bool = True) -> Refusal | None:
    """What the member that is asked answers before it proposes a change; None lets it pass.

    Whether a learner is in sync is looked at even without `strict`. An update of URLs is never looked at.
    """
    by_quorum = _connected_to_quorum_is_enough(version)
    match change:
        case AddVoter():
            return _may_add(view, by_quorum, votes=True) if strict else None
        case AddLearner():
            return _may_add(view, by_quorum, votes=False) if strict else None
        case Promote():
            return _in_sync(view, change.id) or (_may_promote(view) if strict else None)
        case Remove():
            return _may_remove(view, change.id) if strict else None
        case Update():
            return None


def apply_check(change: Change, view: View) -> Refusal | None:
    """What every member answers alike when a committed change is applied; only the list counts."""
    seat = view.seat(change.id)
    if change.id in view.removed:
        return Refusal.NOT_FOUND  # an ID never comes back; a client is told no more than this
    if isinstance(change, AddVoter | AddLearner):
        if seat is not None:
            return Refusal.ID_EXISTS
        if _taken(change.urls, view.seats):
            return Refusal.URL_EXISTS
        learners = len(view.seats) - len(view.voters)
        if isinstance(change, AddLearner) and learners + 1 > view.learners_max:
            return Refusal.TOO_MANY_LEARNERS
        return None
    if seat is None:
        return Refusal.NOT_FOUND
    if isinstance(change, Promote) and not seat.learner:
        return Refusal.NOT_LEARNER
    others = (other for other in view.seats if other.id != change.id)
    if isinstance(change, Update) and _taken(change.urls, others):
        return Refusal.URL_EXISTS
    return None


def enact(change: Change, view: View) -> View:
    """The membership once a change that `apply_check` lets pass is applied; a newcomer has not started yet."""
    assert apply_check(change, view) is None, f"{change} is refused when applied"
    seats = view.seats
    match change:
        case AddVoter():
            return replace(view, seats=(*seats, Seat(change.id, started=False, urls=change.urls)))
        case AddLearner():
            return replace(view, seats=(*seats, Seat(change.id, learner=True, started=False, urls=change.urls)))
        case Promote():
            voting = (replace(seat, learner=False) if seat.id == change.id else seat for seat in seats)
            return replace(view, seats=tuple(voting))
        case Update():
            moved = (replace(seat, urls=change.urls) if seat.id == change.id else seat for seat in seats)
            return replace(view, seats=tuple(moved))
        case Remove():
            remaining = tuple(seat for seat in seats if seat.id != change.id)
            return replace(view, seats=remaining, removed=view.removed | {change.id})


def _may_add(view: View, by_quorum: bool, votes: bool) -> Refusal | None:
    voters = view.voters
    enlarged = len(voters) + 1
    started = sum(seat.started for seat in voters)
    # One started member may always ask for a second: it is how a restored cluster grows again. The price is that the
    # two need each other, and one of them does not run yet.
    lone = started == 1 and enlarged == 2
    if votes and not lone and started < quorum(enlarged):
        return Refusal.NOT_ENOUGH_STARTED
    connected = view.steadily_connected()
    if by_quorum:
        # The newcomer counts as down, for it is: hence the quorum of the enlarged cluster out of the old members.
        return None if len(voters) == 1 or connected >= quorum(enlarged) else Refusal.UNHEALTHY
    return None if connected == len(voters) else Refusal.UNHEALTHY


def _in_sync(view: View, learner: MemberId) -> Refusal | None:
    if not view.leading:
        return Refusal.NOT_LEADER
    seat, leader = view.seat(learner), view.seat(view.asked)
    if seat is None or leader is None:
        return Refusal.NOT_FOUND
    behind = (seat.match or 0) < (leader.match or 0) * READY_SHARE
    return Refusal.LEARNER_NOT_READY if behind else None


def _may_promote(view: View) -> Refusal | None:
    # The learner counts as one of the started voters of the enlarged cluster: it is in sync, so it runs.
    started = sum(seat.started for seat in view.voters) + 1
    return None if started >= quorum(len(view.voters) + 1) else Refusal.NOT_ENOUGH_STARTED


def _may_remove(view: View, member: MemberId) -> Refusal | None:
    seat = view.seat(member)
    if seat is not None and seat.learner:
        return None
    voters = view.voters
    remaining = [other for other in voters if other.id != member]
    if sum(other.started for other in remaining) < quorum(len(remaining)):
        return Refusal.NOT_ENOUGH_STARTED
    # A member without a connection is no part of the quorum that works now, so nothing is lost with it. One that has
    # just come back is not spared the count below, though it does not count there as connected either.
    if member != view.asked and (seat is None or seat.connected_for is None):
        return None
    return None if view.steadily_connected() - 1 >= 1 + (len(voters) - 1) // 2 else Refusal.UNHEALTHY


def _connected_to_quorum_is_enough(version: str) -> bool:
    """Whether this version adds members while some are away; before, the member asked had to be connected to all."""
    found = re.fullmatch(r"v?3\.(\d+)\.(\d+)(-[\w.]+)?", version)
    if not found:
        raise ModelError(f"got {version!r}; write a version of etcd 3 with its patch, such as '3.6.11'", "version")
    minor, patch = int(found[1]), int(found[2])
    if minor in QUORUM_RULE_SINCE:
        return patch >= QUORUM_RULE_SINCE[minor]
    return minor > max(QUORUM_RULE_SINCE)


def _taken(urls: Iterable[str], seats: Iterable[Seat]) -> bool:
    return not set(urls).isdisjoint(url for seat in seats for url in seat.urls)
