"""The strict reconfiguration check of etcd, rule by rule, and the quorum arithmetic behind its traps."""

from __future__ import annotations

from itertools import product

import pytest

from hasim.errors import ModelError
from hasim.protocols.etcd.membership import (
    HEALTH_INTERVAL,
    AddLearner,
    AddVoter,
    Change,
    Promote,
    Refusal,
    Remove,
    Seat,
    Update,
    View,
    apply_check,
    enact,
    failures_tolerated,
    quorum,
    refusal,
    strict_reconfig_check,
)

ALL_CONNECTED = "3.6.10"  # additions need connections to all voters
QUORUM_CONNECTED = "3.6.11"  # additions need connections to a quorum of the enlarged cluster
BOTH = (ALL_CONNECTED, QUORUM_CONNECTED)
ADD = AddVoter("new", ("http://new:2380",))
LEARN = AddLearner("new", ("http://new:2380",))


def of(voters: int, down: int = 0, unstarted: int = 0) -> View:
    """The view of the leader n1: the last `down` voters have no connection, the last `unstarted` no name either."""
    seats = []
    for number in range(1, voters + 1):
        up = number <= voters - max(down, unstarted)
        seats.append(
            Seat(
                f"n{number}",
                started=number <= voters - unstarted,
                connected_for=60.0 if up and number > 1 else None,
                match=100,
                urls=(f"http://n{number}:2380",),
            )
        )
    return View("n1", tuple(seats), leading=True)


def with_learner(view: View, match: int) -> View:
    learner = Seat("learner", learner=True, connected_for=60.0, match=match, urls=("http://learner:2380",))
    return View(view.asked, (*view.seats, learner), leading=view.leading)


def connected_for(view: View, member: str, seconds: float) -> View:
    seats = tuple(
        Seat(seat.id, seat.learner, seat.started, seconds if seat.id == member else seat.connected_for, seat.match)
        for seat in view.seats
    )
    return View(view.asked, seats, leading=view.leading)


def serves(view: View, alive: int) -> bool:
    return alive >= quorum(len(view.voters))


# --------------------------------------------------------------------------------------- fault tolerance


@pytest.mark.parametrize(
    ("members", "majority", "failures"),
    [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2), (6, 4, 2), (7, 4, 3), (8, 5, 3), (9, 5, 4)],
)
def test_the_table_of_fault_tolerance(members: int, majority: int, failures: int) -> None:
    assert (quorum(members), failures_tolerated(members)) == (majority, failures)


# ----------------------------------------------------------------------------------------- adding voters


@pytest.mark.parametrize(
    ("voters", "down", "all_connected", "quorum_connected"),
    [
        (1, 0, None, None),  # explicitly allowed, whatever becomes of it
        (2, 0, None, None),
        (2, 1, Refusal.UNHEALTHY, Refusal.UNHEALTHY),
        (3, 0, None, None),
        (3, 1, Refusal.UNHEALTHY, Refusal.UNHEALTHY),  # 2 of 4 would be no quorum
        (4, 0, None, None),
        (4, 1, Refusal.UNHEALTHY, None),
        (5, 0, None, None),
        (5, 1, Refusal.UNHEALTHY, None),
        (5, 2, Refusal.UNHEALTHY, Refusal.UNHEALTHY),
        (7, 2, Refusal.UNHEALTHY, None),
        (7, 3, Refusal.UNHEALTHY, Refusal.UNHEALTHY),
    ],
)
@pytest.mark.parametrize("change", [ADD, LEARN])
def test_adding_needs_connections_by_the_rule_of_the_version(
    change: Change, voters: int, down: int, all_connected: Refusal | None, quorum_connected: Refusal | None
) -> None:
    view = of(voters, down)
    assert refusal(change, view, ALL_CONNECTED) == all_connected
    assert refusal(change, view, QUORUM_CONNECTED) == quorum_connected


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("3.4.23", Refusal.UNHEALTHY),
        ("3.4.99", Refusal.UNHEALTHY),
        ("3.5.29", Refusal.UNHEALTHY),
        ("3.5.30", None),
        ("3.6.0", Refusal.UNHEALTHY),
        ("3.6.10", Refusal.UNHEALTHY),
        ("3.6.11", None),
        ("3.7.0", None),
        ("v3.8.0-alpha.1", None),
    ],
)
def test_the_rule_changed_in_these_versions(version: str, answer: Refusal | None) -> None:
    assert refusal(ADD, of(5, down=1), version) == answer


