"""hasim: how available a cluster will be, what happens when something breaks, and which design is better.

Models     load loads models Cluster Scenario Service SLO Topology
Parts      Quorum Pool Balancer Elected Standby Queue Unit Part
Failures   Failure Restart Failover Crew Spares Burst Maintenance preset presets
Laws       Exponential Weibull Lognormal Gamma Fixed Uniform Mixture Empirical Takeover
Faults     Crash Pause PowerLoss Partition OneWay CutLink SlowLink Loss Duplicate SlowDisk DiskStall DiskFull
           ClockSkew ClockJump SlowServer ErrorAnswers Unready Drain Stop
Requests   Load Serving Clients Dns Poisson Paced Steps Spike Daily Replay WarmUp Collections
Policies   RoundRobin WeightedRoundRobin Random LeastRequest LeastConnections ConsistentHash First
           Check Probe CrashLoopBackOff SystemdRestart Monit Vrrp MaxFails OutlierDetection
Clients    Retry NoBackoff ConstantBackoff ExponentialBackoff EqualJitter FullJitter DecorrelatedJitter
           TokenBucket RetryRatio ConcurrentRetries CircuitBreaker CountBreaker AdaptiveThrottling Hedge
Protocols  Raft Etcd Workload Lease TtlLease Duty
Upgrades   Rolling Recreate Ordered PerNode InPlace AllAtOnce BlueGreen Canary CanaryStep Window Release Detection
           Analysis Order Deploy Remove Migrate NodeByNode one_after_another migration Releases Measured
Contracts  Compatibility DataContract MigrationStep expand_contract big_bang Deprecation ClientGroup
Tasks      Delivery ConsumerGroup Work Producing Plain Keyed Fenced Transactional TwoPhase queue_systems compare_effects
Kubernetes Kubernetes DisruptionBudget DrainNodes NodeLifecycle ClusterAutoscaler Healing Remedy
Verbs      solve estimate simulate compare calibrate plot_downtime plot_blame timeline spacetime plot_requests
           plot_latency plot_leaders plot_tasks plot_comparison plot_upgrade plot_upgrades
Results    Solution Sample Run Comparison Calibration Estimate failed_share failed_requests outage_equivalent_s
           min_capacity server_hours exposure_s
Units      s h
Errors     ModelError CannotModel

One declared cluster goes into three engines that must agree: `solve` is exact, `estimate` plays years by the
thousand, `simulate` shows one history.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hasim.errors import CannotModel, ModelError

if TYPE_CHECKING:
    from hasim.balancing import (
        ConsistentHash,
        First,
        LeastConnections,
        LeastRequest,
        Random,
        RoundRobin,
        WeightedRoundRobin,
    )
    from hasim.balancing.ejection import MaxFails, OutlierDetection
    from hasim.clients import (
        AdaptiveThrottling,
        CircuitBreaker,
        ConcurrentRetries,
        ConstantBackoff,
        CountBreaker,
        DecorrelatedJitter,
        EqualJitter,
        ExponentialBackoff,
        FullJitter,
        Hedge,
        NoBackoff,
        Retry,
        RetryRatio,
        TokenBucket,
    )
    from hasim.engines.des import simulate
    from hasim.engines.des.etcd.handle import Etcd
    from hasim.engines.des.etcd.workload import Workload
    from hasim.engines.exact import solve
    from hasim.engines.montecarlo import estimate
    from hasim.faults import (
        ClockJump,
        ClockSkew,
        Crash,
        CutLink,
        DiskFull,
        DiskStall,
        Drain,
        Duplicate,
        ErrorAnswers,
        Loss,
        OneWay,
        Partition,
        Pause,
        PowerLoss,
        SlowDisk,
        SlowLink,
        SlowServer,
        Stop,
        Unready,
    )
    from hasim.model.cluster import Cluster
    from hasim.model.demand import Clients, Daily, Dns, Load, Paced, Poisson, Replay, Spike, Steps
    from hasim.model.deprecation import ClientGroup, Deprecation
    from hasim.model.disruption import DisruptionBudget
    from hasim.model.failures import Burst, Crew, Failover, Failure, Maintenance, Restart, Spares
    from hasim.model.healing import Healing
    from hasim.model.kubernetes import Kubernetes
    from hasim.model.laws import Empirical, Exponential, Fixed, Gamma, Lognormal, Mixture, Takeover, Uniform, Weibull
    from hasim.model.load import load, loads
    from hasim.model.parts import Balancer, Elected, Part, Pool, Queue, Quorum, Standby, Unit
    from hasim.model.presets import preset, presets
    from hasim.model.producing import Producing
    from hasim.model.raft import Raft
    from hasim.model.scenario import Scenario
    from hasim.model.service import SLO, Service
    from hasim.model.serving import Collections, Serving, WarmUp
    from hasim.model.shelf import model_names as models
    from hasim.model.topology import Topology
    from hasim.model.upgrades import (
        AllAtOnce,
        Analysis,
        BlueGreen,
        Canary,
        CanaryStep,
        Deploy,
        Detection,
        DrainNodes,
        InPlace,
        Migrate,
        NodeByNode,
        Order,
        Ordered,
        PerNode,
        Recreate,
        Release,
        Remove,
        Rolling,
        Window,
        migration,
        one_after_another,
    )
    from hasim.model.upgrades.calendar import Measured, Releases
    from hasim.model.work import Work
    from hasim.protocols.contracts import (
        Compatibility,
        DataContract,
        MigrationStep,
        big_bang,
        expand_contract,
    )
    from hasim.protocols.delivery.group_settings import ConsumerGroup
    from hasim.protocols.delivery.settings import Delivery
    from hasim.protocols.delivery.systems import queue_systems
    from hasim.protocols.effects.settings import Fenced, Keyed, Plain, Transactional, TwoPhase
    from hasim.protocols.health import Check, CrashLoopBackOff, Monit, Probe, SystemdRestart
    from hasim.protocols.lease.settings import Duty, Lease, TtlLease
    from hasim.protocols.reconcile.cluster_autoscaler import ClusterAutoscaler
    from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle
    from hasim.protocols.reconcile.remedy import Remedy
    from hasim.protocols.vrrp import Vrrp
    from hasim.results import Comparison, Estimate, Run, Sample, Solution
    from hasim.results.failed_share import failed_share
    from hasim.results.upgrade_measures import (
        exposure_s,
        failed_requests,
        min_capacity,
        outage_equivalent_s,
        server_hours,
    )
    from hasim.studies import Calibration, calibrate, compare, compare_effects
    from hasim.units import h, s
    from hasim.views import (
        plot_blame,
        plot_comparison,
        plot_downtime,
        plot_latency,
        plot_leaders,
        plot_requests,
        plot_tasks,
        plot_upgrade,
        plot_upgrades,
        spacetime,
        timeline,
    )

__version__ = "0.1.0"

# Where each name lives; modules are imported when a name is first asked for, so that `import hasim` costs little.
_HOMES = {
    "hasim.balancing": "ConsistentHash First LeastConnections LeastRequest Random RoundRobin WeightedRoundRobin",
    "hasim.balancing.ejection": "MaxFails OutlierDetection",
    "hasim.clients": (
        "AdaptiveThrottling CircuitBreaker ConcurrentRetries ConstantBackoff CountBreaker DecorrelatedJitter "
        "EqualJitter ExponentialBackoff FullJitter Hedge NoBackoff Retry RetryRatio TokenBucket"
    ),
    "hasim.model.demand": "Clients Daily Dns Load Paced Poisson Replay Spike Steps",
    "hasim.model.serving": "Collections Serving WarmUp",
    "hasim.protocols.health": "Check CrashLoopBackOff Monit Probe SystemdRestart",
    "hasim.protocols.vrrp": "Vrrp",
    "hasim.engines.des": "simulate",
    "hasim.engines.des.etcd.handle": "Etcd",
    "hasim.engines.des.etcd.workload": "Workload",
    "hasim.engines.exact": "solve",
    "hasim.engines.montecarlo": "estimate",
    "hasim.faults": (
        "ClockJump ClockSkew Crash CutLink DiskFull DiskStall Drain Duplicate Loss OneWay Partition Pause "
        "PowerLoss SlowDisk SlowLink ErrorAnswers SlowServer Stop Unready"
    ),
    "hasim.model.cluster": "Cluster",
    "hasim.model.failures": "Burst Crew Failover Failure Maintenance Restart Spares",
    "hasim.model.laws": "Empirical Exponential Fixed Gamma Lognormal Mixture Takeover Uniform Weibull",
    "hasim.model.load": "load loads",
    "hasim.model.parts": "Balancer Elected Part Pool Queue Quorum Standby Unit",
    "hasim.model.presets": "preset presets",
    "hasim.model.raft": "Raft",
    "hasim.model.scenario": "Scenario",
    "hasim.model.service": "SLO Service",
    "hasim.model.shelf": "models",
    "hasim.model.topology": "Topology",
    "hasim.model.deprecation": "ClientGroup Deprecation",
    "hasim.protocols.contracts": "Compatibility DataContract MigrationStep big_bang expand_contract",
    "hasim.model.upgrades": (
        "AllAtOnce Analysis BlueGreen Canary CanaryStep Deploy Detection DrainNodes InPlace Migrate NodeByNode Order "
        "Ordered PerNode Recreate Release Remove Rolling Window migration one_after_another"
    ),
    "hasim.model.upgrades.calendar": "Measured Releases",
    "hasim.protocols.lease.settings": "Duty Lease TtlLease",
    "hasim.model.healing": "Healing",
    "hasim.protocols.reconcile.remedy": "Remedy",
    "hasim.model.disruption": "DisruptionBudget",
    "hasim.model.kubernetes": "Kubernetes",
    "hasim.protocols.reconcile.node_lifecycle": "NodeLifecycle",
    "hasim.protocols.reconcile.cluster_autoscaler": "ClusterAutoscaler",
    "hasim.model.producing": "Producing",
    "hasim.model.work": "Work",
    "hasim.protocols.delivery.settings": "Delivery",
    "hasim.protocols.delivery.group_settings": "ConsumerGroup",
    "hasim.protocols.delivery.systems": "queue_systems",
    "hasim.protocols.effects.settings": "Fenced Keyed Plain Transactional TwoPhase",
    "hasim.studies": "Calibration calibrate compare compare_effects",
    "hasim.results": "Comparison Estimate Run Sample Solution",
    "hasim.results.failed_share": "failed_share",
    "hasim.results.upgrade_measures": "exposure_s failed_requests min_capacity outage_equivalent_s server_hours",
    "hasim.units": "h s",
    "hasim.views": (
        "plot_blame plot_comparison plot_downtime plot_latency plot_leaders plot_requests plot_tasks plot_upgrade "
        "plot_upgrades spacetime timeline"
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "SLO",
    "AdaptiveThrottling",
    "AllAtOnce",
    "Analysis",
    "Balancer",
    "BlueGreen",
    "Burst",
    "Calibration",
    "Canary",
    "CanaryStep",
    "CannotModel",
    "Check",
    "CircuitBreaker",
    "ClientGroup",
    "Clients",
    "ClockJump",
    "ClockSkew",
    "Cluster",
    "ClusterAutoscaler",
    "Collections",
    "Comparison",
    "Compatibility",
    "ConcurrentRetries",
    "ConsistentHash",
    "ConstantBackoff",
    "ConsumerGroup",
    "CountBreaker",
    "Crash",
    "CrashLoopBackOff",
    "Crew",
    "CutLink",
    "Daily",
    "DataContract",
    "DecorrelatedJitter",
    "Delivery",
    "Deploy",
    "Deprecation",
    "Detection",
    "DiskFull",
    "DiskStall",
    "DisruptionBudget",
    "Dns",
    "Drain",
    "DrainNodes",
    "Duplicate",
    "Duty",
    "Elected",
    "Empirical",
    "EqualJitter",
    "ErrorAnswers",
    "Estimate",
    "Etcd",
    "Exponential",
    "ExponentialBackoff",
    "Failover",
    "Failure",
    "Fenced",
    "First",
    "Fixed",
    "FullJitter",
    "Gamma",
    "Healing",
    "Hedge",
    "InPlace",
    "Keyed",
    "Kubernetes",
    "Lease",
    "LeastConnections",
    "LeastRequest",
    "Load",
    "Lognormal",
    "Loss",
    "Maintenance",
    "MaxFails",
    "Measured",
    "Migrate",
    "MigrationStep",
    "Mixture",
    "ModelError",
    "Monit",
    "NoBackoff",
    "NodeByNode",
    "NodeLifecycle",
    "OneWay",
    "Order",
    "Ordered",
    "OutlierDetection",
    "Paced",
    "Part",
    "Partition",
    "Pause",
    "PerNode",
    "Plain",
    "Poisson",
    "Pool",
    "PowerLoss",
    "Probe",
    "Producing",
    "Queue",
    "Quorum",
    "Raft",
    "Random",
    "Recreate",
    "Release",
    "Releases",
    "Remedy",
    "Remove",
    "Replay",
    "Restart",
    "Retry",
    "RetryRatio",
    "Rolling",
    "RoundRobin",
    "Run",
    "Sample",
    "Scenario",
    "Service",
    "Serving",
    "SlowDisk",
    "SlowLink",
    "SlowServer",
    "Solution",
    "Spares",
    "Spike",
    "Standby",
    "Steps",
    "Stop",
    "SystemdRestart",
    "Takeover",
    "TokenBucket",
    "Topology",
    "Transactional",
    "TtlLease",
    "TwoPhase",
    "Uniform",
    "Unit",
    "Unready",
    "Vrrp",
    "WarmUp",
    "Weibull",
    "WeightedRoundRobin",
    "Window",
    "Work",
    "Workload",
    "big_bang",
    "calibrate",
    "compare",
    "compare_effects",
    "estimate",
    "expand_contract",
    "exposure_s",
    "failed_requests",
    "failed_share",
    "h",
    "load",
    "loads",
    "migration",
    "min_capacity",
    "models",
    "one_after_another",
    "outage_equivalent_s",
    "plot_blame",
    "plot_comparison",
    "plot_downtime",
    "plot_latency",
    "plot_leaders",
    "plot_requests",
    "plot_tasks",
    "plot_upgrade",
    "plot_upgrades",
    "preset",
    "presets",
    "queue_systems",
    "s",
    "server_hours",
    "simulate",
    "solve",
    "spacetime",
    "timeline",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hasim' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), "model_names" if name == "models" else name)


def __dir__() -> list[str]:
    return __all__
