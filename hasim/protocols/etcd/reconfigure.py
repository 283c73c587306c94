"""Changes of membership and moves of the leadership, as a member of etcd carries them out.

The rules of who may change what stand in `membership`; here is what becomes of a request: judged where it is asked,
proposed, judged once more where it is applied, and answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hasim.protocols.etcd import config as etcd
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.membership import apply_check, strict_reconfig_check
from hasim.protocols.etcd.relay import Relay
from hasim.protocols.etcd.requests import Done, Refused, Result
from hasim.protocols.etcd.seats import change_of, view_of
from hasim.protocols.etcd.waiting import Wait
from hasim.protocols.raft import proposals, transfer
from hasim.protocols.raft.membership import Change, ChangeKind
from hasim.protocols.raft.messages import Entry

if TYPE_CHECKING:
    from hasim.protocols.etcd.membership import View
    from hasim.protocols.etcd.server import EtcdMember


def request(member: EtcdMember, command: Any, ref: Any) -> None:
    """Somebody asks for a change; only the leader can judge a promotion, so it is handed on."""
    state, config = member.raft.state, member.config
    if isinstance(command, asked.MemberPromote) and state.role != "leader" and state.leader is not None:
        ident = _wait(member, ref, None)
        state.send(state.leader, Relay(command, ident))
        return
    refusal = strict_reconfig_check(change_of(command), _view(member), config.version, config.strict_reconfig)
    if refusal is not None:
        member.answer(ref, Refused(str(refusal)))
        return
    kind: ChangeKind = "add"
    if isinstance(command, asked.MemberRemove):
        kind = "remove"
    elif isinstance(command, asked.MemberAdd) and command.learner:
        kind = "learner"
    ident = member.ident()
    data = Change(kind, command.member, (ident, isinstance(command, asked.MemberPromote)))
    if state.leader is None:
        _wait(member, ref, data, ident)
    elif proposals.propose(state, ((data, 0),)):
        _wait(member, ref, None, ident)
    else:
        member.answer(ref, Refused(asked.DROPPED))


def _wait(member: EtcdMember, ref: Any, data: Any, ident: Any = None) -> Any:
    """Let a request wait like any other, until it is applied or its time is up."""
    if not len(member.waiting):
        member.set_timer("requests", member.config.request_timeout)
    ident = ident or member.ident()
    member.waiting.by_ident[ident] = Wait(ref, member.raft.state.now, 0, data)
    return ident


def _view(member: EtcdMember) -> View:
    config = member.config
    return view_of(member.name, member.raft.state, member.store, member.linked, config.learners_max)


def enact(member: EtcdMember, entry: Entry, change: Change) -> None:
    """Every member judges a committed change once more, by the list alone, before it is in force."""
    store = member.store
    ident, promotes = change.ref if change.ref is not None else (None, False)
    refusal = apply_check(change_of(change, promotes), _view(member))
    member.raft.applied(entry, enact=refusal is None)
    if refusal is None and change.kind == "remove":
        store.removed = tuple(sorted({*store.removed, change.member}))
        store.started = tuple(name for name in store.started if name != change.member)
        if change.member == member.name:
            member.set_timer("removed", etcd.STOP_DELAY)
    wait = member.waiting.by_ident.pop(ident, None) if ident is not None else None
    if wait is not None:
        result: Result = Done(None, store.revision) if refusal is None else Refused(str(refusal))
        member.answer(wait.ref, result)


def move_leader(member: EtcdMember, command: asked.MoveLeader, ref: Any) -> None:
    """Hand leadership over on request; only the leader can."""
    state = member.raft.state
    if state.role != "leader":
        member.answer(ref, Refused(asked.NOT_LEADER))
    elif command.target not in state.members.voters:
        member.answer(ref, Refused(asked.BAD_TRANSFEREE))
    else:
        transfer.request(state, command.target)
        member.moves.append((ref, command.target, state.now + member.config.request_timeout))
        moved(member)


def moved(member: EtcdMember) -> None:
    """Answer those whose transfer has come about; the server looks once a tick."""
    state = member.raft.state
    pending = []
    for ref, target, until in member.moves:
        if state.leader == target:
            member.answer(ref, Done(None, member.store.revision))
        elif state.now >= until:
            member.answer(ref, Refused(asked.TIMED_OUT_TRANSFER, unknown=True))
        else:
            pending.append((ref, target, until))
    member.moves = pending
    if pending:
        member.set_timer("moved", member.config.raft.timing.heartbeat)
