"""What the handle of a small etcd cluster refuses: every wrong argument by its name, and before anything happens."""

from __future__ import annotations

import math
from typing import Any

import pytest

import hasim as ha
from hasim.engines.des.etcd.handle import Etcd
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.bootstrap import Discovery, Srv, Static


@pytest.fixture(scope="module")
def etcd() -> Etcd:
    """A cluster to ask wrong things of: nothing of that changes it."""
    found = Etcd(3, seed=1)
    found.run("3s")
    found.client(name="busy", rate=1)
    return found


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (0, "got 0; a quorum has 1 to 99 members"),
        (100, "got 100; a quorum has 1 to 99 members"),
        (10**12, "1 to 99"),
        (-1, "1 to 99"),
        (True, "give a number of members or their names"),
        (3.0, "give a number of members or their names"),
        ("abc", "give a number of members or their names"),
        (["a", "b", "a"], "got 'a' twice"),
        (["a", 1], "got 1; the name of a member is a text"),
        ([""], "the name of a member is a text"),
        ([], "1 to 99"),
        (None, "got nothing; give a number of members or their names"),
        (b"abc", "give a number of members or their names"),
        ({"a": 1}, "give a number of members or their names"),
        ([["a"], ["a"]], "got ['a']; the name of a member is a text"),
        *(([name], f"got {name!r}; the name of a member is a text of letters") for name in (" a", "a\n", "a/b", "a=b")),
    ],
)
def test_members_that_make_no_sense_are_refused_by_name(members: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=r"^members: ") as error:
        Etcd(members, seed=1)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zones": {"etcd-4": "a"}}, "zones: got 'etcd-4'; members are etcd-1, etcd-2, etcd-3; did you mean"),
        ({"latencies": {("etcd-1", "etcd-2"): {"fixd": "1ms"}}}, "latencies[etcd-1, etcd-2]: got 'fixd'; laws are"),
        ({"latencies": {"a": "1ms"}}, "latencies: got 'a'; latencies are by pairs"),
        ({"quota_bytes": 0}, "quota_bytes: got 0"),
        ({"quota_bytes": True}, "quota_bytes: got True"),
        ({"strict_reconfig": "no"}, "strict_reconfig: got 'no'; give True or False"),
        ({"clock_drift_max": 0.9}, "clock_drift_max: got 0.9"),
        ({"clock_drift_max": math.nan}, "clock_drift_max: got nan"),
        ({"snapshot": {}}, "snapshot: got {}; give what snapshot_save returned"),
        *(({"raft": wrong}, f"raft: got {wrong!r}; give a Raft, or its fields") for wrong in ("yes", 3, False, {1: 2})),
        ({"raft": {"heartbeet": "50ms"}}, "raft.heartbeet: unknown key"),
        ({"raft": {"heartbeat": "soon"}}, "raft.heartbeat: got 'soon'; a duration is"),
        ({"zones": ["a"]}, "zones: got ['a']; give the zone of each member"),
        ({"zones": {3: "a"}}, "zones: got 3; members are"),
        ({"zones": {"etcd-1": 3}}, "zones.etcd-1: got 3; the name of a zone is a text"),
        ({"zones": {"etcd-1": "etcd-2"}}, "zones.etcd-1: got 'etcd-2', the name of a member"),
        ({"latencies": "1ms"}, "latencies: got '1ms'; give laws by pairs, like {('etcd-1', 'etcd-2'): '5ms'}; one for"),
        ({"latencies": {("etcd-1", "etcd-9"): "1ms"}}, "latencies[etcd-1, etcd-9]: got 'etcd-9'; members are etcd-1"),
        ({"latencies": {(1, 2): "1ms"}}, "latencies[1, 2]: got 1; members are etcd-1, etcd-2, etcd-3; there are no"),
        ({"latencies": {("etcd-1", "etcd-1"): "1ms"}}, "both ends are 'etcd-1'; a link has two ends"),
        ({"latencies": {("etcd-1", "etcd-2"): None}}, "latencies[etcd-1, etcd-2]: got nothing"),
        (
            {"latencies": {("c", "a"): "1ms"}, "zones": {"etcd-1": "a"}},
            "got 'c'; members are etcd-1, etcd-2, etcd-3, zo",
        ),
        ({"latencies": {("etcd-2", "a"): "1ms"}, "zones": {"etcd-1": "a"}}, "one is a member and one a zone"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError) as error:
        Etcd(3, seed=1, **options)
    assert said in str(error.value)


