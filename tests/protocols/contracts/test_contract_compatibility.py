"""Pairs of versions and plans of upgrades: plans found are safe when they are played, and no shorter one would do."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.protocols.contracts import Compatibility, Move, Step, check_plan, plan_for

NAMES = ("1", "2", "3")
PAIRS = [(a, b) for a in NAMES for b in NAMES]
START = {"web": "1", "api": "1"}


def contract(*works: tuple[str, str], adapted: tuple[tuple[str, str], ...] = ()) -> Compatibility:
    """Versions 1, 2 and 3 of both parts, of which these pairs work."""
    return Compatibility(
        caller="web",
        server="api",
        works={a: [b for c, b in works if c == a] for a in NAMES},
        adapter="shim" if adapted else None,
        adapted=adapted,
        server_versions=NAMES,
    )


@st.composite
def contracts(draw: st.DrawFn) -> Compatibility:
    works = draw(st.sets(st.sampled_from(PAIRS)))
    adapted = draw(st.sets(st.sampled_from(PAIRS)))
    return contract(*sorted(works), adapted=tuple(sorted(adapted)))


ENDS = (("1", "1"), ("2", "2"))


# ------------------------------------------------------------------------------------------- single pairs


def test_pairs_and_mapping_say_the_same() -> None:
    listed = Compatibility(caller="web", server="api", works=[["1", "1"], ["1", "2"], ["2", "2"]])
    mapped = Compatibility(caller="web", server="api", works={"1": ["1", "2"], 2: 2})
    assert listed == mapped
    assert [listed.allows(a, b) for a in "12" for b in "12"] == [True, True, False, True]
    assert Compatibility(**mapped.model_dump()) == mapped


def test_an_adapter_helps_while_it_is_there() -> None:
    both = contract(("1", "1"), adapted=(("1", "2"),))
    assert not both.allows("1", "2")
    assert both.allows("1", "2", adapter=True)
    assert both.allows("1", "1", adapter=True)  # what works without it works with it


def test_the_four_verdicts() -> None:
    forward = contract(("1", "1"), ("2", "2"), ("2", "1"))
    verdicts = forward.quadrants("1", "2")
    assert verdicts == (True, False, True, True)
    assert (verdicts.backward_compatible, verdicts.forward_compatible, verdicts.safe_by_rolling) == (False, True, False)
    assert forward.forward_compatible("1", "2") and not forward.backward_compatible("1", "2")
    assert forward.safe_by_rolling(("1", "1"), ("2", "1"))


@given(contracts(), st.sampled_from(NAMES), st.lists(st.floats(0, 5), min_size=3, max_size=3), st.booleans())
def test_what_fails_and_what_does_not_add_up(
    made: Compatibility, caller: str, weights: list[float], adapter: bool
) -> None:
    mix = dict(zip(NAMES, weights, strict=True))
    failing = made.failing_share(caller, mix, adapter)
    good = sum(n for version, n in mix.items() if made.allows(caller, version, adapter))
    assert 0 <= failing <= 1
    if sum(weights) > 0:
        assert failing + good / sum(weights) == pytest.approx(1.0)
        assert failing == pytest.approx(made.failing_share(caller, {v: 7 * n for v, n in mix.items()}, adapter))
    else:
        assert failing == 0.0
    assert made.failing_share(caller, mix, True) <= made.failing_share(caller, mix, False)


# ------------------------------------------------------------------------------------------------ plans


@pytest.mark.parametrize(
    ("more", "adapted", "names"),
    [
        ([("1", "2"), ("2", "1")], (), ["roll api 1 → 2", "roll web 1 → 2"]),
        ([("1", "2")], (), ["roll api 1 → 2", "roll web 1 → 2"]),
        ([("2", "1")], (), ["roll web 1 → 2", "roll api 1 → 2"]),
        ([], (("1", "2"),), ["deploy shim", "roll api 1 → 2", "roll web 1 → 2", "remove shim"]),
        ([], (("2", "1"),), ["deploy shim", "roll web 1 → 2", "roll api 1 → 2", "remove shim"]),
    ],
)
def test_the_plan_for_each_kind_of_incompatibility(more: list[tuple[str, str]], adapted: tuple, names: list) -> None:
    plan = plan_for(contract(("1", "1"), ("2", "2"), *more, adapted=adapted), "1", "2")
    assert [step.name for step in plan] == names
    assert all(step.reason for step in plan)


def test_a_version_between_makes_an_adapter_unnecessary() -> None:
    made = contract(("1", "1"), ("2", "2"), ("3", "1"), ("3", "2"), adapted=(("1", "2"),))
    plan = plan_for(made, "1", "2", via=["3"])
    assert [step.name for step in plan] == ["roll web 1 → 3", "roll api 1 → 2", "roll web 3 → 2"]
    assert len(plan_for(made, "1", "2")) == 4


def test_where_nothing_leads_it_says_what_is_missing() -> None:
    with pytest.raises(ModelError, match=r"web 1 with api 2 and web 2 with api 1 do not work; add an `adapter`"):
        plan_for(contract(("1", "1"), ("2", "2")), "1", "2")
    with pytest.raises(ModelError, match="web 2 cannot talk to api 2 at all"):
        plan_for(contract(("1", "1"), ("1", "2")), "1", "2")


def every_plan() -> list[tuple[Step, ...]]:
    """All orders of the steps there are between versions 1 and 2, of up to four."""
    api, web = Move("api", "1", "2"), Move("web", "1", "2")
    steps = [
        Step("api", moves=(api,)),
        Step("web", moves=(web,)),
        Step("deploy", deploys="shim"),
        Step("remove", removes="shim"),
    ]
    plans = [order for length in (2, 4) for order in permutations(steps, length)]
    return [plan for plan in plans if {"api", "web"} <= {step.name for step in plan} and fits(plan)]


def fits(plan: tuple[Step, ...]) -> bool:
    names = [step.name for step in plan]
    return "deploy" not in names or names.index("deploy") < names.index("remove")


@given(contracts())
@settings(deadline=None)
def test_a_plan_is_found_if_there_is_one_and_none_is_shorter(made: Compatibility) -> None:
    plans = [plan for plan in every_plan() if made.adapter or len(plan) == 2]
    safe = [len(plan) for plan in plans if all(check_plan([made], plan, START))]
    try:
        found = plan_for(made, *ENDS)
    except ModelError:
        assert not safe
    else:
        assert all(check_plan([made], found, START))
        assert len(found) == min(safe)


def played(made: Compatibility, plan: tuple[Step, ...], data: st.DataObject) -> list[tuple[str, str]]:
    """Roll three instances of each part step by step in a drawn order; the pairs that met and could not talk."""
    at = {part: [START[part]] * 3 for part in START}
    shim, met = False, []

    def call() -> None:
        a, b = data.draw(st.sampled_from(at["web"])), data.draw(st.sampled_from(at["api"]))
        if not made.allows(a, b, adapter=shim):
            met.append((a, b))

    for step in plan:
        shim = shim and step.removes is None
        todo = [(move, place) for move in step.moves for place in range(3)]
        for move, place in data.draw(st.permutations(todo)):
            call()
            at[move.part][place] = move.new
            call()
        call()
        shim = shim or step.deploys is not None
    return met


@given(contracts(), st.data())
@settings(deadline=None)
def test_a_plan_that_is_found_lets_no_wrong_pair_meet_however_it_is_played(
    made: Compatibility, data: st.DataObject
) -> None:
    try:
        plan = plan_for(made, *ENDS, via=data.draw(st.sampled_from([(), ("3",)])))
    except ModelError:
        return
    assert not played(made, plan, data)


@given(contracts(), st.data())
@settings(deadline=None)
def test_what_goes_wrong_in_play_was_foretold(made: Compatibility, data: st.DataObject) -> None:
    plan = data.draw(st.sampled_from([plan for plan in every_plan() if made.adapter or len(plan) == 2]))
    verdicts = check_plan([made], plan, START)
    broken = {(pair.caller_version, pair.server_version) for verdict in verdicts for pair in verdict.broken}
    assert set(played(made, plan, data)) <= broken


def test_both_at_once_lets_all_four_pairs_meet() -> None:
    made = contract(("1", "1"), ("2", "2"), ("1", "2"))
    at_once = Step("both", moves=(Move("api", "1", "2"), Move("web", "1", "2")))
    (verdict,) = check_plan([made], [at_once], START)
    assert len(verdict.pairs) == 4
    assert not verdict
    assert str(verdict) == "both: web 2 cannot talk to api 1"


@pytest.mark.parametrize(
    ("order", "convicted"),
    [
        ((1, 0), ["roll web 1 → 2", "roll api 1 → 2"]),  # the caller first, where the server had to go first
        ((0, 1), []),
    ],
)
def test_a_plan_in_the_wrong_order_is_convicted(order: tuple[int, ...], convicted: list[str]) -> None:
    made = contract(("1", "1"), ("2", "2"), ("1", "2"))
    plan = plan_for(made, "1", "2")
    verdicts = check_plan([made], [plan[place] for place in order], START)
    assert [verdict.step.name for verdict in verdicts if not verdict] == convicted


def test_an_adapter_that_goes_too_early_is_convicted() -> None:
    made = contract(("1", "1"), ("2", "2"), adapted=(("1", "2"),))
    deploy, api, web, remove = plan_for(made, "1", "2")
    verdicts = check_plan([made], [deploy, api, remove, web], START)
    assert [bool(verdict) for verdict in verdicts] == [True, True, False, False]


def test_a_chain_of_parts_is_judged_link_by_link() -> None:
    front = contract(("1", "1"), ("1", "2"), ("2", "2"))
    back = Compatibility(caller="api", server="db", works={"1": ["1"], "2": ["1", "2"]})
    plan = [Step("api", moves=(Move("api", "1", "2"),)), Step("db", moves=(Move("db", "1", "2"),))]
    start = {**START, "db": "1"}
    assert all(check_plan([front, back], plan, start))
    first, second = check_plan([front, back], [plan[1], plan[0]], start)
    assert str(first) == "db: api 1 cannot talk to db 2"
    assert not second


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"works": {1.3: ["1"]}}, "write versions in quotes"),
        ({"works": "1"}, "give a mapping from a caller's version"),
        ({"works": [["1"]]}, r"works\[0\]: got \['1'\]; a pair is"),
        ({"works": {"1": ["1", "1"]}}, r"works.1: got 1, 1; name each version once"),
        ({"works": {}}, "works: is empty"),
        ({"server": "web"}, "caller and server are two parts"),
        ({"adapted": {"1": ["2"]}}, "adapter: is missing"),
        ({"adapter": "shim"}, "adapted: is empty"),
        ({"adapter": "api", "adapted": {"1": ["2"]}}, "adapter: got 'api'; the adapter is a part between"),
        ({"work": {}}, "did you mean 'works'"),
    ],
)
def test_a_wrong_contract_says_what_is_wrong(given_: dict, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Compatibility(**{"caller": "web", "server": "api", "works": {"1": ["1"]}, **given_})


def test_wrong_questions_say_what_is_wrong() -> None:
    made = Compatibility(caller="web", server="api", works={"v10": ["v10"], "v11": ["v10"]})
    with pytest.raises(ModelError, match=r"caller_version: got 'v12'; versions are v10, v11; did you mean"):
        made.allows("v12", "v10")
    with pytest.raises(ModelError, match="server_version: got 'v11'; versions are v10"):
        made.failing_share("v10", {"v11": 1.0})
    with pytest.raises(ModelError, match=r"server_mix.v10: got -1; give a share"):
        made.failing_share("v10", {"v10": -1})
    with pytest.raises(ModelError, match="old: got"):
        made.quadrants(("v10", "v10", "v10"), "v10")  # type: ignore[arg-type]


def test_wrong_plans_say_what_is_wrong() -> None:
    made = contract(("1", "1"), ("1", "2"), adapted=(("2", "1"),))
    with pytest.raises(ModelError, match=r"plan\[0\]: moves api 2 → 3, and api is at 1"):
        check_plan([made], [Step("x", moves=(Move("api", "2", "3"),))], START)
    with pytest.raises(ModelError, match="moves 'apy'; parts are web, api; did you mean 'api'"):
        check_plan([made], [Step("x", moves=(Move("apy", "1", "2"),))], START)
    with pytest.raises(ModelError, match="got the adapter 'shin'; adapters are shim; did you mean"):
        check_plan([made], [Step("x", deploys="shin")], START)
    with pytest.raises(ModelError, match="removes 'shim', which is not there"):
        check_plan([made], [Step("x", removes="shim")], START)
    with pytest.raises(ModelError, match="deploys 'shim', which is there already"):
        check_plan([made], [Step("x", deploys="shim")] * 2, START)
    with pytest.raises(ModelError, match="start: has no version of 'api'"):
        check_plan([made], [], {"web": "1"})
