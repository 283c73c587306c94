"""Real queues by name, each with the defaults of its makers and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Discriminator, Tag

from hasim.declared import at
from hasim.errors import ModelError, nearest
from hasim.kinds import InShort
from hasim.protocols.delivery.group_settings import ConsumerGroup
from hasim.protocols.delivery.settings import Delivery

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class System:
    """A real queue: its settings as a model file has them, where they come from, and what else one should know."""

    settings: Mapping[str, Any]
    source: str
    caveat: str = ""


SYSTEMS: Final[Mapping[str, System]] = MappingProxyType(
    {
        "sqs": System(
            {"ack_deadline": "30s", "late_ack": "accepted"},
            "Amazon SQS Developer Guide: VisibilityTimeout 30 s (0 s to 12 h); standard queues",
            "messages are kept for 4 days, which is not played; the receipt of an earlier delivery may still delete a "
            "message, and need not",
        ),
        "sqs_fifo": System(
            {"ack_deadline": "30s", "late_ack": "rejected", "ordered": True, "dedup_window": "5m"},
            "Amazon SQS Developer Guide: FIFO queues, message groups; deduplication interval 5 minutes",
        ),
        "rabbitmq": System(
            {
                "ack_deadline": "30m",
                "late_ack": "rejected",
                "frees_lost": True,
                "heartbeat": "60s",
                "checked_every": "1m",
                "closes_channel": True,
            },
            "RabbitMQ documentation, Consumer Acknowledgements: consumer_timeout 30 minutes since 3.8.17, evaluated at "
            "intervals of one minute; Heartbeats: timeout 60 s, a beat every half of it",
            "prefetch is unlimited unless the consumer sets one; 100 to 300 are advised",
        ),
        "rabbitmq_quorum": System(
            {
                "ack_deadline": "30m",
                "late_ack": "rejected",
                "frees_lost": True,
                "heartbeat": "60s",
                "checked_every": "1m",
                "closes_channel": True,
                "max_receives": 20,
            },
            "RabbitMQ documentation, Quorum Queues: delivery-limit 20 since 4.0; else as rabbitmq",
            "prefetch is unlimited unless the consumer sets one; 100 to 300 are advised",
        ),
        "jetstream": System(
            {"ack_deadline": "30s", "late_ack": "accepted", "max_pending": 1000, "dedup_window": "2m"},
            "NATS documentation, JetStream consumers: AckWait 30 s, MaxAckPending 1000, MaxDeliver unlimited; streams: "
            "duplicate window 2 minutes; late acks as measured with a real server",
            "its files are not synced for each message by default, so that a node without power may lose some",
        ),
        "beanstalkd": System(
            {"late_ack": "unless_taken", "frees_lost": True, "durable": False},
            "beanstalkd doc/protocol.txt; late acks and broken connections as measured with 1.12",
            "the time to run comes with each job (0 is raised to 1 s), so give `ack_deadline`; 1.12 misses some "
            "expiries (`missed`); without its write-ahead log (-b) jobs are in memory",
        ),
        "celery_redis": System(
            {"ack_deadline": "1h", "late_ack": "accepted"},
            "Celery documentation, Using Redis: visibility_timeout 1 hour",
            "Celery acks before the work unless task_acks_late is set: say `acks: before`; tasks with an eta or "
            "countdown beyond the timeout are delivered again and again",
        ),
        "celery_pubsub": System(
            {"ack_deadline": "240s", "late_ack": "accepted"},
            "Celery and Kombu documentation, Google Pub/Sub: ack_deadline_seconds 240",
            "Celery acks before the work unless task_acks_late is set: say `acks: before`",
        ),
        "pubsub": System(
            {"ack_deadline": "10s", "late_ack": "accepted"},
            "Google Cloud documentation, Pub/Sub subscriptions: acknowledgement deadline 10 s (10 to 600 s)",
            "client libraries extend deadlines for up to 60 minutes: say `renew`; a late ack may or may not count",
        ),
        "kafka": System(
            {"kind": "group"},
            "Apache Kafka consumer configuration: session.timeout.ms 45 s, heartbeat.interval.ms 3 s, "
            "max.poll.interval.ms 5 minutes, max.poll.records 500",
        ),
    }
)


def queue_systems() -> pandas.DataFrame:
    """Return a frame with a row for each real queue that is known by name: its settings, source and caveat."""
    import pandas

    rows = [
        (name, ", ".join(f"{field} {value}" for field, value in each.settings.items()), each.source, each.caveat)
        for name, each in SYSTEMS.items()
    ]
    return pandas.DataFrame(rows, columns=["system", "settings", "source", "caveat"]).set_index("system")


def _spelled_out(value: Any) -> Any:
    """A name, or a mapping with `system`, begins with the settings of that one; one without a kind has deadlines."""
    if isinstance(value, str):
        value = {"system": value}
    if not isinstance(value, Mapping):
        return value
    given = dict(value)
    name = given.pop("system", None)
    if name is None:
        return {"kind": "deadline", **given}
    if not isinstance(name, str) or name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise ModelError.of([at(("system",), f"got {name!r}; known are {known}{nearest(str(name), SYSTEMS)}")])
    return {"kind": "deadline", **SYSTEMS[name].settings, **given}


def _tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"kind={kind}"


AnyDelivery = Annotated[
    Annotated[Delivery, Tag("kind=deadline")] | Annotated[ConsumerGroup, Tag("kind=group")],
    Discriminator(_tag),
    InShort(_spelled_out, {"enum": list(SYSTEMS)}),
]
"""A pydantic field holding how a queue delivers: the name of a system, settings that begin with one, or an object."""