UNKNOWN = "got 'etcd-9'; members are etcd-1, etcd-2, etcd-3; did you mean"
LISTED = "got ['etcd-1']; a name is one text, not a list; members are etcd-1, etcd-2, etcd-3"


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        *((verb, ("etcd-9",), f"names: {UNKNOWN}") for verb in ("crash", "power_off", "start", "stop", "pause")),
        ("resume", ("etcd-1", "etcd-9"), f"names: {UNKNOWN}"),
        ("crash", (), "names: name at least one member"),
        ("partition", ("etcd-9",), "side: got 'etcd-9'; no node or zone is called that; did you mean"),
        ("partition", (), "side: name the members on one side"),
        ("partition", ("etcd-1", "etcd-2", "etcd-3"), "side: all members are on one side"),
        ("defrag", ("etcd-9",), f"at: {UNKNOWN}"),
        ("snapshot_save", ("etcd-9",), f"at: {UNKNOWN}"),
        ("force_new_cluster", ("etcd-9",), f"name: {UNKNOWN}"),
        ("force_new_cluster", ("etcd-1",), "name: etcd-1 runs; crash or stop it first"),
        ("member_remove", ("etcd-9",), f"name: {UNKNOWN}"),
        ("member_promote", ("etcd-9",), f"name: {UNKNOWN}"),
        ("move_leader", ("etcd-9",), f"name: {UNKNOWN}"),
        ("member_add", (7,), "name: got 7; the name of a member is a text"),
        ("compact", (0,), "revision: got 0"),
        ("compact", (True,), "revision: got True"),
        ("put", ("k", 7), "value: got 7; etcd stores text under text"),
        ("get", (7,), "key: got 7; etcd stores text under text"),
        ("run", ("-1s",), "duration: got '-1s'"),
        ("run", (5,), "duration: got 5; a duration needs a unit"),
        ("run", ("soon",), "duration: got 'soon'"),
        ("run", (None,), "duration: "),
        ("play", ("partition",), "fault: got 'partition'; give a fault, like"),
        ("client", ("busy",), "workload: got 'busy'; give a Workload"),
        *(
            (verb, (["etcd-1"],), f"names: {LISTED}")
            for verb in ("crash", "power_off", "start", "stop", "pause", "resume")
        ),
        *((verb, (["etcd-1"],), f"name: {LISTED}") for verb in ("member_remove", "member_promote", "move_leader")),
        ("force_new_cluster", (["etcd-1"],), f"name: {LISTED}"),
        *((verb, (["etcd-1"],), f"at: {LISTED}") for verb in ("defrag", "snapshot_save")),
        *((verb, (None,), "at: got nothing; members are etcd-1") for verb in ("defrag", "snapshot_save")),
        *((verb, (7,), "names: got 7; members are etcd-1") for verb in ("crash", "start", "resume")),
        *(("partition", (wrong,), "side: got ") for wrong in (1, None, ["etcd-1"])),
        *(("member_add", (name,), f"name: got {name!r}; the name of a member") for name in (" x ", "a/b", "")),
        ("put", (["k"], "v"), "key: got ['k']; etcd stores text under text"),
        ("ask", ("x",), "command: got 'x'; give a request, like Put('k', 'v')"),
        ("ask", (None,), "command: got nothing; give a request"),
        ("ask", (asked.Put,), "command: got the class Put; give a request"),
        ("ask", (asked.Cas("k", 1, "x"),), "expected: got 1; etcd stores text under text"),  # type: ignore[arg-type]
        ("ask", (asked.Get("k", "fast"),), "mode: got 'fast'; allowed is"),
        ("ask", (asked.MemberAdd(" x"),), "member: got ' x'; the name of a member"),
        (
            "play",
            (ha.Pause,),
            "fault: got the class Pause; give a fault, like ha.Pause('etcd-1', at='0s', lasting='5s')",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused_by_name(
    etcd: Etcd, verb: str, arguments: tuple[Any, ...], said: str
) -> None:
    before = etcd.now
    with pytest.raises(ha.ModelError) as error:
        getattr(etcd, verb)(*arguments)
    assert str(error.value).startswith(said)
    assert etcd.now == before


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("put", {"key": "k", "value": "v", "at": "etcd-9"}, f"at: {UNKNOWN}"),
        ("get", {"key": "k", "at": "etcd-9"}, f"at: {UNKNOWN}"),
        ("get", {"key": "k", "timeout": "0s"}, "timeout: got '0s'; time only passes forward"),
        ("get", {"key": "k", "mode": "serialisable"}, "mode: got 'serialisable'; allowed is linearizable or serial"),
        ("get", {"key": "k", "mode": "lease"}, "mode: got 'lease'; allowed is linearizable or serializable; for lease"),
        ("endpoint_health", {"timeout": "five"}, "timeout: got 'five'"),
        ("client", {"rate": 1, "endpoints": "etcd-9"}, "endpoints: got 'etcd-9'"),
        ("client", {"rate": 1, "think": "1s"}, "got both of rate and think"),
        ("client", {"rat": 1}, "rat: unknown key"),
        ("put", {"key": "k", "value": "v", "at": ["etcd-1"]}, f"at: {LISTED}"),
        ("member_promote", {"name": "etcd-1", "at": []}, "at: got []; a name is one text, not a list"),
        ("put", {"key": "k", "value": "v", "at": 3}, "at: got 3; members are etcd-1"),
        ("member_add", {"name": "n4", "learner": "yes"}, "learner: got 'yes'; give True or False"),
        ("client", {"rate": "10"}, "rate: got '10'; give a number above 0"),
        ("client", {"rate": True}, "rate: got True; give a number above 0"),
        ("client", {"rate": 1, "requests": "get"}, "requests: got 'get'; kinds are put, linearizable, serializable"),
        ("client", {"rate": 1, "requests": {"puts": 1}}, "requests: got 'puts'; kinds are put"),
        ("client", {"rate": 1, "requests": {"put": -1}}, "requests.put: got -1; a weight is a number of at least 0"),
        ("client", {"rate": 1, "requests": {"put": True}}, "requests.put: got True; a weight is"),
        ("client", {"rate": 1, "requests": {"put": math.inf}}, "requests.put: got inf; a weight is"),
        ("client", {"rate": 1, "requests": 3}, "requests: got 3; give a kind of request"),
        ("client", {"rate": 1, "name": "busy"}, "name: got 'busy', which there is already"),
        ("client", {"rate": 1, "name": "etcdctl"}, "name: got 'etcdctl', which there is already"),
        ("client", {"workload": ha.Workload(name="x", endpoints="etcd-1", rate=1), "rate": 1}, "workload: give either"),
    ],
)
def test_options_of_verbs_that_make_no_sense_are_refused_by_name(
    etcd: Etcd, verb: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ha.ModelError) as error:
        getattr(etcd, verb)(**options)
    assert str(error.value).startswith(said)