@pytest.mark.parametrize("version", ["3.6", "2.3.8", "latest", ""])
def test_a_version_that_leaves_the_rule_open_is_refused(version: str) -> None:
    with pytest.raises(ModelError, match="patch"):
        refusal(ADD, of(3), version)


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(
    ("voters", "unstarted", "answer"),
    [
        (2, 1, Refusal.NOT_ENOUGH_STARTED),  # 1 of 3
        (3, 1, Refusal.NOT_ENOUGH_STARTED),  # 2 of 4
        (4, 1, None),  # 3 of 5
        (4, 2, Refusal.NOT_ENOUGH_STARTED),  # 2 of 5
        (5, 1, None),  # 4 of 6
    ],
)
def test_adding_a_voter_needs_a_started_quorum_of_the_enlarged_cluster(
    version: str, voters: int, unstarted: int, answer: Refusal | None
) -> None:
    view = of(voters, unstarted=unstarted)
    for seat in view.seats[voters - unstarted :]:  # connected, so that nothing else is amiss
        view = connected_for(view, str(seat.id), 60.0)
    assert refusal(ADD, view, version) == answer


def test_started_is_asked_before_connected_and_of_voters_only() -> None:
    view = of(3, unstarted=1)
    assert refusal(ADD, view, QUORUM_CONNECTED) == Refusal.NOT_ENOUGH_STARTED
    assert refusal(LEARN, view, QUORUM_CONNECTED) == Refusal.UNHEALTHY


@pytest.mark.parametrize("version", BOTH)
def test_a_connection_counts_once_it_has_outlasted_five_seconds(version: str) -> None:
    assert HEALTH_INTERVAL == 5.0
    for seconds, answer in ((4.9, Refusal.UNHEALTHY), (5.0, Refusal.UNHEALTHY), (5.1, None)):
        assert refusal(ADD, connected_for(of(3, down=1), "n3", seconds), version) == answer


@pytest.mark.parametrize("version", BOTH)
def test_without_the_strict_check_only_the_list_counts(version: str) -> None:
    assert refusal(ADD, of(3, down=2, unstarted=2), version, strict=False) is None
    assert refusal(Remove("n2"), of(3, down=1), version, strict=False) is None


# ------------------------------------------------------------------------------------------------ removing


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(
    ("voters", "down", "member", "answer"),
    [
        (1, 0, "n1", Refusal.NOT_ENOUGH_STARTED),  # nobody would be left
        (2, 0, "n2", None),
        (2, 0, "n1", None),
        (2, 1, "n2", None),  # down: no part of the quorum that works
        (2, 1, "n1", Refusal.UNHEALTHY),
        (3, 0, "n1", None),
        (3, 1, "n3", None),
        (3, 1, "n2", Refusal.UNHEALTHY),  # would leave 1 connected of 2
        (3, 1, "n1", Refusal.UNHEALTHY),
        (4, 1, "n2", None),
        (5, 1, "n2", None),
        (5, 2, "n2", Refusal.UNHEALTHY),  # would leave 2 connected of 4
        (5, 2, "n5", None),
        (3, 0, "stranger", Refusal.NOT_FOUND),
    ],
)
def test_removing_a_voter(version: str, voters: int, down: int, member: str, answer: Refusal | None) -> None:
    assert refusal(Remove(member), of(voters, down), version) == answer


