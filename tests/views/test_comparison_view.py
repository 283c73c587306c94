"""The picture of a comparison: means and paired differences on one scale, with their numbers."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest

import hasim as ha

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def comparison(runs: int = 100, unit: str = "share") -> ha.Comparison:
    base = np.random.default_rng(1).gamma(2.0, 0.002, runs)
    numbers = np.stack([base, base / 2, np.full(runs, 0.25)])
    samples = {"failed_share": numbers, "downtime": 100 * numbers}
    units = {"failed_share": unit, "downtime": ""}
    names = ("rolling", "blue-green", "all at once")
    return ha.Comparison(names, samples, tuple(range(runs)), 1200.0, 11, units=units)  # type: ignore[arg-type]


def test_means_and_differences_stand_on_one_scale() -> None:
    given = comparison()
    ax = ha.plot_comparison(given)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rolling", "blue-green", "all at once"]
    marks = {
        marker: [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == marker] for marker in "os"
    }  # type: ignore[index]
    means = [given.mean(name).value for name in given.names]
    assert marks["o"] == pytest.approx(means)
    # From the first mean on, a difference ends at the other mean.
    assert marks["s"] == pytest.approx(means[1:])
    said = "\n".join(text.get_text() for text in ax.texts)
    assert "points" in said and str(given.mean("blue-green")) in said
    assert "100 runs of 20 m" in ax.get_xlabel()


def test_it_draws_on_the_axes_given_and_the_measure_asked_for() -> None:
    _, ax = plt.subplots()
    assert ha.plot_comparison(comparison(), ax, measure="downtime") is ax
    assert "downtime" in ax.get_title("left") and "25 (in every run)" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("runs", [1, 2])
def test_intervals_without_an_end_are_cut_off(runs: int) -> None:
    ax = ha.plot_comparison(comparison(runs), measure="downtime")
    assert np.isfinite(ax.get_xlim()).all()
    assert all(np.isfinite(np.asarray(line.get_xdata(), dtype=float)).all() for line in ax.lines)
    ax.figure.canvas.draw()


def test_what_cannot_be_drawn_is_named() -> None:
    with pytest.raises(ha.ModelError, match="comparison: got 3; give a Comparison"):
        ha.plot_comparison(3)  # type: ignore[arg-type]
    with pytest.raises(ha.ModelError, match="did you mean 'downtime'"):
        ha.plot_comparison(comparison(), measure="downtimes")
