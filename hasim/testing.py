"""Judges for things that you add to hasim: each raises an AssertionError that says what is wrong.

`check_fault(fault)` plays a fault on a stage where everything can be seen, and asks three things of it: that it
heals, whenever it is stopped; that it does the same again; and that it leaves a mark.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import closing

from hasim.faults import PASS, Delays, Fault, Held, Rule
from hasim.streams import Streams

__all__ = ["check_fault"]

_BYSTANDERS = ("bystander-1", "bystander-2")
_MESSAGES = 300  # on each link under a rule: a share of 1 in 20 misses them all with probability 2e-7
_STEPS_MAX = 10_000
_SEED = 1


def check_fault(fault: Fault) -> None:
    """Judge a fault: it heals, it replays identically, it leaves a mark, and it keeps to its targets.

    It is played on a stage with a node for each of its targets, a transport without streams, and two bystanders.
    A chance below 1 in 20 to touch a message counts as none.
    """
    assert fault.targets, "it has no targets; a fault says what it touches"
    first, again = _played(fault), _played(fault)
    for one, other in zip(first.steps, again.steps, strict=False):
        assert one == other, f"it does not replay: first {one}, then {other}"
    assert len(first.steps) == len(again.steps), "it does not replay: one time it does more than the other"
    assert first.marked, "it leaves no mark: it held nothing for any time, or what it held makes no difference"
    for steps in range(first.delays):
        _played(fault, stop_after=steps)


def _played(fault: Fault, stop_after: int = _STEPS_MAX) -> _Stage:
    """Play the script to its end, or close it after so many of its delays, as a run does that stops early."""
    stage = _Stage(fault)
    with closing(fault.script(stage)) as script:
        for delay in script:
            assert 0 <= delay < math.inf, f"its script yields {delay!r}; a script yields seconds, zero or more"
            if stage.delays == stop_after:
                break
            stage.wait(delay)
            assert stage.delays < _STEPS_MAX, f"its script has no end, or more than {_STEPS_MAX} steps"
    when = "at its end" if stage.delays < stop_after else f"when it is stopped in step {stop_after + 1}"
    assert not stage.held, f"it does not heal {when}: {', '.join(what for what, _ in stage.held)} is left"
    return stage


class _Stage:
    """A world with a node for each target, which writes down all that is done to it."""

    transport = "udp"

    def __init__(self, fault: Fault) -> None:
        self.now = 0.0
        self.delays = 0
        self.marked = False
        self.held: list[tuple[str, bool]] = []  # what is held, and whether that makes a difference
        self.steps: list[tuple[float, str]] = []
        self._targets = tuple(fault.targets)
        self._chance = Streams(_SEED)["rules"]

    def wait(self, delay: float) -> None:
        self.now += delay
        self.delays += 1
        self.marked |= delay > 0 and any(mark for _, mark in self.held)

    def _hold(self, what: str, mark: bool = True) -> Held:
        return _Hold(self, what, mark)

    def _target(self, name: str) -> str:
        assert name in self._targets, f"it acts on {name!r}, which is not among its targets {self._targets}"
        return name

    def nodes_in(self, names: Collection[str]) -> Collection[str]:
        return tuple(self._target(name) for name in dict.fromkeys(names))

    def held_down(self, target: str, why: str) -> Held:
        return self._hold(f"{self._target(target)} down, {why}")

    def powered_off(self, targets: Collection[str]) -> Held:
        return self._hold(f"{', '.join(map(self._target, targets))} dark", bool(targets))

    def paused(self, node: str) -> Held:
        return self._hold(f"{self._target(node)} paused")

    def rule(self, rule: Rule) -> Held:
        nodes = (*self._targets, *_BYSTANDERS)
        marks = []
        for src, dst in ((src, dst) for src in nodes for dst in nodes if src != dst):
            verdicts = [rule(src, dst, self._chance) for _ in range(_MESSAGES)]
            touched = sum(verdict is not PASS for verdict in verdicts)
            marks += [f"{src} to {dst} {touched} of {_MESSAGES}: {verdicts}"] if touched else []
            stranger = touched and not {src, dst} & set(self._targets)
            assert not stranger, f"its rule touches messages from {src} to {dst}, none of which is among its targets"
        self.steps += [(self.now, mark) for mark in marks]
        return self._hold("a rule", bool(marks))

    def slow_disk(self, node: str, extra: Delays) -> Held:
        drawn = extra.draw(self._chance, _MESSAGES).tolist()
        assert all(0 <= delay < math.inf for delay in drawn), f"its delays are no durations: {drawn[:5]}"
        self.steps.append((self.now, f"delays {drawn}"))
        return self._hold(f"disk of {self._target(node)} slow", any(drawn))

    def stalled_disk(self, node: str) -> Held:
        return self._hold(f"disk of {self._target(node)} stalled")

    def full_disk(self, node: str) -> Held:
        return self._hold(f"disk of {self._target(node)} full")

    def clock_rate(self, node: str, rate: float) -> Held:
        assert 0 < rate < math.inf, f"a clock runs at a finite rate above zero, got {rate}"
        return self._hold(f"clock of {self._target(node)} at rate {rate}", rate != 1)

    def jump_clock(self, node: str, by: float) -> Held:
        assert math.isfinite(by), f"a clock jumps by a finite time, got {by}"
        return self._hold(f"clock of {self._target(node)} off by {by}", by != 0)

    def slowed(self, node: str, factor: float) -> Held:
        assert 0 < factor < math.inf, f"a server is slower by a finite factor above zero, got {factor}"
        return self._hold(f"{self._target(node)} slow by {factor}", factor != 1)

    def failing(self, node: str, share: float) -> Held:
        assert 0 <= share <= 1, f"a share of errors lies between 0 and 1, got {share}"
        return self._hold(f"{self._target(node)} fails {share}", share > 0)

    def unready(self, node: str) -> Held:
        return self._hold(f"{self._target(node)} unready")

    def drained(self, node: str) -> Held:
        return self._hold(f"{self._target(node)} drained")

    def gracefully(self, nodes: Collection[str]) -> Held:
        return self._hold(f"{', '.join(map(self._target, nodes))} stop gracefully", False)


class _Hold:
    """Something held on the stage. Not a generator, which would heal by itself when nobody refers to it any more."""

    def __init__(self, stage: _Stage, what: str, mark: bool) -> None:
        self._stage = stage
        self._what = (what, mark)

    def __enter__(self) -> None:
        self._stage.held.append(self._what)
        self._stage.steps.append((self._stage.now, f"begin {self._what[0]}"))

    def __exit__(self, *_: object) -> None:
        self._stage.held.remove(self._what)
        self._stage.steps.append((self._stage.now, f"end {self._what[0]}"))
