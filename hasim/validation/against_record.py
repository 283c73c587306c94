"""The simulated etcd held against the record of the real one, configuration by configuration.

Distributions are tested together (Holm), means and shares by their standard errors. What the measurement states as
a rule is checked as a rule; what belongs to the machine it was made on is shown beside ours without a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hasim.engines.des.etcd.world import RETRANSMIT_MIN_S
from hasim.model.elections.experiments import VOTE_S, WIRE_S
from hasim.validation import verdicts
from hasim.validation.etcd_trials import CLIENT_S, Played, Trial, play
from hasim.validation.record import Recorded, recorded
from hasim.validation.verdicts import Floats, Row

Report = Callable[[float, float], None] | None

FAILOVERS: Final = ("kill_n3_100-1000", "kill_n5_50-500", "kill_n3_100-1000_pv", "part_n3_100-1000")
TESTED: Final = ("t_leader", "put.gap_any", "put.first_any", "lin.gap_any", "lin.first_any")
COUNTS: Final = {
    "kill_n3_100-1000": 400,
    "kill_n5_50-500": 400,
    "kill_n3_100-1000_pv": 400,
    "part_n3_100-1000": 200,
    "term_n3_100-1000": 60,
    "lossq_n3_100-1000": 60,
    "rolling_n3_100-1000": 60,
    "fkill_n3_100-1000": 30,
    "fpart_n3_100-1000": 60,
    "pause_n3_100-1000": 60,
    "kill_n3_100-1000_patient": 100,
    "kill_n3_100-1000_d10": 100,
    "kill_n3_100-1000_d50": 100,
    "steady_n3_100-1000": 4,
    "steady_n3_100-1000_d10": 4,
}
"""Trials of the full run; the quick one makes an eighth."""
QUICK: Final = 8
PATIENT_MEASURED: Final = 25
ISOLATED_MEASURED: Final = 25
"""Failovers behind the stated results of patient clients and of isolated followers, at the least."""
EARLY_S: Final = 0.9
"""A heal that is felt earlier came through by retransmission: connections are made anew after 1 s."""

LATE_S: Final = 9e-3
"""How late the observer was, at 95 %: what it saw is not known more exactly."""
ROUND_S: Final = 2 * (CLIENT_S + VOTE_S[1])
"""There and back of a client and a vote, the longest that anything but waiting takes where no delay is added."""
PAUSED_S: Final = 0.29
"""When the last of the paused leaders knew of the new one."""
BASE_MS: Final = (1.0, 1.6)
"""A request in the steady state without added delay, as the measurement has it, to a tenth of a millisecond."""

STATED: Final = (
    Trial("fkill", reuse=1),
    Trial("fpart", reuse=1),
    Trial("pause", reuse=1),
    Trial("kill", load="patient", reuse=1),
    Trial("kill", delay=0.010, reuse=1),
    Trial("kill", delay=0.050, reuse=1),
    Trial("steady", delay=0.010, reuse=1),
)
"""Configurations whose trials are not in the record, but of which the measurement states results."""


@dataclass
class Trials:
    """What was played, by the name of the configuration."""

    played: dict[str, Played] = field(default_factory=dict)

    def column(self, name: str, quantity: str) -> Floats:
        """One value a trial."""
        return self.played[name].column(quantity)


def play_all(quick: bool, seed: int, progress: Report = None) -> Trials:
    """Play every configuration of the record and those it states results of, each with luck of its own."""
    wanted = {name: each.trial() for name, each in recorded().items()} | {trial.name: trial for trial in STATED}
    counts = {name: math.ceil(COUNTS[name] / (QUICK if quick else 1)) for name in wanted}
    total, done, found = sum(counts.values()), 0, Trials()
    for place, (name, trial) in enumerate(wanted.items()):

        def report(ready: float, _: float, before: int = done) -> None:
            if progress is not None:
                progress(before + ready, total)

        found.played[name] = play(trial, counts[name], seed * len(wanted) + place, report)
        done += counts[name]
    return found


def rows_of(trials: Trials) -> list[Row]:
    """Every comparison with the record, judged."""
    tested, others = [], []
    for name in FAILOVERS:
        real, ours = recorded()[name], trials.played[name]
        tested += [verdicts.distributions(name, each, real.column(each), ours.column(each)) for each in TESTED]
        others += _failover(name, real, ours)
    pairs = [(recorded()[name].column("t_leader"), trials.column(name, "t_leader")) for name in FAILOVERS]
    return [
        *verdicts.holm(tested),
        verdicts.pooled("etcd 3.4.23", pairs),
        *others,
        *_old_leader(recorded()["part_n3_100-1000"], trials.played["part_n3_100-1000"]),
        *_disturbances(recorded()["part_n3_100-1000"], trials.played["part_n3_100-1000"]),
        *_handover(trials),
        *_lost_quorum(recorded()["lossq_n3_100-1000"], trials.played["lossq_n3_100-1000"]),
        *_patience(trials.played["kill_n3_100-1000_patient"]),
        *_followers_and_pauses(trials),
        *_delays(trials),
        *_latencies(recorded()["steady_n3_100-1000"], trials),
        *_rolling(recorded()["rolling_n3_100-1000"], trials.played["rolling_n3_100-1000"]),
    ]


def _failover(name: str, real: Recorded, ours: Played) -> list[Row]:
    several = real.column("terms") > 1, ours.column("terms") > 1
    return [
        *(verdicts.means(name, each, real.column(each), ours.column(each)) for each in ("t_leader", "put.gap_any")),
        verdicts.shares(name, "more than one term", *(each.astype(float) for each in several)),
        verdicts.shares(
            name, "a vote ignored by a lease", *((each.column("leased") > 0).astype(float) for each in (real, ours))
        ),
    ]


# ----------------------------------------------------------------------------------- members that come back


def _healed(name: str) -> str:
    return f"{name}, after the heal (calibrated on this record: retransmission {RETRANSMIT_MIN_S:g} s)"


def _disturbances(real: Recorded, ours: Played) -> list[Row]:
    """The return of the old leader told apart by what happens: the averages over all trials hide this."""
    name = _healed(real.name)
    both: tuple[Recorded | Played, ...] = (real, ours)
    upset = [each.column("heal.leader_changed") > 0 for each in both]
    gaps = [each.column("heal.put_gap_any")[where] for each, where in zip(both, upset, strict=True)]
    terms = [each.column("heal.extra_terms")[where] for each, where in zip(both, upset, strict=True)]
    early = [(each.column("heal.t_victim_knows") < EARLY_S).astype(float) for each in both]
    return [
        verdicts.means(name, "second write outage where the leader changed", gaps[0], gaps[1], 2),
        verdicts.shares(
            name, "of those, settled within two terms", *((each <= 2).astype(float) for each in terms)
        ),
        verdicts.shares(name, f"old leader hears of the new one within {EARLY_S:g} s of the heal", *early),
    ]  # fmt: skip


def _old_leader(real: Recorded, ours: Played) -> list[Row]:
    name, healed, column = real.name, _healed(real.name), ours.column
    down = column("victim_view.t_stepdown")
    timeout = ours.trial.election
    theirs = real.column("victim_view.t_stepdown")
    served = sum(column(f"victim_view.{kind}.ok_in_hold").sum() for kind in ("put", "lin"))
    terms = column("heal.extra_terms")
    return [
        verdicts.rule(
            name,
            "old leader steps down, range",
            verdicts.range_text(theirs),
            verdicts.range_text(down),
            bool(np.all((down >= timeout) & (down <= 2 * timeout + ROUND_S))),
            "within 1 to 2 election timeouts and a round; the shape depends on the schedule of the trials",
        ),
        verdicts.rule(
            name, "writes and linearizable reads it served", "0", f"{served:.0f}", served == 0, "never after the cut"
        ),
        verdicts.shares(
            healed,
            "leader changes again after the heal",
            real.column("heal.leader_changed"),
            column("heal.leader_changed"),
        ),
        verdicts.means(healed, "second write outage", real.column("heal.put_gap_any"), column("heal.put_gap_any"), 2),
        verdicts.shape(
            healed,
            "second write outage, 50 and 95 %",
            " / ".join(f"{each:.2f}" for each in np.quantile(real.column("heal.put_gap_any"), [0.5, 0.95])),
            " / ".join(f"{each:.2f}" for each in np.quantile(column("heal.put_gap_any"), [0.5, 0.95])),
            "a mixture of none and several seconds: its median jumps",
        ),
        *(
            verdicts.means(healed, said, real.column(quantity), column(quantity), 2)
            for said, quantity in (
                ("all in step after the heal", "t_stable_after_heal"),
                ("terms added after the heal", "heal.extra_terms"),
            )
        ),
        verdicts.shape(
            healed, "terms added, range", verdicts.range_text(real.column("heal.extra_terms"), 0),
            verdicts.range_text(terms, 0), "the largest of more trials is larger",
        ),
    ]  # fmt: skip


def _followers_and_pauses(trials: Trials) -> list[Row]:
    dead, cut = trials.played["fkill_n3_100-1000"], trials.played["fpart_n3_100-1000"]
    paused = trials.played["pause_n3_100-1000"]
    spacing = dead.trial.spacing
    quiet = np.concatenate([dead.column("put.gap_any"), cut.column("put.gap_any")])
    outage, knows = cut.column("heal.put_gap_any"), paused.column("heal.t_victim_knows")
    error = verdicts.standard_error(outage)
    return [
        verdicts.rule(
            "fkill, fpart n3", "longest write silence", "none beyond the spacing", f"{quiet.max():.3f}",
            bool(quiet.max() <= spacing + ROUND_S), f"one spacing of {spacing * 1e3:g} ms and a round",
        ),
        verdicts.rule(
            cut.trial.name, "return of an isolated follower: outage, mean", "2.7", verdicts.mean_text(outage, 2),
            abs(outage.mean() - 2.7) <= verdicts.Z * error * math.sqrt(1 + outage.size / ISOLATED_MEASURED),
            f"within 2 standard errors of both ({ISOLATED_MEASURED} trials measured, taken to spread as ours)",
        ),
        verdicts.rule(
            paused.trial.name, "terms added by the return of a paused leader", "0 in 110 trials",
            f"{np.nansum(paused.column('heal.extra_terms')):.0f} in {len(paused.outcomes)}",
            not np.nansum(paused.column("heal.extra_terms")), "it never campaigned while paused",
        ),
        verdicts.rule(
            paused.trial.name, "it knows the new leader after", f"0.13, at most {PAUSED_S:g}",
            f"{np.nanmax(knows):.3f} at most", bool(np.nanmax(knows) <= PAUSED_S),
            "no later than the last of the real ones: at once, but for the machine",
        ),
        verdicts.shape(
            paused.trial.name, "t_leader, mean", "as kill", verdicts.mean_text(paused.column("t_leader")),
            "kill, pause and cut are one thing to the survivors",
        ),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ requests


def _handover(trials: Trials) -> list[Row]:
    name = "term_n3_100-1000"
    real, ours = recorded()[name], trials.played[name]
    took, gap = ours.column("t_leader"), ours.column("put.gap_any")
    longest = ours.trial.spacing + float(took.max()) + ROUND_S
    return [
        verdicts.shape(
            name, "t_leader, range in ms", verdicts.range_text(1e3 * real.column("t_leader")),
            verdicts.range_text(1e3 * took), "the record has it to 1 ms; three messages, two of them votes",
        ),
        verdicts.rule(
            name, "longest write silence", verdicts.range_text(real.column("put.gap_any"), 3),
            verdicts.range_text(gap, 3), bool(gap.max() <= longest),
            f"one spacing of the probes, the handover and a round: {longest:.3f}",
        ),
    ]  # fmt: skip


def _lost_quorum(real: Recorded, ours: Played) -> list[Row]:
    name, limit = real.name, 5 + 2 * ours.trial.election
    took: dict[tuple[str, float], list[float]] = {}
    for outcome in ours.outcomes:
        for each in outcome.asked:
            took.setdefault((each.kind, round(each.issued - outcome.fault_at, 1)), []).append(each.took)
    theirs: dict[tuple[str, float], list[float]] = {}
    for trial in real.entry["ops"]:
        for kind, issued, lasted, _ in trial:
            theirs.setdefault((kind, round(issued, 1)), []).append(lasted)
    rows = []
    for (kind, issued), ours_took in sorted(took.items()):
        measured = theirs[kind, issued]
        rows.append(
            verdicts.rule(
                name,
                f"{kind} asked {issued:g} s after the fault takes",
                f"{min(measured):.3f} to {max(measured):.3f}",
                f"{min(ours_took):.3f} to {max(ours_took):.3f}",
                max(abs(each - float(np.median(measured))) for each in ours_took) <= LATE_S,
                f"near the median to what the observer resolves, {LATE_S * 1e3:g} ms; 5 s + 2 T = {limit:g} s, and "
                "reads queue for a second round",
            )
        )
    fires = ours.column("lone_fires")
    down = ours.column("t_stepdown")
    tested = verdicts.distributions(
        name, "restart to first put", real.column("restart.put"), ours.column("restart.put")
    )
    return [
        *rows,
        verdicts.rule(
            name, "lone leader steps down, range", verdicts.range_text(real.column("t_stepdown")),
            verdicts.range_text(down), bool(np.nanmax(down) <= 2 * ours.trial.election + ROUND_S),
            "within 1 to 2 election timeouts and a round",
        ),
        verdicts.means(name, "campaigns of the lone survivor", real.column("lone_fires"), fires, 2),
        *verdicts.holm([tested]),
    ]  # fmt: skip


def _patience(ours: Played) -> list[Row]:
    """Requests that are issued between the leader's death and the next one, by clients who wait."""
    lost, issued, refused = (np.zeros(len(ours.outcomes)) for _ in range(3))
    late: list[float] = []
    for place, outcome in enumerate(ours.outcomes):
        until = outcome.fault_at + outcome.values["t_leader"]
        for each in outcome.asked:
            if each.member == outcome.variant or not outcome.fault_at <= each.issued < until:
                continue
            if each.kind == "put":
                issued[place] += 1
                lost[place] += bool(each.error)
                late += [each.took] if each.error else []
            elif each.kind == "lin":
                refused[place] += bool(each.error)
    name, per = ours.trial.name, refused / (ours.trial.members - 1)
    share = float(lost.sum() / issued.sum())
    # Requests of one failover share its fate: the failovers are what is counted (the error of a ratio).
    both = math.sqrt(1 + ours.column("t_leader").size / PATIENT_MEASURED)
    error = both * verdicts.standard_error((lost - share * issued) / issued.mean())
    error_per = both * verdicts.standard_error(per)
    return [
        verdicts.rule(
            name, "puts lost in the gap", "93 % of 1 333", f"{share:.1%} of {issued.sum():.0f}",
            abs(share - 1241 / 1333) <= verdicts.Z * error, f"within 2 standard errors ({verdicts.Z * error:.1%}); "
            "forwarded to the dead leader; those that meet a candidate wait for the next",
        ),
        verdicts.rule(
            name, "a lost put fails after", "7.00", f"{min(late):.2f} to {max(late):.2f}",
            all(abs(each - 5 - 2 * ours.trial.election) <= ROUND_S for each in late), "5 s + 2 T, to a round",
        ),
        verdicts.rule(
            name, "reads refused by each member and failover", "1", verdicts.mean_text(per, 2),
            abs(float(per.mean()) - 1) <= verdicts.Z * error_per,
            f"within 2 standard errors ({verdicts.Z * error_per:.2f}); "
            "the round under way fails, the queued ones succeed",
        ),
    ]  # fmt: skip


