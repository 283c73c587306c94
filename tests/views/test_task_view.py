"""The picture of tasks, and their figures as text, tables and data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

import hasim as ha


@pytest.fixture(scope="module")
def run() -> ha.Run:
    model = ha.load("redelivery-storm")
    pause = [ha.Pause(f"jobs-{i}", at="5m", lasting="30s") for i in (1, 2, 3, 4)]
    return ha.simulate(model.during(*pause), over="20m", seed=1)


def test_the_picture_of_a_storm(run: ha.Run) -> None:
    above, below = ha.plot_tasks(run)
    assert "executions each" in above.get_title(loc="left")
    line = below.lines[0]
    waiting = np.asarray(line.get_ydata(), dtype=float)
    assert waiting[:9].max() < 40 and waiting[-1] > 100
    plt.close("all")


def test_what_cannot_be_drawn_is_named(run: ha.Run) -> None:
    calls: list[tuple[Any, str]] = [
        (lambda: ha.plot_tasks(run, "job"), "did you mean 'jobs'"),
        (lambda: ha.plot_tasks(ha.simulate(ha.load("etcd-quorum"), over="1s", seed=1)), "no tasks came"),
        (lambda: ha.plot_tasks(3), "give a Run"),  # type: ignore[arg-type]
    ]
    for call, said in calls:
        with pytest.raises(ha.ModelError, match=said):
            call()


def test_all_results_show_tasks_alike(run: ha.Run) -> None:
    model = ha.load("work-queue-short-timeout")
    for result in (ha.solve(model), ha.estimate(model, runs=10, seed=1, tasks=1000), run):
        assert "executions" in str(result) and "duplicates" in result._repr_html_()
        frame = result.to_frame()
        assert {"executions", "duplicates"} <= set(frame.loc["jobs"].index)
        plain = json.loads(json.dumps(result.to_json()))
        assert plain["tasks"]["jobs"]["executions"]["value"] >= 1


def test_parts_of_a_run_have_their_tasks(run: ha.Run) -> None:
    early, late = run.between("0s", "5m").tasks["jobs"], run.between("10m", "20m").tasks["jobs"]
    assert len(early) + len(late) < len(run.tasks["jobs"])
    a, b = early.figures().executions, late.figures().executions
    assert a is not None and b is not None and a.value < 1.2 and b.value > 1.4
    frame = late.to_frame()
    assert len(frame) == len(late) and frame["arrived_s"].between(600, 1200).all()
