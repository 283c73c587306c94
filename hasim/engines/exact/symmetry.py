"""Which units are interchangeable, and one agreed way of writing states that differ only by interchange.

Hosts that carry the same parts, in domains that look the same, can be swapped without changing anything a service
sees. States that differ by such a swap are one state of the lumped chain (exact lumpability; Kemeny & Snell 1960),
which turns 4^9 states of three alike zones into a few hundred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hasim.model.system import System

Key = tuple[Any, ...]


@dataclass
class Site:
    """A domain, a host or a member with the slots (numbers in a flat state) that belong to it alone."""

    name: str
    looks: Key  # equal for sites that look the same
    slots: list[int] = field(default_factory=list)
    classes: list[list[Site]] = field(default_factory=list)

    def walk(self) -> Iterator[Site]:
        """This site and all inside it."""
        yield self
        for group in self.classes:
            for child in group:
                yield from child.walk()

    def written(self, flat: Sequence[Any]) -> Key:
        """The state of this site: its own slots, then its children, those alike in sorted order."""
        mine = tuple([flat[slot] for slot in self.slots])
        if not self.classes:
            return mine
        return (mine, *[tuple(sorted([child.written(flat) for child in group])) for group in self.classes])

    def read(self, key: Key, flat: list[Any]) -> None:
        """Put a written state back into flat slots."""
        mine = key[0] if self.classes else key
        for slot, value in zip(self.slots, mine, strict=True):
            flat[slot] = value
        if self.classes:
            for group, keys in zip(self.classes, key[1:], strict=True):
                for child, its in zip(group, keys, strict=True):
                    child.read(its, flat)


@dataclass
class Draft:
    """A site being built."""

    name: str
    looks: list[Any]
    slots: list[int] = field(default_factory=list)
    children: dict[str, Draft] = field(default_factory=dict)


def sites(system: System, slots: dict[int, int], marks: dict[tuple[str, int], list[int]], apart: set[int]) -> Site:
    """The tree of sites of some units.

    `slots` gives the slot of each unit of the chain, `marks` further slots of members (active, former); sites with a
    unit in `apart` are interchangeable with none.
    """
    cluster = system.cluster
    levels = cluster.topology.levels()
    named = _names_said(system)
    root = Draft("", [])

    def descend(path: tuple[str, ...]) -> Draft:
        place = root
        for step in path:
            if step not in place.children:
                place.children[step] = Draft(step, [levels[step], step if step in named else ""])
            place = place.children[step]
        return place

    for path in cluster.topology.paths().values():
        descend(path)
    hosts, paths = cluster.placement(), cluster.topology.paths()
    homes: dict[tuple[str, int], Draft] = {}
    for part, members in cluster.members().items():
        for i, member in enumerate(members):
            host = hosts[member]
            home = descend(paths[host]) if host is not None else root
            mark = member if member in named else ""
            homes[part, i] = home.children.setdefault(f"{part}/{i}", Draft(member, ["member", part, mark]))
            homes[part, i].slots.extend(marks.get((part, i), []))
    for index, unit in enumerate(system.units):
        home = homes[unit.member] if unit.member is not None else descend(unit.site)
        home.looks.append(_unit_looks(system, index))
        if index in slots:
            home.slots.append(slots[index])
        if index in apart:
            home.looks.append(("apart", index))
    return _finished(root)


def _unit_looks(system: System, index: int) -> Key:
    unit = system.units[index]
    shock = next((shock for shock in system.shocks if index in shock.victims), None)
    burst = "" if shock is None else f"{shock.every!r} {shock.share} {shock.hits} {shock.name.split(' in ')[0]}"
    laws = tuple(repr(law) for law in (unit.life, unit.detect, unit.restart, unit.repair))
    return (unit.kind, *laws, unit.crew or "", unit.spares or "", unit.priority, unit.idle_rate, burst)


def _names_said(system: System) -> set[str]:
    """Names that a service or a window speaks of by name; their bearers are not like others."""
    names = {name for service in system.cluster.services.values() for name in service.up.names()}
    for plan in system.cluster.maintenance.values():
        names.update(plan.on)
    for releases in system.cluster.upgrades.values():
        if releases.measured is not None and releases.measured.missing:
            names.update(system.cluster.members()[releases.upgrade.target])
    return names - set(system.cluster.parts)


def _finished(draft: Draft) -> Site:
    groups: dict[str, list[Site]] = {}
    for child in draft.children.values():
        site = _finished(child)
        groups.setdefault(repr(site.looks), []).append(site)
    # Sites without slots anywhere inside say nothing about the chain's state, but still tell their parents apart.
    looks = (tuple(draft.looks), tuple(sorted((look, len(group)) for look, group in groups.items())))
    kept = [group for group in groups.values() if any(site.slots or site.classes for site in group)]
    slots, classes = list(draft.slots), [group for group in kept if len(group) > 1]
    for group in kept:
        if len(group) == 1:  # nothing to interchange: what is in it may as well stand here
            slots.extend(group[0].slots)
            classes.extend(group[0].classes)
    return Site(draft.name, looks, slots, classes)


def orbits(root: Site) -> dict[int, Key]:
    """For each slot a label that is equal for slots that an interchange can bring into each other's place."""
    labels: dict[int, Key] = {}

    def visit(site: Site, path: Key) -> None:
        for position, slot in enumerate(site.slots):
            labels[slot] = (*path, position)
        for number, group in enumerate(site.classes):
            for child in group:
                visit(child, (*path, -1 - number))

    visit(root, ())
    return labels
