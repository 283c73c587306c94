"""The list of planted bugs: each with the story that shows it, the check that convicts it, and a control.

`python docs/make_mutations.py` prints the list as a table and writes it to `docs/raft-mutations.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import planted
import pytest
import stories
import timed_stories
from stories import LINEARIZABLE, Story
from timed_stories import CATCHES_UP, LEADER_LOSS, PROGRESS, STABLE

from hasim.checks.raft import INVARIANTS


@dataclass(frozen=True)
class Mutation:
    """A bug: what `plant` breaks, where it shows, and the checks that must convict it there, in order.

    Without the bug the same story must not convict anybody. `setting` holds in both.
    """

    row: str
    plant: Callable[[pytest.MonkeyPatch], None]
    story: Story
    convicts: tuple[str, ...]
    setting: Callable[[pytest.MonkeyPatch], None] | None = None
    seed: int | None = None

    def play(self, bug: bool) -> list[str]:
        """Tell the story, with the bug or without it; what was convicted."""
        with pytest.MonkeyPatch.context() as patch:
            if self.setting is not None:
                self.setting(patch)
            if bug:
                self.plant(patch)
            return self.story()


MUTATIONS = (
    Mutation("1", planted.old_terms_are_counted, stories.figure_8, ("Leader Completeness",)),
    Mutation(
        "2", planted.answers_leave_before_the_save, stories.two_candidates_and_a_power_failure, ("Election Safety",)
    ),
    Mutation(
        "2b",
        planted.a_boot_forgets_the_vote,
        stories.two_candidates_and_a_crash,
        ("Term And Vote Stay", "Election Safety"),
    ),
    Mutation(
        "3",
        planted.appends_are_acknowledged_before_the_sync,
        stories.power_failure_during_a_sync,
        ("Committed On A Quorum", "Leader Completeness"),
    ),
    Mutation("4", planted.logs_are_not_compared, stories.a_candidate_that_missed_a_write, ("Leader Completeness",)),
    Mutation(
        "5",
        planted.heartbeats_carry_the_commit_index,
        stories.a_heartbeat_to_a_log_that_differs,
        ("State Machine Safety",),
    ),
    Mutation(
        "6",
        planted.every_append_truncates,
        stories.an_old_append_once_more,
        ("Committed Is Durable", "Leader Completeness"),
    ),
    Mutation("6b", planted.appends_need_not_fit, stories.an_append_that_does_not_fit, ("Log Matching",)),
    Mutation(
        "6c",
        planted.new_leaders_begin_with_what_is_committed,
        stories.a_leader_with_an_open_entry,
        ("Leader Append-Only",),
    ),
    Mutation(
        "7",
        planted.changes_need_no_commit_in_the_term,
        stories.two_leaders_change_the_members,
        ("Leader Completeness",),
        setting=planted.members_from_the_append_on,
    ),
    Mutation(
        "8", planted.campaigns_ignore_unapplied_changes, stories.a_candidate_behind_on_changes, ("Election Safety",)
    ),
    Mutation(
        "9", planted.several_changes_go_at_once, stories.two_majorities_that_do_not_meet, ("Leader Completeness",)
    ),
    Mutation("10", planted.nobody_is_in_lease, timed_stories.a_removed_member_does_not_know, (STABLE,), seed=1),
    Mutation("11", planted.campaigns_begin_without_a_pre_vote, timed_stories.a_partial_partition, (STABLE,), seed=1),
    Mutation(
        "12", planted.leaders_do_not_check_their_quorum, timed_stories.a_leader_with_one_link, (PROGRESS,), seed=1
    ),
    Mutation("13", planted.campaigns_begin_without_a_pre_vote, timed_stories.a_lossy_link, (STABLE,), seed=1),
    Mutation("14", planted.leaders_do_not_check_their_quorum, timed_stories.a_deaf_leader, (PROGRESS,), seed=1),
    Mutation("15", planted.leaders_answer_reads_at_once, stories.a_deposed_leader_is_read, (LINEARIZABLE,)),
    Mutation("16", planted.leases_forget_the_drift, stories.a_slow_clock_holds_a_lease, (LINEARIZABLE,)),
    Mutation("17", planted.new_leaders_answer_reads_early, stories.a_new_leader_is_read, (LINEARIZABLE,)),
    Mutation("18", planted.retried_reads_keep_their_ticket, stories.a_read_is_tried_again, (LINEARIZABLE,)),
    Mutation(
        "21",
        planted.a_single_member_does_not_wait_for_its_disk,
        stories.a_single_member_loses_power,
        ("Committed On A Quorum", "Leader Completeness"),
    ),
    Mutation("22", planted.little_of_the_log_is_kept, timed_stories.a_follower_far_behind, (CATCHES_UP,), seed=1),
    Mutation(
        "23",
        planted.a_sync_takes_longer_than_the_election_timeout,
        timed_stories.a_stalled_disk,
        (LEADER_LOSS,),
        seed=1,
    ),
)


def table() -> str:
    """The list, in Markdown."""
    lines = [
        "# Planted bugs, and what convicts them",
        "",
        "Each bug is planted into `hasim.protocols.raft` and plays a story, in which the checks named must convict it;",
        "without the bug, the same story must convict nobody. Written by `python docs/make_mutations.py`, which plays",
        "them all; `tests/protocols/test_mutations.py` does so too. A story without a seed leaves nothing to chance.",
        "",
        "| # | bug | story | convicted by | seed |",
        "|---|---|---|---|---|",
    ]
    for each in MUTATIONS:
        bug, story = _said(each.plant), _said(each.story)
        if each.setting is not None:
            story = f"{story} (Here {_said(each.setting)[0].lower()}{_said(each.setting)[1:]})"
        seed = "" if each.seed is None else each.seed
        lines.append(f"| {each.row} | {bug} | {story} | {', '.join(each.convicts)} | {seed} |")
    lines += ["", "What the checks ask for:", ""]
    lines += [f"- {name}: {what}." for name, what in {**INVARIANTS, **stories.READS, **timed_stories.LIVENESS}.items()]
    return "\n".join(lines) + "\n"


def _said(thing: Callable[..., object]) -> str:
    """Its docstring, in one line."""
    return " ".join((thing.__doc__ or "").split())
