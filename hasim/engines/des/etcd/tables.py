"""What etcdctl shows as tables: who belongs to the cluster, how members see themselves, and whether they serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hasim.engines.des.etcd.reply import Reply

if TYPE_CHECKING:
    import pandas

FIGURES = ["leader", "term", "index", "applied", "revision", "database"]


def members_table(status: Mapping[str, Any] | None) -> pandas.DataFrame:
    """The list of members as one of them knows it; empty if nobody answers."""
    import pandas

    listed = {} if status is None else status["members"]
    rows = [
        (name, "started" if started else "unstarted", status is not None and name in status["learners"])
        for name, started in listed.items()
    ]
    return pandas.DataFrame(rows, columns=["name", "status", "learner"])


def status_table(statuses: Mapping[str, Mapping[str, Any] | str]) -> pandas.DataFrame:
    """How every member sees itself, or in a word why it says nothing."""
    import pandas

    rows: list[tuple[Any, ...]] = []
    for name, status in statuses.items():
        if isinstance(status, str):
            rows.append((name, status, *[None] * (len(FIGURES) + 1)))
        else:
            rows.append((name, status["role"], *(status[each] for each in FIGURES), ", ".join(status["alarms"])))
    return pandas.DataFrame(rows, columns=["endpoint", "role", *FIGURES, "alarms"], dtype=object)


def health_table(replies: Mapping[str, Reply]) -> pandas.DataFrame:
    """Whether each member could carry out a linearizable read; `took` is in seconds."""
    import pandas

    rows = [(name, reply.ok, reply.took, reply.error) for name, reply in replies.items()]
    return pandas.DataFrame(rows, columns=["endpoint", "health", "took", "error"])
