"""At-least-once delivery: tasks that are handed out, and handed out again when nobody acknowledges them."""

from __future__ import annotations

from hasim.protocols.delivery.broker import Broker
from hasim.protocols.delivery.group_broker import GroupBroker
from hasim.protocols.delivery.group_settings import ConsumerGroup
from hasim.protocols.delivery.group_worker import GroupWorker
from hasim.protocols.delivery.settings import Delivery
from hasim.protocols.delivery.worker import Worker

__all__ = ["Broker", "ConsumerGroup", "Delivery", "GroupBroker", "GroupWorker", "Worker"]
