"""A judge for load-balancing policies: hand it one of your own and it says what a balancer could not live with.

To write a policy, derive a class from `Policy`: its fields are its settings, `start` gives a chooser, which is any
object with `usable` and `choose` (`round_robin.py` is a good neighbour to look at). Then let `check_policy` judge it:

    check_policy(MyPolicy(choices=3))

It plays a balancer for a few thousand requests: servers leave and return, warm up, refuse a request so that it is tried
elsewhere, and finish requests in any order. What the judge asks for is what every balancer relies on; whether your
policy balances well is for a simulation to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy
from hasim.streams import Streams

__all__ = ["check_policy"]

_SERVERS = 5
_STEPS = 2000
_SEED = 1


def check_policy(policy: Policy) -> None:
    """Judge a policy; an AssertionError says in one sentence what is wrong with it.

    It always chooses one of the servers last called usable, the one to avoid only if that is alone; with one seed it
    chooses the same again, whatever other choosers of the same policy do meanwhile; it works with one server, with a
    set that shrinks and grows, and with weights from just above 0 to 1; and it leaves names, weights and loads alone.
    """
    _alone(policy)
    plays = zip(_played(policy), _played(policy), strict=True)
    for step, (one, other) in enumerate(plays):
        assert one == other, f"with one seed it chose {one} and then {other}, at choice {step + 1}"


def _alone(policy: Policy) -> None:
    """One server is chosen whatever happens, even to avoid it."""
    for weight in (1.0, 0.5, 1e-6):
        chooser, servers = _started(policy, 1)
        servers[0].weight = weight
        chooser.usable(servers)
        for key in range(10):
            for avoid in (None, servers[0]):
                _choose(chooser, servers, key, avoid)
                servers[0].active += 1


def _started(policy: Policy, count: int) -> tuple[Chooser, list[Backend]]:
    servers = [Backend(f"server-{index}", index) for index in range(count)]
    return policy.start(Streams(_SEED)["policy"]), servers


def _played(policy: Policy) -> Iterator[str]:
    """The names chosen, one after the other, in a story that is the same each time."""
    chooser, servers = _started(policy, _SERVERS)
    fate = Streams(_SEED)["fate"]
    usable = list(servers)
    chooser.usable(usable)
    held: list[Backend] = []
    for step in range(_STEPS):
        event = fate.random()
        if event < 0.05:  # some leave, some return
            usable = [server for server in servers if fate.random() < 0.6] or [servers[int(fate.integers(_SERVERS))]]
            chooser.usable(usable)
        elif event < 0.1:  # one warms up, or all are warm
            if fate.random() < 0.3:
                for server in servers:
                    server.weight = 1.0
            else:
                servers[int(fate.integers(_SERVERS))].weight = 1.0 - float(fate.random())
            chooser.usable(usable)
        key = int(fate.integers(1000)) if step % 2 else step
        chosen = _choose(chooser, usable, key, None)
        yield chosen.name
        if fate.random() < 0.3:
            chosen = _choose(chooser, usable, key, chosen)
            yield chosen.name
        chosen.active += 1
        held.append(chosen)
        while held and fate.random() < 0.5:
            held.pop(int(fate.integers(len(held)))).active -= 1


def _choose(chooser: Chooser, usable: Sequence[Backend], key: int, avoid: Backend | None) -> Backend:
    """Let it choose, and see that the choice is allowed and that nothing else was touched."""
    before = [(server.name, server.index, server.weight, server.active) for server in usable]
    chosen = chooser.choose(key, avoid)
    assert any(chosen is server for server in usable), f"it chose {chosen!r}, which is not usable"
    assert chosen is not avoid or len(usable) == 1, f"it chose {chosen.name}, which it was to avoid, and had others"
    after = [(server.name, server.index, server.weight, server.active) for server in usable]
    assert before == after, "it changed a server: its name, index, weight or load; only the balancer does that"
    return chosen
