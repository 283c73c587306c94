"""Upgrades that follow one another, and those that change the form of stored data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.model.upgrades.deploying import Deploy, Migrate
from hasim.model.upgrades.release import Release
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.contracts.migration import Migration
from hasim.units import s, seconds

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster


def one_after_another(*upgrades: Upgrade, pause: str = "0s") -> tuple[Upgrade, ...]:
    """Return the same upgrades as a plan: each begins `pause` after the one before was rolled out.

    The first begins at its own time; an `at` of the others is added to the pause. If one is rolled back, or never ends,
    those after it never begin. Give them to `during`: `cluster.during(*one_after_another(a, b), load)`.
    """
    try:
        wait = seconds(pause)
    except ValueError as error:
        raise ModelError(str(error), "pause") from None
    planned: list[Upgrade] = []
    for number, upgrade in enumerate(upgrades, 1):
        if not isinstance(upgrade, Upgrade):
            raise ModelError(f"got {shown(upgrade)}; give upgrades like ha.Rolling('api')", f"upgrades[{number - 1}]")
        name = upgrade.name or f"{number}. {upgrade.STRATEGY} {upgrade.target}"
        update: dict[str, object] = {"name": name}
        if planned:
            update |= {"after": planned[-1].called, "at": upgrade.at + wait}
        planned.append(upgrade.model_copy(update=update))
    return tuple(planned)


def migration(
    pool: str, change: Migration, by: Upgrade, per_second: float = 1000.0, pause: str = "0s"
) -> tuple[Upgrade, ...]:
    """Return the plan that changes the form of a pool's data: steps of data alone, and versions rolled out by `by`.

    `change` is a ready one (`expand_contract`, `big_bang`) or your own; its contract is the `data` of the pool. `by` is
    the strategy that rolls versions, for instance `ha.Rolling("api", at="1m")`, whose release says what they are like
    otherwise. A backfill converts `per_second` items. See `one_after_another` for `pause`.
    """
    if not isinstance(change, Migration):
        raise ModelError(f"got {shown(change)}; give a change of data, like ha.expand_contract()", "change")
    if not isinstance(by, Upgrade):
        raise ModelError(f"got {shown(by)}; give an upgrade like ha.Rolling('api')", "by")
    steps: list[Upgrade] = []
    for step in change.steps:
        rate = per_second if step.backfills is not None else None
        if step.rolls is None and not step.stopped:
            at = s(by.at) if not steps else s(0)
            steps.append(Migrate(target=pool, name=step.name, at=at, migrates=step, per_second=rate))
            continue
        version = by.release.version if step.rolls is None else step.rolls
        release = Release(**{**_given(by.release), "version": version})
        update: dict[str, object] = {"release": release, "name": step.name, "migrates": step, "per_second": rate}
        steps.append(by.model_copy(update=update if not steps else {**update, "at": 0.0}))
    return one_after_another(*steps, pause=pause)


def _given(release: Release) -> dict[str, object]:
    return {name: getattr(release, name) for name in release.model_fields_set}


def order_of(upgrades: Sequence[Upgrade]) -> list[str]:
    """What is wrong with `after` in these upgrades, in words: names that are not there, and circles."""
    named = {upgrade.called: upgrade for upgrade in upgrades}
    wrong = []
    for upgrade in upgrades:
        seen, at = {upgrade.called}, upgrade
        while at.after is not None:
            if at.after not in named:
                wrong.append(f"{at.called} comes after {at.after!r}, which is no upgrade; there are {', '.join(named)}")
                break
            at = named[at.after]
            if at.called in seen:
                wrong.append(f"{upgrade.called} waits for itself, by way of {at.called}")
                break
            seen.add(at.called)
    return list(dict.fromkeys(wrong))


def numbered(upgrades: Sequence[Upgrade], cluster: Cluster) -> tuple[Upgrade, ...]:
    """Return upgrades in order of time; those that would be called alike get numbers: rolling, rolling-2."""
    upgrades = [_sized(upgrade, cluster) for upgrade in upgrades]
    taken: set[str] = set()
    numbered: list[Upgrade] = []
    for upgrade in [
        *sorted((u for u in upgrades if u.after is None), key=lambda u: u.at),
        *(u for u in upgrades if u.after),
    ]:
        name, number = upgrade.called, 1
        while name in taken:
            number += 1
            name = f"{upgrade.called}-{number}"
        taken.add(name)
        numbered.append(upgrade if name == upgrade.name else upgrade.model_copy(update={"name": name}))
    return tuple(numbered)


def _sized(upgrade: Upgrade, cluster: Cluster) -> Upgrade:
    """A pool that is deployed has as many pods as it declares, if nothing else is said."""
    if isinstance(upgrade, Deploy) and upgrade.replicas is None:
        return upgrade.model_copy(update={"replicas": cluster.parts[upgrade.target].count})
    return upgrade
