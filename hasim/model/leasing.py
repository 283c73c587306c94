"""What a lease means for a part: the law of its takeovers, and what the law leaves out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from hasim.model.failures import Failover
from hasim.model.laws import Law, Takeover, Uniform
from hasim.protocols.lease.coordinator import PING_WAIT_S, VALID_S, version_of
from hasim.protocols.lease.settings import Lease, TtlLease
from hasim.units import human, s

CALL_ONE_WAY: Final = Uniform(low=s(0.0009), high=s(0.0013))
"""Half of a write to the store and back: two ways of a local network (0.2 to 0.4 ms) to the API server, and a commit in
etcd, which is two more and a sync of 1 ms; they are the defaults of `Raft`."""


def one_way(latency: Law) -> tuple[float, float]:
    """Shortest and longest way, in seconds; the mean for both where it is neither fixed nor uniform."""
    if isinstance(latency, Uniform):
        return latency.low, latency.high
    return latency.mean, latency.mean


def takeover(lease: Lease | TtlLease, candidates: int, latency: Law) -> Failover:
    """The failover of a part with so many candidates: all others wait; of a single one it is its own restart."""
    low, high = one_way(latency)
    standbys = candidates - 1
    if not standbys and is_coordinated(lease):
        standbys = 1  # it is the sooner elected the longer it was away, and never later than another would be
    after = "crash" if standbys else "restart"
    return Failover(takes=Takeover(lease=lease, standbys=standbys, after=after, latency=s(low), jitter=s(high - low)))


def is_coordinated(lease: Lease | TtlLease | None) -> bool:
    """Whether a controller beside the store picks the leader."""
    return isinstance(lease, Lease) and lease.coordinated


def lease_beyond_law(
    lease: Lease | TtlLease | None, candidates: int, versions: Collection[str], latency: Law
) -> tuple[str, str] | None:
    """What of a part that elects by this lease no law of takeovers says, and why; None if nothing."""
    if lease is None:
        return None
    if 2 * one_way(latency)[1] >= lease.patience:
        return "latency", f"an answer may come later than its candidates wait, {human(lease.patience)}"
    if isinstance(lease, TtlLease):
        if candidates == 1:
            return "lease", "the lease of a single candidate runs out while that is away, and it waits for what is left"
        return None
    if not lease.coordinated:
        return None
    if len({version_of(version) for version in versions}) > 1:
        return "versions", "a leader makes way for a member of an older version that comes back"
    if candidates == 1:
        return "lease.coordinated", "how long a single candidate waits depends on how long it was away"
    return None


def lease_notes(lease: Lease | TtlLease, candidates: int, needs: bool) -> list[str]:
    """What a reader should know of a part that elects by this lease."""
    notes = []
    if is_coordinated(lease):
        notes.append(
            f"a candidate that has gone counts for another {human(VALID_S)}, with elections all the time: "
            f"a takeover in that time is up to {human(PING_WAIT_S)} shorter than by the law"
        )
    elif candidates == 1 and isinstance(lease, Lease):
        notes.append(
            f"a single candidate waits for its own lease: each restart costs {human(lease.duration)} and more, which "
            "`release` spares a clean stop, and no election at all spares every restart"
        )
    if candidates > 1:
        notes.append(
            "where takeovers are drawn from their law, all other candidates wait, whoever else is down; "
            "the old leader does not stand again before the next one leads, and a planned stop is a crash"
        )
    if not needs:
        notes.append("its lease is kept by something that never fails: `needs` names no store")
    elif isinstance(lease, Lease):
        notes.append(
            f"an outage of what it needs that is longer than {human(lease.retry_period + lease.renew_deadline)} ends "
            "every leader; only `simulate` plays the election after it"
        )
    if isinstance(lease, Lease) and lease.margin <= 0:
        notes.append(
            f"two may lead with no clock wrong: the lease is free after {human(lease.duration)}, and its leader "
            f"goes on for up to {human(lease.renew_deadline + lease.retry_period)}"
        )
    return notes
