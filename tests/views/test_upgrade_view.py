"""The picture of upgrades, side by side too, and where else a run shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from rich.console import Console

import hasim as ha
from hasim.views import page
from hasim.views.timeline import rows_of

LOAD = ha.Load(rate=60, clients={"timeout": "5s"})
BAD = ha.Release(bad=1, errors=0.5)
NOTICED = ha.Detection(takes={"fixed": "20s"})


def cluster(replicas: int = 4) -> ha.Cluster:
    serving = {"takes": "20ms", "slots": 16, "start_up": {"fixed": "5s"}, "pre_stop": "2s"}
    parts = {
        "api": {"kind": "pool", "replicas": replicas, "serving": serving},
        "lb": {"kind": "balancer", "to": "api", "view_delay": "1s"},
    }
    return ha.Cluster(name="x", parts=parts, services={"web": {"up": ["lb"]}})


def played(upgrade: Any, *more: Any, over: str = "2m", replicas: int = 4) -> ha.Run:
    return ha.simulate(cluster(replicas).during(upgrade, *more), over=over, seed=1)


@pytest.fixture(scope="module")
def runs() -> dict[str, ha.Run]:
    common: dict[str, Any] = {"at": "10s", "release": BAD, "detection": NOTICED}
    upgrades = {
        "rolling": ha.Rolling("api", **common),
        "blue-green": ha.BlueGreen("api", **common, keep="60s", tests="5s"),
        "window": ha.Window("api", **common, lasting="30s"),
    }
    return {name: played(upgrade, LOAD) for name, upgrade in upgrades.items()}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def words(ax: Any) -> set[str]:
    return {text.get_text() for text in ax.texts if text.get_text()}


def labels(ax: Any) -> set[str]:
    return set(ax.get_legend_handles_labels()[1])


def heights(ax: Any, label: str) -> dict[float, float]:
    """How high what is called so stands over its ground, by where it begins."""
    steps = next(patch for patch in ax.patches if patch.get_label() == label)
    values, edges, baseline = steps.get_data()
    return dict(zip(edges[:-1].tolist(), (values - baseline).tolist(), strict=True))


def test_the_picture_of_a_rolled_back_upgrade(runs: dict[str, ha.Run]) -> None:
    run = runs["rolling"]
    above, below = ha.plot_upgrade(run)
    title = above.get_title(loc="left")
    failed = run.upgrades["rolling"].failed(run.requests)  # type: ignore[arg-type]
    assert title.startswith("rolling of api, v1 to v2: rolled back in ") and f"{failed:,} of" in title
    assert words(above) >= {"rolled out", "noticed", "rolled back"}
    assert {"ready, old", "ready, new", "starting, new", "leaving, old", "replicas"} <= labels(above)
    assert labels(below) == {"failed", "served by the old", "served by the new"}
    low, high = above.get_xlim()
    assert 0 < low < 10 and 48 < high < 70  # no more of the run than the upgrade


def test_the_steps_are_those_of_the_log(runs: dict[str, ha.Run]) -> None:
    run = runs["rolling"]
    log = run.upgrades["rolling"]
    above, _ = ha.plot_upgrade(run)
    drawn = heights(above, "ready, new")
    for at, ready in zip(log.at_s.tolist(), log.ready[:, 1].tolist(), strict=True):
        if at in drawn:
            assert drawn[at] == ready
    assert next(iter(heights(above, "ready, old").values())) == log.replicas  # before its begin


def test_all_requests_of_the_time_are_drawn(runs: dict[str, ha.Run]) -> None:
    run = runs["window"]
    assert run.requests is not None
    _, below = ha.plot_upgrade(run)
    assert "got a notice" in labels(below)
    low, high = below.get_xlim()
    drawn = 0.0
    for patch in below.patches:
        if hasattr(patch, "get_data"):
            values, edges, baseline = patch.get_data()
            drawn += float(np.sum((values - baseline) * np.diff(edges)))
    assert round(drawn) == len(run.requests.between(low, high))


def test_strategies_side_by_side_have_the_same_axes(runs: dict[str, ha.Run]) -> None:
    places = ha.plot_upgrades(runs)
    assert [above.get_title(loc="left") for above, _ in places] == list(runs)
    for line in (0, 1):
        assert len({pair[line].get_xlim() for pair in places}) == 1
        assert len({pair[line].get_ylim() for pair in places}) == 1
    assert places[0][0].get_xlim()[0] < 0  # time is counted from the begin
    assert "requests failed" in "".join(words(places[1][0]))
    assert len(ha.plot_upgrades({str(i): runs["rolling"] for i in range(6)})) == 6
    assert len(ha.plot_upgrades({"one": runs["rolling"]})) == 1


def test_no_label_runs_into_another(runs: dict[str, ha.Run]) -> None:
    bakes = [{"share": 0.1 * number, "bake": "8s"} for number in range(1, 9)]
    canary = played(ha.Canary("api", at="5s", steps=bakes), ha.Crash("api-1", at="20s", lasting="10s"), LOAD)
    pictures = [ha.plot_upgrade(canary), ha.plot_upgrade(runs["window"]), *ha.plot_upgrades(runs)]
    for above, _ in pictures:
        figure = above.get_figure()
        assert figure is not None
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in above.texts if text.get_text()]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    assert "Crash of api-1" in "".join(words(pictures[0][0]))


def test_a_picture_in_the_place_of_axes_stays_there(runs: dict[str, ha.Run]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5))
    above, below = ha.plot_upgrade(runs["rolling"], "rolling", ax=left)
    figure.canvas.draw()
    edge = right.get_window_extent().x0
    for each in (above, below):
        legend = each.get_legend()
        assert legend is not None and legend.get_window_extent().x1 < edge


def test_without_requests_the_share_that_would_meet_it_is_drawn() -> None:
    run = played(ha.Rolling("api", at="10s", release=BAD))
    above, below = ha.plot_upgrade(run)
    assert "bad and still met, no requests played" in above.get_title(loc="left")
    assert max(heights(below, "would meet the new").values()) == 1.0
    assert below.get_ylim()[1] < 1.2
    assert above.get_xlim()[1] < 60  # not all of the time that it is still met


def test_an_upgrade_that_hangs_and_pieces_of_runs_are_drawn(runs: dict[str, ha.Run]) -> None:
    never = ha.Release(bad=1, errors=0.5, never_ready=1)
    above, _ = ha.plot_upgrade(played(ha.Rolling("api", at="5s", release=never), LOAD))
    assert "under way for" in above.get_title(loc="left")
    above, _ = ha.plot_upgrade(runs["rolling"].between("20s", "30s"))
    assert above.get_xlim() == (20.0, 30.0)
    many = played(ha.Rolling("api", at="1m"), ha.Load(rate=20), over="5m", replicas=100)
    above, _ = ha.plot_upgrade(many)
    assert above.get_ylim()[1] == pytest.approx(1.08 * many.upgrades["rolling"].most_pods)


def test_what_cannot_be_drawn_is_named(runs: dict[str, ha.Run]) -> None:
    quiet = ha.simulate(cluster(), over="1s", seed=1)
    calls: list[tuple[Any, str]] = [
        (lambda: ha.plot_upgrade(runs["rolling"], "roling"), "did you mean 'rolling'"),
        (lambda: ha.plot_upgrade(quiet), "no upgrade has begun"),
        (lambda: ha.plot_upgrade(3), "give a Run"),  # type: ignore[arg-type]
        (lambda: ha.plot_upgrades({}), "give a mapping"),
        (lambda: ha.plot_upgrades([quiet]), "give a mapping"),  # type: ignore[arg-type]
        (lambda: ha.plot_upgrades({"a": quiet}), "runs.a: no upgrade has begun"),
    ]
    for call, said in calls:
        with pytest.raises(ha.ModelError, match=said):
            call()


def test_the_timeline_and_the_page_show_upgrades(runs: dict[str, ha.Run]) -> None:
    run = runs["rolling"]
    ax = ha.timeline(run)
    assert "rolling of api" in words(ax)
    rows = {row.name: row for row in rows_of(run)[0]}
    assert not any(name.startswith("absent") for name in rows)
    early = {row.name for row in rows_of(played(ha.Rolling("api", at="1h")))[0]}
    assert early == {"web", "api", "lb"}
    assert "api-9" not in rows  # room that nobody needed
    assert all(float(np.sum(np.diff(rows[name].down))) < 15 for name in rows)  # an empty place is not down
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for head, _, table in page.tables(run, {}):
        console.print(head, table)
    console.print(page.story_facts(run))
    shown = console.export_text()
    assert "what became of upgrades" in shown and "rolled back" in shown and "3 of 4" in shown
    assert "bad release noticed" in shown
    quiet = ha.simulate(cluster(), over="1s", seed=1)
    assert page.upgrades_table(quiet) is None and page.tables(quiet, {}) == [] == page.tables(None, {})
