"""Raft, as in Ongaro & Ousterhout 2014 and Ongaro's thesis, with etcd's additions, as a pure machine.

The rules, and where they stand:

1. Time is divided into terms; a message of a lower term is stale, one of a higher term makes a follower (5.1).
   `machine`
2. A member that hears no leader for its election timeout begins a new term and asks for votes; each member votes once a
   term, first come, first served; a majority makes the leader (5.2). `election`, `roles`
3. Only a candidate that knows at least as much as a voter gets its vote (5.4.1). `election`, `log`
4. The leader copies its log to the others; an append fits only where the logs agree, and conflicting entries give way
   to the leader's (5.3). `replication`, `progress`, `log`
5. An entry of the current term is committed once a majority has it on disk, and everything before it with it (5.4.2).
   `replication`, `membership`
6. Votes, terms and entries are on the disk before they are spoken of; only the leader's appends run ahead of its own
   disk, and then it does not count itself yet (10.2.1). `state`, `saved`
7. Linearizable reads prove leadership instead of writing (6.4). `reads`
8. Members change one at a time, or jointly (4). `membership`, `changes`
9. A leader that cannot reach a majority steps down, and others do not vote while a leader is alive (6.2, 4.2.3); a
   pre-vote asks before it disturbs (9.6). `election`

Section numbers of 5 are the paper's, all others the thesis's.
"""

from __future__ import annotations

from hasim.protocols.raft.config import Continuous, RaftConfig, Ticks, genesis
from hasim.protocols.raft.machine import Campaign, Raft, RaftMember, Read, TransferTo, Write
from hasim.protocols.raft.membership import Change, JointChange, Membership
from hasim.protocols.raft.messages import Entry, Snapshot
from hasim.protocols.raft.saved import Record, Saved, journal

__all__ = [
    "Campaign",
    "Change",
    "Continuous",
    "Entry",
    "JointChange",
    "Membership",
    "Raft",
    "RaftConfig",
    "RaftMember",
    "Read",
    "Record",
    "Saved",
    "Snapshot",
    "Ticks",
    "TransferTo",
    "Write",
    "genesis",
    "journal",
]
