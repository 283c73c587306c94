"""Plans of upgrades across parts: in which order to roll them, and whether a given order ever lets a wrong pair meet.

Two parts that are not compatible in all four ways are upgraded in an order that never lets a wrong pair meet:

| old caller, new server | new caller, old server | plan |
|---|---|---|
| works | works | any order, even both at once |
| works | fails | roll the server first |
| fails | works | roll the caller first |
| fails | fails | deploy an adapter, roll server and caller, remove the adapter |

Where versions in between are allowed (`via`), the shortest way through them counts: a caller that can talk to both old
and new servers makes an adapter unnecessary. That is expand and contract for an interface (Sato, ParallelChange, 2014).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from hasim.errors import ModelError, nearest
from hasim.protocols.contracts.compatibility import Compatibility, Pairing, pairing
from hasim.protocols.contracts.versions import known


class Move(NamedTuple):
    """A part goes from one version to another; on the way both are present."""

    part: str
    old: str
    new: str

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.part} {self.old} → {self.new}"


@dataclass(frozen=True)
class Step:
    """One step of a plan: parts that are rolled at the same time, or an adapter that comes or goes.

    An adapter that is being deployed helps nobody until it is there everywhere, and one that is being removed may be
    gone anywhere: the step is judged without it.
    """

    name: str
    reason: str = ""
    moves: tuple[Move, ...] = ()
    deploys: str | None = None
    removes: str | None = None

    def __str__(self) -> str:
        """Give the name, with the reason if there is one."""
        return f"{self.name}: {self.reason}" if self.reason else self.name


class PairVerdict(NamedTuple):
    """Whether callers of one version can talk to servers of another, both of which are present during a step."""

    caller: str
    caller_version: str
    server: str
    server_version: str
    works: bool

    def __str__(self) -> str:
        """Say it in a few words."""
        said = "can talk to" if self.works else "cannot talk to"
        return f"{self.caller} {self.caller_version} {said} {self.server} {self.server_version}"


@dataclass(frozen=True)
class StepVerdict:
    """What meets during one step of a plan; true if every pair works, and `broken` are those that do not."""

    step: Step
    pairs: tuple[PairVerdict, ...]
    adapters: frozenset[str]

    @property
    def broken(self) -> tuple[PairVerdict, ...]:
        """The pairs that meet and cannot talk."""
        return tuple(pair for pair in self.pairs if not pair.works)

    def __bool__(self) -> bool:
        """Whether every pair that is present works."""
        return not self.broken

    def __str__(self) -> str:
        """Say it in one line."""
        if self:
            return f"{self.step.name}: all pairs work ({len(self.pairs)})"
        return f"{self.step.name}: {'; '.join(map(str, self.broken))}"


def check_plan(
    contracts: Sequence[Compatibility], plan: Iterable[Step], start: Mapping[str, str]
) -> tuple[StepVerdict, ...]:
    """Walk through a plan and say for each step whether all that are present during it can talk to one another.

    `start` has the version of each part before the plan. While a part is rolled, both its versions are present, so that
    every pair of a present caller and a present server is judged. A plan is safe if all of its steps are true.
    """
    at, adapters = dict(start), set[str]()
    for index, contract in enumerate(contracts):
        for part in (contract.caller, contract.server):
            if part not in at:
                raise ModelError(f"has no version of {part!r}, of which contract {index + 1} speaks", "start")
    verdicts = []
    for number, step in enumerate(plan):
        present: dict[str, tuple[str, ...]] = {part: (version,) for part, version in at.items()}
        for move in step.moves:
            _checked_move(move, at, number)
            present[move.part] = tuple(dict.fromkeys((move.old, move.new)))
        _checked_adapters(step, adapters, {c.adapter for c in contracts if c.adapter}, number)
        adapters.discard(step.removes or "")
        pairs = tuple(pair for contract in contracts for pair in _meeting(contract, present, adapters))
        verdicts.append(StepVerdict(step, pairs, frozenset(adapters)))
        at.update({move.part: move.new for move in step.moves})
        if step.deploys is not None:
            adapters.add(step.deploys)
    return tuple(verdicts)


def _meeting(
    contract: Compatibility, present: Mapping[str, tuple[str, ...]], adapters: set[str]
) -> Iterator[PairVerdict]:
    helped = contract.adapter in adapters
    for caller in present[contract.caller]:
        for server in present[contract.server]:
            works = contract.allows(caller, server, adapter=helped)
            yield PairVerdict(contract.caller, caller, contract.server, server, works)


def _checked_move(move: Move, at: Mapping[str, str], number: int) -> None:
    path = f"plan[{number}]"
    if move.part not in at:
        raise ModelError(f"moves {move.part!r}; parts are {', '.join(at)}{nearest(move.part, at)}", path)
    if at[move.part] != move.old:
        raise ModelError(f"moves {move}, and {move.part} is at {at[move.part]} by then", path)


def _checked_adapters(step: Step, there: set[str], allowed: set[str], number: int) -> None:
    path = f"plan[{number}]"
    for name in (step.deploys, step.removes):
        if name is not None and name not in allowed:
            listed = ", ".join(sorted(allowed)) or "none"
            raise ModelError(f"got the adapter {name!r}; adapters are {listed}{nearest(name, allowed)}", path)
    if step.deploys in there:
        raise ModelError(f"deploys {step.deploys!r}, which is there already", path)
    if step.removes is not None and step.removes not in there:
        raise ModelError(f"removes {step.removes!r}, which is not there", path)


# ------------------------------------------------------------------------------------------ finding a plan


class _Stage(NamedTuple):
    caller: str
    server: str
    adapter: bool


def plan_for(contract: Compatibility, old: Pairing, new: Pairing, via: Iterable[str] = ()) -> tuple[Step, ...]:
    """The shortest plan that upgrades caller and server from `old` to `new` without ever letting a wrong pair meet.

    Both are the versions of (caller, server), one text if they are the same. Where server and caller may either go
    first, the server does. `via` names versions that may be deployed in between. An adapter is deployed only where
    nothing else leads there in as few steps, and is gone at the end. Raises ModelError where nothing leads there.
    """
    begin, end = _Stage(*pairing(old, "old"), False), _Stage(*pairing(new, "new"), False)
    for field, stage in (("old", begin), ("new", end)):
        known(stage.caller, contract.of_caller, field)
        known(stage.server, contract.of_server, field)
        if not contract.allows(stage.caller, stage.server):
            said = f"{contract.caller} {stage.caller} cannot talk to {contract.server} {stage.server} at all"
            raise ModelError(f"{said}; there is no upgrade {'from' if field == 'old' else 'to'} it", field)
    between = tuple(via)
    for version in between:
        known(version, (*contract.of_caller, *contract.of_server), "via")
    came_from: dict[_Stage, _Stage] = {begin: begin}
    waiting = deque([begin])
    while waiting and end not in came_from:
        stage = waiting.popleft()
        for following in _following(contract, stage, end, between):
            if following not in came_from:
                came_from[following] = stage
                waiting.append(following)
    if end not in came_from:
        raise ModelError(_no_way(contract, begin, end), "new")
    way = [end]
    while way[-1] != begin:
        way.append(came_from[way[-1]])
    way.reverse()
    return tuple(_described(contract, a, b, end) for a, b in pairwise(way))


def _following(contract: Compatibility, stage: _Stage, end: _Stage, via: tuple[str, ...]) -> Iterator[_Stage]:
    """Where one safe step leads from here, the server first; both versions of what is rolled must work."""
    caller, server, adapter = stage
    for version in dict.fromkeys((end.server, *via)):
        if version in contract.of_server and contract.allows(caller, version, adapter):
            yield _Stage(caller, version, adapter)
    for version in dict.fromkeys((end.caller, *via)):
        if version in contract.of_caller and contract.allows(version, server, adapter):
            yield _Stage(version, server, adapter)
    if contract.adapter is not None and contract.allows(caller, server):
        yield _Stage(caller, server, not adapter)


def _described(contract: Compatibility, a: _Stage, b: _Stage, end: _Stage) -> Step:
    caller, server, adapter = contract.caller, contract.server, contract.adapter
    if a.adapter != b.adapter:
        if b.adapter:
            old_new, new_old = _pair(contract, a.caller, end.server), _pair(contract, end.caller, a.server)
            why = f"without it neither {old_new} works nor {new_old}"
            return Step(f"deploy {adapter}", why, deploys=adapter)
        return Step(f"remove {adapter}", f"{_pair(contract, a.caller, a.server)} needs it no more", removes=adapter)
    through = f", through {adapter}" if a.adapter else ""
    if a.server != b.server:
        move = Move(server, a.server, b.server)
        why = f"{caller} {a.caller} can talk to {server} {a.server} and {b.server}{through}"
    else:
        move = Move(caller, a.caller, b.caller)
        why = f"{caller} {a.caller} and {b.caller} can talk to {server} {a.server}{through}"
    return Step(f"roll {move}", why, moves=(move,))


def _pair(contract: Compatibility, caller: str, server: str) -> str:
    return f"{contract.caller} {caller} with {contract.server} {server}"


def _no_way(contract: Compatibility, begin: _Stage, end: _Stage) -> str:
    failing = [
        _pair(contract, *pair)
        for pair in ((begin.caller, end.server), (end.caller, begin.server))
        if not contract.allows(*pair, adapter=True)
    ]
    return (
        f"no order of steps leads there without errors: {' and '.join(failing)} do not work"
        f"{'' if contract.adapter is None else ', even adapted'}; add an `adapter` with pairs that it makes work, "
        "or allow a version in between with `via`"
    )
