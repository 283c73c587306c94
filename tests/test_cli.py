"""The command line: every verb answers, `--json` is one JSON object, exit codes tell, Ctrl-C loses nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hasim as ha
from hasim.cli import main
from hasim.model.schema import model_schema

HASIM = [sys.executable, "-c", "from hasim.cli import main; main()"]
ROOT = Path(__file__).resolve().parents[1]

NUMBER = {"type": ["number", "null"]}
ESTIMATE = {
    "type": "object",
    "properties": {"value": NUMBER, "low": NUMBER, "high": NUMBER, "level": {"type": "number"}, "method": {}},
    "required": ["value", "low", "high", "level"],
    "additionalProperties": False,
}
QUANTITIES = ("availability", "unavailability", "outages_per_year", "downtime_s_per_year")
SERVICE = {
    "type": "object",
    "properties": {
        **dict.fromkeys([*QUANTITIES, "mean_outage_s", "mean_uptime_s", "mttf_s", "degraded", "slo_kept"], ESTIMATE),
        "slo": {"type": "object", "required": ["availability", "window_s"]},
        "blame": {"type": "array", "items": {"type": "object", "required": ["unit", "share"]}},
        "downtime_quantiles": {"type": "object", "additionalProperties": ESTIMATE},
    },
    "required": list(QUANTITIES),
}
RESULT = {
    "type": "object",
    "properties": {
        "engine": {"enum": ["solve", "estimate", "simulate"]},
        "cluster": {"type": "string"},
        "seed": {"type": ["integer", "null"]},
        "horizon_s": NUMBER,
        "services": {"type": "object", "additionalProperties": SERVICE, "minProperties": 1},
        "blame": {"type": "array", "items": {"type": "object", "required": ["unit", "share"]}},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["engine", "cluster", "seed", "horizon_s", "services", "blame", "warnings"],
}
AGREEMENT = {
    "type": "object",
    "properties": {"value": ESTIMATE, "expected": ESTIMATE, "z": NUMBER, "inside": {"type": "boolean"}},
    "required": ["service", "quantity", "engine", "value", "reference", "expected", "z", "inside"],
}
REFUSED = {"type": "object", "required": ["engine", "cannot"], "additionalProperties": {"type": "string"}}
PAGE = {
    "type": "object",
    "properties": {
        "engine": {"const": "run"},
        "engines": {
            "type": "object",
            "additionalProperties": {"anyOf": [RESULT, REFUSED]},
            "required": ["solve", "estimate", "simulate"],
        },
        "agreement": {"type": "array", "items": AGREEMENT, "minItems": 1},
        "story": {**RESULT, "required": [*RESULT["required"], "crash", "at", "lasting", "down"]},
    },
    "required": ["engine", "cluster", "seed", "engines", "agreement", "story", "warnings"],
}


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """(standard output, standard error) of a command that ends well."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    assert left.value.code == 0, said
    return said.out, said.err


def json_answer(capsys: pytest.CaptureFixture[str], schema: dict[str, Any], *arguments: str) -> dict[str, Any]:
    out, err = answer(capsys, *arguments, "--json")
    assert err == ""
    data = json.loads(out, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    jsonschema.validate(data, schema, jsonschema.Draft202012Validator)
    assert isinstance(data, dict)
    return data


# ------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "repair-crew"],
        ["solve", "repair-crew", "--over", "1y"],
        ["estimate", "repair-crew", "--runs", "50", "--seed", "3"],
        ["estimate", "five-members", "--runs", "20", "--over", "30d"],
        ["simulate", "repair-crew", "--over", "10y", "--seed", "3"],
        ["simulate", "repair-crew", "--over", "1h", "--crash", "m-1"],
        ["simulate", "leader-elect-false", "--crash", "n-1", "--over", "15m", "--seed", "1"],
        ["simulate", "three-control-planes", "--crash", "etcd", "--lasting", "5m", "--over", "10m", "--seed", "1"],
    ],
    ids=" ".join,
)
def test_json_is_one_object_of_the_stated_form(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    data = json_answer(capsys, RESULT, *arguments)
    assert data["engine"] == arguments[0]


def test_json_of_a_verb_is_the_result_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    data = json_answer(capsys, RESULT, "estimate", "repair-crew", "--runs", "50", "--seed", "3")
    result = ha.estimate(ha.load("repair-crew"), runs=50, seed=3).to_json()
    assert data == result


def test_a_drawn_seed_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    first = json_answer(capsys, RESULT, "estimate", "repair-crew", "--runs", "20")
    assert isinstance(first["seed"], int)
    again = json_answer(capsys, RESULT, "estimate", "repair-crew", "--runs", "20", "--seed", str(first["seed"]))
    assert again["services"] == first["services"]


def test_run_as_json_has_every_engine_the_agreement_and_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    data = json_answer(capsys, PAGE, "run", "repair-crew", "--runs", "400", "--years", "50")
    assert data["engines"]["solve"]["services"]["production"]["unavailability"]["level"] == 1.0
    assert {row["engine"] for row in data["agreement"]} == {"estimate", "simulate"}
    assert {row["reference"] for row in data["agreement"]} == {"solve"}
    assert all(abs(row["z"]) < 3.5 for row in data["agreement"] if row["z"] is not None)
    assert data["story"]["crash"] == "m-1"
    assert data["story"]["down"] == {"production": []}


def test_run_says_what_an_engine_refuses_and_compares_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    data = json_answer(capsys, PAGE, "run", "three-tier-maintenance", "--runs", "200", "--years", "5")
    assert "use ha.estimate" in data["engines"]["solve"]["cannot"]
    assert {row["reference"] for row in data["agreement"]} == {"estimate"}


def test_run_is_repeatable(capsys: pytest.CaptureFixture[str]) -> None:
    once, again = (answer(capsys, "run", "repair-crew", "--runs", "100", "--years", "5") for _ in range(2))
    assert once == again


def test_run_shows_figures_blame_agreement_and_the_story_on_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "run", "stacked-control-plane", "--runs", "100", "--years", "5")
    assert "99.9997478 %" in out and "5.5" in out and "99.95% in 30 d" in out
    assert "who takes api down" in out and "lb (failover)" in out and "█" in out
    assert "do the engines agree?" in out and "inside" in out
    assert "what if cp-1 crashes?" in out and "failover ended" in out
    assert "seed 1" in out


