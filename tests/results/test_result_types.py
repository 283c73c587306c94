"""Solution, Sample and Run: their JSON, frames, tables, lines; and what a Run tells of its history."""

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

from hasim.errors import ModelError
from hasim.results import Blame, Cut, Estimate, Run, Sample, ServiceFigures, Solution
from hasim.results.run import figures_of_history, history_warnings
from hasim.units import YEAR

DAY = 86400.0


def figures() -> ServiceFigures:
    down = Estimate(1.288e-4, 8e-5, 1.9e-4, method="gamma", events=42)
    return ServiceFigures(
        "api",
        availability=down.complement(),
        unavailability=down,
        outages_per_year=Estimate(2.134, 1.8, 2.6),
        mean_outage_s=Estimate(1934.0, 1500.0, math.inf),
        downtime_s_per_year=down.scaled(YEAR),
        slo=(0.9995, 30 * DAY),
        slo_kept=Estimate(0.97, 0.96, 0.98),
        downtime_quantiles={"p50": Estimate(0, 0, 0), "p99": Estimate(5e4, 4e4, 7e4)},
        blame=(Blame("cp-1", 0.2), Blame("zone-a", np.float64(0.5), criticality=0.4, kind="zone")),
        cuts=(Cut(("cp-1", "cp-2"), 0.3, 0.01), Cut(("zone-a",), 0.5)),
    )


def solution() -> Solution:
    exact = Estimate.exact(1.288e-4)
    service = ServiceFigures(
        "api", availability=exact.complement(), unavailability=exact, downtime_s_per_year=exact.scaled(YEAR)
    )
    return Solution("three <zones>", {"api": service}, states=12, nodes=5, routes=("decision diagram",))


def sample() -> Sample:
    return Sample(
        cluster="three zones",
        services={"api": figures()},
        runs=3,
        horizon_s=YEAR,
        seed=7,
        downtime_s={"api": np.array([0.0, 10.0, 20.0])},
        outages={"api": np.array([0, 1, 2])},
        outage_durations_s={"api": np.array([10.0, 5.0, 15.0])},
        first_outage_s={"api": np.array([math.inf, 100.0, 50.0])},
        events=np.int64(99),  # type: ignore[arg-type]
        cpu_s=0.25,
        warnings=("only a few <outages>",),
    )


def run() -> Run:
    down = {"api": np.array([[100.0, 160.0], [500.0, 620.0]]), "etcd-1": np.empty((0, 2))}
    service = figures_of_history("api", down["api"], 1000.0, slo=(0.999, DAY))
    cautions = history_warnings({"api": down["api"]})
    return Run("demo", {"api": service}, 0.0, 1000.0, down, warnings=("slow disk", *cautions), seed=7)


RESULTS = [solution, sample, run]

# ---------------------------------------------------------------------------------------------- JSON

EXTRA_KEYS = {
    "solve": {"states", "nodes", "routes"},
    "estimate": {"runs", "events"},
    "simulate": {"start_s", "end_s"},
}


def plain(data: Any) -> bool:
    """Tell whether data is made of JSON's own types, numpy's refused."""
    if type(data) is dict:
        return all(type(key) is str and plain(value) for key, value in data.items())
    if type(data) is list:
        return all(plain(value) for value in data)
    return data is None or type(data) in (bool, int, float, str)


@pytest.mark.parametrize("made", RESULTS)
def test_json_is_valid_and_has_the_same_keys_for_all(made: Any) -> None:
    data = made().to_json()
    assert plain(data)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    keys = {"engine", "cluster", "seed", "horizon_s", "services", "blame", "warnings"}
    assert set(data) == keys | EXTRA_KEYS[data["engine"]]
    for service in data["services"].values():
        estimates = [value for value in service.values() if isinstance(value, dict) and "value" in value]
        assert estimates
        assert all({"value", "low", "high", "level"} <= set(estimate) for estimate in estimates)


