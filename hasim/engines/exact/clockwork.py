"""One unit's life as a little Markov chain: up, detected, restarted, waiting, repaired, up again.

Laws that are mixtures of Erlang laws become stages, each left at a constant rate, and nothing is approximated
(the method of stages; Cox 1955). Any other law is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hasim.errors import CannotModel
from hasim.model.laws import Law
from hasim.model.system import SystemUnit

UP, DOWN, REPAIR, WAIT_SPARE, WAIT_CREW = range(5)

# Where a stage leads: to a numbered stage, or to one of these.
TO_UP, TO_DOWN, TO_REPAIR = -1, -2, -3
Outcomes = tuple[tuple[float, int], ...]


@dataclass
class Clockwork:
    """Stages of one unit: `kind`, the `rate` at which each is left, and where to (`after`)."""

    kind: list[int] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    after: list[Outcomes] = field(default_factory=list)
    enter_up: Outcomes = ()
    enter_down: Outcomes = ()
    enter_repair: Outcomes = ()

    def add(self, kind: int, rate: float, after: Outcomes) -> int:
        """Add a stage; returns its number."""
        self.kind.append(kind)
        self.rate.append(rate)
        self.after.append(after)
        return len(self.kind) - 1

    def stages(self, law: Law, what: str, kind: int, then: Outcomes) -> Outcomes:
        """Add the stages of a law that lead to `then`; returns how to enter them."""
        branches = law.phases()
        if branches is None:
            raise CannotModel(
                f"{what} ({law.text()})",
                "in a Markov chain only exponential and Erlang laws and mixtures of them are exact",
                "use ha.estimate or ha.simulate",
            )
        entry: dict[int, float] = {}
        for branch in branches:
            following = then
            for rate in reversed(branch.stages):
                following = ((1.0, self.add(kind, rate, following)),)
            for chance, target in following:
                entry[target] = entry.get(target, 0.0) + branch.weight * chance
        return tuple((chance, target) for target, chance in entry.items() if chance > 0)


def clockwork(unit: SystemUnit) -> Clockwork:
    """The stages of a unit; waiting has a stage of its own, left by whoever hands out crews and spares."""
    works = Clockwork()
    waits = unit.crew is not None or unit.spares is not None
    if waits:
        works.add(WAIT_SPARE, 0.0, ())
        works.add(WAIT_CREW, 0.0, ())
    works.enter_repair = works.stages(unit.repair, f"the repair of {unit.name}", REPAIR, ((1.0, TO_UP),))
    if waits and any(target < 0 for _, target in works.enter_repair):
        raise CannotModel(
            f"the repair of {unit.name}",
            "it takes no time, so a crew or spare cannot be held",
            "use ha.estimate",
        )
    down: Outcomes = ((1.0, TO_REPAIR),) if waits else works.enter_repair
    if unit.restart is not None:
        share = unit.restart.works
        after = tuple((chance, target) for chance, target in ((share, TO_UP), (1 - share, TO_REPAIR)) if chance > 0)
        if not waits:
            after = _spelled_out(after, works.enter_repair)
        down = works.stages(unit.restart.takes, f"the restart of {unit.name}", DOWN, after)
    if unit.detect is not None:
        down = works.stages(unit.detect, f"the detection of {unit.name}", DOWN, down)
    works.enter_down = down
    if unit.life is None:
        works.enter_up = ((1.0, works.add(UP, 0.0, ())),)
    else:
        works.enter_up = works.stages(unit.life, f"the life of {unit.name}", UP, ((1.0, TO_DOWN),))
    return works


def _spelled_out(after: Outcomes, repair: Outcomes) -> Outcomes:
    result: list[tuple[float, int]] = []
    for chance, target in after:
        if target == TO_REPAIR:
            result.extend((chance * share, stage) for share, stage in repair)
        else:
            result.append((chance, target))
    return tuple(result)
