"""What cannot be meant is refused, with the field and the line; what an engine cannot do, by name."""

from __future__ import annotations

import pytest
from kubernetes_toys import toy

import hasim as ha
from hasim.errors import CannotModel, ModelError

TEXT = """
hasim: 1
name: refused
topology: {hosts: [cp-1], zones: {a: {hosts: [n-1, n-2]}, empty: {hosts: []}}}
parts:
  apiserver: {kind: pool, replicas: 1, on: [cp-1]}
  kcm: {kind: elected, replicas: 2, lease: {}, needs: apiserver}
  scheduler: {kind: elected, replicas: 2, leader_elect: false, needs: apiserver}
  other: {kind: elected, replicas: 2, failover: {takes: 10s}}
  kubelet: {kind: pool, replicas: 2, on: [n-1, n-2]}
  web: {kind: workload, replicas: 3, required: 2, start: {fixed: 5s}}
kubernetes:
  api: apiserver
  controllers: kcm
  scheduler: scheduler
  nodes: [a]
up: [web]
"""


def refusal(old: str, new: str) -> str:
    """What the text is refused with when one thing in it is another."""
    assert TEXT.count(old) == 1, old
    with pytest.raises(ModelError) as refused:
        ha.loads(TEXT.replace(old, new))
    return str(refused.value)


def test_the_text_is_fine_as_it_is() -> None:
    assert ha.loads(TEXT).kubernetes is not None


@pytest.mark.parametrize(
    ("old", "new", "where", "why"),
    [
        ("api: apiserver", "api: apiservers", "13 kubernetes.api", "nothing is called 'apiservers'"),
        ("api: apiserver", "api: web", "13 kubernetes.api", "web is a workload"),
        ("controllers: kcm", "controllers: kmc", "14 kubernetes.controllers", "did you mean 'kcm'"),
        ("controllers: kcm", "controllers: apiserver", "14 kubernetes.controllers", "no elected part with a `lease`"),
        ("controllers: kcm", "controllers: other", "14 kubernetes.controllers", "nobody would know which"),
        ("scheduler: scheduler", "scheduler: other", "15 kubernetes.scheduler", "no elected part with a `lease`"),
        ("scheduler: scheduler", "scheduler: web", "15 kubernetes.scheduler", "web is a workload"),
        ("nodes: [a]", "nodes: [b]", "16 kubernetes.nodes[0]", "no host or domain is called 'b'"),
        ("nodes: [a]", "nodes: []", "16 kubernetes.nodes", "at least one"),
        ("nodes: [a]", "nodes: [empty]", "16 kubernetes.nodes", "no host"),
        ("nodes: [a]", "nodes: [a]\n  kubelets: web", "kubernetes.kubelets", "web is a workload"),
        ("nodes: [a]", "nodes: [a, cp-1]\n  kubelets: kubelet", "17 kubernetes.kubelets", "one member on every node"),
        ("nodes: [a]", "nodes: [a]\n  proxies: scheduler", "17 kubernetes.proxies", "one member on every node"),
        ("nodes: [a]", "nodes: [a]\n  provisioning: 2m", "12 kubernetes", "give both"),
        ("nodes: [a]", "nodes: [a]\n  cpu: 0", "17 kubernetes.cpu", "1"),
        (
            "nodes: [a]",
            "nodes: [a]\n  node_lifecycle: {version: new}",
            "17 kubernetes.node_lifecycle.version",
            "is like '1.34'",
        ),
        (
            "nodes: [a]",
            "nodes: [a]\n  provisioning: 2m\n  autoscaler: {name: n, min_nodes: 0, max_nodes: 3, cpu: 4000}",
            "18 kubernetes.autoscaler",
            "n-1",
        ),
        ("api: apiserver", "api: kcm", "13 kubernetes.api", "name the API servers, or the balancer"),
        (
            "nodes: [a]",
            "nodes: [a]\n  provisioning: 2m\n  autoscaler: {name: g, min_nodes: 0, max_nodes: 3, cpu: 4, zone: emty}",
            "18 kubernetes.autoscaler.zone",
            "did you mean 'empty'",
        ),
        ("required: 2, start", "required: 4, start", "11 parts.web", "there are only 3 pods"),
        ("required: 2, start", "required: 2, on: [n-1], start", "11 parts.web", "`on` is of members with a fixed host"),
        ("required: 2, start", "required: 2, per_host: 3, start", "11 parts.web", "`per_host`"),
        ("required: 2, start", "required: 2, spread: rack, start", "11 parts.web", "zones or hosts"),
        ("required: 2, start: {fixed: 5s}", "required: 2", "11 parts.web.start", ""),
        ("replicas: 3, required: 2", "replicas: 10001", "11 parts.web.replicas", "10000"),
        ("up: [web]", "failures: {web: {mtbf: 1d, mttr: 1h}}\nup: [web]", "17 failures.web", "as its `crash` says"),
    ],
)
def test_a_wrong_reference_is_refused_with_its_field_and_line(old: str, new: str, where: str, why: str) -> None:
    said = refusal(old, new)
    assert where in said and why in said, said


