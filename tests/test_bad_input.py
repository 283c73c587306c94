"""Wrong input: exit code 2, no traceback, and a message with file, line, field, what was given, what is allowed."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hasim as ha
from hasim.cli import main
from hasim.model.shelf import model_path

MODEL = """\
hasim: 1
name: three hosts
topology:
  zones:
    zone-a: {hosts: [cp-1]}
    zone-b: {hosts: [cp-2]}
    zone-c: {hosts: [cp-3]}
failures:
  host: {mtbf: 7700h, mttr: 3h}
  process: {mtbf: {weibull: {shape: 0.7, mean: 90d}}, mttr: 10s}
parts:
  etcd:
    kind: quorum
    members: 3
    on: [cp-1, cp-2, cp-3]
    failover: {takes: 1s, coverage: 95%, manual: 10m}
  api: {kind: pool, replicas: 3, required: 1, needs: etcd}
  scheduler: {kind: elected, replicas: 2, failover: {takes: 16s}, needs: {api: hard}}
services:
  control:
    up: [api, scheduler]
    slo: {availability: 99.9%, window: 30d}
"""


def line_of(text: str) -> int:
    return next(i for i, line in enumerate(MODEL.splitlines(), start=1) if text in line)


# (name, what is replaced by what, the line that is named, words that the message holds)
CASES = [
    ("unknown key", "members: 3", "member: 3", "members: 3", ["parts.etcd.member", "unknown key", "'members'?"]),
    ("unknown key of the model", "services:", "servises:", "services:", ["servises", "'services'?"]),
    ("unknown key of an SLO", "window", "windw", "window", ["services.control.slo.windw", "'window'?"]),
    ("bare number", "takes: 1s", "takes: 1", "takes: 1s", ["parts.etcd.failover.takes", "got 1", "unit", "'30s'"]),
    ("bare number as text", "3h}", "'3'}", "mttr: 3h", ["failures.host.mttr", "got '3'", "unit"]),
    ("negative duration", "3h}", "-3h}", "mttr: 3h", ["failures.host.mttr", "got '-3h'", "zero or more"]),
    ("negative count", "members: 3", "members: -3", "members: 3", ["parts.etcd.members", "got -3", "from 1 to 99"]),
    ("NaN duration", "3h}", ".nan}", "mttr: 3h", ["failures.host.mttr", "got nan"]),
    ("NaN text", "3h}", "nan}", "mttr: 3h", ["failures.host.mttr", "got 'nan'"]),
    ("infinite duration", "3h}", ".inf}", "mttr: 3h", ["failures.host.mttr", "got inf"]),
    ("overflowing duration", "3h}", "1e999h}", "mttr: 3h", ["failures.host.mttr", "got '1e999h'", "finite"]),
    ("NaN count", "members: 3", "members: .nan", "members: 3", ["parts.etcd.members", "got nan", "from 1 to 99"]),
    ("NaN shape", "shape: 0.7", "shape: .nan", "shape", ["failures.process.mtbf.weibull.shape", "got nan"]),
    ("infinite share", "coverage: 95%", "coverage: .inf", "coverage", ["coverage", "got inf", "from 0 to 1"]),
    ("probability over 1", "coverage: 95%", "coverage: 1.5", "coverage", ["coverage", "got 1.5", "from 0 to 1"]),
    ("share over 100 %", "99.9%", "101%", "99.9%", ["slo.availability", "'101%'", "from 0 to 1"]),
    ("percent without sign", "99.9%", "99.9", "99.9%", ["slo.availability", "got 99.9", "mean '99.9%'?"]),
    ("members 0", "members: 3", "members: 0", "members: 3", ["parts.etcd.members", "got 0", "from 1 to 99"]),
    ("members in words", "members: 3", "members: three", "members: 3", ["parts.etcd.members", "got 'three'", "whole"]),
    ("half a member", "members: 3", "members: 2.5", "members: 3", ["parts.etcd.members", "got 2.5", "whole"]),
    ("required over replicas", "required: 1", "required: 5", "  api:", ["parts.api", "required is 5", "only 3"]),
    ("unknown host", "cp-3]\n    f", "cp-33]\n    f", "on: [cp-1", ["parts.etcd.on", "'cp-33'", "'cp-3'?"]),
    ("too few hosts", ", cp-3]\n    f", "]\n    f", "on: [cp-1", ["parts.etcd.on", "3 members", "2 hosts"]),
    ("cycle", "needs: etcd", "needs: scheduler", "  api:", ["circle", "api -> scheduler -> api"]),
    ("itself", "needs: etcd", "needs: api", "  api:", ["parts.api.needs", "needs itself"]),
    ("unknown need", "needs: etcd", "needs: etdc", "  api:", ["parts.api.needs", "'etdc'", "'etcd'?"]),
    ("kind of need", "api: hard", "api: hrad", "scheduler:", ["needs.api", "'hrad'", "'degraded'", "'hard'?"]),
    ("empty up", "up: [api, scheduler]", "up: []", "up:", ["services.control.up", "got []", "at least one"]),
    ("up without value", "up: [api, scheduler]", "up:", "up:", ["services.control.up", "got nothing", "[lb, apis"]),
    ("unknown in up", "[api, scheduler]", "[api, schedular]", "up:", ["services.control.up", "'scheduler'?"]),
    ("rule of up", "[api, scheduler]", "{any_off: [api]}", "up:", ["services.control.up", "any_of", "'any_of'?"]),
    ("same part twice", "  api:", "  etcd:", "  api:", ["parts.etcd", "twice", "12", "17"]),
    ("same host twice", "[cp-2]", "[cp-1]", "topology", ["'cp-1'", "twice"]),
    ("part called like a host", "  api: {", "  cp-1: {", "  api:", ["parts.cp-1", "already", "host"]),
    ("part called like a member", "  api: {", "  etcd-1: {", "  etcd:", ["'etcd-1'", "already"]),
    ("unknown kind", "kind: quorum", "kind: quorm", "kind: quorum", ["parts.etcd.kind", "'quorm'", "'quorum'?"]),
    ("no kind", "kind: quorum", "spread: host", "  etcd:", ["parts.etcd", "has no kind", "quorum, pool"]),
    ("unknown law", "weibull", "weibul", "weibull", ["failures.process.mtbf", "'weibul'", "'weibull'?"]),
    ("unknown preset", "{mtbf: 7700h, mttr: 3h}", "lanl_servr", "  host:", ["failures.host", "'lanl_server'?"]),
    ("unknown crew", "mttr: 3h", "mttr: 3h, crew: ops", "  host:", ["failures.host.crew", "'ops'", "none"]),
    ("unknown target", "  host: {", "  hots: {", "  host:", ["failures.hots", "'host'?"]),
    ("YAML syntax", "hosts: [cp-1]}", "hosts: [cp-1}", "zone-a", ["is not valid YAML", "expected ',' or ']'"]),
    ("tab", "  host:", "\thost:", "  host:", ["tab"]),
    ("a tag", "three hosts", "!!python/object/apply:os.system ['true']", "name:", ["name", "tag", "os.system"]),
    ("version", "hasim: 1", "hasim: 2", "hasim: 1", ["hasim", "got 2", "allowed is 1"]),
]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says on standard error; it must end with 2 and say nothing else."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    assert left.value.code == 2, said
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize(("old", "new", "line", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_model_is_refused_with_file_line_field_and_advice(
    old: str, new: str, line: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MODEL.count(old) >= 1
    path = tmp_path / "wrong.yaml"
    path.write_text(MODEL.replace(old, new, 1), encoding="utf-8")
    said = refusal(capsys, "check", str(path))
    assert f"{path}:{line_of(line)} " in said or f"{path}:{line_of(line)}:" in said
    assert [word for word in words if word not in said] == []


def test_the_model_before_it_is_broken_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(MODEL, encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["check", str(path)])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"{path}: ok (three hosts)\n"


def test_all_mistakes_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(MODEL.replace("3h}", "3}").replace("members: 3", "members: 0").replace("99.9%", "200%"))
    said = refusal(capsys, "solve", str(path)).splitlines()
    assert len(said) == 3
    assert ["failures.host.mttr" in said[0], "parts.etcd.members" in said[1], "slo.availability" in said[2]] == [
        True
    ] * 3


# --------------------------------------------------------------------------------------------- hostile files


def bomb(path: Path) -> None:
    levels = [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    path.write_text("name: x\nparts:\n  a0: &a0 [x]\n" + "\n".join(levels) + "\n")


def hundred_megabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)  # sparse: its size is what counts


def deep(path: Path) -> None:
    path.write_text("name: " + "[" * 10_000 + "]" * 10_000)


def truncated_csv(path: Path) -> None:
    path.with_suffix(".csv").write_text("id,duration_h\n1,2.5\n2,")
    law = "{empirical: {csv: wrong.csv, column: duration_h, unit: h}}"
    path.write_text(MODEL.replace("mttr: 3h}", f"mttr: {law}}}"))


FILES: list[tuple[Callable[[Path], object], list[str]]] = [
    (bomb, ["wrong.yaml", "a"]),
    (hundred_megabytes, ["wrong.yaml", "KiB"]),
    (deep, ["wrong.yaml", "deep"]),
    (lambda path: path.write_bytes(b"name: caf\xe9\n"), ["wrong.yaml", "UTF-8", "byte 9"]),
    (lambda path: path.write_bytes("name: x\n".encode("utf-16")), ["wrong.yaml", "UTF-16"]),
    (lambda path: path.write_bytes(b"name: \x00\n"), ["wrong.yaml", "character"]),
    (Path.mkdir, ["wrong.yaml", "director"]),
    (lambda path: path.with_name("wrang.yaml").write_text("name: x"), ["wrong.yaml", "wrang.yaml"]),
    (lambda path: path.write_text(""), ["wrong.yaml", "empty"]),
    (lambda path: path.write_text("- a\n- b\n"), ["wrong.yaml", "mapping"]),
    (os.mkfifo, ["wrong.yaml", "regular file"]),
    (truncated_csv, ["wrong.yaml", "failures.host.mttr", "wrong.csv", "duration_h"]),
]
FILE_NAMES = [
    *("YAML bomb", "100 MB file", "deep nesting", "not UTF-8", "UTF-16", "NUL", "a directory", "a missing file"),
    *("an empty file", "a list", "a pipe", "a truncated CSV"),
]


@pytest.mark.parametrize(("make", "words"), FILES, ids=FILE_NAMES)
def test_a_hostile_file_is_refused_in_words(
    make: Callable[[Path], object], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    make(path)
    said = refusal(capsys, "check", str(path))
    assert [word for word in words if word not in said] == []
    assert len(said) < 1000


@pytest.mark.parametrize("verb", ["run", "solve", "estimate", "simulate", "check", "show"])
def test_every_command_refuses_a_wrong_model(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'stacked-control-plane'?" in refusal(capsys, verb, "stacked-control-plan")


# ------------------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["estimate", "repair-crew", "--over", "10"], ["over", "got '10'", "unit"]),
        (["estimate", "repair-crew", "--over", "0s"], ["over", "'0s'"]),
        (["estimate", "repair-crew", "--runs", "0"], ["--runs"]),
        (["estimate", "repair-crew", "--runs", "many"], ["--runs"]),
        (["estimate", "repair-crew", "--level", "1.5"], ["level", "1.5"]),
        (["estimate", "repair-crew", "--level", "nan"], ["level", "nan"]),
        (["estimate", "repair-crew", "--seed", "-1"], ["--seed"]),
        (["estimate", "repair-crew", "--start", "old"], ["--start", "new", "steady"]),
        (["solve", "repair-crew", "--over", "-1y"], ["over", "'-1y'"]),
        (["simulate", "repair-crew", "--over", "1 month"], ["over", "month"]),
        (["simulate", "repair-crew", "--crash", "m-9"], ["'m-9'", "'m-3'?"]),
        (["simulate", "repair-crew", "--crash", "m-1", "--at", "5"], ["at", "got '5'", "unit"]),
        (["simulate", "repair-crew", "--crash", "m-1", "--lasting", "0s"], ["lasting"]),
        (["run", "repair-crew", "--years", "0"], ["--years"]),
        (["solve", "three-tier-maintenance"], ["solve cannot model", "failover of db", "use ha.estimate"]),
        (["solve"], ["model"]),
        (["slove", "repair-crew"], ["slove"]),
        (["solve", "repair-crew", "--jsn"], ["--jsn"]),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_refused(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, *arguments)
    assert [word for word in words if word not in said] == []


DAY = {"at": "1h", "lasting": "1h"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda crew: ha.simulate(crew, protocols="no"), "protocols: got 'no'; give True to play protocols, or False"),
        (lambda crew: ha.simulate(crew, start=3), "start: got 3; a run starts 'new' or 'steady'"),
        (lambda crew: ha.simulate(crew, start="stedy"), "start: got 'stedy'; a run starts 'new' or 'steady'; did you"),
        (lambda crew: ha.simulate(crew, level="x"), "level: got 'x'; the level of an interval lies between 0 and 1"),
        (lambda crew: ha.simulate(crew, over=None), "over: got None; a duration is text with a unit"),
        (lambda crew: ha.spacetime(3), "etcd: got 3; give an Etcd"),
        (lambda crew: ha.spacetime(ha.Etcd), "etcd: got <class"),
        (
            lambda crew: ha.spacetime(ha.simulate(crew, "1d", seed=1)),
            "etcd: got a Run, which ha.timeline draws; give an E",
        ),
        (lambda crew: ha.spacetime(ha.Etcd(1, seed=1)), "until: got 0 s to 0 s; a picture has a length"),
        (lambda crew: ha.spacetime(ha.Etcd(1, seed=1), since=float("nan")), "since: got nan; an instant is a finite"),
        (lambda crew: ha.spacetime(ha.Etcd(1, seed=1), until=float("inf")), "until: got inf; an instant is a finite"),
        (lambda crew: ha.spacetime(ha.Etcd(1, seed=1), clients="no"), "clients: got 'no'; give True or False"),
        (lambda crew: ha.timeline(3), "run: got 3; give a Run, as ha.simulate returns it"),
        (
            lambda crew: ha.timeline(ha.Etcd(1, seed=1)),
            "run: got Etcd(etcd-1; leader none, 0 s on, seed 1); give a Run, ",
        ),
        (lambda crew: ha.Crash("m-1", "m-2", **DAY), "target: got 'm-1', 'm-2'; this fault strikes one thing, so make"),
        (lambda crew: ha.Crash("", **DAY), "target: got ''; give a text that is not empty"),
        (lambda crew: ha.Crash(["m-1"], **DAY), "target: got ['m-1']; give a text"),
    ],
)
def test_a_wrong_argument_in_python_is_refused(make: Callable[[ha.Cluster], Any], said: str) -> None:
    with pytest.raises(ha.ModelError) as refused:
        make(ha.load("repair-crew"))
    assert str(refused.value).startswith(said)


# ----------------------------------------------------------------------------------------------------- fuzz

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = [MODEL, *(model_path(name).read_text(encoding="utf-8") for name in ("three-tier-maintenance", "rack-bursts"))]
PLAINS = [ha.load(name).to_plain() for name in ha.models()]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from(
        ["", "30s", "-1s", "cp-1", "etcd", "99%", "1e400y", "exponential", "zone", "\x1b[31m", "a.b", "🙂"]
    ),
    st.text(max_size=8),
    st.lists(st.sampled_from(["etcd", "cp-1", 3, None, ["x"]]), max_size=3),
    st.dictionaries(
        st.sampled_from(["kind", "mtbf", "up", "weibull", "at_least", "of", "x"]), st.integers(), max_size=2
    ),
)


def cluster_or_model_error(make: Callable[[], Any]) -> None:
    try:
        made = make()
    except ha.ModelError as error:
        assert error.problems and str(error)
    else:
        assert isinstance(made, ha.Cluster)


@FEW
@given(st.binary(max_size=200))
def test_any_bytes_are_a_cluster_or_a_model_error(content: bytes) -> None:
    cluster_or_model_error(lambda: ha.loads(content))


@FEW
@given(st.sampled_from(TEXTS), st.data())
def test_a_mutated_text_is_a_cluster_or_a_model_error(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.text("abe0159-.:,[]{}#&*!|>%\"' \n\t", max_size=6)) + text[end:]
    cluster_or_model_error(lambda: ha.loads(text))


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything inside plain data."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, value in inner for found in ((*path, key), *places(value, (*path, key)))]


@FEW
@given(st.sampled_from(PLAINS), st.data())
def test_mutated_data_are_a_cluster_or_a_model_error(plain: dict[str, Any], data: st.DataObject) -> None:
    plain = copy.deepcopy(plain)
    for _ in range(data.draw(st.integers(1, 2))):
        *outer, last = data.draw(st.sampled_from(places(plain)))
        node: Any = plain
        for step in outer:
            node = node[step]
        change = data.draw(st.sampled_from(["replace", "delete", "add"]))
        if change == "delete":
            del node[last]
        elif change == "add" and isinstance(node, dict):
            node[data.draw(st.sampled_from(["x", "kind", "failover", "needs", "crew", "a b", "cp-1"]))] = copy.deepcopy(
                data.draw(ODD)
            )
        else:
            node[last] = copy.deepcopy(data.draw(ODD))
        if not places(plain):
            break
    cluster_or_model_error(lambda: ha.Cluster(**plain))
