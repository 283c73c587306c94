"""Ways to leave failing servers out by what the requests themselves show, one kind a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, InstanceOf, SerializeAsAny, Tag
from pydantic.json_schema import SkipJsonSchema

from hasim.balancing.ejection.ejection import Detector, Ejection, Failure, Turn
from hasim.balancing.ejection.max_fails import MaxFails
from hasim.balancing.ejection.outlier_detection import OutlierDetection
from hasim.kinds import by_name, tag_of

EJECTIONS = ("max_fails", "outlier_detection")

# Named (max_fails), written as data ({kind: max_fails, fail_timeout: 2s}), or an object of any class that derives from
# Ejection.
AnyEjection = Annotated[
    Annotated[MaxFails, Tag("kind=max_fails")]
    | Annotated[OutlierDetection, Tag("kind=outlier_detection")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Ejection]]], Tag("kind=instance")],
    Discriminator(tag_of(Ejection)),
    by_name(*EJECTIONS),
]

__all__ = [
    "EJECTIONS",
    "AnyEjection",
    "Detector",
    "Ejection",
    "Failure",
    "MaxFails",
    "OutlierDetection",
    "Turn",
]
