"""How a golden story words messages, records, logs and facts: short, and each in one way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hasim.protocols.raft import Change, Entry, JointChange, Membership, Record, Snapshot
from hasim.protocols.raft.log import Log
from hasim.protocols.raft.messages import (
    Append,
    AppendReply,
    Forward,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    ReadReply,
    ReadRequest,
    TimeoutNow,
    TransferRequest,
    VoteReply,
    VoteRequest,
)


def said_data(data: Any) -> str:
    """What stands in an entry."""
    if isinstance(data, Change):
        return f"<{data.kind} {data.member}>"
    if isinstance(data, JointChange):
        steps = ", ".join(f"{each.kind} {each.member}" for each in data.changes)
        return f"<joint: {steps}{'' if data.auto_leave else ', stay'}>" if steps else "<leave joint>"
    return str(data)


def said_entries(entries: Iterable[Entry]) -> str:
    """Entries as term/index:data."""
    said = (f"{each.term}/{each.index}{'' if each.data is None else ':' + said_data(each.data)}" for each in entries)
    return f"[{' '.join(said)}]"


def said_members(members: Membership) -> str:
    """Voters, with the others where there are any."""
    groups = (
        ("voters", members.voters),
        ("leaving", members.leaving),
        ("learners", members.learners),
        ("then-learners", members.learners_next),
    )
    return " ".join(f"{word}={','.join(names)}" for word, names in groups if names)


def said_snapshot(snapshot: Snapshot) -> str:
    """A snapshot by its last entry."""
    return f"{snapshot.term}/{snapshot.index} {said_members(snapshot.members)}"


def said_record(record: Record) -> str:
    """What is written to a disk."""
    parts = [f"term={record.term} vote={record.vote or '-'} commit={record.commit}"]
    if record.entries:
        parts.append(f"entries={said_entries(record.entries)}")
    if record.snapshot is not None:
        keep = "replaces the log" if record.keep is None else f"keep={record.keep}"
        parts.append(f"snapshot={said_snapshot(record.snapshot)}, {keep}")
    return " ".join(parts)


def said_log(log: Log) -> str:
    """Snapshot, entries, and how far they are committed and applied."""
    start = f"snapshot={log.snapshot.term}/{log.snapshot.index} " if log.snapshot.index else ""
    return f"{start}log={said_entries(log.entries)} commit={log.commit} applied={log.applied}"


def said_detail(kind: str, detail: Any) -> str:
    """A fact; names that say what the kind says already are left out."""
    if isinstance(detail, str):
        return f"{kind} {detail}"
    if kind == "members":
        return f"members {said_members(Membership(**detail))}"
    if kind == "applied":
        return f"applied {said_entries([Entry(detail['term'], detail['index'], detail['data'])])[1:-1]}"
    said = []
    for name, value in detail.items():
        if isinstance(value, bool):
            said += [name] if value else []
        else:
            said.append(f"{name}={'-' if value is None else said_data(value)}")
    return f"{kind} {' '.join(said)}"


def said_message(message: Any) -> str:
    """A message, with what is off left out."""
    name = type(message).__name__
    parts = [] if isinstance(message, Forward | ReadRequest | TransferRequest) else [f"term={message.term}"]
    match message:
        case VoteRequest():
            parts.append(f"last={message.last_term}/{message.last_index}")
            parts += ["pre"] * message.pre + ["transfer"] * message.transfer
        case VoteReply():
            parts.append("granted" if message.granted else "refused")
            parts += ["pre"] * message.pre
        case Append():
            parts.append(f"after={message.prev_term}/{message.prev_index}")
            parts += [f"entries={said_entries(message.entries)}"] if message.entries else []
            parts.append(f"commit={message.commit}")
        case AppendReply() if message.rejected:
            parts += [f"refused={message.index}", f"hint={message.hint_term}/{message.hint_index}"]
        case AppendReply():
            parts.append(f"index={message.index}")
        case Heartbeat():
            parts.append(f"commit={message.commit}")
            parts += [f"context={message.context}"] if message.context else []
        case HeartbeatReply():
            parts += [f"context={message.context}"] if message.context else []
        case InstallSnapshot():
            parts.append(f"snapshot={said_snapshot(message.snapshot)}")
        case TimeoutNow():
            pass
        case Forward():
            parts.append(" ".join(said_data(data) for data, _ in message.items))
        case ReadRequest():
            parts += [message.ref] + ["lease"] * message.lease
        case ReadReply():
            parts += [message.ref, f"index={message.index}"]
        case TransferRequest():
            parts.append(f"to={message.target}")
        case _:
            raise TypeError(f"no words for {message!r}")
    return f"{name}({', '.join(parts)})"
