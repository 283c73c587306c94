"""The space-time picture of a Raft run: who had which role when, and what clients saw."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

import hasim as ha
from hasim.engines.des.etcd.handle import Etcd
from hasim.trace import Fact
from hasim.views.spacetime import Stretch, spacetime, stretches


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def etcd() -> Etcd:
    found = Etcd(3, seed=1)
    found.client(name="reader", rate=5, requests="linearizable")
    found.run("5s")
    found.partition(found.leader or "")
    found.run("5s")
    found.heal()
    found.crash("etcd-1")
    found.run("2s")
    return found


def test_roles_and_terms_follow_the_facts() -> None:
    facts = [
        Fact(0.0, "process started", "a"),
        Fact(0.0, "started", "a", {"term": 1}),
        Fact(1.0, "candidate", "a", {"term": 2}),
        Fact(1.5, "leader", "a", {"term": 2}),
        Fact(1.6, "in office", "a", {"term": 2}),
        Fact(2.0, "process paused", "a"),
        Fact(3.0, "process resumed", "a"),
        Fact(3.5, "follower", "a", {"term": 4, "leader": None}),
        Fact(3.6, "follower", "a", {"term": 4, "leader": "b"}),
        Fact(4.0, "process crashed", "a"),
    ]
    assert stretches(facts, 5.0)["a"] == [
        Stretch("follower", 1, 0.0, 1.0),
        Stretch("candidate", 2, 1.0, 1.5),
        Stretch("elected", 2, 1.5, 1.6),
        Stretch("leader", 2, 1.6, 2.0),
        Stretch("paused", 2, 2.0, 3.0),
        Stretch("leader", 2, 3.0, 3.5),
        Stretch("follower", 4, 3.5, 4.0),
        Stretch("down", 4, 4.0, 5.0),
    ]


def test_stretches_of_a_run_cover_it_without_a_gap_and_one_leads_at_a_time_in_a_term(etcd: Etcd) -> None:
    lanes = stretches(etcd.trace, etcd.now)
    assert list(lanes) == ["etcd-1", "etcd-2", "etcd-3"]
    for lane in lanes.values():
        assert lane[0].start == 0.0 and lane[-1].end == etcd.now
        assert all(one.end == other.start for one, other in itertools.pairwise(lane))
    leading = [(each.term, name) for name, lane in lanes.items() for each in lane if each.role == "leader"]
    assert len({term for term, _ in leading}) == len({pair for pair in leading}) >= 2


def test_the_picture_has_a_lane_for_each_member_and_client_and_says_what_was_cut(etcd: Etcd) -> None:
    ax = spacetime(etcd, since="4s")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["etcd-1", "etcd-2", "etcd-3", "reader"]
    assert ax.get_xlim() == (4.0, etcd.now)
    texts = [text.get_text() for text in ax.texts]
    assert any(text.endswith(" cut off") for text in texts)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"follower", "leader", "request ok"} <= set(labels)
    alone = spacetime(etcd, since=4.0, until="8s", clients=False)
    assert len(alone.get_yticklabels()) == 3
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [("5s", "4s", "until: got 5 s to 4 s; a picture has a length"), ("soon", None, "since: got 'soon'")],
)
def test_a_picture_of_no_time_is_refused(etcd: Etcd, since: str, until: str | None, said: str) -> None:
    with pytest.raises(ha.ModelError) as error:
        spacetime(etcd, since=since, until=until)
    assert str(error.value).startswith(said)
