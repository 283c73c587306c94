"""Who is to blame for the downtime of a service: what was down during it, and what of that decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hasim.model.cuts import minimal_cuts
from hasim.model.structure import Expr, holds, substitute, variables
from hasim.model.system import System
from hasim.results.figures import Blame, Cut

Pattern = tuple[int, ...]

CUTS_SHOWN = 50
"""Cuts kept in a result, those with the largest share of the downtime."""


UPGRADED = " (upgrade)"
"""What a variable is called that an upgrade turns, after the name of the place where pods come and go."""

KILLED = " (killed)"
"""What a variable is called that a liveness probe or a remedy turns, after the name of the server."""


class Causes:
    """For one service, how long each set of down variables was the state of things while it was down."""

    def __init__(self, up: Expr) -> None:
        """Begin with the service up."""
        self.up = up
        self.patterns: dict[Pattern, float] = {}
        self._support = frozenset(variables(up))
        self._now: Pattern | None = None
        self._since = 0.0

    def begin(self, now: float) -> None:
        """Forget what was counted before `now`."""
        self.patterns.clear()
        self._since = now

    def observe(self, now: float, is_down: bool, down: Iterable[int]) -> None:
        """Count the time since the last look, and see what is down from `now` on."""
        if self._now is not None and now > self._since:
            self.patterns[self._now] = self.patterns.get(self._now, 0.0) + now - self._since
        self._now = tuple(sorted(v for v in down if v in self._support)) if is_down else None
        self._since = now


def blame(up: Expr, patterns: Mapping[Pattern, float], system: System, held: Mapping[int, str]) -> tuple[Blame, ...]:
    """Return the share of downtime, for each variable, when its return alone would have ended the outage.

    That is its criticality; `share` is the same, made to add up to one over all variables. `held` has
    the names of the variables that scripted faults, probes and remedies turn.
    """
    downtime = sum(patterns.values())
    state = [True] * system.variables
    critical: dict[int, float] = {}
    for pattern, lasted in patterns.items():
        for variable in pattern:
            state[variable] = False
        for variable in pattern:
            state[variable] = True
            if holds(up, state):
                critical[variable] = critical.get(variable, 0.0) + lasted
            state[variable] = False
        for variable in pattern:
            state[variable] = True
    whole = sum(critical.values())
    return tuple(
        Blame(
            unit=held[variable] if variable in held else system.variable_name(variable),
            share=lasted / whole,
            criticality=lasted / downtime,
            kind=_kind(variable, system, held),
        )
        for variable, lasted in sorted(critical.items())
    )


def cuts(up: Expr, patterns: Mapping[Pattern, float], system: System, held: Mapping[int, str]) -> tuple[Cut, ...]:
    """Return the minimal cuts that were seen, with the share of downtime when all of each was down."""
    downtime = sum(patterns.values())
    if downtime == 0:
        return ()
    seen = {variable for pattern in patterns for variable in pattern}
    # What was never down is in no cut that was: fixing it to up leaves a small expression.
    small = substitute(up, {variable: True for variable in variables(up) if variable not in seen})
    found = []
    for cut in minimal_cuts(small).cuts:
        share = sum(lasted for pattern, lasted in patterns.items() if cut.issubset(pattern)) / downtime
        if share > 0:
            names = tuple(held[v] if v in held else system.variable_name(v) for v in sorted(cut))
            found.append(Cut(names, share))
    return tuple(sorted(found, key=lambda cut: -cut.share)[:CUTS_SHOWN])


def _kind(variable: int, system: System, held: Mapping[int, str]) -> str:
    if variable not in held:
        return system.variable_kind(variable)
    kinds = {KILLED: "kill", UPGRADED: "upgrade"}
    return next((kind for ending, kind in kinds.items() if held[variable].endswith(ending)), "fault")
