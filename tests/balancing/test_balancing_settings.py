"""Policies and ejections are declared by name, as data or as objects, and mistakes in them are named."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
from pydantic import Field, TypeAdapter

from hasim.balancing import (
    POLICIES,
    AnyPolicy,
    Backend,
    Chooser,
    ConsistentHash,
    First,
    LeastConnections,
    LeastRequest,
    Policy,
    RoundRobin,
)
from hasim.balancing.ejection import EJECTIONS, AnyEjection, Detector, Ejection, MaxFails, OutlierDetection
from hasim.declared import Declared
from hasim.errors import ModelError


class Front(Declared):
    """Something that balances."""

    policy: AnyPolicy = Field(default=RoundRobin(), description="How a server is chosen.")
    ejection: AnyEjection | None = Field(default=None, description="How failing servers are left out.")


class Last(Policy):
    """A policy that somebody made: the last server."""

    spare: int = 0

    def start(self, rng: np.random.Generator) -> Chooser:
        return RoundRobin().start(rng)


class Never(Ejection):
    """An ejection that somebody made: nobody is left out."""

    def start(self, count: int, rng: np.random.Generator) -> Detector:
        return MaxFails().start(1, rng)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("least_connections", LeastConnections()),
        ("least_request", LeastRequest(choices=2, replacement=True)),
        ({"kind": "least_request", "choices": 3}, LeastRequest(choices=3)),
        ({"kind": "consistent_hash", "bound": 1.25}, ConsistentHash(bound=1.25)),
        ({"kind": "first", "limit": 8}, First(limit=8)),
        (LeastRequest(choices=4), LeastRequest(choices=4)),
        (Last(spare=2), Last(spare=2)),
    ],
    ids=str,
)
def test_a_policy_is_read_from_its_name_its_fields_or_an_object(given: Any, read: Policy) -> None:
    front = Front(policy=given)
    assert front.policy == read
    assert type(front.policy) is type(read)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_goes_by_its_kind_and_comes_back_from_its_data(policy: str) -> None:
    given = {"kind": policy, "limit": 3} if policy == "first" else policy
    front = Front(policy=given)
    assert front.model_dump()["policy"]["kind"] == policy
    assert Front(**front.model_dump(mode="json")) == front
    assert pickle.loads(pickle.dumps(front)) == front


@pytest.mark.parametrize("ejection", EJECTIONS)
def test_every_ejection_goes_by_its_kind_and_comes_back_from_its_data(ejection: str) -> None:
    front = Front(ejection=ejection)
    assert front.model_dump()["ejection"]["kind"] == ejection
    assert Front(**front.model_dump(mode="json")) == front
    assert Front(ejection={"kind": ejection}) == front
    assert pickle.loads(pickle.dumps(front)) == front


def test_durations_of_an_ejection_are_texts() -> None:
    assert Front(ejection={"kind": "max_fails", "fail_timeout": "2s"}).ejection == MaxFails(fail_timeout="2s")
    front = Front(ejection=OutlierDetection(base_ejection="1m"))
    assert front.model_dump(mode="json")["ejection"]["base_ejection"] == "1m"
    assert Front(ejection=Never()).ejection == Never()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"policy": "least_conections"}, r"policy\.kind: got 'least_conections'.*did you mean 'least_connections'\?"),
        ({"policy": {"kind": "wheel"}}, r"policy\.kind: got 'wheel'; kinds are round_robin, .*"),
        ({"policy": {"choices": 2}}, r"policy: has no kind; kinds are round_robin, .*"),
        ({"policy": {"kind": "instance"}}, r"policy\.kind: got 'instance'; kinds are round_robin, .*"),
        ({"policy": 3}, r"policy: got 3; write a mapping with a kind, .*"),
        ({"policy": MaxFails()}, r"policy: got .*; write a mapping with a kind, .*"),
        ({"policy": "first"}, r"policy\.limit: is missing and has no default: Requests that a server holds .*"),
        ({"policy": {"kind": "random", "choices": 2}}, r"policy\.choices: unknown key; allowed here: kind"),
        ({"policy": {"kind": "least_request", "choices": 0}}, r"policy\.choices: got 0; give a whole number .*"),
        ({"policy": {"kind": "consistent_hash", "bound": 1}}, r"policy\.bound: got 1; give a number above 1 .*"),
        ({"ejection": "max_fail"}, r"ejection\.kind: got 'max_fail'; .*did you mean 'max_fails'\?"),
        ({"ejection": {"kind": "max_fails", "on": []}}, r"ejection: on names no failure; name at least one .*"),
        ({"ejection": {"kind": "max_fails", "on": ["time_out"]}}, r"ejection\.on\[0\]: .*did you mean 'timeout'\?"),
        ({"ejection": {"kind": "max_fails", "fail_timeout": 2}}, r"ejection\.fail_timeout: got 2; a duration needs .*"),
        ({"ejection": {"kind": "max_fails", "fail_timeout": "1.5s"}}, r"ejection: fail_timeout is 1\.5 s; .*"),
        ({"ejection": {"kind": "outlier_detection", "interval": "0s"}}, r"ejection\.interval: got 0s; .* at least 1ms"),
        (
            {"ejection": {"kind": "outlier_detection", "interval": "999us"}},
            r"ejection\.interval: got 999us; it is at least 1ms",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        Front(**given)
    (problem,) = caught.value.problems
    assert re.fullmatch(said, str(problem)), str(problem)


def test_the_schema_offers_names_and_mappings_and_no_objects() -> None:
    schema = TypeAdapter(AnyPolicy).json_schema()
    names, mappings = schema["anyOf"]
    assert names == {"enum": list(POLICIES)}
    kinds = [
        schema["$defs"][kind["$ref"].rpartition("/")[2]]["properties"]["kind"]["const"] for kind in mappings["oneOf"]
    ]
    assert kinds == list(POLICIES)
    schema = TypeAdapter(AnyEjection).json_schema()
    assert schema["anyOf"][0] == {"enum": list(EJECTIONS)}
    assert len(schema["anyOf"][1]["oneOf"]) == len(EJECTIONS)


def test_a_backend_shows_what_it_is() -> None:
    assert repr(Backend("a", 2, active=3)) == "Backend('a', 2, weight=1.0, active=3)"
