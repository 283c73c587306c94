"""Stored items and changes of their form: what the check says is what happens, whatever the order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.protocols.contracts import (
    Access,
    DataContract,
    Migration,
    MigrationStep,
    Records,
    big_bang,
    check_steps,
    expand_contract,
)
from hasim.protocols.contracts import migration as migration_module
from hasim.protocols.contracts.records import OUTCOMES

FORMS = ("old", "new", "newer")
STORES = ("columns", "documents")
ITEMS = 4


# --------------------------------------------------------------------------------------------- one by one


def test_a_value_that_only_the_other_form_has_is_a_lost_update() -> None:
    records = Records(expand_contract(items=2).contract)
    records.expand("new")
    assert records.write(0, "v2") and records.read(0, "v4") == "ok"
    assert records.write(0, "v1")  # leaves the new form as it is
    assert records.read(0, "v4") == "stale" and records.read(0, "v1") == "ok"
    assert records.read(1, "v4") == "unreadable"
    assert (records.unreadable_by("v4"), records.stale_for("v4"), records.rollback_safe("v4")) == (1, 1, False)
    assert records.unconverted("old", "new") == 2
    assert records.backfill("old", "new", 10) == 2
    assert records.rollback_safe("v4") and records.rollback_safe("v1")
    assert records.met == {("v4", "ok"): 1, ("v4", "stale"): 1, ("v1", "ok"): 1, ("v4", "unreadable"): 1}


def test_a_document_loses_what_its_writer_does_not_know() -> None:
    records = Records(expand_contract(items=1, store="documents").contract)
    records.write(0, "v2")
    assert records.counts() == {("old", "new"): 1}
    records.write(0, "v1")
    assert records.counts() == {("old",): 1}
    assert records.read(0, "v4") == "unreadable"


def test_what_is_not_there_cannot_be_written() -> None:
    records = Records(expand_contract(items=3).contract)
    assert not records.write(0, "v2")
    assert records.write_all([0, 1], "v2") == 0
    assert records.refused == {"v2": 3}
    assert records.counts() == {("old",): 3}
    records.expand("new")
    assert records.write(0, "v2")
    assert not Records(expand_contract().contract).rollback_safe("v2")  # it reads all, and could write nothing


def test_dropping_a_form_loses_the_values_that_nobody_converted() -> None:
    records = Records(expand_contract(items=3).contract)
    records.expand("new")
    records.backfill("old", "new", 1)
    assert records.newest_in("new") == 1
    assert records.drop("old") == 2
    assert records.counts() == {(): 2, ("new",): 1}
    assert records.there == ("new",)


def test_a_version_reads_the_form_it_prefers() -> None:
    made = DataContract(items=1, forms=FORMS[:2], versions={"a": {"reads": ["new", "old"]}, "b": {"reads": "old"}})
    records = Records(made)
    assert records.read(0, "a") == "ok"  # falls back
    assert records.write(0, "a")  # it only reads: nothing changes
    assert records.counts() == {("old",): 1}


contract_of_three = st.builds(
    lambda accesses, store: DataContract(
        items=ITEMS, forms=FORMS, versions=dict(zip("abc", accesses, strict=True)), store=store
    ),
    st.lists(
        st.builds(
            Access,
            reads=st.lists(st.sampled_from(FORMS), min_size=1, max_size=2, unique=True),
            writes=st.lists(st.sampled_from(FORMS), max_size=3, unique=True),
        ),
        min_size=3,
        max_size=3,
    ),
    st.sampled_from(STORES),
)


@given(contract_of_three, st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, ITEMS - 1), max_size=5))))
@settings(deadline=None)
def test_many_at_once_is_one_after_another(made: DataContract, batches: list[tuple[str, list[int]]]) -> None:
    one, many = Records(made), Records(made)
    for records in (one, many):
        records.expand("new")
    for version, items in batches:
        assert many.write_all(items, version) == sum(one.write(item, version) for item in items)
        found = many.read_all(range(ITEMS), version)
        assert [OUTCOMES[place] for place in found] == [one.read(item, version) for item in range(ITEMS)]
        assert many.counts() == one.counts() and sum(one.counts().values()) == ITEMS
        assert many.unreadable_by(version) == list(found).count(2)
        assert many.stale_for(version) == list(found).count(1)
    assert many.met == one.met and many.refused == one.refused


# ------------------------------------------------------------------------------- played in a drawn order


def play(
    migration: Migration,
    data: st.DataObject,
    records: Records,
    watch: Callable[[MigrationStep, Records], None] = lambda step, records: None,
) -> None:
    """Play all steps, writes, reads and conversions falling in a drawn order; `watch` looks after each event."""
    version = next(iter(migration.contract.versions))
    for step in migration.steps:
        after = step.rolls or version
        running = [version, after]
        if step.adds:
            records.expand(step.adds)
        for item, kind, runs in data.draw(
            st.lists(st.tuples(st.integers(0, ITEMS - 1), st.sampled_from("wrb"), st.sampled_from(running)), max_size=8)
        ):
            if kind == "b" and step.backfills:
                records.backfill(*step.backfills, 1)
            elif kind == "w" and not step.stopped:
                records.write(item, runs)
            elif not step.stopped:
                records.read(item, runs)
            watch(step, records)
        if step.backfills:
            while records.unconverted(*step.backfills):
                records.backfill(*step.backfills, 2)
        if step.drops:
            records.drop(step.drops)
        for item in range(ITEMS):
            records.read(item, after)
        watch(step, records)
        version = after


def errors(records: Records) -> int:
    return sum(count for (_, outcome), count in records.met.items() if outcome != "ok") + sum(records.refused.values())


@pytest.mark.parametrize("store", STORES)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_expand_and_contract_never_errs_and_can_go_back_until_its_point_of_no_return(
    store: Any, data: st.DataObject
) -> None:
    migration = expand_contract(items=ITEMS, store=store)
    report = check_steps(*migration)
    assert report
    assert report.point_of_no_return is not None and report.point_of_no_return.name == "write new only"
    turn = migration.steps.index(report.point_of_no_return)

    def watch(step: MigrationStep, records: Records) -> None:
        if migration.steps.index(step) < turn:
            assert records.rollback_safe("v1")

    records = Records(migration.contract)
    play(migration, data, records, watch)
    assert not errors(records)


def test_the_way_back_ends_with_the_first_write_of_the_new_form_alone() -> None:
    records = Records(expand_contract(items=2).contract)
    records.expand("new")
    records.backfill("old", "new", 2)
    assert records.rollback_safe("v1")
    records.write(1, "v4")
    assert not records.rollback_safe("v1")
    assert (records.stale_for("v1"), records.unreadable_by("v1")) == (1, 0)
    records.drop("old")
    assert records.unreadable_by("v1") == 2
    assert records.rollback_safe("v4")


@pytest.mark.parametrize("store", STORES)
def test_a_big_bang_errs_with_both_versions_present(store: Any) -> None:
    migration = big_bang(items=ITEMS, store=store)
    report = check_steps(*migration)
    assert not report and report.point_of_no_return is migration.steps[0]
    found = {(finding.version, finding.outcome) for finding in report.verdicts[0].findings}
    assert {("v2", "unreadable"), ("v1", "unreadable")} <= found
    records = Records(migration.contract)
    records.expand("new")
    assert records.read(0, "v2") == "unreadable"  # not yet converted
    records.backfill("old", "new", ITEMS)
    records.write(0, "v2")
    assert records.read(0, "v1") == ("stale" if store == "columns" else "unreadable")


@pytest.mark.parametrize("store", STORES)
@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_a_big_bang_while_nothing_runs_is_safe_and_final(store: Any, data: st.DataObject) -> None:
    migration = big_bang(items=ITEMS, store=store, stopped=True)
    report = check_steps(*migration)
    assert report and report.point_of_no_return is migration.steps[0]
    records = Records(migration.contract)
    play(migration, data, records)
    assert not errors(records)
    assert not records.rollback_safe("v1")


def safe(contract: DataContract, steps: Iterable[MigrationStep]) -> bool:
    """Whether the check lets these steps pass; a conversion into a form that is not there does not."""
    try:
        return bool(check_steps(contract, list(steps)))
    except ModelError:
        return False


def test_every_other_order_of_the_six_steps_is_convicted() -> None:
    contract, steps = expand_contract()
    orders = [order for order in permutations(steps) if safe(contract, order)]
    assert [[step.name for step in order] for order in orders] == [[step.name for step in steps]]


@pytest.mark.parametrize("left_out", ["expand", "write both", "backfill", "read new", "write new only"])
def test_a_step_that_is_left_out_is_convicted(left_out: str) -> None:
    contract, steps = expand_contract()
    assert not safe(contract, [step for step in steps if step.name != left_out])


# ------------------------------------------------------------------------- the check against every order


def looks_like(records: Records) -> tuple[Any, ...]:
    """All that can be told of one item: which forms it has, which is the newest, which is newer than which."""
    forms = records.contract.forms
    behind = tuple(records.unconverted(a, b) for a in forms for b in forms if a != b)
    return (*records.counts(), tuple(records.newest_in(form) for form in forms), behind, records.there)


def everywhere(begin: Iterable[Records], acts: list[Callable[[Records], object]]) -> list[Records]:
    """Every state that these acts lead to, each tried in every order."""
    found = {looks_like(records): records for records in begin}
    waiting = list(found.values())
    while waiting:
        records = waiting.pop()
        for act in acts:
            changed = copy.deepcopy(records)
            act(changed)
            if looks_like(changed) not in found:
                found[looks_like(changed)] = changed
                waiting.append(changed)
    return list(found.values())


def met(states: list[Records], versions: Iterable[str]) -> set[tuple[str, str]]:
    found = set()
    for version in versions:
        for state in states:
            tried = copy.deepcopy(state)
            outcome = tried.read(0, version)
            if outcome != "ok":
                found.add((version, outcome))
            if not tried.write(0, version):
                found.add((version, "refused"))
    return found


def every_order(contract: DataContract, steps: list[MigrationStep]) -> list[tuple[set[tuple[str, str]], set[str]]]:
    """Play one item in every order: what each step lets go wrong, and which versions could take over after it."""
    version = next(iter(contract.versions))
    states, seen, result = [Records(contract)], [version], []
    for step in steps:
        after = step.rolls or version
        running = [] if step.stopped else [version, after]
        writes: list[Callable[[Records], object]] = [lambda r, v=v: r.write(0, v) for v in running]  # type: ignore[misc]
        if step.adds:
            for state in states:
                state.expand(step.adds)
        convert: list[Callable[[Records], object]] = []
        if step.backfills:
            convert = [lambda r, b=step.backfills: r.backfill(*b, 1)]  # type: ignore[misc]
        states = everywhere(states, writes + convert)
        wrong = met(states, running)
        if step.backfills:
            for state in states:
                convert[0](state)
            states = everywhere(states, writes)
        if step.drops:
            for state in states:
                state.drop(step.drops)
        states = everywhere(states, [*writes, lambda r, v=after: r.write(0, v)])  # type: ignore[misc]
        wrong |= met(states, [*running, after])
        seen.append(after)
        result.append((wrong, {v for v in seen if v != after and all(s.rollback_safe(v) for s in states)}))
        version = after
    return result


a_form = st.sampled_from(FORMS)
a_step = st.builds(
    lambda rolls, backfills, drops, stopped: (
        MigrationStep(name="step", rolls=rolls, backfills=backfills, adds=backfills[1], drops=drops, stopped=stopped)
        if backfills
        else MigrationStep(name="step", rolls=rolls, adds="new", drops=drops, stopped=stopped)
    ),
    st.sampled_from([None, "a", "b", "c"]),
    st.one_of(st.none(), st.tuples(a_form, a_form).filter(lambda pair: pair[0] != pair[1])),
    st.one_of(st.none(), st.none(), a_form),
    st.booleans(),
)


@given(contract_of_three, st.lists(a_step, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_the_check_says_just_what_some_order_leads_to(contract: DataContract, steps: list[MigrationStep]) -> None:
    agree(contract.model_copy(update={"items": 1}), steps)


def agree(contract: DataContract, steps: list[MigrationStep]) -> None:
    report = check_steps(contract, steps)
    told = [
        ({(finding.version, finding.outcome) for finding in verdict.findings}, set(verdict.returns))
        for verdict in report.verdicts
    ]
    assert told == every_order(contract, steps)


# --------------------------------------------------------------------------------------------- planted bugs


class _OverwritingBackfill(Records):
    """Converts items over newer values, as a conversion that does not look does."""

    def backfill(self, from_form: str, to_form: str, count: int) -> int:
        source, target = self._column[from_form], self._column[to_form]
        chosen = np.flatnonzero(self._written[source] > 0)[:count]
        self._written[target, chosen] = 1  # what it read long ago
        return len(chosen)


class _ForgetfulWrite(Records):
    """Writes only the first of several forms."""

    def write(self, item: int, version: str) -> bool:
        done = super().write(item, version)
        for form in self.contract.versions[version].writes[1:]:
            self._written[self._column[form], item] -= 1
        return done


@pytest.mark.parametrize(("kind", "right"), [(Records, True), (_OverwritingBackfill, False), (_ForgetfulWrite, False)])
def test_a_conversion_beside_writers_convicts_a_planted_bug(kind: type[Records], right: bool) -> None:
    records = kind(expand_contract(items=1).contract)
    records.expand("new")
    found = []
    for act in (lambda: records.write(0, "v2"), lambda: records.backfill("old", "new", 1)):
        act()
        found.append(records.read(0, "v3"))
    assert (found == ["ok", "ok"]) is right


@pytest.mark.parametrize("name", ["_conversion", "_writing", "_removal"])
def test_the_comparison_convicts_a_check_that_forgets_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations = [expand_contract(items=1), big_bang(items=1), big_bang(items=1, stopped=True)]
    for contract, steps in migrations:
        agree(contract, list(steps))
    monkeypatch.setattr(migration_module, name, lambda contract, given: lambda item: item)
    with pytest.raises(AssertionError):
        for contract, steps in migrations:
            agree(contract, list(steps))


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"items": 0}, "items: got 0; give a whole number from 1"),
        ({"forms": ["old", "old"]}, "forms: names 'old' twice"),
        ({"forms": list("abcdefg"), "versions": {"1": {"reads": "a"}}}, "forms: got"),
        ({"versions": {"1": {"reads": "olt"}}}, r"versions.1.reads: got 'olt'; forms are old, new; did you mean 'old'"),
        ({"versions": {"1": {"reads": []}}}, r"versions.1.reads: got \(\)|versions.1.reads: got \[\]"),
        ({"versions": {"1": {"read": "old"}}}, "did you mean 'reads'"),
        ({"stored": "olt"}, "stored: got 'olt'"),
        ({"store": "column"}, "did you mean 'columns'"),
    ],
)
def test_a_wrong_contract_says_what_is_wrong(given_: dict[str, Any], said: str) -> None:
    fields = {"items": 1, "forms": ["old", "new"], "versions": {"1": {"reads": "old"}}, **given_}
    with pytest.raises(ModelError, match=said):
        DataContract(**fields)


def test_wrong_steps_say_what_is_wrong() -> None:
    contract = expand_contract().contract
    with pytest.raises(ModelError, match="does nothing"):
        MigrationStep(name="x")
    with pytest.raises(ModelError, match=r"steps\[0\].rolls: got 'v9'; versions are v1, v2, v3, v4"):
        check_steps(contract, [MigrationStep(name="x", rolls="v9")])
    with pytest.raises(ModelError, match=r"steps\[0\].drops: got 'olt'; forms are old, new; did you mean 'old'"):
        check_steps(contract, [MigrationStep(name="x", drops="olt")])
    with pytest.raises(ModelError, match="give two different forms"):
        MigrationStep(name="x", backfills=("old", "old"))
    with pytest.raises(ModelError, match="start: got 'v0'"):
        check_steps(contract, [], start="v0")


def test_wrong_questions_say_what_is_wrong() -> None:
    records = Records(expand_contract(items=3).contract)
    for wrong, said in [
        (lambda: records.read(3, "v1"), "item: got 3; items are 0 to 2"),
        (lambda: records.write(-1, "v1"), "item: got -1; items are 0 to 2"),
        (lambda: records.read(0, "v9"), "version: got 'v9'; versions are v1, v2, v3, v4"),
        (lambda: records.read_all([0, 3], "v1"), "items: got 0 to 3; items are 0 to 2"),
        (lambda: records.write_all([0.5], "v1"), "give a list of whole numbers"),
        (lambda: records.backfill("old", "new", 1), "to_form: got 'new', which is not there; there are old"),
        (lambda: records.backfill("old", "old", -1), "count: got -1"),
        (lambda: records.drop("olt"), "form: got 'olt'; forms are old, new; did you mean 'old'"),
    ]:
        with pytest.raises(ModelError, match=said):
            wrong()
