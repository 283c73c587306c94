"""The JSON Schema of a model file, for editors that complete and check while one types.

pydantic writes the schema of the declared classes; what a file may say in short (`up` in place of `services`, a
preset in place of laws, a bare condition in place of a service) is added here. It is draft 2020-12 and no more than
a first check: what only holds together as a whole, `hasim check` tells.
"""

from __future__ import annotations

from typing import Any, Final

from hasim.model.cluster import Cluster
from hasim.model.laws.reading import LAW_SCHEMA
from hasim.protocols.delivery.systems import SYSTEMS
from hasim.units import duration_text

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOTES: Final = ("description", "title", "default", "examples")
_LAW: Final = {"$ref": "#/$defs/Law"}


def model_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every model file keeps."""
    schema = _with_laws_by_name(Cluster.model_json_schema())
    assert isinstance(schema, dict)
    definitions = schema["$defs"]
    definitions["Law"] = LAW_SCHEMA
    _say_parts(schema, definitions)
    _say_short_forms(schema, definitions)
    return {"$schema": DRAFT, **schema, "title": "hasim model", "$defs": dict(sorted(definitions.items()))}


def _say_parts(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """A part in a file has a kind; parts of other kinds are objects of Python, which no file holds."""
    parts = schema["properties"]["parts"]["additionalProperties"]
    parts["oneOf"] = [kind for kind in parts["oneOf"] if kind != {"$ref": "#/$defs/Part"}]
    definitions.pop("Part", None)
    for kind in parts["oneOf"]:
        part = definitions[kind["$ref"].rpartition("/")[2]]
        part["required"] = ["kind", *part.get("required", [])]


def _say_short_forms(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    failure = definitions["Failure"]
    del failure["required"]
    failure["anyOf"] = [{"required": ["preset"]}, {"required": ["mtbf", "mttr"]}]
    window = definitions["Maintenance"]["properties"]["on"]
    several = {key: window.pop(key) for key in ("type", "items", "minItems")}
    window["anyOf"] = [{"type": "string"}, several]
    for kind, needs in (("Delivery", {"required": ["ack_deadline"]}), ("ConsumerGroup", {"required": ["kind"]})):
        delivery = definitions[kind]
        delivery.pop("required", None)
        delivery["properties"] = {"system": {"enum": list(SYSTEMS)}, **delivery["properties"]}
        delivery["anyOf"] = [{"required": ["system"]}, needs]
    queue = definitions["Queue"]["properties"]["delivery"]
    kinds = [{"$ref": f"#/$defs/{kind}"} for kind in ("Delivery", "ConsumerGroup")]
    queue["anyOf"] = [{"enum": list(SYSTEMS)}, *kinds, {"type": "null"}]
    service = definitions["Service"]
    up, slo = service["properties"]["up"], service["properties"]["slo"]
    definitions["Service"] = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}, service]}
    schema["properties"].update(up=up, slo=slo)
    schema["required"].remove("services")
    schema["oneOf"] = [{"required": ["services"]}, {"required": ["up"]}]
    schema["dependentRequired"] = {"slo": ["up"]}


def _with_laws_by_name(node: Any) -> Any:
    """The schema with each law as a reference, and defaults of durations as the text that a file would have."""
    if isinstance(node, list):
        return [_with_laws_by_name(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("anyOf") == LAW_SCHEMA["anyOf"]:
        return {**_LAW, **{key: node[key] for key in _NOTES if key in node and key != "examples"}}
    if node.get("type") == "string" and isinstance(node.get("default"), float):
        node = {**node, "default": duration_text(node["default"])}
    return {key: _with_laws_by_name(value) for key, value in node.items()}
