"""The API server's store as its clients see it: objects with versions, requests, conflicts, and changes to watch.

Every write carries the version it was made from, and one of two that start from the same version is refused
(optimistic concurrency). That refusal, 409, is the only fencing Kubernetes has: it protects objects of the store and
nothing outside it. Source: Kubernetes API concepts, "Resource versions"; sig-architecture/api-conventions.md,
"Concurrency control and consistency".
"""

from __future__ import annotations

from hasim.protocols.api.requests import (
    Bind,
    Change,
    Create,
    Delete,
    Done,
    Get,
    Key,
    Patch,
    Refusal,
    Refused,
    Reply,
    Request,
    Stored,
    Update,
    key_of,
)
from hasim.protocols.api.store import ObjectStore

__all__ = [
    "Bind",
    "Change",
    "Create",
    "Delete",
    "Done",
    "Get",
    "Key",
    "ObjectStore",
    "Patch",
    "Refusal",
    "Refused",
    "Reply",
    "Request",
    "Stored",
    "Update",
    "key_of",
]
