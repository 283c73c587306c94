"""How a member of etcd comes to belong to a cluster: what it makes of its flags, its disk and its peers' answers.

A member of a *new* cluster asks nobody's leave. It computes the IDs of all members and of the cluster from the list
it was given, writes one committed entry a member into its log, and waits for votes: the cluster serves once a
majority has started, and those that were given another list are refused for their cluster ID. A member that *joins*
takes the IDs from whichever peer answers first, and gets its log from the leader. A member with a log on its disk
takes no notice of its flags.

`plan_boot` decides, and does nothing: the same flags and surroundings always give the same plan.

Source: etcd server/etcdserver/bootstrap.go, cluster_util.go, server/config/config.go, api/membership/cluster.go,
api/rafthttp. Left out: the versions of the peers that a joining member compares with its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hasim.protocols.etcd.discovery import (
    BootError,
    Dns,
    Registration,
    Registry,
    Waiting,
    discover,
    list_text,
    look_up,
    same_urls,
)
from hasim.protocols.etcd.identity import (
    TOKEN,
    ClusterList,
    Member,
    check_urls,
    cluster_id,
    founders,
    id_text,
    member_id,
)
from hasim.protocols.etcd.membership import quorum

CHECK_PATIENCE = 1.0  # seconds a founder waits for each peer to say whether it is known already
JOIN_PATIENCE = 10.0  # seconds a joining member waits for each peer to tell it about the cluster
FIRST_TERM = 1  # of the entries that found a cluster

CLUSTER_ID_MISMATCH = "cluster ID mismatch"
MEMBER_REMOVED = "the member has been permanently removed from the cluster"


@dataclass(frozen=True, slots=True)
class Static:
    """The list is given: --initial-cluster."""

    cluster: ClusterList


@dataclass(frozen=True, slots=True)
class Discovery:
    """The list is made by a discovery service, under a token that serves for one cluster; None: it does not answer.

    `retries` counts how often it has not answered so far.
    """

    token: str
    registry: Registry | None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Srv:
    """The list is made from SRV records: --discovery-srv."""

    dns: Dns


Method = Static | Discovery | Srv


@dataclass(frozen=True, slots=True)
class Flags:
    """What a member is told about itself; `urls` are its --initial-advertise-peer-urls.

    `existing` is --initial-cluster-state: whether it joins a cluster that runs, or founds one.
    """

    name: str
    urls: tuple[str, ...]
    token: str = TOKEN
    existing: bool = False

    def __post_init__(self) -> None:
        """Refuse URLs that etcd would not take."""
        check_urls(self.urls, "urls")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer says when asked for its cluster, or what is on a member's own disk about it."""

    cluster_id: int
    members: tuple[Member, ...]
    removed: frozenset[int] = frozenset()

    def member(self, number: int) -> Member | None:
        """The member with this ID, None if there is none."""
        return next((member for member in self.members if member.id == number), None)


