"""Many elections at once: one a row ("lane") of flat arrays, with a slot for each event that may come next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Handler = Callable[[Ints, Ints, Floats], None]
"""Deals with one kind of event: in which lanes, in which slot, and when."""

TIMER: Final = 0
"""Kind of the slots that hold the members' election timers."""
LANES_MOST: Final = 1 << 15
PLACES_MOST: Final = 1 << 21
"""Elections in hand at a time, and slots of all of them: few enough for the processor's cache and small memories."""


@dataclass
class Lanes:
    """What all elections in hand have: whether each is over, and when the event of each slot happens."""

    over: Bools
    due: Floats  # infinite: never


Hand = TypeVar("Hand", bound=Lanes)


class Slots:
    """Where the next events of a lane stand: one timer a member, then one message of a kind for each ordered pair.

    One slot is enough for a message: the next one of its kind between the two leaves most of an election timeout
    later. A message to or from a campaigner's o-th neighbour stands at the campaigner's place o, and so does the
    answer.
    """

    def __init__(self, members: int, kinds: Sequence[int]) -> None:
        self.others = members - 1
        block = members * self.others
        campaigner = np.repeat(np.arange(members), self.others)
        peer = (campaigner + np.tile(np.arange(1, members), members)) % members
        self.start = {kind: members + block * place for place, kind in enumerate(kinds)}
        self.count = members + block * len(kinds)
        self.lanes = min(LANES_MOST, PLACES_MOST // self.count)
        self.kind = np.repeat([TIMER, *kinds], [members] + [block] * len(kinds))
        self.campaigner = np.concatenate([np.arange(members), *[campaigner] * len(kinds)])
        self.peer = np.concatenate([np.arange(members), *[peer] * len(kinds)])

    def to_all(self, kind: int, lane: Ints, member: Ints) -> Ints:
        """Places of one message of this kind from each of these campaigners to each of the others."""
        first = lane * self.count + self.start[kind] + member * self.others
        return np.asarray(first[:, None] + np.arange(self.others))

    def beside(self, slot: Ints, kind: int, instead_of: int) -> Ints:
        """The slots of the messages of a kind between the same two as the messages of another kind in `slot`."""
        return np.asarray(slot + (self.start[kind] - self.start[instead_of]))

    def refilled(self, lanes: Hand, fresh: Callable[[int], Hand]) -> Hand:
        """The same lanes, or once half of them are over those that go on and `fresh` ones in place of the others."""
        over = int(np.count_nonzero(lanes.over))
        if 2 * over < lanes.over.size:
            return lanes
        return joined(lanes, ~lanes.over, fresh(self.lanes - (lanes.over.size - over)))

    def next_events(self, lanes: Lanes) -> tuple[Ints, Floats]:
        """Take the next event of every lane out of its slot: which slot, and when."""
        slot = lanes.due.reshape(-1, self.count).argmin(axis=1)
        place = np.arange(slot.size) * self.count + slot
        now = lanes.due[place]
        lanes.due[place] = np.inf
        return slot, now

    def hand_out(self, lanes: Lanes, slot: Ints, now: Floats, handlers: Sequence[tuple[int, Handler]]) -> None:
        """Let the handler of each kind, in this order, have the lanes whose event is of that kind and which go on."""
        kind = np.where(lanes.over, -1, self.kind[slot])
        for of, handle in handlers:
            lane = np.flatnonzero(kind == of)
            if lane.size:
                handle(lane, slot[lane], now[lane])


def joined(lanes: Hand, keep: Bools, fresh: Hand) -> Hand:
    """Those lanes that are kept, and the fresh ones behind them."""
    return type(lanes)(
        **{
            field.name: np.concatenate(
                [getattr(lanes, field.name).reshape(keep.size, -1)[keep].ravel(), getattr(fresh, field.name)]
            )
            for field in fields(lanes)
        }
    )
