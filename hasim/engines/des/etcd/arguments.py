"""What somebody may give to a simulated etcd cluster, checked: names, requests, lengths of time, laws, Raft."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hasim.declared import at, shown
from hasim.errors import ModelError, nearest
from hasim.model.laws import Law
from hasim.model.laws.reading import parse_law
from hasim.model.raft import Raft
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.store import Compact, Disarm
from hasim.units import seconds

# A name stands in the URLs of members and in --initial-cluster, where most punctuation means something.
_NAME = re.compile(r"[\w.-]+")
_REQUESTS = (
    *(asked.Put, asked.Get, asked.Delete, asked.Cas),
    *(asked.MemberAdd, asked.MemberRemove, asked.MemberPromote, asked.MoveLeader),
    *(asked.Defragment, asked.Status, asked.SaveSnapshot, Compact, Disarm),
)


def check_name(name: object, path: str) -> None:
    """Refuse what cannot be the name of a member."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "the name of a member is a text of letters, digits, '-', '_' and '.', like 'etcd-1'"
        raise ModelError(f"got {shown(name)}; {allowed}", path)


def known_name(name: object, known: Collection[str], path: str) -> str:
    """The name, if it is one of those known."""
    if isinstance(name, str) and name in known:
        return name
    listed = few(list(known))
    if isinstance(name, list | tuple | set | frozenset):
        raise ModelError(f"got {shown(name)}; a name is one text, not a list; members are {listed}", path)
    raise ModelError(f"got {shown(name)}; members are {listed}{nearest(str(name), known)}", path)


def few(names: Sequence[str]) -> str:
    """The names in a line, the first eight of many."""
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def raft_of(given: object, path: str = "raft") -> Raft:
    """How members agree: a Raft, or its fields by name; without either etcd's defaults."""
    if given is None:
        return Raft()
    if isinstance(given, Raft):
        return given
    if not isinstance(given, Mapping) or not all(isinstance(field, str) for field in given):
        raise ModelError(f"got {shown(given)}; give a Raft, or its fields, like {{'election_timeout': '2s'}}", path)
    try:
        return Raft(**given)
    except ModelError as error:
        raise ModelError.of(at((path, *problem.loc), problem.message) for problem in error.problems) from None


def laws(latencies: object, members: Collection[str], zones: Collection[str]) -> dict[tuple[str, str], Law]:
    """Latencies by pairs of members or zones, as laws; a pair of a zone with itself is what lies within it."""
    if latencies is None:
        return {}
    if not isinstance(latencies, Mapping):
        advice = "give laws by pairs, like {('etcd-1', 'etcd-2'): '5ms'}; one for all links is Raft(latency=…)"
        raise ModelError(f"got {shown(latencies)}; {advice}", "latencies")
    found: dict[tuple[str, str], Law] = {}
    for pair, value in latencies.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ModelError(f"got {shown(pair)}; latencies are by pairs of members or zones", "latencies")
        path = f"latencies[{', '.join(map(str, pair))}]"
        _check_ends(pair, members, zones, path)
        try:
            found[pair] = parse_law(value)
        except (ValueError, TypeError) as error:
            raise ModelError(str(error), path) from None
    return found


def _check_ends(pair: tuple[Any, Any], members: Collection[str], zones: Collection[str], path: str) -> None:
    for name in pair:
        if name not in members and name not in zones:
            known = few(list(members)) + (f", zones are {few(list(zones))}" if zones else "; there are no zones")
            hint = nearest(name, [*members, *zones]) if isinstance(name, str) else ""
            raise ModelError(f"got {shown(name)}; members are {known}{hint}", path)
    if (pair[0] in members) != (pair[1] in members):
        raise ModelError("one is a member and one a zone; give two members or two zones", path)
    if pair[0] == pair[1] and pair[0] in members:
        raise ModelError(f"both ends are {pair[0]!r}; a link has two ends", path)


def request_of(command: Any, lease_reads: bool) -> Any:
    """The command, if it is a request that etcd knows and all in it makes sense; whether reads by lease are allowed."""
    if not isinstance(command, _REQUESTS):
        given = f"the class {command.__name__}" if isinstance(command, type) else shown(command)
        names = ", ".join(each.__name__ for each in _REQUESTS)
        raise ModelError(f"got {given}; give a request, like Put('k', 'v'); there are {names}", "command")
    for field, value in command._asdict().items():
        if field in ("key", "value") or (field == "expected" and value is not None):
            if not isinstance(value, str):
                raise ModelError(f"got {shown(value)}; etcd stores text under text", field)
        elif field in ("member", "target"):
            check_name(value, field)
        elif field == "learner":
            switch(value, field)
        elif field == "revision":
            _check_revision(value)
        elif field == "mode":
            _check_mode(value, lease_reads)
    return command


def _check_mode(mode: object, lease_reads: bool) -> None:
    modes = ["linearizable", "serializable", *["lease"] * lease_reads]
    if mode not in modes:
        hint = "; for lease reads give clock_drift_max" if mode == "lease" else nearest(str(mode), modes)
        raise ModelError(f"got {shown(mode)}; allowed is {' or '.join(modes)}{hint}", "mode")


def _check_revision(number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ModelError(f"got {shown(number)}; a revision is a whole number of at least 1", "revision")


def switch(given: object, path: str) -> bool:
    """True or False."""
    if not isinstance(given, bool):
        raise ModelError(f"got {shown(given)}; give True or False", path)
    return given


def length_of(text: Any, path: str = "duration") -> float:
    """A length of time in seconds, from a text with its unit."""
    try:
        length = seconds(text)
    except (ValueError, TypeError) as error:
        raise ModelError(str(error), path) from None
    if length <= 0:
        raise ModelError(f"got {text!r}; time only passes forward", path)
    return length