@pytest.mark.parametrize(
    ("workload", "horizontal", "where", "why"),
    [
        ("", "[{target: wob, max_replicas: 5}]", "horizontal[0].target", "did you mean 'web'"),
        (", demand: 1/s, cost: 1ms, cpu: 0", "[{target: web, max_replicas: 5}]", "horizontal[0].target", "no `cpu`"),
        ("", "[{target: web, max_replicas: 5}]", "horizontal[0].target", "no `demand`"),
        (
            ", demand: 1/s, cost: 1ms",
            "[{target: web, max_replicas: 5}, {target: web, max_replicas: 9}]",
            "horizontal[1].target",
            "has an autoscaler already",
        ),
        (", demand: 1/s, cost: 1ms", "[{target: web, max_replicas: 1}]", "horizontal[0].max_replicas", "needs 2"),
    ],
)
def test_an_autoscaler_that_could_not_work_is_refused(workload: str, horizontal: str, where: str, why: str) -> None:
    text = TEXT.replace("start: {fixed: 5s}", f"start: {{fixed: 5s}}{workload}")
    with pytest.raises(ModelError) as refused:
        ha.loads(text.replace("nodes: [a]", f"nodes: [a]\n  horizontal: {horizontal}"))
    assert where in str(refused.value) and why in str(refused.value), str(refused.value)


def test_a_pod_that_fits_on_no_node_is_noted() -> None:
    assert not [note for note in ha.loads(TEXT).assumptions() if "fits on no node" in note]
    big = ha.loads(TEXT.replace("start: {fixed: 5s}", "start: {fixed: 5s}, cpu: 5000"))
    assert [note for note in big.assumptions() if "fits on no node" in note] == [
        "web fits on no node: a pod asks for 5000 millicores, and the largest node has 4000"
    ]


def test_a_workload_without_kubernetes_is_refused() -> None:
    alone = TEXT[: TEXT.index("kubernetes:")] + "up: [web]\n"
    with pytest.raises(ModelError, match=r"11 parts.web: a workload takes `kubernetes`"):
        ha.loads(alone)


def test_engines_that_have_no_controllers_refuse_by_name() -> None:
    cluster = toy()
    for verb, name in ((ha.solve, "solve"), (ha.estimate, "estimate")):
        with pytest.raises(CannotModel, match=r"parts.web, a workload") as refused:
            verb(cluster)
        assert name in str(refused.value) and "ha.simulate" in str(refused.value)
    with pytest.raises(CannotModel, match=r"parts.web, a workload"):
        ha.simulate(cluster, over="1h", protocols=False)


def test_a_model_of_pods_survives_being_written_and_read() -> None:
    for cluster in (toy(), ha.loads(TEXT)):
        assert ha.loads(cluster.to_yaml()) == cluster


def test_kubernetes_without_workloads_runs() -> None:
    cluster = toy("web: {kind: pool, replicas: 2}")
    assert not len(ha.simulate(cluster, over="10m", seed=1).down("web"))