def _delays(trials: Trials) -> list[Row]:
    rows = []
    for delay, stated in ((0.010, 0.048), (0.050, 0.207)):
        ours = trials.played[Trial(delay=delay).name]
        took = ours.column("put.first_any") - ours.column("t_leader")
        median = float(np.median(took))
        least, most = 4 * delay, 4 * delay + ours.trial.spacing + ROUND_S
        rows.append(
            verdicts.rule(
                ours.trial.name, "election to first put, median", f"{stated:.3f}", f"{median:.3f}",
                least <= median <= most and least <= stated <= most,
                f"four one-way delays, and at most one spacing of the probes and a round: {least:.3f} to {most:.3f}",
            )
        )  # fmt: skip
    return rows


def _latencies(real: Recorded, trials: Trials) -> list[Row]:
    near, far = trials.played["steady_n3_100-1000"], trials.played["steady_n3_100-1000_d10"]
    rows = []
    for kind, role in (("put", "leader"), ("put", "follower"), ("lin", "leader"), ("lin", "follower")):
        delays = 2 if role == "leader" else 4
        key = f"{kind}_{role}.p50"
        base, late = float(np.median(near.column(key))), float(np.median(far.column(key)))
        rows.append(
            verdicts.rule(
                "steady n3", f"{kind} at the {role}, added by 10 ms of delay", f"{delays}d = {delays * 10} ms",
                f"{1e3 * (late - base):.2f} ms", abs(late - base - delays * 0.010) <= WIRE_S,
                "to a message without delay",
            )
        )  # fmt: skip
        least, most = BASE_MS
        rows.append(
            verdicts.rule(
                "steady n3", f"{kind} at the {role}, median in ms",
                f"{1e3 * real.entry['summary'][f'{kind}_{role}']['p50']:.2f}; rule: {least:g} to {most:g}",
                f"{1e3 * base:.2f}", least <= round(1e3 * base, 1) <= most,
                "to a tenth; the time of a message was read off linearizable reads",
            )
        )  # fmt: skip
    return rows


def _rolling(real: Recorded, ours: Played) -> list[Row]:
    name = real.name
    silent: dict[str, Any] = {kind: ours.column(f"{kind}.unavail_any") for kind in ("put", "ser")}
    return [
        verdicts.means(name, "leader moves", real.column("leaders"), ours.column("leaders"), 2),
        verdicts.shape(
            name, "writes silent in all, without the noise that reads show",
            f"{(real.column('put.unavail_any') - real.column('ser.unavail_any')).mean():.3f}",
            f"{(silent['put'] - silent['ser']).mean():.3f}", "gaps over 0.05 s; the total is the machine's",
        ),
    ]  # fmt: skip
