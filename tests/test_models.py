"""The shipped models: they load, say what they show and from where, and their headers tell the truth."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jsonschema
import pytest

import hasim as ha
from hasim.model.schema import DRAFT, model_schema
from hasim.model.shelf import model_path
from hasim.model.yaml_reader import read_yaml, read_yaml_file
from hasim.units import human
from hasim.views.outline import NOT_SAID, parameters_table

NAMES = ha.models()
A_TASK = re.compile(r"^#   (?P<queue>[\w-]+): (?P<figures>\S+ executions, \S+ duplicates)$", re.M)
EXPECTED = re.compile(r"^#   (?P<service>[\w-]+): (?P<figures>\S+ % available, down .*)$", re.M)


@functools.cache
def solved(name: str) -> ha.Solution:
    return ha.solve(ha.load(name))


def header(name: str) -> str:
    lines = model_path(name).read_text(encoding="utf-8").splitlines()
    return "\n".join(lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])


def unavailability(solution: ha.Solution) -> float:
    return next(iter(solution.services.values())).unavailability.value


def test_the_designs_to_compare_are_on_the_shelf() -> None:
    assert set(NAMES) >= {
        "single-master",
        "stacked-control-plane",
        "two-zones",
        "five-members",
        "external-etcd",
        "four-members",
        "three-tier-web",
        "three-tier-maintenance",
        "rack-bursts",
        "repair-crew",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_model_read_from_its_own_yaml_is_the_same(name: str) -> None:
    cluster = ha.load(name)
    assert ha.loads(cluster.to_yaml()) == cluster


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_what_it_shows_and_what_to_expect(name: str) -> None:
    assert ha.load(name).about.endswith(".") and "\n" not in ha.load(name).about
    assert "# What it shows: " in header(name) and "# Expect" in header(name)
    assert "TODO" not in model_path(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_a_model_has_a_source(name: str) -> None:
    path = model_path(name)
    table = parameters_table(ha.load(name), read_yaml_file(path), path.read_text(encoding="utf-8"))
    sources = [str(cell) for cell in table.columns[-1].cells]
    assert sources and NOT_SAID not in sources


@pytest.mark.parametrize("name", [name for name in NAMES if "(exact, a task)" in header(name)])
def test_what_a_header_says_of_tasks_is_exact(name: str) -> None:
    said = {match["queue"]: match["figures"] for match in A_TASK.finditer(header(name))}
    found = {}
    for queue, figures in solved(name).tasks.items():
        executions, duplicates = (
            str(each).removesuffix(" (exact)") for each in (figures.executions, figures.duplicates)
        )
        found[queue] = f"{executions} executions, {duplicates} duplicates"
    assert said == found


@pytest.mark.parametrize("name", [name for name in NAMES if "(exact)" in header(name)])
def test_the_numbers_in_the_header_are_the_exact_ones(name: str) -> None:
    said = {match["service"]: match["figures"] for match in EXPECTED.finditer(header(name))}
    found = {
        service: (
            f"{str(figures.availability).partition(' (')[0]} available, "
            f"down {human(figures.downtime_s_per_year.value)} a year, "
            f"{figures.outages_per_year.value:.3g} outages a year of {human(figures.mean_outage_s.value)}"
        )
        for service, figures in solved(name).services.items()
    }
    assert said == found


def test_maintenance_multiplies_the_outages_of_billing_as_its_header_says() -> None:
    sample = ha.estimate(ha.load("three-tier-maintenance"), over="1y", runs=400, seed=5, level=0.9995)
    billing = sample.services["billing"]
    assert "down about 42m a year, about 33 outages a year" in header("three-tier-maintenance")
    assert billing.downtime_s_per_year.covers(42 * 60)
    assert billing.outages_per_year.covers(32.7)


def test_all_models_but_three_are_solved_exactly_and_those_say_why() -> None:
    refused = {}
    for name in NAMES:
        try:
            solved(name)
        except ha.CannotModel as error:
            refused[name] = "use ha.estimate" if "use ha.estimate" in str(error) else "use ha.simulate"
            assert refused[name] in str(error)
    assert refused == {
        "leader-elect-false": "use ha.simulate",
        "self-healing-storm": "use ha.simulate",
        "three-tier-maintenance": "use ha.estimate",
    }


# ------------------------------------------------------------------------------- what the headers claim


def test_two_zones_are_no_better_than_one() -> None:
    plain = ha.load("two-zones").to_plain()
    plain["topology"] = {"zones": {"zone-a": {"hosts": ["cp-1", "cp-2", "cp-3"]}}}
    one_zone = unavailability(ha.solve(ha.Cluster(**plain)))
    assert one_zone < unavailability(solved("two-zones")) < 1.01 * one_zone
    assert unavailability(solved("two-zones")) > 10 * unavailability(solved("stacked-control-plane"))


def test_four_members_are_twice_as_often_down_as_three() -> None:
    three = ha.solve(ha.load("four-members").replace("etcd.members", 3))
    assert unavailability(solved("four-members")) == pytest.approx(2 * unavailability(three), rel=0.02)


def test_one_technician_doubles_the_unavailability_of_three() -> None:
    three = ha.solve(ha.load("repair-crew").replace("crews.technicians.size", 3))
    assert unavailability(solved("repair-crew")) == pytest.approx(2 * unavailability(three), rel=0.02)


def test_bursts_cost_a_thousand_times_what_independence_promises() -> None:
    plain = ha.load("rack-bursts").to_plain()
    del plain["bursts"]
    plain["failures"]["host"] = {"mtbf": "3141h", "mttr": "3.25h"}  # as often, but each alone
    independent = unavailability(ha.solve(ha.Cluster(**plain)))
    assert 900 < unavailability(solved("rack-bursts")) / independent < 1500


def test_the_lease_of_the_scheduler_costs_more_than_everything_else() -> None:
    guilty = solved("stacked-control-plane").services["control"].blame[0]
    assert guilty.unit == "scheduler (failover)" and guilty.share > 0.5


# ------------------------------------------------------------------------------------------- JSON Schema


def test_the_schema_is_valid_and_names_its_draft() -> None:
    schema = model_schema()
    assert schema["$schema"] == DRAFT
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_keeps_the_schema(name: str) -> None:
    jsonschema.validate(read_yaml_file(model_path(name)).data, model_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_written_back_keeps_the_schema(name: str) -> None:
    data = read_yaml(ha.load(name).to_yaml()).data
    jsonschema.validate(data, model_schema(), jsonschema.Draft202012Validator)


SHORT = """
name: x
parts: {u: {kind: unit}, p: {kind: pool, replicas: 2}}
"""


@pytest.mark.parametrize(
    "rest",
    [
        "up: u",
        "up: [u, p]\nslo: {availability: 99%}",
        "services: {a: u, b: [u, p], c: {up: {any_of: [u, p]}}}",
        "up: u\nfailures: {u: process_crash_guess}",
        "up: u\nfailures: {u: {preset: backblaze_hdd, mttr: {fixed: 2h}}}",
        "up: u\nmaintenance: {w: {on: u, every: 30d, lasting: 1h}}",
    ],
)
def test_the_short_forms_keep_the_schema_and_load(rest: str) -> None:
    ha.loads(SHORT + rest)
    jsonschema.validate(read_yaml(SHORT + rest).data, model_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "rest",
    [
        "up: u\nservices: {a: u}",
        "slo: {availability: 99%}",
        "up: u\nfailures: {u: {mtbf: 3d}}",
        "up: u\nfailures: {u: {mtbf: 3, mttr: 1h}}",
        "up: u\nfailurs: {}",
    ],
)
def test_what_does_not_load_does_not_keep_the_schema_either(rest: str) -> None:
    with pytest.raises(ha.ModelError):
        ha.loads(SHORT + rest)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_yaml(SHORT + rest).data, model_schema(), jsonschema.Draft202012Validator)


def test_a_part_without_a_kind_does_not_keep_the_schema() -> None:
    data = {"name": "x", "parts": {"u": {"workers": 2}}, "up": "u"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, model_schema(), jsonschema.Draft202012Validator)


def test_the_shelf_holds_files_that_end_in_a_newline() -> None:
    for name in NAMES:
        assert Path(model_path(name)).read_bytes().endswith(b"\n")


def test_without_leader_election_what_is_lost_comes_back_more_than_once() -> None:
    chaos = ha.load("leader-elect-false")
    elected = chaos.to_plain()
    for part in ("kcm", "scheduler"):
        del elected["parts"][part]["leader_elect"]
        elected["parts"][part]["lease"] = {}
    lost = ha.Crash("n-1", at="1m", lasting="30m")
    for seed in range(4):
        counts = ha.simulate(chaos.during(lost), over="15m", seed=seed).trace.counts
        assert counts["pod deleted"] == 5 and 6 <= counts["pod created"] <= 11
        assert 10 < counts["conflict"] < 30
        counts = ha.simulate(ha.Cluster(**elected).during(lost), over="15m", seed=seed).trace.counts
        assert counts["pod created"] == 5 and counts.get("conflict", 0) < 5


def test_a_lost_quorum_outlasts_itself_as_the_header_of_the_three_control_planes_says() -> None:
    cluster = ha.load("three-control-planes")
    run = ha.simulate(cluster.during(ha.Crash("etcd", at="1m", lasting="40m")), over="50m", seed=1)
    (_, etcd_back), (_, api_back) = run.down("etcd")[0], run.down("apiserver")[0]
    assert etcd_back == 41 * 60 and 260 < api_back - etcd_back < 275
    crashes = [ha.Crash("etcd", at="1m", lasting="20m")], [ha.PowerLoss("cp-1", "cp-2", at="1m", lasting="40m")]
    for faults in crashes:
        run = ha.simulate(cluster.during(*faults), over="50m", seed=1)
        assert run.trace.counts["liveness kill"] >= 3
        assert run.down("apiserver")[-1, 1] == run.down("etcd")[-1, 1]