def test_removing_needs_a_started_quorum_of_the_rest() -> None:
    view = of(3, unstarted=1)  # n3 was added and has never run
    assert refusal(Remove("n3"), view, QUORUM_CONNECTED) is None
    assert refusal(Remove("n2"), view, QUORUM_CONNECTED) == Refusal.NOT_ENOUGH_STARTED


def test_a_member_that_has_just_come_back_is_harder_to_remove_than_one_that_is_down() -> None:
    assert refusal(Remove("n3"), of(3, down=1), QUORUM_CONNECTED) is None
    assert refusal(Remove("n3"), connected_for(of(3, down=1), "n3", 1.0), QUORUM_CONNECTED) == Refusal.UNHEALTHY


def test_a_learner_may_always_be_removed() -> None:
    assert refusal(Remove("learner"), with_learner(of(3, down=2), match=0), QUORUM_CONNECTED) is None


def test_a_removed_id_never_comes_back() -> None:
    view = enact(Remove("n3"), of(3))
    assert refusal(AddVoter("n3"), view, QUORUM_CONNECTED) == Refusal.NOT_FOUND
    assert refusal(AddVoter("n4", ("http://n3:2380",)), view, QUORUM_CONNECTED) is None


# ------------------------------------------------------------------------------------------------ learners


@pytest.mark.parametrize(
    ("leader", "learner", "answer"),
    [(100, 100, None), (100, 90, None), (100, 89, Refusal.LEARNER_NOT_READY), (10, 0, Refusal.LEARNER_NOT_READY)],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_learner_is_promoted_once_it_has_nine_tenths_of_the_log(
    leader: int, learner: int, answer: Refusal | None, strict: bool
) -> None:
    seats = (Seat("n1", match=leader), Seat("learner", learner=True, connected_for=9.0, match=learner))
    view = View("n1", seats, leading=True)
    assert refusal(Promote("learner"), view, QUORUM_CONNECTED, strict) == answer


def test_only_the_leader_can_judge_a_learner() -> None:
    follower = View("n2", with_learner(of(3), match=100).seats, leading=False)
    assert strict_reconfig_check(Promote("learner"), follower, QUORUM_CONNECTED) == Refusal.NOT_LEADER


def test_promoting_a_voter_or_a_stranger_fails() -> None:
    assert refusal(Promote("n2"), of(3), QUORUM_CONNECTED) == Refusal.NOT_LEARNER
    assert refusal(Promote("stranger"), of(3), QUORUM_CONNECTED) == Refusal.NOT_FOUND


def test_promoting_needs_a_started_quorum_that_counts_the_learner_itself() -> None:
    for voters, unstarted, answer in (
        (2, 1, None),  # 1 and the learner of 3
        (4, 2, None),  # 2 and the learner of 5
        (3, 2, Refusal.NOT_ENOUGH_STARTED),  # 1 and the learner of 4
        (4, 3, Refusal.NOT_ENOUGH_STARTED),  # 1 and the learner of 5
    ):
        view = with_learner(of(voters, unstarted=unstarted), match=100)
        assert refusal(Promote("learner"), view, QUORUM_CONNECTED) == answer
    # Unlike an addition, a promotion does not ask who is connected.
    assert refusal(Promote("learner"), with_learner(of(3, down=2), 100), QUORUM_CONNECTED) is None


def test_there_is_room_for_one_learner_unless_more_are_allowed() -> None:
    view = with_learner(of(3), match=0)
    assert refusal(LEARN, view, QUORUM_CONNECTED) == Refusal.TOO_MANY_LEARNERS
    assert refusal(ADD, view, QUORUM_CONNECTED) is None
    roomy = View(view.asked, view.seats, leading=True, learners_max=2)
    assert refusal(LEARN, roomy, QUORUM_CONNECTED) is None


def test_a_learner_costs_no_quorum_until_it_is_promoted() -> None:
    view = of(3)
    learning = enact(LEARN, view)
    assert [len(each.voters) for each in (view, learning, enact(Promote("new"), learning))] == [3, 3, 4]


# ------------------------------------------------------------------------------------- judged when applied


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (AddVoter("n2"), Refusal.ID_EXISTS),
        (AddLearner("n2"), Refusal.ID_EXISTS),
        (AddVoter("new", ("http://n2:2380",)), Refusal.URL_EXISTS),
        (Update("n1", ("http://n2:2380",)), Refusal.URL_EXISTS),
        (Update("n1", ("http://n1:2380", "http://elsewhere:2380")), None),
        (Update("stranger", ("http://elsewhere:2380",)), Refusal.NOT_FOUND),
    ],
)
def test_ids_and_urls_are_had_by_one_member_only(change: Change, answer: Refusal | None) -> None:
    assert apply_check(change, of(3)) == answer
    assert refusal(change, of(3), QUORUM_CONNECTED) == answer


