"""The comparison of balancers as a table for a terminal, and as a page in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hasim.validation.balancers.bench import slot_overhead_ms, transit_ms
from hasim.validation.balancers.report import PICTURE, BalancersReport
from hasim.validation.tables import counted, markdown, terminal

if TYPE_CHECKING:
    from rich.table import Table


def table(report: BalancersReport) -> Table:
    """The report as a table for a terminal."""
    return terminal(report.rows, BY_CHANCE if report.quick else None)


def page(report: BalancersReport) -> str:
    """The report as a page in Markdown."""
    command = "hasim validate balancers" + " --quick" * report.quick + f" --seed {report.seed} --out docs"
    lines = [
        "# Load balancers held against HAProxy and nginx",
        "",
        f"Written by `{command}`. {counted(report.rows)}",
        *((BY_CHANCE,) if report.quick else ()),
        *about(),
        "",
        f"![How long HAProxy's checks take]({PICTURE})",
        "",
        "## Every comparison",
        *markdown(report.rows),
    ]
    return "\n".join(lines) + "\n"


BY_CHANCE: Final = (
    "With an eighth of the trials some of the rows differ by chance, or agree by it; the full run has fewer."
)


def about() -> list[str]:
    """What was done, by which rules, and what the verdicts are worth: the lines above the tables."""
    return [
        "",
        "Each configuration of the record is played many times, with the set-up of the real trials: three servers",
        "(four for rolling upgrades, three of each colour for switches), Poisson arrivals, exponential service,",
        "slots, timeouts, and the same script, or upgrade, of what is done when. The real balancers are HAProxy",
        "2.6.12 and nginx 1.22.1, measured on one busy machine; their trials are in `hasim/validation/data`. A fault",
        "comes at any moment of the checks, and the recovery some time after the ejection was seen, in both.",
        "",
        "- Nothing is fitted to what a fault does. Two constants, read off the steady runs without a fault, serve",
        f"  all configurations: a request holds its slot {slot_overhead_ms():.1f} ms longer than it asks for, and is",
        f"  on its way for {transit_ms():.1f} ms.",
        "- Times until checks have noticed are compared as distributions (two-sample Kolmogorov–Smirnov, with",
        "  Holm's correction over all of them) and by their means (3 % and 20 ms, or 2 standard errors). Counts,",
        "  shares and latencies may differ by 15 % or 2 standard errors of the difference; what never happened",
        "  must never happen.",
        "- Requests in flight at a server that dies are compared by medians, within 2: a starved process took 10",
        "  to 100 ms to die, and loses what comes meanwhile. Here a process dies at once.",
        "- Only trials are used in which the measuring loop stalled for at most 0.25 s (HAProxy, faults), 0.4 s",
        "  (upgrades) or 0.6 s (nginx). Shorter stalls are in all of them. So latencies are compared by their",
        "  medians over the trials, and their tails by what the fault adds to the tail before it.",
        "- *Shape only*: the number belongs to the machine, or is too weak to judge by.",
        "",
        "What these verdicts are worth, and what is known of those that differ:",
        "",
        "- *Least connections, retries on the same server*: how many requests are caught at the dead server is the",
        "  largest number that the least loaded of the others reaches until the ejection. That is an extreme, and",
        "  stalls of the machine raise it: in the record it is 6.3 up to stalls of 0.25 s and 11.4 beyond. With all",
        "  servers stalled at random, for times drawn from the record, hasim goes from 4.8 to 5.3 (one stall a",
        "  trial), 5.5 (three) and 6.5 (eight). So stalls could explain it; the record holds only the worst one of",
        "  each trial and cannot tell how many there were. These runs are not part of the comparison.",
        "- *Random of two*: hasim draws each server with the same chance. HAProxy draws a point of its ring of",
        "  hashes, on which a server of weight 1 has 16 points. By its source (full_hash) servers 1, 2 and 3 have",
        "  0.351, 0.295 and 0.354 of the ring. With these chances instead, the slow server has a share of 0.128 in",
        "  place of 0.118 (measured: 0.132), and the frozen one 0.039 in place of 0.035 (0.040).",
        "- *Rolling upgrades and switches* are declared, as `InPlace` and `BlueGreen`. A new process starts when the",
        "  old one is gone, and the balancer's view of it is known at once; the real script started it some time after",
        "  SIGTERM, and asked the balancer now and then, which is part of the pause between two steps.",
        "- *Blue-green, green late*: green servers leave maintenance as up, and fall at their first check. In the",
        "  record all three are back at one moment of the checks: the last failure comes 0.8 s, up to one interval,",
        "  and one interval more after the switch, not 0.13 s sooner, at the first of three moments. So servers are",
        "  declared to be checked `in_step` there, which was read off the record. HAProxy begins with its checks",
        "  spread over an interval; stalls may have put them in step, since checks that fall due in one are made at",
        "  its end, and each next one an interval later. The record does not hold when checks were made.",
        "- *Means of re-admission*: two of fourteen are late by a little over two standard errors, while their",
        "  distributions agree. Stalls only add.",
        "- Some rules were settled after a first look: that tails are compared by what the fault adds, that latencies",
        "  over whole upgrades are not judged, and that laws finer than a stall are judged by their means. Two things",
        "  about the trials were read off the record: 0.28 s between the steps of a rollout (so the length of a",
        "  rollout is no full prediction), and 0.2 s after an ejection until its latencies are taken.",
        "- nginx's wait is prolonged by failures of requests that were under way. hasim did not do that when the",
        "  frozen server was first compared; it was the record that showed it.",
        "- A nearly deterministic law cannot be compared finer than the machine stalls; its mean is.",
        "- Among this many rows judged by two standard errors a few may differ by chance, and others agree by it.",
        "- Not compared: a check timeout below the interval, and reloads of HAProxy. The record itself calls the",
        "  first unsettled; hasim has no second process of a balancer.",
    ]
