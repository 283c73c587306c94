"""Pictures of requests: what is drawn is what the log says, where the faults and the servers' marks belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

import hasim as ha
from hasim.results import Run
from hasim.results.outcomes import OUTCOMES
from hasim.results.phases import FaultSpan
from hasim.results.request_log import RequestLog
from hasim.trace import Fact, Trace
from hasim.views.axes import GREEN, RED
from hasim.views.page import requests_table
from hasim.views.requests import _COLOURS, LABELS_MAX, POINTS_MAX, _name_faults, survival

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle, StepPatch


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


SHOP = ha.Cluster(
    name="shop",
    parts={
        "api": {"kind": "pool", "replicas": 3, "serving": {"takes": "20ms", "slots": 16}},
        "lb": {"kind": "balancer", "to": "api", "check": {"interval": "500ms"}, "connect_timeout": "1s"},
    },
    services={"web": {"up": ["lb"]}},
)


@pytest.fixture(scope="module")
def run() -> Run:
    load = ha.Load(rate=100, clients=ha.Clients(timeout="2s"))
    faults = (ha.Crash("api-1", at="20s", lasting="10s"), ha.ErrorAnswers("api-2", at="40s", lasting="5s", share=0.5))
    return ha.simulate(SHOP.during(load, *faults), over="60s", seed=4)


def log(arrived: Any, latency: Any, outcome: Any, end: float) -> RequestLog:
    n = len(arrived)
    return RequestLog(
        loads=("load",),
        servers=("api-1",),
        load=np.zeros(n, np.int16),
        arrived_s=np.asarray(arrived, dtype=np.float64),
        ended_s=np.asarray(arrived, dtype=np.float64) + np.asarray(latency),
        attempts=np.ones(n, np.int32),
        server=np.zeros(n, np.int32),
        outcome=np.array([OUTCOMES.index(name) for name in outcome], dtype=np.int8),
        user=np.zeros(n, np.int32),
        write=np.zeros(n, np.bool_),
        start_s=0.0,
        end_s=end,
    )


def steps(ax: Axes, label: str) -> StepPatch:
    return next(patch for patch in ax.patches if isinstance(patch, StepPatch) and patch.get_label() == label)


def drawn(ax: Axes, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Values, edges and baseline of a layer or line of steps."""
    values, edges, baseline = steps(ax, label).get_data()
    return np.asarray(values), np.asarray(edges), np.asarray(baseline)


# ------------------------------------------------------------------------------------------------ requests


def test_the_layers_add_up_to_what_arrived_and_each_is_as_thick_as_its_count(run: Run) -> None:
    above, _ = ha.plot_requests(run)
    assert run.requests is not None
    top, edges, _ = drawn(above, "served")
    arrived = np.histogram(run.requests.arrived_s, edges)[0] / np.diff(edges)
    assert np.allclose(top, arrived)
    served = np.zeros(len(edges) - 1)
    for name in dict.fromkeys(OUTCOMES[code] for code in run.requests.outcome):
        values, _, baseline = drawn(above, "served" if name == "ok" else name)
        mine = run.requests.of(outcome=name).arrived_s
        served += np.histogram(mine, edges)[0] / np.diff(edges)
        assert np.allclose(values - baseline, np.histogram(mine, edges)[0] / np.diff(edges))
    assert np.allclose(served, arrived)