def test_two_additions_that_both_passed_the_check_are_judged_again_when_applied() -> None:
    view = of(3)
    assert strict_reconfig_check(LEARN, view, QUORUM_CONNECTED) is None
    assert apply_check(AddLearner("other"), enact(LEARN, view)) == Refusal.TOO_MANY_LEARNERS


def test_the_words_are_those_of_etcd() -> None:
    assert str(Refusal.NOT_ENOUGH_STARTED) == ("etcdserver: re-configuration failed due to not enough started members")
    assert str(Refusal.UNHEALTHY) == "etcdserver: unhealthy cluster"
    assert str(Refusal.TOO_MANY_LEARNERS) == "etcdserver: too many learner members in cluster"
    assert str(Refusal.LEARNER_NOT_READY) == (
        "etcdserver: can only promote a learner member which is in sync with leader"
    )


# --------------------------------------------------------------------------------- what the rules are worth


@pytest.mark.parametrize("version", BOTH)
def test_what_the_check_lets_pass_keeps_a_connected_quorum_but_for_one_to_two(version: str) -> None:
    passed = []
    for voters in range(1, 10):
        for ups in product((False, True), repeat=voters - 1):
            seats = tuple(
                Seat(f"n{number}", connected_for=60.0 if up else None) for number, up in enumerate(ups, start=2)
            )
            view = View("n1", (Seat("n1"), *seats), leading=True)
            alive = view.steadily_connected()
            if refusal(ADD, view, version) is None and not serves(enact(ADD, view), alive):
                passed.append(voters)
            for seat in (view.seats[0], *(seat for seat in seats if seat.connected_for)):
                if refusal(Remove(seat.id), view, version) is None:
                    assert serves(enact(Remove(seat.id), view), alive - 1)
    assert passed == [1]


def test_growing_from_one_to_two_stops_the_cluster_and_cannot_be_taken_back() -> None:
    view = enact(ADD, of(1))
    assert not serves(view, alive=1), "one of two is no quorum"
    # The check would let the newcomer be removed, for it is not connected; but that needs two votes to commit.
    assert refusal(Remove("new"), view, QUORUM_CONNECTED) is None
    assert serves(view, alive=2), "only starting the newcomer helps"


def test_replacing_a_dead_member_of_three_works_only_by_removing_it_first() -> None:
    view, alive = of(3, down=1), 2
    # Add first: refused; pushed through without the check it is stuck for good, for no change can commit any more.
    assert {refusal(ADD, view, version) for version in BOTH} == {Refusal.UNHEALTHY}
    pushed = enact(ADD, view)
    assert not serves(pushed, alive)
    # Remove first: two of two, then two of three.
    removed = enact(Remove("n3"), view)
    assert serves(removed, alive)
    assert {refusal(ADD, removed, version) for version in BOTH} == {None}
    assert serves(enact(ADD, removed), alive)


def test_two_members_cannot_lose_one_to_a_failure_but_can_to_a_removal() -> None:
    both = of(2)
    assert not serves(both, alive=1)
    assert serves(enact(Remove("n2"), both), alive=1)
