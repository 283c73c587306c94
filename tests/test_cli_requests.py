"""The command line on models with loads: short by default, with a block of requests, or without them if asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hasim as ha
from hasim.cli import STORY_REQUESTS_MAX, main

MODEL = """\
hasim: 1
name: shop
parts:
  api: {kind: pool, replicas: 3, serving: {takes: 20ms, slots: 16}}
  lb: {kind: balancer, to: api, check: {interval: 500ms}, connect_timeout: 1s}
services:
  web: {up: [lb]}
failures:
  api: {mtbf: 30d, mttr: 10m}
loads:
  buyers: {rate: RATE, clients: {timeout: 5s}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return written(tmp_path, 20)


def written(folder: Path, rate: float) -> str:
    path = folder / "shop.yaml"
    path.write_text(MODEL.replace("RATE", f"{rate:g}"), encoding="utf-8")
    return str(path)


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    assert left.value.code == code, said
    return said.out, said.err


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    data = json.loads(asked(capsys, *arguments, "--json")[0], parse_constant=pytest.fail)
    assert isinstance(data, dict)
    return data


def test_a_model_with_loads_is_simulated_for_minutes_and_shows_what_clients_saw(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = asked(capsys, "simulate", shop, "--seed", "1", "--crash", "api-1", "--lasting", "30s")
    crash = ha.Crash("api-1", at="10s", lasting="30s")
    run = ha.simulate(ha.load(shop).during(crash), over="5m", seed=1)
    assert run.requests is not None
    rows = {words[0]: words for words in map(str.split, out.partition("what clients saw")[2].splitlines()) if words}
    assert rows["buyers"][1] == f"{run.requests.figures().requests:,}"
    assert [rows[name][1] for name in ("before", "during", "after")] == [
        f"{count:,}" for count in run.request_phases().requests
    ]
    assert "server down" in out


def test_json_of_simulate_has_the_figures_of_requests(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = told(capsys, "simulate", shop, "--seed", "1", "--over", "30s")
    assert data["horizon_s"] == 30
    assert data == ha.simulate(ha.load(shop), over="30s", seed=1).to_json()
    assert sum(data["requests"]["buyers"]["outcomes"].values()) > 0


def test_without_requests_a_history_is_long_again(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = told(capsys, "simulate", shop, "--seed", "1", "--no-requests")
    assert data["horizon_s"] == 30 * 86400 and "requests" not in data
    assert told(capsys, "simulate", "repair-crew", "--seed", "1")["horizon_s"] == 30 * 86400
    out, _ = asked(capsys, "simulate", shop, "--seed", "1", "--over", "1y", "--no-requests")
    assert "what clients saw" not in out


def test_years_of_requests_are_refused_and_the_way_out_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, error = asked(capsys, "simulate", written(tmp_path, 5000), "--over", "10y", code=2)
    assert "requests" in error and "`--no-requests`" in error and "protocols=False" not in error


def test_the_page_tells_the_crash_with_its_requests(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = told(capsys, "run", shop, "--runs", "200", "--years", "5")
    crash = ha.Crash(data["story"]["crash"], at="10s", lasting="2m")
    run = ha.simulate(ha.load(shop).during(crash), over="5m", seed=1)
    assert data["story"]["requests"] == run.to_json()["requests"]
    assert all("requests" not in engine for engine in data["engines"].values())
    out, _ = asked(capsys, "run", shop, "--runs", "200", "--years", "5")
    assert "what clients saw" in out


def test_a_heavy_load_is_left_out_of_the_page_and_the_page_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heavy = written(tmp_path, STORY_REQUESTS_MAX / 300 + 1)
    data = told(capsys, "run", heavy, "--runs", "200", "--years", "5")
    assert "requests" not in data["story"]
    assert any("without its 300,300 requests" in warning for warning in data["warnings"])


def test_simulate_leaves_requests_out_when_told_and_takes_no_other_word(shop: str) -> None:
    cluster = ha.load(shop)
    scenario = cluster.during(ha.Load(rate=5, name="more"))
    assert ha.simulate(scenario, over="10s", seed=1, requests=False).requests is None
    assert ha.simulate(scenario, over="10s", seed=1, requests=False, protocols=False).requests is None
    played = ha.simulate(scenario, over="10s", seed=1).requests
    assert played is not None and sorted(played.loads) == ["buyers", "more"]
    with pytest.raises(ha.ModelError, match="leave them out"):
        ha.simulate(cluster, over="10s", requests="no")  # type: ignore[arg-type]


def test_what_was_down_is_the_same_with_and_without_requests(shop: str) -> None:
    scenario = ha.load(shop).during(ha.Crash("api-1", at="10s", lasting="5s"))
    one, other = (ha.simulate(scenario, over="1m", seed=3, requests=played) for played in (True, False))
    assert {name: rows.tolist() for name, rows in one.intervals.items()} == {
        name: rows.tolist() for name, rows in other.intervals.items()
    }
