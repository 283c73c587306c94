"""The sizes that a rolling update goes through, move by move: the arithmetic alone, without any time."""

from __future__ import annotations

from hasim.protocols.reconcile.rolling import Size, new_replicas, old_replicas, resolve


def staircase(
    replicas: int, surge: str | int = "25%", unavailable: str | int = "25%", never_ready: bool = False
) -> list[tuple[int, int]]:
    """Return how many pods of the old and of the new version a Deployment wants after each of its moves.

    The first row is before the rollout. Between two moves the pods that are wanted get ready; with `never_ready` those
    of the new version do not, and the last row is where such a rollout stays: (8, 5) for ten pods with a surge of 3 and
    2 unavailable, so that exactly the unavailable ones are missing. `surge` and `unavailable` are pods or shares like
    "25%"; ModelError for anything else. Source: k/k pkg/controller/deployment/rolling.go.
    """
    above, below = resolve(surge, unavailable, replicas)
    old, new = replicas, 0
    rows = [(old, new)]
    while True:
        target = new_replicas(replicas, above, new, old + new)
        if target != new:
            new = target
        else:
            available = 0 if never_ready else new
            (kept,) = old_replicas(replicas, below, Size(new, available), [Size(old, old)])
            if kept == old:
                return rows
            old = kept
        rows.append((old, new))
