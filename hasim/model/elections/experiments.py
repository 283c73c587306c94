"""The published and recorded experiments on elections, as settings of the samplers."""

from __future__ import annotations

from typing import Final

from hasim.model.elections.continuous import ContinuousSettings
from hasim.model.elections.ticks import TickSettings

MS: Final = 1e-3

WIRE_S: Final = 0.16e-3
"""A plain message of the recorded etcd, one way. A linearizable read at the leader, which takes two, took 0.97 ms and a
serializable one 0.65 ms; two more, to a follower and back, took another 0.32 ms."""
VOTE_S: Final = (0.3e-3, 0.6e-3)
"""A request for a vote or its answer, with what both sides do to handle, write and log it. Asking and hearing the
answer took 0.6 ms to 1.3 ms in the record (`t_leader` - `t_fire` where one campaign was enough)."""


def availsim_wan(failed: int, *, logs_differ: bool = False) -> ContinuousSettings:
    """Five servers across a wide area, `failed` of them down, all timers fresh (Ongaro 2014, sections 9.4 and 9.5).

    `t_leader` is the election time of the thesis. Nothing in it is calibrated.
    """
    return ContinuousSettings(
        servers=5,
        failed=failed,
        timeout=(300 * MS, 600 * MS),
        latency=(30 * MS, 40 * MS),
        logs_differ=logs_differ,
    )


def lan_benchmark(low: float, high: float) -> ContinuousSettings:
    """Five LogCabin servers on a local network whose leader crashes (Figure 16 of the extended Raft paper).

    `t_accepted` is the time without a leader, as all other servers must hear from the new one. Given are: heartbeats
    twice in the shortest timeout, a crash at a random moment between two, no two logs alike, and a broadcast time of
    about 15 ms, disk write included. How that splits up is not given. The latencies, writes and the skew of the timers
    are a calibration on the curves 150-155, 12-24 and 50-100 ms; other splits fit them as well, so the curves 150-175
    and 150-200 are predictions, and 150-151 and 150-150 ms show a regime only.

    Args:
        low: shortest election timeout, in seconds.
        high: longest election timeout, in seconds.
    """
    return ContinuousSettings(
        servers=5,
        failed=1,
        timeout=(low, high),
        heard=(0.0, low / 2),
        logs_differ=True,
        latency=(0.47 * MS, 4.53 * MS),
        candidate_write=0.37 * MS,
        voter_write=1.93 * MS,
        write_spread=0.623,
        skew=1.2 * MS,
    )


def etcd_failover(members: int, *, pre_vote: bool, check_quorum: bool) -> TickSettings:
    """An idle etcd with its default timers on a local network, one-way 0.2 to 0.4 ms, writes of 1 ms."""
    return TickSettings(
        members=members,
        pre_vote=pre_vote,
        check_quorum=check_quorum,
        latency=(0.2 * MS, 0.4 * MS),
        fsync=1 * MS,
    )


def etcd_recorded(
    members: int, heartbeat: float, election_timeout: float, *, pre_vote: bool, one_way_delay: float = 0.0
) -> TickSettings:
    """The etcd 3.4.23 whose leader was killed or cut off under load, for the record in `hasim/validation/data`.

    The write to memory is part of `VOTE_S`, and the probes made the leader send something every 5 ms.
    """
    return TickSettings(
        members=members,
        heartbeat=heartbeat,
        election_timeout=election_timeout,
        pre_vote=pre_vote,
        latency=(one_way_delay + VOTE_S[0], one_way_delay + VOTE_S[1]),
        fsync=0.0,
        spacing=5 * MS,
    )
