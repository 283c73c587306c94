"""Planned releases in a model: what they say, what is refused, and what each engine makes of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import jsonschema
import pytest
from scipy import stats

import hasim as ha
from hasim.model.schema import model_schema
from hasim.model.system import compile_system
from hasim.model.upgrades.calendar import groups_out
from hasim.model.yaml_reader import read_yaml

WEEK = 7 * 86400.0
DAY = 86400.0

STRATEGIES = [
    ha.Rolling("api", surge=1, unavailable="25%"),
    ha.Recreate("api", min_ready="5s"),
    ha.Ordered("api", repairs=True),
    ha.PerNode("api"),
    ha.InPlace("api", batch="50%", gate="balancer"),
    ha.AllAtOnce("api"),
    ha.BlueGreen("api", keep="10m", tests="1m", catches="50%"),
    ha.Canary("api", steps=[{"share": "5%", "bake": "10m"}], analysis=ha.Analysis()),
    ha.Window("api", lasting="1h"),
]


def model(upgrade: Any = None, replicas: int = 3, **more: Any) -> ha.Cluster:
    releases = {"upgrade": upgrade or ha.Rolling("api", surge=0, unavailable=1), "every": "7d", **more}
    serving = ha.Serving(takes="10ms", slots=4, start_up={"fixed": "20s"})
    parts = {"lb": ha.Balancer(to="api"), "api": ha.Pool(replicas=replicas, required=2, serving=serving)}
    return ha.Cluster(name="x", parts=parts, up=["lb", "api"], upgrades={"weekly": releases})


# ------------------------------------------------------------------------------------------- as text


@pytest.mark.parametrize("upgrade", STRATEGIES, ids=lambda upgrade: upgrade.kind)
def test_every_strategy_comes_back_from_a_file(upgrade: Any) -> None:
    release = ha.Release(bad="5%", errors="30%", never_ready="10%", slower=2.0)
    watched = ha.Detection(takes={"lognormal": {"mean": "1h", "median": "10m"}}, rollback="human", decide="5m")
    cluster = model(upgrade.model_copy(update={"release": release, "detection": watched}), first="3d")
    text = cluster.to_yaml()
    assert ha.loads(text) == cluster
    jsonschema.validate(read_yaml(text).data, model_schema(), jsonschema.Draft202012Validator)


def test_what_was_measured_comes_back_from_a_file() -> None:
    outage = {"mixture": [{"weight": "90%", "law": "2m"}, {"weight": "10%", "law": {"empirical": {"data": ["1s"]}}}]}
    measured = ha.Measured(
        missing=["3m", "0s", "250ms"], chance="5%", outage=outage, cost=["1s", "3m"], level=0.9, runs=200, seed=7,
        load="users", rate=12.5,
    )  # fmt: skip
    cluster = model(measured=measured)
    assert ha.loads(cluster.to_yaml()) == cluster
    data = read_yaml(cluster.to_yaml()).data
    jsonschema.validate(data, model_schema(), jsonschema.Draft202012Validator)
    assert data["upgrades"]["weekly"]["measured"]["missing"] == ["3m", "0s", "250ms"]


def test_releases_come_every_so_often_or_so_many_a_month() -> None:
    assert model().upgrades["weekly"].first_s == WEEK / 2
    assert model(first="1h").upgrades["weekly"].first_s == 3600
    monthly = model(every=None, per_month=8.0).upgrades["weekly"]
    assert monthly.every_s == 30 * DAY / 8 and monthly.a_month == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"per_month": 4.0}, r"upgrades\.weekly: got both of every and per_month"),
        ({"every": None}, r"upgrades\.weekly: got neither of every and per_month"),
        ({"every": "0s"}, r"upgrades\.weekly\.every"),
        ({"upgrade": ha.Rolling("api", at="1h")}, r"weekly\.upgrade\.at: a calendar says when"),
        ({"upgrade": ha.Rolling("api", name="x")}, r"weekly\.upgrade\.name: a calendar says what it is called"),
        ({"upgrade": ha.Rolling("api", after="x")}, r"weekly\.upgrade\.after: a calendar says when"),
        ({"upgrade": ha.Rolling("apo")}, r"weekly\.upgrade\.target: got 'apo'.*did you mean 'api'"),
        ({"upgrade": ha.Remove("api")}, r"weekly\.upgrade\.target: got remove; a calendar has releases of a pool"),
        ({"upgrade": "rolling"}, r"weekly\.upgrade: got 'rolling'; write a mapping with a kind"),
        ({"upgrade": {"target": "api"}}, r"weekly\.upgrade: has no kind"),
        ({"upgrade": {"kind": "roling", "target": "api"}}, r"did you mean 'rolling'"),
        ({"measured": {"missing": ["8d"]}}, r"weekly\.measured\.missing: got 8 d in all"),
        ({"measured": {"missing": ["1s"] * 4}}, r"weekly\.measured\.missing: got times for up to 4 missing members"),
        ({"measured": {"chance": "1%"}}, r"weekly\.measured: `outage` is how long"),
        ({"measured": {"outage": "1m"}}, r"weekly\.measured: `outage` is how long"),
        ({"measured": {"chance": 1e-300, "outage": "1m"}}, r"weekly\.measured\.chance: got 1e-300"),
        ({"measured": {"chance": 1.0, "outage": "8d"}}, r"weekly\.measured\.outage: got a mean of 8 d"),
        ({"measured": {"chance": 1.0, "outage": {"fixed": "0s"}}}, "of no length at all"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        model(**change)


def test_a_mistake_in_a_file_has_its_line() -> None:
    text = model().to_yaml().replace("target: api", "target: apo")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "apo" in row)
    with pytest.raises(ha.ModelError, match=f"{line}.*upgrades.weekly.upgrade.target"):
        ha.loads(text)


# ------------------------------------------------------------------------- solve and estimate: what was measured


@pytest.mark.parametrize("verb", [ha.solve, ha.estimate])
def test_releases_that_nobody_measured_are_refused_by_name(verb: Any) -> None:
    with pytest.raises(ha.CannotModel, match=r"upgrades\.weekly.*use ha\.calibrate first, or ha\.simulate"):
        verb(model())


@pytest.mark.parametrize("members", [2, 3, 5, 7])
def test_nobody_is_preferred_and_no_time_is_lost(members: int) -> None:
    names = [f"m{i}" for i in range(members)]
    missing = tuple(100.0 + 7.3 * j for j in range(members))
    out: dict[str, float] = defaultdict(float)
    levels: dict[int, float] = defaultdict(float)
    for lasting, group in groups_out(missing, names):
        levels[len(group)] += lasting
        for name in group:
            out[name] += lasting
    assert [levels[j + 1] for j in range(members)] == pytest.approx(missing, abs=members * 2.0**-21)
    assert max(out.values()) - min(out.values()) <= 1e-9


def test_windows_of_a_release_meet_exactly() -> None:
    system = compile_system(model(first="1h", measured={"missing": ["100s", "33.3s", "7.1s"]}))
    assert len(system.windows) == 3 + 3 + 1
    for one, following in zip(system.windows, system.windows[1:], strict=False):
        assert one.start + one.lasting == following.start


def test_what_was_measured_adds_up_to_the_unavailability() -> None:
    measured = {"missing": ["5m", "90s", "30s"], "chance": "25%", "outage": {"fixed": "8m"}}
    figures = ha.solve(model(first="1h", measured=measured)).services["cluster"]
    planned, outages = 120.0 / WEEK, 0.25 * 480.0 / WEEK  # two of three are required
    assert figures.unavailability is not None and figures.outages_per_year is not None
    assert figures.unavailability.value == pytest.approx(1 - (1 - planned) * (1 - outages), rel=1e-9)
    # One outage a release, since windows follow one another, and one in four releases besides.
    per_year = (1 - outages) * 365 / 7 + (1 - planned) * 0.25 * 365 / 7
    assert figures.outages_per_year.value == pytest.approx(per_year, rel=1e-9)
    kinds = {blame.unit: blame.kind for blame in figures.blame}
    assert kinds == {
        "weekly (releases)": "upgrade",
        "weekly: all of api (planned)": "planned",
        **{f"weekly: 2 from api-{i} (planned)": "planned" for i in (1, 2, 3)},
    }


def test_missing_members_leave_less_room_for_failures() -> None:
    failing = {"failures": {"api": [ha.Failure(mtbf="100h", mttr="1h")]}}
    plain = model(measured={"missing": ["2h"]}).to_plain()
    with_releases = ha.solve(ha.Cluster(**{**plain, **failing})).services["cluster"].unavailability
    q, share = 1 / 101, 2 / 168
    two_of_three, both_of_two = 3 * q**2 - 2 * q**3, 1 - (1 - q) ** 2
    assert with_releases is not None
    assert with_releases.value == pytest.approx((1 - share) * two_of_three + share * both_of_two, rel=1e-9)


def test_a_large_pool_is_solved_turn_by_turn() -> None:
    """Thirty servers of which one to eight are missing: the binomial law, with the time that so many are missing."""
    missing = [600.0 - 60.0 * j for j in range(8)]
    plain = model(replicas=30, measured={"missing": [f"{time:g}s" for time in missing]}).to_plain()
    plain["parts"]["api"]["required"] = 22
    found = ha.solve(ha.Cluster(**plain, failures={"api": [ha.Failure(mtbf="10h", mttr="30m")]}))
    q, figures = 0.5 / 10.5, found.services["cluster"]
    expected = (1 - sum(missing) / WEEK) * stats.binom.sf(8, 30, q)
    expected += sum(time / WEEK * stats.binom.sf(8 - j, 30 - j, q) for j, time in enumerate(missing, 1))
    assert figures.unavailability is not None
    assert figures.unavailability.value == pytest.approx(expected, rel=1e-6)  # windows are whole parts of 2^-20 s


def test_results_say_what_an_outage_of_a_release_is() -> None:
    said = ha.solve(model(measured={"chance": "1%", "outage": "1m"})).warnings
    assert any("full-outage equivalents" in warning for warning in said)


# ------------------------------------------------------------------------------- simulate: the calendar itself


def test_every_release_is_played_with_luck_of_its_own() -> None:
    watched = ha.Detection(takes="30m")
    release = ha.Release(bad="30%", errors="10%")
    cluster = model(ha.Rolling("api", release=release, detection=watched), first="1h")
    run = ha.simulate(cluster, over="365d", seed=2)
    assert list(run.upgrades) == [f"weekly #{i}" for i in range(1, 54)]
    assert [log.began_s for log in run.upgrades.values()] == [3600 + i * WEEK for i in range(53)]
    bad = sum(log.bad for log in run.upgrades.values())
    assert 5 <= bad <= 30  # binomial(53, 0.3), beyond four standard deviations
    assert all((log.outcome == "rolled back") == log.bad for log in run.upgrades.values())
    assert not any("arranged" in warning for warning in run.warnings)


def test_releases_of_one_kind_do_not_change_the_luck_of_another() -> None:
    release = ha.Release(bad="50%", errors="10%")
    one = model(ha.Rolling("api", release=release))
    other = {"upgrade": ha.Recreate("api", release=ha.Release(version="v9")), "every": "30d"}
    both = one.replace("upgrades", {**one.upgrades, "rare": other})
    runs = [ha.simulate(cluster, over="180d", seed=4) for cluster in (one, both)]
    alone, beside = ({name: log.bad for name, log in run.upgrades.items() if "weekly" in name} for run in runs)
    assert alone == beside


def test_simulate_does_not_see_what_was_measured() -> None:
    measured = ha.Measured(missing=["1h", "1h", "1h"], chance=1.0, outage="1h")
    runs = [ha.simulate(cluster, over="60d", seed=1) for cluster in (model(), model(measured=measured))]
    assert runs[0].trace.counts == runs[1].trace.counts
    assert str(runs[0]) == str(runs[1])


def test_a_steady_start_opens_the_calendar_anywhere() -> None:
    begins = [
        next(iter(ha.simulate(model(), over="14d", seed=seed, start="steady").upgrades.values())).began_s
        for seed in range(40)
    ]
    assert all(0 <= at < WEEK for at in begins)
    # The mean of 40 uniform times lies within 4.5 standard errors of the middle.
    assert abs(sum(begins) / 40 - WEEK / 2) < 4.5 * WEEK / (12 * 40) ** 0.5


def test_a_bad_version_that_nobody_notices_is_met_until_the_next_one_has_come() -> None:
    release = ha.Release(bad=1.0, errors="10%")
    run = ha.simulate(model(ha.Rolling("api", release=release, surge=0, unavailable=1)), over="21d", seed=1)
    first = run.upgrades["weekly #1"]
    # From one rollout to the next: each of three pods is replaced as long after the one before as the last time.
    assert first.exposure_s == pytest.approx(WEEK, abs=60.0)


def test_a_script_may_not_take_the_name_of_a_release() -> None:
    with pytest.raises(ha.ModelError, match="the name of a planned release"):
        ha.simulate(model().during(ha.Rolling("api", name="weekly #1")), over="7d", seed=1)


def test_more_releases_than_anybody_wants_are_refused() -> None:
    with pytest.raises(ha.CannotModel, match="releases"):
        ha.simulate(model(every="1s"), over="365d", seed=1)
