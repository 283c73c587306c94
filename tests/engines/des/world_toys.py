"""A world of toys: machines that do what they are told, and keep what they hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hasim.engines.des.world import LeapingEnvironment, Node, World
from hasim.machine import Effect, Event, Exit, Linked, Machine, Proposed, Received, Started, Stopping, Unlinked
from hasim.model.laws import Fixed, Law
from hasim.streams import Streams

React = Callable[[Event, float], Sequence[Effect]]


def ms(number: float) -> float:
    """Milliseconds as seconds, rounded as the times of what was heard are."""
    return round(number * 1e-3, 6)


def nothing(event: Event, now: float) -> Sequence[Effect]:
    return ()


class Toy:
    """Does the effects that are proposed to it; `heard` keeps (time, event), with the node's own time."""

    def __init__(self, heard: list[tuple[float, Event]], react: React = nothing) -> None:
        self.heard = heard
        self.react = react

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        self.heard.append((now, event))
        if isinstance(event, Proposed):
            return list(event.command)
        if isinstance(event, Stopping):
            return [Exit("asked to")]
        return self.react(event, now)


class ToyWorld:
    """A world of toys by name, with what each heard and all facts."""

    def __init__(
        self,
        *names: str,
        react: React = nothing,
        fsync: Law | None = None,
        seed: int = 1,
        start: bool = True,
        zones: dict[str, str] | None = None,
        machine: Callable[[str], Machine] | None = None,
        **settings: Any,
    ) -> None:
        self.env = LeapingEnvironment()
        self.facts: list[tuple[float, str, str]] = []
        settings = {"transport": "udp", "latency": Fixed(value="1ms"), **settings}
        self.world = World(self.env, Streams(seed), self._note, **settings)
        self.heard: dict[str, list[tuple[float, Event]]] = {name: [] for name in names}
        for name in names:
            heard = self.heard[name]
            build = (lambda heard=heard: Toy(heard, react)) if machine is None else (lambda name=name: machine(name))
            self.world.add(name, build, _journal, fsync=fsync, zone=(zones or {}).get(name))
        if start:
            for node in self.world.nodes.values():
                node.start()

    def _note(self, kind: str, subject: str, detail: Any) -> None:
        self.facts.append((self.env.now, kind, subject))

    def __getitem__(self, name: str) -> Node:
        return self.world.nodes[name]

    def tell(self, name: str, *effects: Effect) -> None:
        """Let a node do these, now."""
        self[name].propose(effects, "", lambda ref, result: None)

    def at(self, time: float, call: Callable[[], object]) -> None:
        """Do something at a time."""
        self.env.timeout(time - self.env.now).callbacks.append(lambda _: call())

    def run(self, until: float) -> None:
        self.env.run(until=until)

    def messages(self, name: str) -> list[tuple[float, Any]]:
        """What messages a node got from others or sent to itself, with times rounded to the microsecond."""
        return [(round(at, 6), event.message) for at, event in self.heard[name] if isinstance(event, Received)]

    def from_others(self, name: str) -> list[tuple[float, Any]]:
        """What messages a node got from others."""
        heard = self.heard[name]
        return [(round(at, 6), e.message) for at, e in heard if isinstance(e, Received) and e.sender != name]

    def saved(self, name: str) -> Any:
        """What the node found on its disk at its last start."""
        return [event.saved for _, event in self.heard[name] if isinstance(event, Started)][-1]

    def links(self, name: str) -> list[tuple[float, str, str]]:
        """When connections of a node came and went, with times rounded to the microsecond."""
        return [
            (round(at, 6), "up" if isinstance(event, Linked) else "down", event.peer)
            for at, event in self.heard[name]
            if isinstance(event, Linked | Unlinked)
        ]


def _journal(saved: list[Any] | None, record: Any) -> list[Any]:
    saved = [] if saved is None else saved
    saved.append(record)  # in place, as a journal may
    return saved