def test_a_fault_that_names_nobody_here_is_refused_before_it_begins(etcd: Etcd) -> None:
    facts = len(etcd.trace)
    with pytest.raises(ha.ModelError, match=r"^fault: got 'etcd-7'; no node or zone is called that; did you mean"):
        etcd.play(ha.Pause("etcd-7", at="1s", lasting="1s"))
    etcd.run("1s")
    assert not etcd.trace[facts:].filter(["fault begun", "process paused"])


@pytest.mark.parametrize(
    ("told", "options", "said"),
    [
        ({}, {}, "told: got {}; name at least one member"),
        (["a"], {}, "told: got ['a']; give each member's list by its name"),
        (None, {}, "told: got nothing; give each member's list"),
        ({"a/b": ["a/b"]}, {}, "told: got 'a/b'; the name of a member is a text of letters"),
        ({"a": ["a", "a"]}, {}, "told.a: got 'a' twice; each member has a name of its own"),
        ({"a": ["a", ""]}, {}, "told.a: got ''; the name of a member is a text"),
        ({"a": Static({"a": "http://a:2380"})}, {}, "told.a.cluster.a: got 'http://a:2380'; give a list of URLs"),  # type: ignore[dict-item]
        ({"a": Static(3)}, {}, "told.a.cluster: got 3; a list has the URLs of each member"),  # type: ignore[arg-type]
        ({"a": Discovery("token", 3)}, {}, "told.a.registry: got 3; give a Registry, or None"),  # type: ignore[arg-type]
        ({"a": Srv(None)}, {}, "told.a.dns: got nothing; give a Dns"),  # type: ignore[arg-type]
        ({"a": ["a"]}, {"tokens": ["a"]}, "tokens: got ['a']; give tokens by member"),
        ({"a": ["a"]}, {"tokens": []}, "tokens: got []; give tokens by member"),
        ({"a": ["a"]}, {"tokens": {"a": 1}}, "tokens.a: got 1; a token is a text"),
        ({"a": ["a"]}, {"raft": 3}, "raft: got 3; give a Raft"),
        ({"a": "abc"}, {}, "told.a: got 'abc'; give the names in its list, or Static, Discovery or Srv"),
        ({"a": 3}, {}, "told.a: got 3"),
        ({"a": ["a"]}, {"tokens": {"b": "x"}}, "tokens: got 'b'; members are a"),
    ],
)
def test_a_bootstrap_that_makes_no_sense_is_refused_by_name(
    told: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ha.ModelError) as error:
        Etcd.bootstrap(told, **options)
    assert str(error.value).startswith(said)


