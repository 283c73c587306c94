"""The pictures and pages: they draw what the results say, on the axes given, and change nothing else."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import hasim as ha
from hasim.results import Blame, Estimate, Run, Sample, ServiceFigures, Solution
from hasim.results.phases import fault_spans
from hasim.trace import Fact, Trace
from hasim.units import YEAR
from hasim.views.agreement import compare_engines
from hasim.views.axes import ORANGE, RED, percent
from hasim.views.blame import ranked
from hasim.views.page import BAR_WIDTH, LANE_WIDTH, blame_bars, story
from hasim.views.timeline import rows_of

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_hex


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def sample(down: list[float], slo: tuple[float, float] | None = (0.999, 30 * 86400.0)) -> Sample:
    array = np.array(down, dtype=float)
    figures = ServiceFigures("api", slo=slo)
    return Sample("demo", {"api": figures}, len(down), YEAR, 1, {"api": array}, {"api": (array > 0).astype(np.int64)})


def solution(shares: dict[str, float], kind: str = "host") -> Solution:
    blame = tuple(Blame(unit, share, kind=kind) for unit, share in shares.items())
    return Solution("demo", {"api": ServiceFigures("api", blame=blame)})


def story_of_a_crash() -> Run:
    cluster = ha.load("stacked-control-plane")
    return ha.simulate(cluster.during(ha.Crash("cp-1", at="10s", lasting="2m")), over="5m", seed=3)


def texts(ax: plt.Axes) -> str:
    return "\n".join(text.get_text() for text in [*ax.texts, *ax.get_yticklabels()]) + ax.get_title("left")


# ---------------------------------------------------------------------------------------------- downtime


def test_the_curve_is_the_share_of_histories_that_were_down_for_longer() -> None:
    ax = ha.plot_downtime(sample([0.0] * 6 + [60.0, 60.0, 3600.0, 90_000.0]))
    steps = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
    x, y = steps.get_data()
    after = {seconds: share for seconds, share in zip(x, y, strict=True)}  # the last value at each time counts
    assert [after[60.0], after[3600.0]] == pytest.approx([0.2, 0.1])
    assert y[0] == pytest.approx(0.4)
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_histories_without_downtime_and_those_over_budget_are_told() -> None:
    ax = ha.plot_downtime(sample([0.0] * 6 + [60.0, 60.0, 3600.0, 90_000.0]))
    assert "60 % of 10 histories without any downtime" in texts(ax)
    assert "99.9% allows 8.8 h" in texts(ax) and "exceeded by 10 %" in texts(ax)
    assert "downtime of api in a year" in texts(ax)


def test_no_downtime_at_all_and_no_promise_can_be_drawn() -> None:
    assert "no downtime in 3 histories" in texts(ha.plot_downtime(sample([0.0, 0.0, 0.0], slo=None)))
    assert "exceeded by none of 3" in texts(ha.plot_downtime(sample([0.0, 0.0, 0.0])))


def test_a_single_history_can_be_drawn() -> None:
    ha.plot_downtime(sample([5.0]))


def test_downtime_of_another_horizon_names_it() -> None:
    month = ha.estimate(ha.load("repair-crew"), over="30d", runs=50, seed=1)
    assert "in 30 d" in texts(ha.plot_downtime(month))


# ------------------------------------------------------------------------------------------------- blame


def test_bars_are_as_long_as_the_shares_with_the_guiltiest_on_top() -> None:
    ax = ha.plot_blame(solution({"a": 0.2, "b": 0.7, "c": 0.1}))
    assert [bar.get_width() for bar in ax.patches] == [0.7, 0.2, 0.1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a", "c"]
    assert ax.yaxis_inverted()
    assert "70 %" in texts(ax)


def test_the_many_small_ones_are_one_bar_and_the_innocent_none() -> None:
    shares = {f"u{i}": 1 / 40 for i in range(40)} | {"innocent": 0.0}
    bars = ranked(solution(shares).services["api"].blame, 12)
    assert len(bars) == 12
    assert bars[-1].unit == "29 others" and bars[-1].share == pytest.approx(29 / 40)
    assert sum(bar.share for bar in bars) == pytest.approx(1)


def test_nobody_to_blame_can_be_drawn() -> None:
    assert "nobody to blame" in texts(ha.plot_blame(solution({})))


def test_an_unknown_service_is_a_model_error_with_the_nearest() -> None:
    for draw in (ha.plot_blame, ha.plot_downtime):
        result = solution({"a": 1.0}) if draw is ha.plot_blame else sample([1.0])
        with pytest.raises(ha.ModelError, match="did you mean 'api'"):
            draw(result, "apii")


# ---------------------------------------------------------------------------------------------- timeline


def test_the_timeline_has_a_row_for_each_service_and_part_and_for_what_fell() -> None:
    rows, left_out = rows_of(story_of_a_crash())
    assert [row.name for row in rows if row.group == "services"] == ["api", "control"]
    assert [row.name for row in rows if row.group == "parts"] == ["etcd", "apiserver", "lb", "scheduler"]
    assert [row.name for row in rows if row.group == "hosts and members"] == [
        "cp-1",
        "etcd-1",
        "apiserver-1",
        "scheduler-1",
    ]
    assert left_out == 0


def bars(ax: plt.Axes, colour: str) -> set[tuple[float, float]]:
    """Left and right ends of the bars of one colour."""
    drawn = [
        each
        for each in ax.collections
        if to_hex(each.get_facecolor()[0] if len(each.get_facecolor()) else "w") == colour
    ]
    boxes = [path.get_extents() for each in drawn for path in each.get_paths()]
    return {(round(box.x0, 6), round(box.x1, 6)) for box in boxes}


def test_red_bars_are_the_down_intervals_and_orange_ones_the_failovers() -> None:
    run = story_of_a_crash()
    ax = ha.timeline(run)
    down = np.vstack([run.intervals[row.name] for row in rows_of(run)[0]])
    failing_over = np.vstack([*run.gaps.values()])
    assert len(failing_over) == 2
    assert bars(ax, RED.lower()) == {(round(float(start), 6), round(float(end), 6)) for start, end in down}
    assert bars(ax, ORANGE.lower()) == {(round(float(start), 6), round(float(end), 6)) for start, end in failing_over}
    assert "Crash of cp-1" in texts(ax)


def test_scripted_faults_are_told_with_beginning_and_end() -> None:
    run = story_of_a_crash()
    (fault,) = fault_spans(run.trace, run.end_s)
    assert (fault.text, fault.start_s, fault.end_s) == ("Crash of cp-1", 10.0, 130.0)


def test_more_rows_than_fit_are_counted() -> None:
    run = ha.simulate(ha.load("rack-bursts"), over="5y", seed=1)
    rows, left_out = rows_of(run, 10)
    assert len(rows) == 10 and left_out > 0
    ha.timeline(run)


def test_a_quiet_run_can_be_drawn() -> None:
    run = Run("demo", {"api": ServiceFigures("api")}, 0.0, 60.0, {"api": np.empty((0, 2))}, trace=Trace([]))
    assert [row.name for row in rows_of(run)[0]] == ["api"]
    ha.timeline(run)


# ------------------------------------------------------------------------------------------ good manners


def test_the_axes_given_are_drawn_on_and_returned() -> None:
    _, (one, two, three) = plt.subplots(3)
    assert ha.plot_downtime(sample([0.0, 5.0]), ax=one) is one
    assert ha.plot_blame(solution({"a": 1.0}), ax=two) is two
    assert ha.timeline(story_of_a_crash(), ax=three) is three
    assert plt.get_fignums() == [1]


def test_drawing_changes_no_style() -> None:
    before = dict(matplotlib.rcParams)
    ha.plot_downtime(sample([0.0, 5.0]))
    ha.plot_blame(solution({"a": 1.0}))
    ha.timeline(story_of_a_crash())
    assert dict(matplotlib.rcParams) == before


def test_importing_the_views_loads_no_matplotlib() -> None:
    code = "import sys, hasim.views, hasim.views.page; print('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_drawn_figure_can_be_saved() -> None:
    for ax in (
        ha.plot_downtime(sample([0.0, 5.0])),
        ha.plot_blame(solution({"a": 1.0})),
        ha.timeline(story_of_a_crash()),
    ):
        content = io.BytesIO()
        ax.figure.savefig(content)
        assert content.getvalue().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------ page, agreement


def printed(renderable: object) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=140)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_of_text_are_as_long_as_the_shares() -> None:
    lines = printed(blame_bars(solution({"a": 0.5, "b": 0.25}).services["api"])).splitlines()
    assert lines[0].count("█") == BAR_WIDTH and lines[1].count("█") == BAR_WIDTH // 2


def test_a_lane_shows_when_something_was_down() -> None:
    down = np.array([[30.0, 60.0]])
    run = Run("demo", {"api": ServiceFigures("api")}, 0.0, 60.0, {"api": down}, trace=Trace([Fact(30.0, "x", "api")]))
    lane = printed(story(run)).splitlines()[0]
    assert lane.count("█") == lane.count("─") == LANE_WIDTH // 2
    assert lane.index("─") < lane.index("█") and "down 30 s" in lane


def figures(value: float, error: float) -> dict[str, ServiceFigures]:
    estimate = Estimate(value, value - 2 * error, value + 2 * error, standard_error=error)
    return {"api": ServiceFigures("api", unavailability=estimate)}


def test_agreement_counts_the_standard_errors_between_two_engines() -> None:
    exact = Solution("demo", {"api": ServiceFigures("api", unavailability=Estimate.exact(0.010))})
    near = Sample("demo", figures(0.012, 0.001), 1, YEAR, 1, {"api": np.ones(1)}, {"api": np.ones(1, dtype=np.int64)})
    far = Run("demo", figures(0.020, 0.002), 0.0, YEAR, {"api": np.empty((0, 2))})
    first, second = compare_engines([exact, near, far])
    assert (first.engine, second.engine) == ("estimate", "simulate")
    assert first.z == pytest.approx(2) and first.inside
    assert second.z == pytest.approx(5) and not second.inside


def test_agreement_of_two_sampled_numbers_adds_their_variances() -> None:
    one = Sample("demo", figures(0.010, 0.003), 1, YEAR, 1, {"api": np.ones(1)}, {"api": np.ones(1, dtype=np.int64)})
    other = Run("demo", figures(0.020, 0.004), 0.0, YEAR, {"api": np.empty((0, 2))})
    (row,) = compare_engines([one, other])
    assert row.z == pytest.approx(2) and row.reference == "estimate"


def test_agreement_takes_the_spread_of_one_history_from_many() -> None:
    """Ten years of yearly downtimes with standard deviation s have one of s/sqrt(10) per year on average."""
    yearly = np.array([0.0, 2.0] * 500)
    many = Sample(
        "demo", figures(1 / YEAR, 1e-12), 1000, YEAR, 1, {"api": yearly}, {"api": np.ones(1000, dtype=np.int64)}
    )
    one = Run("demo", figures(2 / YEAR, 1e-12), 0.0, 10 * YEAR, {"api": np.empty((0, 2))})
    (row,) = compare_engines([many, one])
    assert row.value.standard_error == pytest.approx(1 / YEAR / np.sqrt(10))
    assert row.z == pytest.approx(np.sqrt(10), rel=1e-4) and not row.inside


def test_one_result_alone_has_nothing_to_agree_with() -> None:
    assert compare_engines([solution({})]) == []


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.0312, "3.1 %"), (0.000123, "0.012 %"), (0.99954, "99.954 %"), (0.5, "50 %")],
)
def test_percents_keep_two_digits_of_what_matters(share: float, text: str) -> None:
    assert percent(share) == text
