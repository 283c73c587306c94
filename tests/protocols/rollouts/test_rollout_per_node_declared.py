"""The strategy `PerNode` as it is declared, and the rollout that it makes."""

from __future__ import annotations

from typing import Any

import pytest
from rollout_play import Play, told

import hasim as ha
from hasim.protocols.rollout import DaemonRollout


@pytest.mark.parametrize(
    ("settings", "room"),
    [
        ({}, 11),
        ({"unavailable": "10%"}, 11),
        ({"unavailable": 0, "surge": 3}, 14),
        ({"unavailable": "0%", "surge": "10%"}, 13),  # of 11 places, rounded up
    ],
)
def test_there_is_room_for_the_surge(settings: dict[str, Any], room: int) -> None:
    assert ha.PerNode("agents", **settings).room(11) == room


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unavailable": 0}, "unavailable: got 0, and 0 for surge; one of the two is at least 1"),
        ({"surge": 1}, "surge: got 1, and 1 for unavailable; one of the two is 0"),
        ({"unavailable": "101%"}, "unavailable: got '101%'; at most 100%"),
        ({"unavailable": -1}, "unavailable: got -1; it is a whole number of pods of at least 0, or a share like '25%'"),
    ],
)
def test_one_of_the_two_bounds_is_nothing_and_the_other_is_not(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ha.ModelError) as error:
        ha.PerNode("agents", **settings)
    assert str(error.value) == message


def test_it_knows_no_pause() -> None:
    with pytest.raises(ha.ModelError, match="per node knows retry, roll back"):
        ha.PerNode("agents", orders=[ha.Order(after="5s", do="pause")])


def test_it_makes_a_rollout_over_the_servers_in_their_places() -> None:
    rollout = ha.PerNode("agents", unavailable="50%", min_ready="3s").rollout("v1", ["n1", "n2"])
    assert isinstance(rollout, DaemonRollout)
    assert Play(rollout).run().story() == told("""
        0: rollout begun, -n1
        5: n1 gone, +n1 v2
        15: n1 ready
        18: -n2
        23: n2 gone, +n2 v2
        33: n2 ready
        36: ROLLED OUT
    """)