def test_a_model_without_hosts_has_its_first_member_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nparts: {p: {kind: pool, replicas: 2}}\nfailures: {p: {mtbf: 9d, mttr: 1h}}\nup: p\n")
    data = json_answer(capsys, PAGE, "run", str(path), "--runs", "50", "--years", "2")
    assert data["story"]["crash"] == "p-1"


def test_a_model_in_which_nothing_fails_gives_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "eternal.yaml"
    path.write_text("name: eternal\nparts: {u: {kind: unit}}\nup: u\n")
    out, err = answer(capsys, "run", str(path), "--runs", "20", "--years", "1")
    assert "nobody to blame" in out and "u never fails by itself" in err


@pytest.mark.parametrize("verb", ["solve", "estimate", "simulate"])
def test_a_verb_shows_a_table_and_notes_on_standard_error(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = answer(capsys, verb, "five-members")
    assert "writes" in out and "availability" in out
    assert "note: etcd fails over in no time" in err


# --------------------------------------------------------------------------------------- looking at models


def test_check_says_ok_for_every_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "check", *ha.models())
    assert [line.partition(": ok (")[0] for line in out.splitlines()] == ha.models()


def test_check_of_several_models_ends_with_2_if_one_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["check", "repair-crew", "no-such", "four-members"])
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.out.count(": ok") == 2 and "no-such" in said.err


def test_show_draws_the_placement_and_gives_each_parameter_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "show", "five-members")
    assert "zone-c  zone" in out and "etcd-3  quorum" in out and "3 of 5" in out
    assert "preset lanl_server: LANL operational records" in out and "confidence A" in out
    out, _ = answer(capsys, "show", "stacked-control-plane")
    assert "RFC 5798" in out and "etcd (local)" in out and "on no host" in out


def test_models_lists_the_shelf_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "models")
    assert [line.split()[0] for line in out.splitlines()] == ha.models()
    assert "The trap of two zones" in out


def test_schema_prints_the_schema_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "schema")
    assert json.loads(out) == model_schema()


# ------------------------------------------------------------------------------------ as a process of its own


def test_help_is_there_at_once_and_names_every_command() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([*HASIM, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in ("run", "solve", "estimate", "simulate", "check", "show", "models", "schema"):
        assert f" {command} " in run.stdout
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 1.0  # half of it on a quiet machine


def test_looking_at_help_loads_nothing_heavy() -> None:
    heavy = ["scipy", "matplotlib", "pandas", "simpy", "networkx", "ruamel", "dd", "numpy"]
    code = f"import sys, hasim.cli; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = " ".join([sys.executable, "-c", "'from hasim.cli import main; main()'", "schema", "| head -1"])
    run = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "{\n" and run.stderr == ""


def test_ctrl_c_prints_what_is_finished_and_ends_with_130() -> None:
    # So long that it never ends by itself; the first block of runs is done within the second that we wait.
    command = [*HASIM, "estimate", "repair-crew", "--over", "1y", "--runs", "100000000", "--seed", "1", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for_cpu(process.pid, 6.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    data = json.loads(out)
    assert 0 < data["runs"] < 100_000_000
    assert "interrupted" in " ".join(data["warnings"])


def test_ctrl_c_before_anything_is_finished_ends_with_130_and_no_traceback() -> None:
    process = subprocess.Popen(
        [*HASIM, "simulate", "repair-crew", "--over", "15000000y"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _wait_for_cpu(process.pid, 2.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def _wait_for_cpu(pid: int, seconds: float) -> None:
    """Wait until a process has used so much CPU time: start-up is then behind it, however busy the machine is."""
    ticks = os.sysconf("SC_CLK_TCK")
    for _ in range(1200):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / ticks >= seconds:
            return
        time.sleep(0.05)
    pytest.fail("the process did not get to work")