def test_json_leaves_out_what_is_unknown_and_names_the_rest() -> None:
    data = sample().to_json()
    service = data["services"]["api"]
    assert list(service) == [
        "availability",
        "unavailability",
        "outages_per_year",
        "mean_outage_s",
        "downtime_s_per_year",
        "slo_kept",
        "slo",
        "downtime_quantiles",
        "blame",
        "cuts",
    ]
    assert service["mean_outage_s"]["high"] is None
    assert service["slo"] == {"availability": 0.9995, "window_s": 30 * DAY}
    assert set(service["downtime_quantiles"]) == {"p50", "p99"}
    assert service["blame"][0] == {"unit": "zone-a", "share": 0.5, "criticality": 0.4, "kind": "zone"}
    assert service["cuts"][0] == {"units": ["zone-a"], "share": 0.5}
    assert data["blame"] == [{"unit": "zone-a", "share": 0.5}, {"unit": "cp-1", "share": 0.2}]
    assert (data["runs"], data["seed"], data["horizon_s"]) == (3, 7, YEAR)


def test_a_result_without_services_has_no_blame() -> None:
    assert Solution("empty", {}).to_json()["blame"] == []


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Blame\.share"):
        Blame("a", math.nan)
    with pytest.raises(ValueError, match=r"Cut\.rate_per_year"):
        Cut(("a",), 0.5, math.inf)


# --------------------------------------------------------------------------------------- frames, text


@pytest.mark.parametrize("made", RESULTS)
def test_a_frame_has_a_row_for_each_service_and_quantity(made: Any) -> None:
    result = made()
    frame = result.to_frame()
    assert list(frame.columns) == ["value", "low", "high", "level", "method"]
    assert list(frame.index.names) == ["service", "quantity"]
    for quantity, estimate in result.services["api"].quantities():
        row = frame.loc[("api", quantity)]
        assert (row["value"], row["low"], row["high"]) == (estimate.value, estimate.low, estimate.high)


def test_quantiles_have_rows_too() -> None:
    assert sample().to_frame().loc[("api", "downtime_s_p99"), "value"] == 5e4


def test_a_solution_prints_one_line_a_service() -> None:
    assert str(solution()) == (
        "three <zones> [solve]\n  api: 99.98712 % available, 3.8 nines; down 1.1 h a year (exact)"
    )


def test_a_sample_prints_its_intervals_and_warnings() -> None:
    assert str(sample()) == (
        "three zones [estimate, 3 runs of 365 d, seed 7]\n"
        "  api: 99.98712 % (99.981 … 99.992) available, 3.8 nines; down 1.1 h (42m 03s … 1.7 h) a year; "
        "2.13 outages a year (1.80 … 2.60); mean outage 32m 14s (25 m … ∞); "
        "SLO 99.95 % over 30 d kept with probability 97.000 % (96.0 … 98.0)\n"
        "  warning: only a few <outages>"
    )


def test_the_notebook_table_shows_each_number_above_its_interval() -> None:
    assert sample()._repr_html_() == (
        "<table><caption>three zones, estimate, 3 runs of 365 d, seed 7</caption>"
        "<thead><tr><th>service</th><th>availability</th><th>nines</th><th>downtime a year</th>"
        "<th>outages a year</th><th>mean outage</th><th>SLO kept</th></tr></thead>"
        "<tbody><tr><th>api</th><td>99.98712 %<br><small>99.981 … 99.992</small></td><td>3.8</td>"
        "<td>1.1 h<br><small>42m 03s … 1.7 h</small></td><td>2.13<br><small>1.80 … 2.60</small></td>"
        "<td>32m 14s<br><small>25 m … ∞</small></td><td>97.000 %<br><small>96.0 … 98.0</small></td></tr>"
        "</tbody></table><ul><li>only a few &lt;outages&gt;</li></ul>"
    )


def test_names_are_escaped_in_the_notebook_table() -> None:
    assert "three &lt;zones&gt;" in solution()._repr_html_()
    assert "<zones>" not in solution()._repr_html_()


