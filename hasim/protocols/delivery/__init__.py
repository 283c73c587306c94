"""At-least-once delivery: tasks that are handed out, and handed out again when nobody acknowledges them."""

from __future__ import annotations

from hasim.protocols.delivery.settings import Delivery

__all__ = ["Delivery"]