def test_the_lines_below_are_the_quantiles_of_each_bin(run: Run) -> None:
    _, below = ha.plot_requests(run)
    assert run.requests is not None
    _, edges, _ = drawn(below, "median")
    served = run.requests.of(outcome="ok")
    for label, p in (("median", 0.5), ("99th centile", 0.99)):
        values = drawn(below, label)[0]
        for i in (0, len(edges) // 2, len(edges) - 2):
            inside = (served.arrived_s >= edges[i]) & (served.arrived_s < edges[i + 1])
            assert values[i] == np.quantile(served.latency_s[inside], p, method="inverted_cdf")
    assert below.get_yscale() == "log"


def test_bands_stand_where_faults_were_and_marks_where_servers_went(run: Run) -> None:
    above, below = ha.plot_requests(run)
    for ax in (above, below):
        bands = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        assert [band.get_x() for band in bands] == pytest.approx([20, 40])
        assert [band.get_width() for band in bands] == pytest.approx([10, 5])
    assert [text.get_text() for text in above.texts] == ["Crash of api-1", "ErrorAnswers of api-2"]
    marks = {line.get_label(): line for line in below.lines}
    for kind, label, colour in (("server down", "server taken out", RED), ("server up", "server put back", GREEN)):
        expected = [fact.at for fact in run.trace if isinstance(fact, Fact) and fact.kind == kind]
        assert expected and list(marks[label].get_xdata()) == expected  # type: ignore[arg-type]
        assert to_hex(marks[label].get_color()) == colour.lower()
    assert above.get_xlim() == below.get_xlim() == (0, 60)


def test_the_title_counts_and_never_rounds_up_to_all(run: Run) -> None:
    above, _ = ha.plot_requests(run)
    figures = run.requests.figures()  # type: ignore[union-attr]
    assert above.get_title("left").startswith(f"shop: {figures.requests:,} requests, 9")
    assert "100 %" not in above.get_title("left")


def test_both_pictures_fit_in_the_place_of_given_axes(run: Run) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    above, below = ha.plot_requests(run, ax=left)
    assert above.figure is below.figure is figure
    figure.canvas.draw()
    place, other = left.get_window_extent(), right.get_window_extent()
    for ax in (above, below):
        box = ax.get_window_extent()
        assert place.x0 - 1 <= box.x0 < box.x1 <= place.x1 + 1 < other.x0
    assert above.get_window_extent().y0 > below.get_window_extent().y1


def test_a_load_is_drawn_alone_and_a_run_without_requests_not_at_all(run: Run) -> None:
    two = ha.simulate(SHOP.during(ha.Load(rate=20, name="a"), ha.Load(rate=40, name="b")), over="20s", seed=1)
    assert two.requests is not None
    count = int(np.sum(two.requests.of(load="b").fate == 0))
    above, _ = ha.plot_requests(two, load="b")
    assert f"{count:,} requests" in above.get_title("left")
    with pytest.raises(ha.ModelError, match="played no requests"):
        ha.plot_requests(ha.simulate(SHOP, over="10s", seed=1))
    with pytest.raises(ha.ModelError, match="give a Run"):
        ha.plot_requests("shop")  # type: ignore[arg-type]


def test_a_run_that_served_nothing_can_be_drawn() -> None:
    nothing = Run("shop", {}, 0.0, 10.0, {}, trace=Trace(), requests=log([1, 2], [0.1, 0.1], ["503", "503"], 10.0))
    above, below = ha.plot_requests(nothing)
    above.figure.canvas.draw()
    assert "0 % served" in above.get_title("left")
    assert np.isnan(drawn(below, "median")[0]).all()


def test_attempts_are_a_line_of_their_own_where_clients_ask_more_than_once(run: Run) -> None:
    some = log([1, 2, 3, 12], [0.1] * 4, ["ok", "ok", "503", "ok"], 20.0)
    above, _ = ha.plot_requests(replace(some, attempts=np.array([1, 4, 2, 1], np.int32)))
    values, edges, _ = drawn(above, "attempts")
    assert np.sum(values * np.diff(edges)) == pytest.approx(8)
    assert above.get_ylim()[1] > values.max()
    assert not [patch for patch in ha.plot_requests(run)[0].patches if patch.get_label() == "attempts"]


def test_every_outcome_has_a_colour_of_its_own() -> None:
    assert list(_COLOURS) and set(_COLOURS) == set(OUTCOMES) - {"ok"}
    assert len({to_hex(colour) for colour in _COLOURS.values()}) == len(_COLOURS)


def test_names_of_faults_do_not_run_into_one_another() -> None:
    figure, ax = plt.subplots(figsize=(9, 3))
    ax.set_xlim(0, 100)
    spans = [FaultSpan(f"ErrorAnswers of api-{i}", at, at + 5) for i, at in enumerate((0, 3, 30, 60, 90, 95, 97))]
    letter = 0.085 * figure.dpi / ax.get_window_extent().width * 100
    lines = _name_faults(ax, spans, letter)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == LABELS_MAX and lines >= 2
    for i, one in enumerate(boxes):
        assert all(not one.overlaps(other) for other in boxes[i + 1 :])
        assert one.x1 <= figure.bbox.x1


# ------------------------------------------------------------------------------------------------- latency


def curve(line: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = line.get_data()
    return np.asarray(x), np.asarray(y)


def test_the_curve_is_the_share_not_served_within_x_and_ends_at_the_failed_share(run: Run) -> None:
    ax = ha.plot_latency({"shop": run})
    x, y = curve(ax.lines[0])
    assert run.requests is not None
    for limit in (0.005, 0.02, 0.06, 0.11):
        at = int(np.searchsorted(x, limit, side="right")) - 1
        step = 1.5 / POINTS_MAX * np.log(len(run.requests))  # between two points that are drawn
        assert y[at] == pytest.approx(ha.failed_share(run, within=limit), rel=step, abs=2 / len(run.requests))
    assert y[-1] == pytest.approx(ha.failed_share(run))
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_survival_counts_ties_what_never_came_and_what_lies_left_of_the_picture() -> None:
    waits = np.array([0.1, 1.0, 2.0, 2.0, 5.0, np.inf, np.inf, np.inf, np.inf, np.inf])
    x, share = survival(waits, 0.5, 10.0)
    after = dict(zip(x.tolist(), share.tolist(), strict=True))  # the last value at each x counts
    assert after == pytest.approx({0.5: 0.9, 1.0: 0.8, 2.0: 0.6, 5.0: 0.5, 10.0: 0.5})


def test_a_long_curve_is_thinned_and_keeps_its_tail() -> None:
    waits = np.sort(np.random.default_rng(1).exponential(1.0, 300_000))
    x, share = survival(waits, 1e-3, 100.0)
    assert len(x) <= POINTS_MAX + 2
    exact = 1 - np.searchsorted(waits, x, side="right") / waits.size
    assert np.allclose(share, exact, rtol=0, atol=1e-12)
    assert x[-2] == waits[-1]


def test_phases_are_drawn_of_one_run_and_names_are_kept_apart(run: Run) -> None:
    labels = [line.get_label() for line in ha.plot_latency(run).lines]
    assert [str(label).split(",")[0] for label in labels] == [
        "before",
        "during 1: Crash of api-1",
        "between 1",
        "during 2: ErrorAnswers of api-2",
        "after",
    ]
    assert [str(line.get_label()).split(",")[0] for line in ha.plot_latency([run, run]).lines] == ["shop 1", "shop 2"]


def test_requests_that_were_cut_off_are_in_no_curve() -> None:
    some = log([1, 2, 9], [0.5, 0.2, 0.1], ["ok", "503", "unanswered"], 9.1)
    ax = ha.plot_latency(some)
    assert str(ax.lines[0].get_label()).endswith("2 requests")
    assert curve(ax.lines[0])[1][-1] == 0.5


def test_nothing_served_has_no_curve() -> None:
    with pytest.raises(ha.ModelError, match="no request was served"):
        ha.plot_latency(log([1.0], [0.1], ["503"], 10.0))
    with pytest.raises(ha.ModelError, match="give a Run"):
        ha.plot_latency(3)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ terminal


def test_the_table_for_a_terminal_has_a_row_for_each_phase(run: Run) -> None:
    table = requests_table(run)
    assert table is not None and table.row_count == 6
    assert requests_table(ha.simulate(SHOP, over="10s", seed=1)) is None