def test_no_outage_prints_bounds_and_never_perfection() -> None:
    service = figures_of_history("api", np.empty((0, 2)), 30 * DAY, longest_repair_mean=60.0)
    text = str(Run("calm", {"api": service}, 0, 30 * DAY, {"api": np.empty((0, 2))}))
    assert "100 %" not in text
    assert "api: ≥ 99.9931 % available, ≥ 4.1 nines; down ≤ 36m 27s a year; ≤ 36 outages a year" in text


@pytest.mark.parametrize("made", RESULTS)
def test_results_travel_between_processes(made: Any) -> None:
    assert pickle.loads(pickle.dumps(made())).to_json() == made().to_json()


# ------------------------------------------------------------------------------------------ histories


def test_a_run_knows_when_a_thing_was_down_and_for_how_long() -> None:
    history = run()
    assert history.down("api").tolist() == [[100.0, 160.0], [500.0, 620.0]]
    assert history.downtime_s("api") == 180.0
    assert history.availability("api") == pytest.approx(0.82)
    assert history.availability("etcd-1") == 1.0
    assert history.horizon_s == 1000.0


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"got 'etcd1'.*did you mean 'etcd-1'"):
        run().availability("etcd1")


def test_a_part_of_a_run_cuts_what_reaches_over_its_ends() -> None:
    part = run().between(130, "550s")
    assert part.down("api").tolist() == [[130.0, 160.0], [500.0, 550.0]]
    assert (part.start_s, part.end_s, part.horizon_s) == (130.0, 550.0, 420.0)
    assert part.availability("api") == pytest.approx(1 - 80 / 420)
    unavailability = part.services["api"].unavailability
    assert unavailability is not None
    assert unavailability.value == pytest.approx(80 / 420)
    assert part.services["api"].slo == (0.999, DAY)


def test_a_part_of_a_run_has_its_own_cautions() -> None:
    part = run().between(200, 400)
    assert part.warnings[0] == "slow disk"
    assert "no outage was seen" in part.warnings[1]
    assert len(part.warnings) == 2
    assert len(part.down("api")) == 0


@pytest.mark.parametrize(("start", "end"), [(0, 1001), (-1, 5), (5, 5), ("2m", "1m"), (0, math.inf)])
def test_a_part_outside_the_run_is_refused(start: float | str, end: float | str) -> None:
    with pytest.raises(ModelError, match="0 s to 16m 40s"):
        run().between(start, end)


def test_a_duration_without_a_unit_is_refused() -> None:
    with pytest.raises(ModelError, match="needs a unit"):
        run().between("5", "1m")


@pytest.mark.parametrize("rows", [[[5, 3]], [[0, 5], [4, 6]], [[900, 1001]], [[-1, 5]]])
def test_down_intervals_out_of_order_are_our_own_bug(rows: list[list[float]]) -> None:
    with pytest.raises(AssertionError, match="out of order"):
        Run("demo", {}, 0.0, 1000.0, {"api": np.array(rows, dtype=float)})


def test_arrays_of_another_length_than_the_runs_are_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="3 runs"):
        Sample("x", {}, 3, YEAR, 7, downtime_s={"api": np.zeros(2)}, outages={})


def test_a_history_gives_the_figures_of_its_service() -> None:
    service = figures_of_history("api", [[0, 3600]] * 1 + [[DAY, DAY + 7200]], YEAR)
    values = {name: estimate.value for name, estimate in service.quantities()}
    assert values["outages_per_year"] == pytest.approx(2)
    assert values["mean_outage_s"] == 5400
    assert values["mean_uptime_s"] == pytest.approx((YEAR - 10800) / 2)
    assert values["downtime_s_per_year"] == pytest.approx(10800)
    assert values["availability"] == pytest.approx(1 - 10800 / YEAR)
    assert all(estimate.low < estimate.high for _, estimate in service.quantities())


def test_a_service_down_all_the_time_has_no_uptime() -> None:
    service = figures_of_history("api", [[0, 100]], 100.0)
    assert service.mean_uptime_s is None
    assert service.availability is not None
    assert service.availability.value == 0.0
