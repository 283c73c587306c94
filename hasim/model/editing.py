"""Clusters as plain data, and edits by path."""

from __future__ import annotations

from typing import Any

from hasim.declared import Declared, path_text
from hasim.errors import ModelError, nearest
from hasim.model.cluster import Cluster
from hasim.model.laws import Law
from hasim.model.service import Up


def plain(value: Any) -> Any:
    """Declared things as dicts, lists and strings, leaving out what has its default value."""
    if isinstance(value, Law | Up):
        return value.to_plain()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if not isinstance(value, Declared):
        return value
    as_text = value.model_dump(mode="json", include=_scalars(value))
    fields = type(value).model_fields
    return {
        name: as_text[name] if name in as_text else plain(getattr(value, name))
        for name, field in fields.items()
        if name in ("hasim", "kind") or getattr(value, name) != field.get_default()
    }


def _scalars(value: Declared) -> set[str]:
    """Fields that pydantic writes as text: durations and shares, whose unit only the field knows."""
    return {name for name in type(value).model_fields if _is_number(getattr(value, name))}


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, tuple) and bool(value) and all(map(_is_number, value)))


def replaced(cluster: Cluster, path: str, value: Any) -> Cluster:
    """The cluster with the field at `path` set to `value`; ModelError if there is no such field."""
    if not isinstance(path, str):
        raise ModelError(f"got {path!r}; a path is text like 'etcd.members'", "replace")
    steps = path.split(".") if path else []
    if steps and steps[0] not in type(cluster).model_fields and steps[0] in cluster.parts:
        steps = ["parts", *steps]
    if len(steps) == 0 or steps[0] not in type(cluster).model_fields:
        known = [*type(cluster).model_fields, *cluster.parts]
        first = steps[0] if steps else ""
        raise ModelError(f"no field or part {first!r}{nearest(first, known)}; a path starts with one of {known}", path)
    data = plain(cluster)
    _set(cluster, data, steps, path, value)
    try:
        return Cluster(**data)
    except ModelError as error:
        raise ModelError.of(error.problems) from None


def _set(declared: Any, data: Any, steps: list[str], path: str, value: Any) -> None:
    """Walk the declared thing and its plain twin together, and set the last step."""
    *outer, last = steps
    done: list[str | int] = []
    for step in outer:
        declared, data = _into(declared, data, step, path, done)
    declared, data = _only_item(declared, data, last, done)
    allowed = _keys(declared)
    if isinstance(declared, tuple):
        raise ModelError(f"{path_text(done)} is a list; set it as a whole", path)
    if last not in allowed:
        raise ModelError(
            f"no field {last!r} in {path_text(done) or 'the cluster'}{nearest(last, allowed)}; "
            f"there is {', '.join(allowed) or 'nothing to set'}",
            path,
        )
    data[last] = plain(value)


def _into(declared: Any, data: Any, step: str, path: str, done: list[str | int]) -> tuple[Any, Any]:
    declared, data = _only_item(declared, data, step, done)
    if isinstance(declared, tuple) and step.isdigit() and int(step) < len(declared):
        done.append(int(step))
        return declared[int(step)], data[int(step)]
    if isinstance(declared, tuple):
        raise ModelError(f"{path_text(done)} has items 0 to {len(declared) - 1}, got {step!r}", path)
    allowed = _keys(declared)
    if step not in allowed:
        raise ModelError(
            f"no field {step!r} in {path_text(done) or 'the cluster'}{nearest(step, allowed)}; "
            f"there is {', '.join(allowed) or 'nothing inside'}",
            path,
        )
    inner = declared[step] if isinstance(declared, dict) else getattr(declared, step)
    if isinstance(declared, Declared) and step not in data:
        data[step] = plain(inner)
    if isinstance(inner, Law | Up):
        raise ModelError(f"{path_text([*done, step])} is set as a whole; it is {inner.to_plain()!r}", path)
    if not isinstance(inner, Declared | dict | tuple):
        raise ModelError(f"{path_text([*done, step])} is {inner!r}; nothing inside it can be set", path)
    done.append(step)
    return inner, data[step]


def _only_item(declared: Any, data: Any, step: str, done: list[str | int]) -> tuple[Any, Any]:
    """failures.host.mttr means the one failure of host, where there is only one."""
    if isinstance(declared, tuple) and len(declared) == 1 and not step.isdigit():
        done.append(0)
        return declared[0], data[0]
    return declared, data


def _keys(declared: Any) -> list[str]:
    if isinstance(declared, dict):
        return list(declared)
    return list(type(declared).model_fields) if isinstance(declared, Declared) else []
