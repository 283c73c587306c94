"""Changing the form of stored data while services run: the steps, and whether each is safe beside its neighbours.

A rolling upgrade lets two neighbouring versions run side by side, so each must read whatever the other may have
written, in every form that can exist by then. `check_steps` looks at every state that an item can get into, writes of
all versions present and conversions falling in any order, and says for each step which reads would go wrong, and which
earlier versions could still come back. The first step after which the version of the beginning cannot is the point of
no return.

| step of `expand_contract` | version | reads | writes | the first version could come back |
|---|---|---|---|---|
| 1 expand: add the new form | v1 | old | old | yes |
| 2 write both | v2 | old | old, new | yes |
| 3 backfill what v1 has written | v2 | old | old, new | yes |
| 4 read new | v3 | new | old, new | yes |
| 5 write new only | v4 | new | new | no: it would read old values |
| 6 contract: drop the old form | v4 | new | new | no: it could read nothing |

After Sato, ParallelChange (2014), and Ambler and Sadalage, Refactoring Databases (2006).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, Problem, nearest
from hasim.protocols.contracts.records import Outcome
from hasim.protocols.contracts.schema import Access, DataContract, Form, Store
from hasim.protocols.contracts.versions import Version


class MigrationStep(Declared):
    """One step of a change of stored data: a form comes, items are converted, a version is rolled, a form goes.

    The form that comes is there first, and the form that goes is removed once all items are converted. Meanwhile the
    service runs, in the version before and, if another is rolled, in both. With `stopped` nothing runs until all is
    done, and then the new version alone.
    """

    name: Annotated[str, Field(min_length=1)] = Field(description="What the step is called.")
    reason: str = Field(default="", description="What it is for.")
    adds: Form | None = Field(default=None, description="A form that can be written from now on.")
    backfills: tuple[Form, Form] | None = Field(
        default=None, description="Convert all items [from this form, to that form]."
    )
    rolls: Version | None = Field(default=None, description="The version that is rolled out; left out: it stays.")
    drops: Form | None = Field(default=None, description="A form that is removed from the schema and all items.")
    stopped: bool = Field(default=False, strict=True, description="The service is stopped while the step is done.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.adds is None and self.backfills is None and self.rolls is None and self.drops is None:
            raise ValueError("does nothing; give adds, backfills, rolls or drops")
        if self.backfills is not None and self.backfills[0] == self.backfills[1]:
            raise ModelError.of([at(("backfills",), f"got {self.backfills[0]!r} twice; give two different forms")])
        return self


class Migration(NamedTuple):
    """A change of stored data: the versions with their forms, and the steps; it starts with the first version."""

    contract: DataContract
    steps: tuple[MigrationStep, ...]


class Finding(NamedTuple):
    """Something that can go wrong: which version would meet an item like what, and what would come of it.

    `item` has the forms of the item; those whose value is not the newest are marked with a *.
    """

    version: str
    outcome: Outcome | Literal["refused"]
    item: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.outcome == "refused":
            return f"{self.version} writes {', '.join(self.item)}, which is not there"
        has = f"with {', '.join(self.item)}" if self.item else "without any form"
        return f"{self.version} finds an item {has}: {self.outcome}"


@dataclass(frozen=True)
class MigrationVerdict:
    """What can happen during and right after one step; true if nothing can go wrong.

    `together` are the versions that run during it, `returns` the earlier versions that could take over after it,
    whatever was written.
    """

    step: MigrationStep
    together: tuple[str, ...]
    findings: tuple[Finding, ...]
    returns: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether nothing can go wrong."""
        return not self.findings

    def __str__(self) -> str:
        """Say it in one line."""
        beside = " and ".join(self.together) or "nothing running"
        return f"{self.step.name} ({beside}): {'; '.join(map(str, self.findings)) or 'safe'}"


@dataclass(frozen=True)
class MigrationReport:
    """The verdicts on all steps of a migration, and its point of no return; true if every step is safe.

    `point_of_no_return` is the first step after which the version of the beginning could not take over any more, since
    there may be an item that it cannot read or whose newest value it does not see; None if it always could.
    """

    verdicts: tuple[MigrationVerdict, ...]
    point_of_no_return: MigrationStep | None

    def __bool__(self) -> bool:
        """Whether every step is safe."""
        return all(self.verdicts)

    def __str__(self) -> str:
        """Give one line for each step, then the point of no return."""
        step = self.point_of_no_return
        last = f"the point of no return is {step.name!r}" if step else "there is no point of no return"
        return "\n".join([*map(str, self.verdicts), last])


