"""What upgrades of a run cost, in one number: to compare strategies by, as `ha.compare(…, of=ha.failed_requests)`."""

from __future__ import annotations

import numpy as np

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results.failed_share import failed_share, requests_of
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.run import Run
from hasim.results.upgrades import UpgradeLog


def failed_requests(run: Run) -> int:
    """Return how many requests were not served while an upgrade went on, notices of a window included.

    A request that two upgrades met counts once; see `UpgradeLog.met` for what counts as meanwhile. Raises ModelError if
    no upgrade has begun, or there were no requests.
    """
    upgrades, log = _upgrades_of(run), requests_of(run)
    if not len(log):
        raise ModelError("the run has no request to judge; let it go on for longer, or give it a load")
    met = np.zeros(len(log), dtype=np.bool_)
    for upgrade in upgrades:
        met[upgrade.met(log)] = True
    return int(np.count_nonzero(met & (log.fate != SERVED) & (log.fate != CUT_OFF)))


def outage_equivalent_s(run: Run) -> float:
    """Return how long a full outage would be that fails as many requests as this whole run, in seconds.

    That is the share of failed requests times the length of the run. It needs no upgrade, so that a run without one
    tells what fails anyway. Raises ModelError if there were no requests.
    """
    _check(run)
    return failed_share(run) * run.horizon_s


def min_capacity(run: Run) -> float:
    """Return the fewest pods that were ready at once in an upgrade, as a share of the replicas, from 0 to 1.

    Of several upgrades the worst. Raises ModelError if no upgrade has begun.
    """
    return min(upgrade.min_capacity for upgrade in _upgrades_of(run))


def server_hours(run: Run) -> float:
    """Return the server time of all pools that were upgraded, over the whole run, in hours.

    Over the whole run, since strategies take unequally long: the difference of two is what one costs more. A pod counts
    from its start until its process has ended. Raises ModelError if no upgrade has begun.
    """
    seconds, told = 0.0, set()
    for upgrade in _upgrades_of(run):
        if upgrade.spans.servers and upgrade.part not in told:
            seconds += upgrade.spans.server_s(run.start_s, run.end_s)
            told.add(upgrade.part)
        elif not upgrade.spans.servers:  # hosts that stay what they are
            seconds += upgrade.replicas * run.horizon_s + upgrade.extra_server_s
    return seconds / 3600


def exposure_s(run: Run) -> float:
    """Return how long requests met new versions, in seconds of all requests: half of them for 10 s are 5 s.

    Good or bad, to the end of the run or of the version; several upgrades add up. Raises ModelError if no upgrade has
    begun.
    """
    return sum(upgrade.exposure_s for upgrade in _upgrades_of(run))


def _check(run: object) -> None:
    if not isinstance(run, Run):
        raise ModelError(f"got {shown(run)}; give a Run, as ha.simulate returns it", "run")


def _upgrades_of(run: Run) -> list[UpgradeLog]:
    _check(run)
    if not run.upgrades:
        raise ModelError(
            "no upgrade has begun in this run; give the scenario one that begins before the run ends, like "
            "ha.Rolling('api', at='1m')"
        )
    return list(run.upgrades.values())
