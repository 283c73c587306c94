"""The picture of who believed to lead."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

import hasim as ha


def workers(fence: str) -> ha.Cluster:
    parts = {
        "store": {"kind": "pool", "replicas": 1},
        "worker": {
            "kind": "elected",
            "replicas": 3,
            "needs": "store",
            "lease": {},
            "duty": {"every": "500ms", "takes": "100ms", "fence": fence},
        },
    }
    return ha.Cluster(name="workers", parts=parts, up="worker")


@pytest.fixture(autouse=True)
def _closed() -> object:
    yield
    plt.close("all")


def test_two_leaders_and_their_damage_are_said_in_the_title() -> None:
    sleep = ha.Pause("worker-1", at="20s", lasting="30s")
    ax = ha.plot_leaders(ha.simulate(workers("none").during(sleep), over="90s", seed=2))
    assert "two leaders for" in ax.get_title("left") and "done twice" in ax.get_title("left")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["worker-1", "worker-2", "worker-3"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "stale or done twice" in legend and "refused" not in legend
    ax = ha.plot_leaders(ha.simulate(workers("token").during(sleep), over="90s", seed=2))
    assert "done twice" not in ax.get_title("left")
    assert "refused" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_calm_run_has_one_leader() -> None:
    _, given = plt.subplots()
    ax = ha.plot_leaders(ha.simulate(workers("none"), over="1m", seed=1), "worker", given)
    assert ax is given and "one leader at a time" in ax.get_title("left")


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    run = ha.simulate(workers("none"), over="1m", seed=1)
    with pytest.raises(ha.ModelError, match="did you mean 'worker'"):
        ha.plot_leaders(run, "workers")
    with pytest.raises(ha.ModelError, match="give a Run"):
        ha.plot_leaders("run")  # type: ignore[arg-type]
    plain = ha.simulate(ha.load("single-master"), over="1d", seed=1)
    with pytest.raises(ha.ModelError, match="nobody has led"):
        ha.plot_leaders(plain)