def expand_contract(old: str = "old", new: str = "new", items: int = 1000, store: Store = "columns") -> Migration:
    """Return the change from one form to another in six steps, each safe beside the one before and after."""
    versions = {
        "v1": Access(reads=(old,), writes=(old,)),
        "v2": Access(reads=(old,), writes=(old, new)),
        "v3": Access(reads=(new,), writes=(old, new)),
        "v4": Access(reads=(new,), writes=(new,)),
    }
    steps = (
        MigrationStep(name="expand", adds=new, reason="the new form can be written; nobody does yet"),
        MigrationStep(name="write both", rolls="v2", reason="what is written from now on has both forms"),
        MigrationStep(name="backfill", backfills=(old, new), reason="what was written before gets the new form, too"),
        MigrationStep(name="read new", rolls="v3", reason="every item has it; the old form is kept for the way back"),
        MigrationStep(name="write new only", rolls="v4", reason="nobody reads the old form any more"),
        MigrationStep(name="contract", drops=old, reason="nobody reads or writes the old form any more"),
    )
    return Migration(DataContract(items=items, forms=(old, new), versions=versions, store=store), steps)


def big_bang(
    old: str = "old", new: str = "new", items: int = 1000, store: Store = "columns", stopped: bool = False
) -> Migration:
    """Return the change from one form to another in a single step: conversion, new version and removal at once.

    Rolled out it lets both versions meet items in either form, and both fail; with `stopped` it is safe, for the price
    of an outage as long as the conversion. Either way there is no way back.
    """
    versions = {"v1": Access(reads=(old,), writes=(old,)), "v2": Access(reads=(new,), writes=(new,))}
    step = MigrationStep(name="big bang", adds=new, backfills=(old, new), rolls="v2", drops=old, stopped=stopped)
    return Migration(DataContract(items=items, forms=(old, new), versions=versions, store=store), (step,))


# ------------------------------------------------------------------------------------------------ the check

_Item = tuple[int, ...]
"""How old the value in each form is: 0 no value, 1 the newest, 2 the one before among those that are still there …"""

_Change = Callable[[_Item], _Item]


def check_steps(contract: DataContract, steps: Sequence[MigrationStep], start: str | None = None) -> MigrationReport:
    """Try every order of writes and conversions at each step, and say what can go wrong and where the way back ends.

    `start` is the version that runs at first; left out, the first of the contract. One item is enough to look at: items
    know nothing of one another.
    """
    versions = contract.versions
    version = next(iter(versions)) if start is None else start
    _checked(contract, steps, version)
    began, earlier = version, [version]
    there = set(contract.forms if contract.store == "documents" else contract.stored)
    items = {tuple(1 if form in contract.stored else 0 for form in contract.forms)}
    verdicts: list[MigrationVerdict] = []
    point = None
    for step in steps:
        after = version if step.rolls is None else step.rolls
        there |= {step.adds} if step.adds is not None else set()
        together = () if step.stopped else tuple(dict.fromkeys((version, after)))
        findings, items = _played(contract, step, together, after, there, items)
        if contract.store == "columns":
            there.discard(step.drops or "")
        if after not in earlier:
            earlier.append(after)
        returns = tuple(v for v in earlier if v != after and not _wrong(contract, [v], there, items))
        verdicts.append(MigrationVerdict(step, together, findings, returns))
        if point is None and began != after and began not in returns:
            point = step
        version = after
    return MigrationReport(tuple(verdicts), point)


def _played(
    contract: DataContract,
    step: MigrationStep,
    together: tuple[str, ...],
    after: str,
    there: set[str],
    items: set[_Item],
) -> tuple[tuple[Finding, ...], set[_Item]]:
    """What can go wrong during a step and once it is done, and the states that items can be in by then."""
    convert, drop = _conversion(contract, step), _removal(contract, step)
    columns = contract.store == "columns"
    kept = there - {step.drops} if columns and step.drops is not None else there
    during = _closure(items, [*_writing_all(contract, together, there), convert])
    findings = dict.fromkeys(_wrong(contract, together, there, during))
    if step.backfills is not None:
        # A conversion goes over each item once: what is written after its turn stays as it is written.
        during = _closure(map(convert, during), _writing_all(contract, together, there))
    # The roll may still be under way when the form goes.
    gone = _closure(map(drop, during), _writing_all(contract, (*together, after), kept))
    findings.update(dict.fromkeys(_wrong(contract, dict.fromkeys((*together, after)), kept, gone)))
    return tuple(findings), gone


