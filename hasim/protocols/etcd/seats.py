"""The membership as the rules of `membership` want to see it, from what a running member knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.membership import AddLearner, AddVoter, Promote, Remove, Seat, View
from hasim.protocols.etcd.membership import Change as Wanted
from hasim.protocols.etcd.store import Store
from hasim.protocols.raft.state import State


def view_of(name: str, state: State, store: Store, linked: Mapping[str, float], learners_max: int) -> View:
    """The membership as the member `name` sees it now."""
    members = state.members
    seats = tuple(
        Seat(
            each,
            learner=each in members.learners,
            started=each in store.started,
            connected_for=state.now - linked[each] if each in linked else None,
            match=state.progress[each].match if state.role == "leader" and each in state.progress else None,
        )
        for each in members.everybody
    )
    return View(name, seats, frozenset(store.removed), state.role == "leader", learners_max)


def change_of(command: Any, promotes: bool = False) -> Wanted:
    """The rule book's name for a command, or for a committed change of Raft."""
    member = command.member
    if isinstance(command, asked.MemberRemove):
        return Remove(member)
    if isinstance(command, asked.MemberPromote) or promotes:
        return Promote(member)
    if isinstance(command, asked.MemberAdd):
        return AddLearner(member) if command.learner else AddVoter(member)
    if command.kind == "remove":
        return Remove(member)
    return AddLearner(member) if command.kind == "learner" else AddVoter(member)