def test_a_restored_cluster_needs_a_snapshot() -> None:
    for wrong, said in ((None, "got nothing"), (3, "got 3")):
        with pytest.raises(ha.ModelError, match=f"^snapshot: {said}; give what snapshot_save returned"):
            Etcd.restored(wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ what it accepts instead


def test_raft_may_be_given_by_its_fields() -> None:
    fast = {"heartbeat": "50ms", "election_timeout": "500ms"}
    assert Etcd(3, raft=fast).raft == ha.Raft(**fast)  # type: ignore[arg-type]
    assert Etcd(3, raft={}).raft == ha.Raft()
    assert Etcd.bootstrap({"a": ["a"]}, raft=fast).raft == ha.Raft(**fast)  # type: ignore[arg-type]


def test_a_client_without_a_name_gets_one_that_is_free() -> None:
    etcd = Etcd(3, seed=1)
    etcd.client(name="client-2", rate=1)
    assert [etcd.client(rate=1).workload.name for _ in range(2)] == ["client-1", "client-3"]


def test_latencies_may_hold_within_a_zone() -> None:
    zones = {"etcd-1": "north", "etcd-2": "north"}
    etcd = Etcd(2, seed=1, zones=zones, latencies={("north", "north"): {"fixed": "20ms"}})
    etcd.run("5s")
    assert 0.04 < etcd.put("k", "1", at=etcd.leader).took < 0.05, "one round trip"


def test_names_on_a_list_keep_their_capitals() -> None:
    assert Etcd.bootstrap({"A": ["A", "B"]}).founding.lists == {"A": ("A", "B")}