def _closure(items: Iterable[_Item], changes: Sequence[_Change]) -> set[_Item]:
    """All states that these changes can lead to, in any order and number."""
    found = set(items)
    waiting = list(found)
    while waiting:
        item = waiting.pop()
        for change in changes:
            changed = change(item)
            if changed not in found:
                found.add(changed)
                waiting.append(changed)
    return found


def _wrong(contract: DataContract, versions: Iterable[str], there: set[str], items: set[_Item]) -> list[Finding]:
    """What these versions would find wrong with items in these states; one example of each kind."""
    findings: list[Finding] = []
    for version in versions:
        access = contract.versions[version]
        missing = tuple(form for form in access.writes if form not in there)
        if missing:
            findings.append(Finding(version, "refused", missing))
        places = [contract.forms.index(form) for form in access.reads]
        met: dict[Outcome, _Item] = {}
        for item in sorted(items):
            age = next((item[place] for place in places if item[place]), 0)
            if age != 1:
                met.setdefault("stale" if age else "unreadable", item)
        findings += [Finding(version, outcome, _described(contract, item)) for outcome, item in sorted(met.items())]
    return findings


def _described(contract: DataContract, item: _Item) -> tuple[str, ...]:
    return tuple(f"{form}{'' if age == 1 else '*'}" for form, age in zip(contract.forms, item, strict=True) if age)


def _compressed(ages: Iterable[int]) -> _Item:
    """The same order of ages with the smallest numbers; the newest value keeps its 1, also when no form has it."""
    listed = tuple(ages)
    old = {age: rank for rank, age in enumerate(sorted({age for age in listed if age > 1}), start=2)}
    return tuple(old.get(age, age) for age in listed)


def _writing(contract: DataContract, access: Access) -> _Change:
    places = {contract.forms.index(form) for form in access.writes}
    kept = contract.store == "columns"

    def write(item: _Item) -> _Item:
        if not places:
            return item
        return _compressed(1 if place in places else (age + 1 if kept and age else 0) for place, age in enumerate(item))

    return write


def _writing_all(contract: DataContract, versions: Iterable[str], there: set[str]) -> list[_Change]:
    """The writes of these versions, those that would be refused left out."""
    accesses = [contract.versions[version] for version in versions]
    return [_writing(contract, access) for access in accesses if there.issuperset(access.writes)]


def _conversion(contract: DataContract, step: MigrationStep) -> _Change:
    if step.backfills is None:
        return lambda item: item
    source, target = (contract.forms.index(form) for form in step.backfills)

    def convert(item: _Item) -> _Item:
        if item[source] and (not item[target] or item[target] > item[source]):
            return _compressed(item[source] if place == target else age for place, age in enumerate(item))
        return item

    return convert


def _removal(contract: DataContract, step: MigrationStep) -> _Change:
    if step.drops is None:
        return lambda item: item
    gone = contract.forms.index(step.drops)
    return lambda item: _compressed(0 if place == gone else age for place, age in enumerate(item))


def _checked(contract: DataContract, steps: Sequence[MigrationStep], start: str) -> None:
    """Refuse steps that name forms or versions which the contract does not have."""
    wrong: list[Problem] = []

    def check(loc: tuple[str | int, ...], name: str | None, allowed: Iterable[str], what: str) -> None:
        listed = list(allowed)
        if name is not None and name not in listed:
            wrong.append(at(loc, f"got {name!r}; {what} are {', '.join(listed)}{nearest(name, listed)}"))

    check(("start",), start, contract.versions, "versions")
    there = set(contract.forms if contract.store == "documents" else contract.stored)
    for number, step in enumerate(steps):
        check(("steps", number, "rolls"), step.rolls, contract.versions, "versions")
        check(("steps", number, "adds"), step.adds, contract.forms, "forms")
        check(("steps", number, "drops"), step.drops, contract.forms, "forms")
        for place, form in enumerate(step.backfills or ()):
            check(("steps", number, "backfills", place), form, contract.forms, "forms")
        there |= {step.adds} if step.adds is not None else set()
        if step.backfills is not None and step.backfills[1] in contract.forms and step.backfills[1] not in there:
            said = f"got {step.backfills[1]!r}, which is not there by then; add it first"
            wrong.append(at(("steps", number, "backfills", 1), said))
        if contract.store == "columns":
            there.discard(step.drops or "")
    if wrong:
        raise ModelError.of(wrong)
