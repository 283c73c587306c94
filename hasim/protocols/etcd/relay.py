"""Requests that one member hands to another, since only the leader can judge them (etcd: over HTTP)."""

from __future__ import annotations

from typing import Any, NamedTuple

from hasim.protocols.etcd.requests import Result
from hasim.protocols.etcd.store import Ident


class Relay(NamedTuple):
    """A request for the leader; the answer comes back under the identity."""

    command: Any
    ident: Ident


class RelayReply(NamedTuple):
    """What the leader has answered."""

    ident: Ident
    result: Result


class ReplyTo(NamedTuple):
    """Who waits for an answer, in place of a client's reference."""

    member: str
    ident: Ident


RELAYED = frozenset({Relay, RelayReply})
