"""What is left when a majority of an etcd cluster is gone for good: a snapshot, or the disk of one member.

Restoring makes a *new* logical cluster out of one snapshot: new cluster ID, new member IDs, a log that begins anew,
so that nobody of the old cluster can talk to it. What was written after the snapshot is lost, and the revision goes
back to that of the snapshot, behind the backs of clients that have seen later ones, unless it is bumped.

Forcing makes a cluster of one out of a single member's disk, and keeps the cluster ID: should others of the old
cluster still live, there are two clusters under one name.

Source: etcd etcdutl/snapshot/v3_snapshot.go; server/etcdserver/bootstrap.go and server/storage/util.go
(CreateConfigChangeEnts, GetEffectiveNodeIDsFromWalEntries).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hasim.errors import ModelError
from hasim.protocols.etcd.bootstrap import Boot, found
from hasim.protocols.etcd.identity import TOKEN, ClusterList, check_urls
from hasim.protocols.raft.membership import Change, Name
from hasim.protocols.raft.messages import Entry
from hasim.protocols.raft.saved import Saved


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """The keys and values of a moment: all that a restored cluster begins with.

    `revision` is that of the last write; a watch from `compacted` or before is told that it asks for the past.
    """

    revision: int
    data: Any = None
    compacted: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """The data directory of one member of a restored cluster; its log stands for a vote for the member of `vote`."""

    boot: Boot
    store: StoreSnapshot
    vote: int


def restore(
    snapshot: StoreSnapshot, cluster: ClusterList, token: str = TOKEN, bump_revision: int = 0
) -> list[Restored]:
    """Restore every member of a list from the same snapshot, in the order of the list.

    `bump_revision` is how far the revision jumps ahead, to be past anything that a client may have seen; everything
    before is then marked as compacted, so that watches that were under way fail instead of missing what was lost.
    """
    return [restore_member(snapshot, name, cluster, token, bump_revision) for name in cluster]


def restore_member(
    snapshot: StoreSnapshot, name: str, cluster: ClusterList, token: str = TOKEN, bump_revision: int = 0
) -> Restored:
    """Restore one member, as `etcdutl snapshot restore` does: nothing keeps it from being given another snapshot."""
    for each, urls in cluster.items():
        check_urls(urls, f"cluster.{each}")
    if name not in cluster:
        raise ModelError(f"got {name!r}; allowed are the members of the list: {', '.join(cluster)}", "name")
    if bump_revision < 0:
        raise ModelError(f"got {bump_revision}; a revision can only be bumped forward, by 0 or more", "bump_revision")
    store = snapshot
    if bump_revision:
        latest = snapshot.revision + bump_revision
        store = replace(snapshot, revision=latest, compacted=latest)
    boot = found(cluster, name, token)
    return Restored(boot, store, vote=boot.members[0].id)


def change_in(entry: Entry) -> Change | None:
    """The change of membership that an entry carries, None for any other entry."""
    return entry.data if isinstance(entry.data, Change) else None


def force_new_cluster(
    saved: Saved,
    own: Name,
    change_of: Callable[[Entry], Change | None] = change_in,
    data_of: Callable[[Change], Any] = lambda change: change,
) -> Saved:
    """The disk of a member that is started with --force-new-cluster: nobody else belongs to the cluster any more.

    What was not known to be committed is thrown away, although a majority may have had it, and the removal of every
    other member is added and counts as committed. `change_of` and `data_of` say how an entry carries a change, where
    it is not simply its data.
    """
    kept = [entry for entry in saved.entries if entry.index <= saved.commit]
    members = _members(saved, kept, change_of)
    # The own seat comes first: at no moment may a cluster be without a voter.
    changes = [] if own in members else [Change("add", own)]
    changes += [Change("remove", member) for member in sorted(members - {own})]
    forced = [Entry(saved.term, saved.commit + step, data_of(change)) for step, change in enumerate(changes, start=1)]
    return replace(saved, entries=kept + forced, commit=saved.commit + len(forced))


def _members(saved: Saved, entries: list[Entry], change_of: Callable[[Entry], Change | None]) -> set[Name]:
    """Everybody, learners too, whom the snapshot or an entry after it has brought in and none has removed."""
    members: set[Name] = set(saved.snapshot.members.everybody) if saved.snapshot else set()
    start = saved.snapshot.index if saved.snapshot else 0
    for entry in entries:
        change = change_of(entry) if entry.index > start else None
        if change is None:
            continue
        if change.kind == "remove":
            members.discard(change.member)
        else:
            members.add(change.member)
    return members
