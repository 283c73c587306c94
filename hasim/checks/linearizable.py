"""Linearizability: is there one order of the operations, within their times, that a single copy could have had?

The search of Wing and Gong (1993) as sharpened by Lowe (2017) and Horn and Kroening (2015): calls and returns
stand in a doubly linked list; an operation may come next if its call stands before the first return left in the
list; one that is placed leaves the list; a return before which nothing fits means going back. What has been
tried is remembered as (operations placed, value), and each key is searched alone, since a store is linearizable
if and only if every key is. Some facts about registers keep the search small, all of them exact:

- A fitting read goes first. It changes nothing, so moving it forward from anywhere spoils nothing, and if the
  rest fails after it, the rest fails.
- An operation of unknown outcome is placed only where the next operation needs it. Otherwise the next one either
  overwrites it, so that it could as well never have happened, or does not look at it, so that it could as well
  come later. So unknown writes of a value that nobody demands are never placed, with or without unique
  values; and a compare-and-swap that finds the wrong value does nothing, which is never having happened.
- Unknown operations that do the same are interchangeable once they are called, for they never return: they are
  used up in order of call. And whatever can be explained with some of them spent can be explained with fewer
  spent, so that a place reached before at a lower price is not tried again.
- A value that somebody left will look at, and nobody left can write, stays until all have looked.
- A write whose value nobody left will look at goes before any other plain write: there it is overwritten at
  once. Values that nobody ever looks at count as one value.

Where calls and returns fall together, calls come first: a tie is an overlap, which never makes a false alarm.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hasim.checks.history import Operation, checked
from hasim.checks.plain import Blame, changes, plain_violation
from hasim.checks.verdict import Verdict
from hasim.errors import ModelError

STEPS_MAX = 2_000_000

_NONE = -1  # no value: of an operation that demands, refuses or writes none
_PRICES = 8  # of the prices paid for one place, how many from each end are compared
_UNSEEN = 0  # stands for every value that nobody looks at


def linearizable(history: Iterable[Operation], *, initial: object = None, budget: int = STEPS_MAX) -> Verdict:
    """Search an order of the puts, gets, deletes and compare-and-swaps that explains what the clients saw.

    Every key holds `initial` at the start (None: no such key). Serializable gets promise nothing here and are
    left out, like failed operations, which surely had no effect, and gets without an answer; but a failed
    compare-and-swap without an error did look, and saw another value than it demands.

    `budget` limits the placements tried, over all keys; when it is spent, the verdict is neither yes nor no but
    `ok=None`. The same history always takes the same steps. Raises ModelError for operations that make no sense.
    """
    given: object = budget
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ModelError(f"got {given!r}; a whole number of steps, at least 1, is needed", "budget")
    keys: dict[str, list[Operation]] = {}
    for index, operation in enumerate(checked(history)):
        _refuse_unhashable(operation.value, f"history[{index}].value")
        _refuse_unhashable(operation.expected, f"history[{index}].expected")
        if _counts(operation):
            keys.setdefault(operation.key, []).append(operation)
    _refuse_unhashable(initial, "initial")
    steps = 0
    order: list[Operation] = []
    unknown: Verdict | None = None
    left = sum(map(len, keys.values()))
    for key, operations in keys.items():
        plain = plain_violation(operations, initial)
        search = _Search(operations, initial)
        # A fair share of what is left, so that one hopeless key does not hide a violation on another. If the
        # verdict is plain already, the search only serves to show how much could be put in order.
        share = (budget - steps) * len(operations) // left
        ok = search.run(min(share, 2 * len(operations)) if plain else share)
        steps += search.steps
        left -= len(operations)
        if plain or ok is False:
            offender, why = plain or search.blame()
            return Verdict(False, key, tuple(search.longest()), offender, steps, f"key {key!r}: {why}")
        if ok:
            order.extend(search.order())
        else:
            unknown = unknown or Verdict(None, key, tuple(search.longest()))
    if unknown is not None:
        return Verdict(None, unknown.key, unknown.longest, steps=steps)
    return Verdict(True, longest=tuple(order), steps=steps)


def _counts(operation: Operation) -> bool:
    """Whether linearizability has anything to say about this operation."""
    if operation.kind == "get":
        return operation.outcome == "ok" and operation.mode != "serializable"
    return operation.outcome != "failed" or _looked(operation)


def _looked(operation: Operation) -> bool:
    """Whether it is a compare-and-swap that was answered: it saw another value than it demands."""
    return operation.kind == "cas" and operation.outcome == "failed" and not operation.error


def _refuse_unhashable(value: object, path: str) -> None:
    try:
        frozenset((value,))
    except TypeError:
        message = f"got {value!r}; a value that can be told apart from others is needed (text, number, tuple, None)"
        raise ModelError(message, path) from None


class _Register:
    """The operations on one key in numbers: what each demands, refuses and writes, and when it may come.

    `must` are the operations to be placed, in order of call; `kinds` the (demanded, written) of those that may be
    placed, with the operations of each in order of call. An event is twice the index in `must`, and one more for
    the return; its rank is its place among all calls and returns.
    """

    def __init__(self, operations: Sequence[Operation], initial: object) -> None:
        ordered = sorted(operations, key=lambda operation: operation.called)
        self.must = [operation for operation in ordered if operation.outcome != "unknown"]
        seen = [operation.value for operation in self.must if operation.kind == "get"]
        seen += [operation.expected for operation in ordered if operation.kind == "cas"]
        self._numbers: dict[object, int] = {}
        for value in seen:
            self._numbers.setdefault(value, len(self._numbers) + 1)
        self.initial = self._number(initial)
        self.demands: list[int] = []
        self.refuses: list[int] = []
        self.writes: list[int] = []
        for operation in self.must:
            demand, refuse, write = self._meaning(operation)
            self.demands.append(demand)
            self.refuses.append(refuse)
            self.writes.append(write)
        self.values = len(self._numbers) + 1
        self.rank: list[int] = [0] * (2 * len(self.must))
        self.kinds: dict[tuple[int, int], tuple[list[int], list[Operation]]] = {}
        self.order = self._rank(ordered)

    def _number(self, value: object) -> int:
        return self._numbers.get(value, _UNSEEN)

    def _meaning(self, operation: Operation) -> tuple[int, int, int]:
        """Return the values that it demands, refuses and writes; `_NONE` each where there is none."""
        value = self._number(operation.value)
        if operation.kind == "get":
            return value, _NONE, _NONE
        if operation.kind == "delete":
            return _NONE, _NONE, self._number(None)
        if operation.kind == "put":
            return _NONE, _NONE, value
        expected = self._number(operation.expected)
        if _looked(operation):
            return _NONE, expected, _NONE
        return expected, _NONE, _NONE if value == expected else value

    def _rank(self, ordered: Sequence[Operation]) -> list[int]:
        """Rank all calls and returns, sort the unknown operations by what they do; return the events in order."""
        moments: list[tuple[float, int, int]] = []
        unknown = [operation for operation in ordered if operation.outcome == "unknown"]
        for index, operation in enumerate(self.must):
            moments += [(operation.called, 0, 2 * index), (operation.returned, 1, 2 * index + 1)]
        moments += [(operation.called, 0, -1 - index) for index, operation in enumerate(unknown)]
        moments.sort()
        for rank, (_, _, event) in enumerate(moments):
            if event >= 0:
                self.rank[event] = rank
        calls = {-1 - event: rank for rank, (_, _, event) in enumerate(moments) if event < 0}
        for index, operation in enumerate(unknown):
            demand, _, write = self._meaning(operation)
            if write != _NONE:
                ranks, operations = self.kinds.setdefault((demand, write), ([], []))
                ranks.append(calls[index])
                operations.append(operation)
        return [event for _, _, event in moments if event >= 0]


class _Search:
    """The search on one key: `run` it, then ask for the `order`, or the `longest` part of one and whom to `blame`.

    A move is an index of `must`, or -1 - k for the next unknown operation of the k-th kind. `window` has a bit
    for each operation of `must` from `front` on that is placed; all before `front` are.
    """

    def __init__(self, operations: Sequence[Operation], initial: object) -> None:
        self.register = register = _Register(operations, initial)
        self.steps = 0
        self._deepest = -1
        self._placed = self._front = self._window = self._spent = 0
        self._state = register.initial
        self._path: list[int] = []  # the moves made
        self._trail: list[tuple[int, int, int]] = []  # the state, front and window before each
        self._longest: list[int] = []
        self._stuck = (-1, -1)
        # The list of events, with a sentinel after the last that closes the ring.
        head = len(register.order)
        self._after, self._before = [head] * (head + 1), [head] * (head + 1)
        for left, right in zip([head, *register.order], [*register.order, head], strict=True):
            self._after[left], self._before[right] = right, left
        # How many are left that must look at each value, that may, and that write it; and how many refuse a value.
        self._lookers, self._askers, self._writers = ([0] * register.values for _ in range(3))
        self._refusers = 0
        for index in range(len(register.must)):
            self._count(index, 1)
        self._kinds = list(register.kinds)
        self._used = [0] * len(self._kinds)
        self._ranks = [ranks for ranks, _ in register.kinds.values()]
        self._sources: dict[int, list[int]] = {}  # the kinds that write each value
        self._digits: list[int] = []  # where the count of each kind begins in `_spent`
        self._guards = width = 0  # a bit above the count of each kind, for comparing all counts at once
        for kind, (demand, write) in enumerate(self._kinds):
            number = len(self._ranks[kind])
            self._sources.setdefault(write, []).append(kind)
            self._writers[write] += number
            if demand != _NONE:
                self._askers[demand] += number
            self._digits.append(width)
            width += number.bit_length()
            self._guards |= 1 << width
            width += 1

    def run(self, budget: int) -> bool | None:
        """Search: True if an order was found, False if there is none, None if the budget is spent."""
        total = len(self.register.must)
        tried: dict[int, list[int]] = {}
        if not total:
            return True
        choices = [self._moves()]
        while True:
            if choices[-1]:
                if self.steps >= budget:
                    self._remember()
                    return None
                move = choices[-1].pop()
                self.steps += 1
                self._place(move)
                if self._placed == total:
                    return True
                if self._tried(tried):
                    self._take_back()
                else:
                    choices.append(self._moves())
            else:
                self._remember()
                choices.pop()
                if not choices:
                    return False
                self._take_back()

    def _tried(self, tried: dict[int, list[int]]) -> bool:
        """Whether as much was placed before with the same value and no more unknown operations spent; note it."""
        # One number for what is placed and the value: a search remembers millions of them.
        code = (self._window * self.register.values + self._state) * len(self.register.must) + self._front
        prices = tried.setdefault(code, [])
        guards, guarded = self._guards, self._guards | self._spent
        # A guard survives the subtraction if its count is at least the other one. The first and the last prices
        # do most of the work; to ask all of them would make each step as long as the search.
        for price in itertools.chain(prices[:_PRICES], prices[-_PRICES:]):
            if (guarded - price) & guards == guards:
                return True
        prices.append(self._spent)
        return False

    def order(self) -> list[Operation]:
        """The operations placed, in their order."""
        return self._operations(self._path)

    def longest(self) -> list[Operation]:
        """The most operations that could be put in order, in that order."""
        return self._operations(self._longest)

    def blame(self) -> Blame:
        """Name the operation that does not fit after the longest part, and one that stands in its way."""
        must, (stuck, first) = self.register.must, self._stuck
        last = next((operation for operation in reversed(self.longest()) if changes(operation)), None)
        ahead = must[first] if first >= 0 else last
        if ahead is None:
            return (must[stuck],), f"{must[stuck]}, which fits no order"
        return (must[stuck], ahead), f"{must[stuck]}, which fits no order: where most was in order, {ahead} came first"

    def _operations(self, path: Sequence[int]) -> list[Operation]:
        used = [0] * len(self._kinds)
        placed: list[Operation] = []
        for move in path:
            if move >= 0:
                placed.append(self.register.must[move])
            else:
                kind = -1 - move
                placed.append(self.register.kinds[self._kinds[kind]][1][used[kind]])
                used[kind] += 1
        return placed

    def _moves(self) -> list[int]:
        """What may be placed next, the most promising last; a single fitting read if there is one."""
        register, state = self.register, self._state
        plain: list[int] = []
        swaps: list[int] = []
        demanded: dict[int, None] = {}
        refused = False
        event = self._after[-1]
        while not event & 1:  # up to the first return; there is one, for something is left to place
            index = event >> 1
            demand, write = register.demands[index], register.writes[index]
            if write == _NONE:
                if demand == state or (demand == _NONE and register.refuses[index] != state):
                    return [index]
                refused = refused or demand == _NONE
            elif demand == _NONE:
                plain.append(index)
            elif demand == state:
                swaps.append(index)
            if demand != _NONE:
                if demand != state and not self._writers[demand]:
                    return []
                demanded[demand] = None
            event = self._after[event]
        if self._lookers[state] and not self._writers[state]:
            return swaps if self._lookers[state] == 1 else []
        unknown = self._unknown_moves(register.rank[event], demanded, refused) if self._kinds else []
        if not self._refusers:
            for index in plain:
                write = register.writes[index]
                if not self._lookers[write] and not self._askers[write]:
                    return [index, *(move for move in unknown if self._kinds[-1 - move][0] != _NONE), *swaps]
        others = [index for index in reversed(plain) if register.writes[index] not in demanded]
        wanted = [index for index in reversed(plain) if register.writes[index] in demanded]
        return [*unknown, *others, *swaps, *wanted]

    def _unknown_moves(self, limit: int, demanded: dict[int, None], refused: bool) -> list[int]:
        """Which kinds of unknown operations are called by rank `limit` and serve a demand, even by detour."""
        state = self._state
        if refused:
            kinds: Iterable[int] = range(len(self._kinds))
        else:
            found: list[int] = []
            waiting, known = list(demanded), dict(demanded)
            while waiting:
                for kind in self._sources.get(waiting.pop(), ()):
                    found.append(kind)
                    demand = self._kinds[kind][0]
                    if demand != _NONE and demand not in known and self._ready(kind, limit):
                        known[demand] = None
                        waiting.append(demand)
            kinds = found
        return [
            -1 - kind
            for kind in kinds
            if self._kinds[kind][0] in (_NONE, state) and self._kinds[kind][1] != state and self._ready(kind, limit)
        ]

    def _ready(self, kind: int, limit: int) -> bool:
        used, ranks = self._used[kind], self._ranks[kind]
        return used < len(ranks) and ranks[used] < limit

    def _place(self, move: int) -> None:
        self._path.append(move)
        self._trail.append((self._state, self._front, self._window))
        if move < 0:
            kind = -1 - move
            self._used[kind] += 1
            self._spent += 1 << self._digits[kind]
            self._state = self._kinds[kind][1]
            self._writers[self._state] -= 1
            return
        for event in (2 * move, 2 * move + 1):
            left, right = self._before[event], self._after[event]
            self._after[left], self._before[right] = right, left
        self._count(move, -1)
        self._placed += 1
        if self.register.writes[move] != _NONE:
            self._state = self.register.writes[move]
        self._window |= 1 << (move - self._front)
        while self._window & 1:
            self._window >>= 1
            self._front += 1

    def _take_back(self) -> None:
        move = self._path.pop()
        state, self._front, self._window = self._trail.pop()
        if move < 0:
            self._used[-1 - move] -= 1
            self._spent -= 1 << self._digits[-1 - move]
            self._writers[self._state] += 1
        else:
            for event in (2 * move + 1, 2 * move):
                left, right = self._before[event], self._after[event]
                self._after[left] = self._before[right] = event
            self._count(move, 1)
            self._placed -= 1
        self._state = state

    def _count(self, move: int, change: int) -> None:
        demand, write = self.register.demands[move], self.register.writes[move]
        if demand != _NONE:
            self._lookers[demand] += change
        elif write == _NONE:
            self._refusers += change
        if write != _NONE:
            self._writers[write] += change

    def _remember(self) -> None:
        """Keep the longest part that could be put in order, and who is stuck there."""
        if self._placed > self._deepest:
            self._deepest = self._placed
            self._longest = self._path.copy()
            self._stuck = self._name()

    def _name(self) -> tuple[int, int]:
        """Who is stuck where nothing fits, and who comes before: indices of `must`, -1 for the last write so far."""
        register, waiting = self.register, list[int]()
        event = self._after[-1]
        while not event & 1:
            waiting.append(event >> 1)
            event = self._after[event]
        if self._lookers[self._state] and not self._writers[self._state]:
            # Some have yet to look at the value, but the first to return has no use for it.
            first, left = event >> 1, self._lookers[self._state]
            while left:
                if event & 1 and register.demands[event >> 1] == self._state:
                    if event >> 1 != first:
                        return event >> 1, first
                    left -= 1
                event = self._after[event]
        # A plain write fits anywhere, so the one to name is whoever looked and saw something else.
        lookers = [index for index in waiting if register.demands[index] != _NONE]
        lookers = lookers or [index for index in waiting if register.refuses[index] != _NONE]
        return min(lookers or waiting, key=lambda index: register.rank[2 * index + 1]), -1
