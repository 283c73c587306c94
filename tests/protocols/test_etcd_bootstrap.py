"""How members of etcd come to belong to a cluster, method by method, with what goes wrong and how it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hasim.errors import ModelError
from hasim.protocols.etcd.bootstrap import (
    CLUSTER_ID_MISMATCH,
    MEMBER_REMOVED,
    Answer,
    Boot,
    Discovery,
    Disk,
    Flags,
    Srv,
    Static,
    Surroundings,
    can_serve,
    peer_refusal,
    plan_boot,
)
from hasim.protocols.etcd.discovery import BootError, Dns, Registration, Registry, SrvTarget, Waiting, backoff
from hasim.protocols.etcd.identity import Member, check_urls, cluster_id, founders, id_text, member_id
from hasim.protocols.etcd.recovery import StoreSnapshot, force_new_cluster, restore, restore_member
from hasim.protocols.raft.membership import Change, Membership
from hasim.protocols.raft.messages import Entry, Snapshot
from hasim.protocols.raft.saved import Saved

THREE = {f"infra{number}": (f"http://10.0.1.1{number}:2380",) for number in range(3)}
HOSTS = {f"infra{number}.example.com": f"10.0.1.1{number}" for number in range(3)}


def flags(name: str, existing: bool = False, token: str = "etcd-cluster") -> Flags:
    return Flags(name, THREE[name], token, existing)


def booted(plan: Boot | Waiting | BootError) -> Boot:
    assert isinstance(plan, Boot), plan
    return plan


def exits(plan: Boot | Waiting | BootError) -> str:
    assert isinstance(plan, BootError), plan
    return plan.text


def running(boot: Boot, removed: frozenset[int] = frozenset()) -> Answer:
    """What a peer of a cluster founded so says once everybody has published itself."""
    return Answer(boot.cluster_id, tuple(replace(member, published=True) for member in boot.members), removed)


def urls_of(answer: Answer | None, *names: str) -> dict[str, Answer | None]:
    return {url: answer for name in names for url in THREE[name]}


# ---------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize(
    ("urls", "token", "added", "expected"),
    [
        (["http://10.0.0.8:2379"], "", None, 14544069596553697298),
        (["http://10.0.0.8:2379"], "", 472662245.9, 2448790162483548276),
        (["http://10.0.0.8:2379"], "etcd", 472662245.0, 6973882743191604649),
        (["http://10.0.0.1:2379"], "", 472662245.0, 1466075294948436910),
        (["http://10.0.0.1:2379", "http://10.0.0.2:2379"], "", None, 16552244735972308939),
        (["http://10.0.0.2:2379", "http://10.0.0.1:2379"], "", None, 16552244735972308939),
    ],
)
def test_member_ids_are_those_of_etcds_own_tests(
    urls: list[str], token: str, added: float | None, expected: int
) -> None:
    assert member_id(urls, token, added) == expected


def test_ids_are_those_in_the_documentation_of_etcd() -> None:
    local = {f"infra{number}": (f"http://127.0.0.1:{number}2380",) for number in (1, 2, 3)}
    members = founders(local, "etcd-cluster-1")
    assert [id_text(member.id) for member in members] == ["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"]
    assert id_text(cluster_id(member.id for member in members)) == "ef37ad9dc622a7c4"
    assert cluster_id(member.id for member in reversed(members)) == cluster_id(member.id for member in members)
    (alone,) = founders({"default": ("http://localhost:2380",)})
    assert (id_text(alone.id), id_text(cluster_id([alone.id]))) == ("8e9e05c52164694d", "cdf818194e3a8c32")


@pytest.mark.parametrize("url", ["10.0.0.1:2380", "ftp://10.0.0.1:2380", "http://10.0.0.1", "http://10.0.0.1:2380/x"])
def test_what_is_no_peer_url_is_refused(url: str) -> None:
    with pytest.raises(ModelError, match="URL"):
        check_urls([url], "urls")
    with pytest.raises(ModelError, match=r"cluster\.a"):
        plan_boot(Static({**THREE, "a": (url,)}), flags("infra0"))


# ------------------------------------------------------------------------------------- static, a new cluster


def test_founders_compute_the_same_cluster_and_the_same_committed_entries() -> None:
    boots = [booted(plan_boot(Static(THREE), flags(name))) for name in THREE]
    assert len({boot.cluster_id for boot in boots}) == 1
    assert len({boot.entries for boot in boots}) == 1
    assert len({boot.member_id for boot in boots}) == 3
    entries = boots[0].entries
    assert [(entry.term, entry.index) for entry in entries] == [(1, 1), (1, 2), (1, 3)]
    assert [entry.member.id for entry in entries] == sorted(boot.member_id for boot in boots)


def test_founders_count_as_started_before_they_are() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    assert all(member.started and not member.published for member in boot.members)
    assert not Member(1, ("http://10.0.1.13:2380",)).started


def test_a_new_cluster_serves_once_a_majority_has_started() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    ids = [member.id for member in boot.members]
    assert [can_serve(boot, ids[:started]) for started in range(4)] == [False, False, True, True]
    assert not can_serve(boot, [ids[0], 7, 8]), "strangers do not count"


@pytest.mark.parametrize(
    ("other_list", "other_token"),
    [
        ({**THREE, "infra2": ("http://10.0.1.99:2380",)}, "etcd-cluster"),
        ({name: THREE[name] for name in ("infra0", "infra1")}, "etcd-cluster"),
        (THREE, "another"),
    ],
)
def test_members_with_different_lists_or_tokens_refuse_each_other(
    other_list: dict[str, tuple[str, ...]], other_token: str
) -> None:
    mine = booted(plan_boot(Static(THREE), flags("infra0")))
    same = booted(plan_boot(Static(THREE), flags("infra2")))
    other = booted(plan_boot(Static(other_list), flags("infra1", token=other_token)))
    assert peer_refusal(mine, running(same)) is None
    assert peer_refusal(mine, running(other)) == peer_refusal(other, running(mine)) == CLUSTER_ID_MISMATCH
    # Three started, and yet no cluster but the one of two that agree.
    assert can_serve(mine, [mine.member_id, same.member_id])


def test_a_list_in_another_order_or_with_other_names_is_the_same_cluster() -> None:
    renamed = {"infra1": THREE["infra1"], "x": THREE["infra2"], "y": THREE["infra0"]}
    mine = booted(plan_boot(Static(THREE), flags("infra0")))
    other = booted(plan_boot(Static(renamed), flags("infra1")))
    assert peer_refusal(mine, running(other)) is None


def test_a_member_that_is_not_in_its_own_list_exits() -> None:
    text = exits(plan_boot(Static(THREE), Flags("infra3", ("http://10.0.1.13:2380",))))
    assert text == 'couldn\'t find local name "infra3" in the initial cluster configuration'


def test_a_member_whose_urls_differ_from_its_own_line_exits() -> None:
    elsewhere = "http://10.0.1.99:2380"
    text = exits(plan_boot(Static(THREE), Flags("infra0", (elsewhere,))))
    assert text == (
        "--initial-cluster has infra0=http://10.0.1.10:2380 but missing from "
        "--initial-advertise-peer-urls=http://10.0.1.99:2380"
    )
    text = exits(plan_boot(Static(THREE), Flags("infra0", (*THREE["infra0"], elsewhere))))
    assert text.startswith("--initial-advertise-peer-urls has http://10.0.1.99:2380 but missing from")
    text = exits(plan_boot(Static(THREE), Flags("infra0", THREE["infra0"] * 2)))
    assert text.startswith("failed to resolve http://10.0.1.10:2380,http://10.0.1.10:2380 to match --initial-cluster=")


def test_urls_that_resolve_to_the_same_address_are_the_same() -> None:
    named = Flags("infra0", ("http://infra0.example.com:2380",))
    assert isinstance(plan_boot(Static(THREE), named), BootError)
    boot = booted(plan_boot(Static(THREE), named, Surroundings(addresses=HOSTS)))
    assert boot.member_id == member_id(THREE["infra0"]), "the ID follows the list"


def test_a_url_had_by_two_members_is_refused() -> None:
    text = exits(plan_boot(Static({**THREE, "twin": THREE["infra1"]}), flags("infra0")))
    assert text.startswith("initial cluster ") and text.endswith(" has duplicate url")


# ---------------------------------------------------------------------------- a wiped disk, and a kept one


def test_a_wiped_founder_of_a_running_cluster_exits_if_any_peer_answers() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    around = Surroundings(peers=urls_of(running(boot), "infra2"))
    plan = plan_boot(Static(THREE), flags("infra0"), around)
    assert exits(plan) == f"member {id_text(boot.member_id)} has already been bootstrapped"
    assert isinstance(plan, BootError) and plan.seconds == 1.0, "infra1 kept silent"


def test_a_wiped_founder_with_silent_peers_founds_again_with_the_id_it_had() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    again = booted(plan_boot(Static(THREE), flags("infra0"), Surroundings(peers=urls_of(None, "infra1", "infra2"))))
    assert again.seconds == 0.0 and boot.seconds == 2.0, "a refused connection costs no time"
    assert (again.cluster_id, again.member_id) == (boot.cluster_id, boot.member_id)
    assert peer_refusal(again, running(boot)) is None, "nobody notices that it has forgotten its votes"


def test_a_founder_known_only_by_the_list_is_not_bootstrapped_yet() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    peer = Answer(boot.cluster_id, boot.members)  # founded by the others, this one has never run
    assert isinstance(plan_boot(Static(THREE), flags("infra0"), Surroundings(peers=urls_of(peer, "infra1"))), Boot)


def test_a_member_that_was_added_but_started_as_new_is_refused_by_the_cluster() -> None:
    four = {**THREE, "infra3": ("http://10.0.1.13:2380",)}
    cluster = booted(plan_boot(Static(THREE), flags("infra0")))
    added = Member(member_id(four["infra3"], "", added=1e9), four["infra3"])
    peer = replace(running(cluster), members=(*cluster.members, added))
    around = Surroundings(peers=urls_of(peer, *THREE))
    stray = booted(plan_boot(Static(four), Flags("infra3", four["infra3"]), around))
    assert peer_refusal(stray, peer) == CLUSTER_ID_MISMATCH


@pytest.mark.parametrize(
    "method", [Static({"someone": ("http://10.9.9.9:1",)}), Discovery("t", None), Srv(Dns("example.com"))]
)
def test_a_member_with_a_log_takes_no_notice_of_its_flags(method: Static | Discovery | Srv) -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    disk = Disk(boot.member_id, running(boot))
    again = booted(plan_boot(method, flags("infra1", existing=True, token="other"), Surroundings(disk)))
    assert (again.member_id, again.cluster_id, again.entries) == (boot.member_id, boot.cluster_id, ())


def test_a_removed_member_exits_by_its_own_log_or_by_a_peers_word() -> None:
    boot = booted(plan_boot(Static(THREE), flags("infra0")))
    removed = running(boot, frozenset({boot.member_id}))
    assert exits(plan_boot(Static(THREE), flags("infra0"), Surroundings(Disk(boot.member_id, removed)))) == (
        MEMBER_REMOVED
    )
    disk = Disk(boot.member_id, running(boot))
    told = Surroundings(disk, peers=urls_of(removed, "infra2"))
    assert exits(plan_boot(Static(THREE), flags("infra0"), told)) == MEMBER_REMOVED
    # While it reaches nobody it goes on; and a peer of another cluster cannot remove it.
    assert isinstance(plan_boot(Static(THREE), flags("infra0"), Surroundings(disk)), Boot)
    stranger = Surroundings(disk, peers=urls_of(replace(removed, cluster_id=1), "infra2"))
    assert isinstance(plan_boot(Static(THREE), flags("infra0"), stranger), Boot)


# ---------------------------------------------------------------------------------- joining what exists


def joining(peers: dict[str, Answer | None], existing_urls: tuple[str, ...] = ("http://10.0.1.13:2380",)) -> object:
    four = {**THREE, "infra3": existing_urls}
    return plan_boot(Static(four), Flags("infra3", existing_urls, existing=True), Surroundings(peers=peers))


def enlarged() -> Answer:
    cluster = booted(plan_boot(Static(THREE), flags("infra0")))
    added = Member(member_id(["http://10.0.1.13:2380"], "", added=1e9), ("http://10.0.1.13:2380",))
    return replace(running(cluster), members=(*running(cluster).members, added))


def test_a_joining_member_takes_its_ids_from_a_peer_and_its_log_from_the_leader() -> None:
    peer = enlarged()
    boot = joining(urls_of(peer, "infra1"))
    assert isinstance(boot, Boot)
    assert (boot.cluster_id, boot.member_id) == (peer.cluster_id, peer.members[-1].id)
    assert boot.entries == () and len(boot.members) == 4
    assert boot.seconds == 10.0, "infra0 was asked first and kept silent"
    assert peer_refusal(boot, peer) is None


def test_peers_are_asked_in_order_of_their_urls() -> None:
    four = {"infra3": ("http://10.0.1.13:2380",), **dict(reversed(THREE.items()))}
    around = Surroundings(peers=urls_of(enlarged(), "infra0"))
    assert booted(plan_boot(Static(four), Flags("infra3", four["infra3"], existing=True), around)).seconds == 0.0


def test_a_joining_members_own_idea_of_its_urls_is_not_compared_with_the_list() -> None:
    four = {**THREE, "infra3": ("http://10.0.1.13:2380",)}
    own = Flags("infra3", ("http://127.0.0.1:2380",), existing=True)
    boot = booted(plan_boot(Static(four), own, Surroundings(peers=urls_of(enlarged(), "infra0"))))
    assert boot.member_id == enlarged().members[-1].id


def test_a_joining_member_that_reaches_nobody_exits_after_ten_seconds_a_peer() -> None:
    plan = joining({})
    assert plan == BootError(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs", 30.0
    )


def test_a_peer_that_knows_no_members_yet_ends_the_search() -> None:
    plan = joining({**urls_of(Answer(1, ()), "infra0"), **urls_of(enlarged(), "infra1")})
    assert isinstance(plan, BootError) and "failed to get raft cluster member(s)" in plan.text


def test_joining_without_having_been_added_is_refused() -> None:
    cluster = booted(plan_boot(Static(THREE), flags("infra0")))
    plan = joining(urls_of(running(cluster), "infra0"))
    assert isinstance(plan, BootError) and plan.text.startswith("error validating peerURLs {ClusterID:")
    assert plan.text.endswith(": member count is unequal")


def test_joining_with_another_url_than_the_one_that_was_added_is_refused() -> None:
    plan = joining(urls_of(enlarged(), "infra0"), ("http://10.0.1.14:2380",))
    assert isinstance(plan, BootError)
    assert "PeerURLs: no match found for existing member" in plan.text and "[http://10.0.1.13:2380]" in plan.text


# ------------------------------------------------------------------------------------ discovery service


def registration(name: str, token: str = "token") -> Registration:
    return Registration(member_id(THREE[name], token), name, THREE[name])


def discovered(name: str, size: int | None, *others: str) -> Boot | Waiting | BootError:
    registry = Registry(size, tuple(registration(other) for other in others))
    return plan_boot(Discovery("token", registry), flags(name))


def test_a_member_registers_waits_for_the_others_for_ever_and_boots_when_all_are_there() -> None:
    first = discovered("infra0", 3)
    assert isinstance(first, Waiting) and first.register
    second = discovered("infra0", 3, "infra0", "infra1")
    assert isinstance(second, Waiting) and not second.register and second.retry_after is None
    boots = [booted(discovered(name, 3, "infra0", "infra1", "infra2")) for name in THREE]
    assert len({boot.entries for boot in boots}) == 1
    assert boots[0].cluster_id == cluster_id(member_id(urls, "token") for urls in THREE.values())


def test_the_cluster_is_full_for_whoever_registers_beyond_its_size() -> None:
    full = "failed to join discovery cluster (discovery: cluster is full)"
    assert exits(discovered("infra2", 2, "infra0", "infra1")) == full
    # A race: all three registered before they looked again. The first two by order of creation make the cluster.
    assert exits(discovered("infra2", 2, "infra1", "infra0", "infra2")) == full
    boot = booted(discovered("infra0", 2, "infra1", "infra0", "infra2"))
    assert {member.name for member in boot.members} == {"infra0", "infra1"}


@pytest.mark.parametrize(("size", "why"), [(None, "size key not found"), (0, "size key is bad")])
def test_without_a_size_a_member_exits(size: int | None, why: str) -> None:
    assert exits(discovered("infra0", size)) == f"failed to join discovery cluster (discovery: {why})"


def test_retries_back_off_to_256_seconds_and_no_further() -> None:
    assert [backoff(retry) for retry in (1, 2, 3, 8, 9, 1000)] == [2.0, 4.0, 8.0, 256.0, 256.0, 256.0]
    plan = plan_boot(Discovery("token", None, retries=2), flags("infra0"))
    assert isinstance(plan, Waiting) and plan.retry_after == 8.0


def test_a_token_used_again_makes_a_wiped_member_found_again_with_its_old_id() -> None:
    boot = booted(discovered("infra1", 3, "infra0", "infra1", "infra2"))
    registry = Registry(3, tuple(registration(name) for name in THREE))
    around = Surroundings(peers=urls_of(running(boot), *THREE))
    assert plan_boot(Discovery("token", registry), flags("infra1"), around) == boot, "no peer is asked"
    # A machine in place of another finds the token used up.
    newcomer = Flags("infra3", ("http://10.0.1.13:2380",))
    assert "cluster is full" in exits(plan_boot(Discovery("token", registry), newcomer))


def test_discovery_serves_for_founding_only() -> None:
    plan = plan_boot(Discovery("token", Registry(3)), flags("infra0", existing=True))
    assert exits(plan) == "discovery URL should not be set when joining existing initial cluster"


# --------------------------------------------------------------------------------------------- DNS SRV


def srv(name: str, hosts: dict[str, str], url: str | None = None, scheme: str = "http") -> Boot | Waiting | BootError:
    records = tuple(SrvTarget(f"infra{number}.example.com.") for number in range(3))
    dns = Dns("example.com", addresses=hosts, https=records if scheme == "https" else ())
    dns = dns if scheme == "https" else replace(dns, http=records)
    return plan_boot(Srv(dns), Flags(name, (url or f"http://{name}.example.com:2380",)))


def test_srv_records_give_every_member_the_same_cluster_under_whatever_names() -> None:
    boots = [booted(srv(f"infra{number}", HOSTS)) for number in range(3)]
    assert len({boot.cluster_id for boot in boots}) == 1
    assert [member.name for member in sorted(boots[1].members, key=lambda member: member.urls)] == ["0", "infra1", "1"]


def test_a_member_finds_itself_by_address_if_it_advertises_another_host() -> None:
    boot = booted(srv("infra1", HOSTS, "http://10.0.1.11:2380"))
    assert boot.member_id == booted(srv("infra1", HOSTS)).member_id


def test_unresolvable_targets_are_skipped_so_that_lists_differ() -> None:
    without = {host: address for host, address in HOSTS.items() if host != "infra2.example.com"}
    early, late = booted(srv("infra0", without)), booted(srv("infra1", HOSTS))
    assert (len(early.members), len(late.members)) == (2, 3)
    assert peer_refusal(early, running(late)) == CLUSTER_ID_MISMATCH


@pytest.mark.parametrize("url", ["http://10.0.1.99:2380", "http://10.0.1.11:2399"])
def test_a_member_that_matches_no_record_exits(url: str) -> None:
    assert exits(srv("infra1", HOSTS, url)) == 'cannot find local etcd member "infra1" in SRV records'


def test_a_member_whose_scheme_is_not_that_of_the_service_exits() -> None:
    assert exits(srv("infra1", HOSTS, scheme="https")) == 'cannot find local etcd member "infra1" in SRV records'
    assert isinstance(srv("infra1", HOSTS, "https://infra1.example.com:2380", scheme="https"), Boot)
    only = Dns("example.com", https=(SrvTarget("infra1.example.com"),), addresses=HOSTS)
    text = exits(plan_boot(Srv(only), Flags("infra1", ("http://infra1.example.com:2380",))))
    assert "has scheme mismatch with expected peer http://infra1.example.com:2380" in text


def test_without_records_or_without_an_address_of_its_own_a_member_exits() -> None:
    text = exits(plan_boot(Srv(Dns("example.com", addresses=HOSTS)), flags("infra0")))
    assert "error querying DNS SRV records for _etcd-server-ssl " in text
    assert "error querying DNS SRV records for _etcd-server " in text
    assert "lookup infra0.example.com: no such host" in exits(srv("infra0", {}))


# ------------------------------------------------------------------------------------ disaster recovery


def test_restoring_makes_a_new_logical_cluster_from_one_snapshot() -> None:
    old = booted(plan_boot(Static(THREE), flags("infra0")))
    snapshot = StoreSnapshot(revision=1000, data=("k", "v"), compacted=500)
    restored = restore(snapshot, THREE, token="rescue-1")
    assert [each.boot.member_id for each in restored] == [member_id(urls, "rescue-1") for urls in THREE.values()]
    assert len({each.boot.cluster_id for each in restored}) == len({each.boot.entries for each in restored}) == 1
    assert {each.store for each in restored} == {snapshot}, "the revision goes back to the snapshot's"
    for each in restored:
        assert peer_refusal(each.boot, running(old)) == peer_refusal(old, running(each.boot)) == CLUSTER_ID_MISMATCH
        assert each.boot.member_id not in {member.id for member in old.members}
        assert each.vote == each.boot.entries[0].member.id


def test_restoring_under_the_old_token_and_urls_makes_the_old_ids_again() -> None:
    old = booted(plan_boot(Static(THREE), flags("infra0")))
    restored = restore(StoreSnapshot(1000), THREE)
    assert peer_refusal(restored[0].boot, running(old)) is None, "which is why restoring takes a new token"


def test_a_bumped_revision_is_past_what_clients_have_seen_and_compacted_up_to_there() -> None:
    (restored,) = restore(StoreSnapshot(1000, compacted=500), {"a": THREE["infra0"]}, bump_revision=10**9)
    assert (restored.store.revision, restored.store.compacted) == (1_000_001_000, 1_000_001_000)


def test_members_restored_from_different_snapshots_form_a_cluster_that_disagrees() -> None:
    one = restore_member(StoreSnapshot(1000), "infra0", THREE, "rescue-1")
    two = restore_member(StoreSnapshot(1200), "infra1", THREE, "rescue-1")
    assert peer_refusal(one.boot, running(two.boot)) is None and one.store != two.store


def test_wrong_arguments_of_a_restore_are_model_errors() -> None:
    with pytest.raises(ModelError, match="infra9"):
        restore_member(StoreSnapshot(1), "infra9", THREE)
    with pytest.raises(ModelError, match="-1"):
        restore(StoreSnapshot(1), THREE, bump_revision=-1)


def saved(snapshot: Snapshot | None = None, committed: int = 4) -> Saved:
    """Three founded it, `late` was added, and a write at index 5 is not known to be committed."""
    changes = [Change("add", name) for name in ("a", "b", "c")] + [Change("learner", "late")]
    entries = [Entry(1, index, change) for index, change in enumerate(changes, start=1)] + [Entry(2, 5, "write")]
    start = snapshot.index if snapshot else 0
    return Saved(2, "b", committed, snapshot, [entry for entry in entries if entry.index > start])


def test_forcing_a_new_cluster_throws_away_what_is_uncommitted_and_removes_the_others() -> None:
    before = saved()
    forced = force_new_cluster(before, "a")
    assert [(entry.index, entry.data) for entry in forced.entries[4:]] == [
        (5, Change("remove", "b")),
        (6, Change("remove", "c")),
        (7, Change("remove", "late")),
    ]
    assert (forced.commit, forced.term, forced.vote) == (7, 2, "b")
    assert {entry.term for entry in forced.entries[4:]} == {2}
    assert before == saved(), "what it is given stays as it is"


def test_forcing_counts_the_members_of_a_snapshot_with_learners() -> None:
    snapshot = Snapshot(3, 1, Membership(("a", "b", "c"), learners=("watcher",)))
    forced = force_new_cluster(saved(snapshot), "c")
    removed = [entry.data.member for entry in forced.entries if entry.data and entry.data.kind == "remove"]
    assert removed == ["a", "b", "late", "watcher"]


def test_forcing_a_member_that_is_not_in_its_own_log_adds_it_first() -> None:
    forced = force_new_cluster(saved(committed=3), "stranger")
    assert [entry.data for entry in forced.entries[3:]] == [
        Change("add", "stranger"),
        *(Change("remove", name) for name in ("a", "b", "c")),
    ]


def test_after_forcing_the_only_voter_is_the_member_itself_at_every_step() -> None:
    members = Membership(())
    for entry in force_new_cluster(saved(), "b").entries:
        members = members.after(entry.data)
        assert members.voters
    assert members == Membership(("b",))
