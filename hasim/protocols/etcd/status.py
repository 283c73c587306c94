"""What a member of etcd says of itself when asked for its status."""

from __future__ import annotations

from typing import Any

from hasim.protocols.etcd.store import Store
from hasim.protocols.raft.state import State


def status_of(name: str, state: State, store: Store, database: int) -> dict[str, Any]:
    """Role, term, indexes, revision, size and membership, as the member `name` sees them now."""
    return {
        "member": name,
        "role": "learner" if name in state.members.learners else state.role,
        "leader": state.leader,
        "term": state.term,
        "index": state.log.last,
        "applied": state.log.applied,
        "revision": store.revision,
        "database": database,
        "alarms": store.alarms,
        "members": {each: each in store.started for each in state.members.everybody},
        "learners": state.members.learners,
    }