@dataclass(frozen=True, slots=True)
class Disk:
    """What the write-ahead log says first: whose it is, and what the cluster was when it was last written."""

    member_id: int
    cluster: Answer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a member finds when it boots.

    `disk` is None where there is no log: on a new machine, or on one whose data directory was wiped. `peers` are the
    answers by URL; None stands for one that refuses the connection, and a URL that is missing keeps silent until
    patience runs out. `addresses` are what hosts resolve to.
    """

    disk: Disk | None = None
    peers: Mapping[str, Answer | None] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """An entry of the log that adds a voter."""

    index: int
    member: Member
    term: int = FIRST_TERM


@dataclass(frozen=True, slots=True)
class Boot:
    """How a member starts.

    `entries` are in its log and committed before it says a word: all founders have the same ones. They are empty
    for a member that joins, which knows no voters until the leader has sent it the log, and for one that goes on
    with the log it has. `seconds` is what it has spent at most on peers that kept silent.
    """

    members: tuple[Member, ...]
    cluster_id: int
    member_id: int
    entries: tuple[ConfigEntry, ...] = ()
    seconds: float = 0.0


def plan_boot(method: Method, flags: Flags, around: Surroundings | None = None) -> Boot | Waiting | BootError:
    """Decide how a member starts, what it waits for, or with which words it exits."""
    around = around or Surroundings()
    if around.disk is not None:
        return _restart(around.disk, around.peers)
    if isinstance(method, Discovery):
        return _discovered(method, flags)
    cluster: ClusterList | BootError
    if isinstance(method, Srv):
        cluster = look_up(flags.name, flags.urls, method.dns)
        around = replace(around, addresses={**method.dns.addresses, **around.addresses})
    else:
        cluster = method.cluster
    if isinstance(cluster, BootError):
        return cluster
    wrong = _wrong_list(cluster, flags, around.addresses)
    if wrong:
        return BootError(wrong)
    return _join(cluster, flags, around) if flags.existing else _found(cluster, flags, around)


def found(cluster: ClusterList, name: str, token: str = TOKEN, seconds: float = 0.0) -> Boot:
    """The start of the member `name` of a new cluster: the same on all members but for the own ID."""
    members = founders(cluster, token)
    entries = tuple(ConfigEntry(index, member) for index, member in enumerate(members, start=1))
    own = next(member.id for member in members if member.name == name)
    return Boot(members, cluster_id(member.id for member in members), own, entries, seconds)


def can_serve(boot: Boot, started: Collection[int]) -> bool:
    """Whether the members (by ID) that have started are a majority of the voters, so that a leader can be elected."""
    voters = [member.id for member in boot.members if not member.learner]
    return sum(voter in started for voter in voters) >= quorum(len(voters))


def peer_refusal(caller: Boot, called: Answer) -> str | None:
    """With which words a peer turns away what a member sends; None if it listens.

    A member that belongs to another cluster is turned away for ever and keeps trying; one that was removed exits.
    """
    if caller.cluster_id != called.cluster_id:
        return CLUSTER_ID_MISMATCH
    return MEMBER_REMOVED if caller.member_id in called.removed else None


def _restart(disk: Disk, peers: Mapping[str, Answer | None]) -> Boot | BootError:
    boot = Boot(disk.cluster.members, disk.cluster.cluster_id, disk.member_id)
    # Its own log may end before its removal; then the first peer that it reaches tells it.
    known = (disk.cluster, *(answer for answer in peers.values() if answer is not None))
    if any(peer_refusal(boot, answer) == MEMBER_REMOVED for answer in known):
        return BootError(MEMBER_REMOVED)
    return boot


def _discovered(method: Discovery, flags: Flags) -> Boot | Waiting | BootError:
    if flags.existing:
        return BootError("discovery URL should not be set when joining existing initial cluster")
    # Before there is a list nobody can be asked whether this member is known already: one whose disk was wiped finds
    # its old registration, and starts once more with the ID it had and without the log that goes with it.
    own = Registration(member_id(flags.urls, method.token), flags.name, flags.urls)
    cluster = discover(own, method.registry, method.retries)
    if isinstance(cluster, Waiting | BootError):
        return cluster
    if _url_twice(cluster):
        return BootError(f"discovery cluster {list_text(cluster)} has duplicate url")
    return found(cluster, flags.name, method.token)


def _found(cluster: ClusterList, flags: Flags, around: Surroundings) -> Boot | BootError:
    answer, seconds = _first_answer(cluster, flags.name, around.peers, CHECK_PATIENCE)
    boot = found(cluster, flags.name, flags.token, seconds)
    known = answer.member(boot.member_id) if answer else None
    # With every peer silent a wiped member passes: it founds again, with the ID of one that has promised votes.
    if known is not None and known.published:
        return BootError(f"member {id_text(known.id)} has already been bootstrapped", seconds)
    return boot


def _join(cluster: ClusterList, flags: Flags, around: Surroundings) -> Boot | BootError:
    answer, seconds = _first_answer(cluster, flags.name, around.peers, JOIN_PATIENCE)
    if answer is None:
        why = "could not retrieve cluster information from the given URLs"
        return BootError(f"cannot fetch cluster info from peer urls: {why}", seconds)
    if not answer.members:
        why = "failed to get raft cluster member(s) from the given URLs"
        return BootError(f"cannot fetch cluster info from peer urls: {why}", seconds)
    wrong = f"error validating peerURLs {_cluster_text(answer)}"
    if len(answer.members) != len(cluster):
        return BootError(f"{wrong}: member count is unequal", seconds)
    members = {member.name: member for member in founders(cluster, flags.token)}
    for existing in sorted(answer.members, key=lambda member: member.id):
        name = next((n for n, urls in cluster.items() if same_urls(existing.urls, urls, around.addresses)), None)
        if name is None:
            who = f"({id_text(existing.id)}, [{' '.join(existing.urls)}])"
            return BootError(f"{wrong}: PeerURLs: no match found for existing member {who}", seconds)
        members[name] = replace(existing, urls=cluster[name], name=name)
    ordered = tuple(sorted(members.values(), key=lambda member: member.id))
    return Boot(ordered, answer.cluster_id, members[flags.name].id, seconds=seconds)


def _wrong_list(cluster: ClusterList, flags: Flags, addresses: Mapping[str, str]) -> str | None:
    """What is wrong with a list before anybody is asked."""
    for name, urls in cluster.items():
        check_urls(urls, f"cluster.{name}")
    name = flags.name
    if name not in cluster:
        return f'couldn\'t find local name "{name}" in the initial cluster configuration'
    if not flags.existing and not same_urls(flags.urls, cluster[name], addresses):
        missing = sorted(set(cluster[name]) - set(flags.urls))
        advertised = ",".join(sorted(flags.urls))
        if missing:
            pairs = ",".join(f"{name}={url}" for url in missing)
            return f"--initial-cluster has {pairs} but missing from --initial-advertise-peer-urls={advertised}"
        missing = sorted(set(flags.urls) - set(cluster[name]))
        pairs = list_text({name: flags.urls})
        if missing:
            return f"--initial-advertise-peer-urls has {','.join(missing)} but missing from --initial-cluster={pairs}"
        return f"failed to resolve {advertised} to match --initial-cluster={pairs}"
    if _url_twice(cluster):
        return f"initial cluster {list_text(cluster)} has duplicate url"
    return None


def _first_answer(
    cluster: ClusterList, name: str, peers: Mapping[str, Answer | None], patience: float
) -> tuple[Answer | None, float]:
    """The answer of the first peer that gives one, asked in order of URL, and the seconds spent on the silent."""
    seconds = 0.0
    for url in sorted(url for other, urls in cluster.items() if other != name for url in urls):
        if url not in peers:
            seconds += patience
            continue
        answer = peers[url]
        if answer is not None:
            return answer, seconds
    return None, seconds


def _url_twice(cluster: ClusterList) -> bool:
    urls = [url for urls in cluster.values() for url in urls]
    return len(set(urls)) < len(urls)


def _cluster_text(answer: Answer) -> str:
    def joined(texts: Iterable[str]) -> str:
        return " ".join(texts)

    members = joined(f"{{ID:{id_text(each.id)} PeerURLs:[{joined(each.urls)}]}}" for each in answer.members)
    removed = joined(id_text(each) for each in sorted(answer.removed))
    return f"{{ClusterID:{id_text(answer.cluster_id)} Members:[{members}] RemovedMemberIDs:[{removed}]}}"
