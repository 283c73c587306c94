"""When something counts as up, as a Boolean expression that every engine reads.

The structure function of reliability theory (Barlow & Proschan 1975): variables are units, and a service is a
monotone expression over them. Expressions are plain values. The exact engine turns them into a decision diagram,
the Monte Carlo engine evaluates them on arrays, the SimPy engine on one state at a time.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Var:
    """The variable with this index is true (its unit is up)."""

    index: int


@dataclass(frozen=True, slots=True)
class AtLeast:
    """At least `k` of the children are true; k = len(children) is "and", k = 1 is "or"."""

    k: int
    children: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """Always true or always false."""

    value: bool


Expr = Var | AtLeast | Const
TRUE = Const(True)
FALSE = Const(False)


def all_of(children: Iterable[Expr]) -> Expr:
    """Every child is true; flattened, so that equal conditions met twice are said once."""
    flat: dict[Expr, None] = {}
    for child in children:
        if child == FALSE:
            return FALSE
        if isinstance(child, AtLeast) and child.k == len(child.children):
            flat.update(dict.fromkeys(child.children))
        elif child != TRUE:
            flat[child] = None
    return _collapse(len(flat), tuple(flat))


def any_of(children: Iterable[Expr]) -> Expr:
    """At least one child is true."""
    return at_least(1, children)


def at_least(k: int, children: Iterable[Expr]) -> Expr:
    """At least k of the children are true; children that never change are counted out."""
    kept: list[Expr] = []
    for child in children:
        if child == TRUE:
            k -= 1
        elif child != FALSE:
            kept.append(child)
    if k <= 0:
        return TRUE
    if k > len(kept):
        return FALSE
    if k == len(kept):
        return all_of(kept)
    if k == 1:
        kept = list(dict.fromkeys(kept))
    return _collapse(k, tuple(kept))


def _collapse(k: int, children: tuple[Expr, ...]) -> Expr:
    if not children:
        return TRUE
    return children[0] if len(children) == 1 else AtLeast(k, children)


def variables(expr: Expr) -> list[int]:
    """The indices that an expression depends on, sorted."""
    return sorted({node.index for node in walk(expr) if isinstance(node, Var)})


def walk(expr: Expr, known: Container[Expr] = ()) -> Iterator[Expr]:
    """Every distinct node of an expression, children before their parents, without those already known."""
    seen: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    while stack:
        node, ready = stack.pop()
        if node in seen or node in known:
            continue
        if ready or not isinstance(node, AtLeast):
            seen.add(node)
            yield node
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.children) if child not in seen)


def substitute(expr: Expr, values: dict[int, bool]) -> Expr:
    """The expression with some variables fixed, simplified."""
    done: dict[Expr, Expr] = {}
    for node in walk(expr):
        if isinstance(node, Var):
            done[node] = Const(values[node.index]) if node.index in values else node
        elif isinstance(node, AtLeast):
            done[node] = at_least(node.k, [done[child] for child in node.children])
        else:
            done[node] = node
    return done[expr]


def holds(expr: Expr, state: Sequence[bool]) -> bool:
    """Evaluate on one state; stops as soon as the answer is known."""
    if isinstance(expr, Var):
        return state[expr.index]
    if isinstance(expr, Const):
        return expr.value
    missing = expr.k
    spare = len(expr.children) - expr.k
    for child in expr.children:
        if holds(child, state):
            missing -= 1
            if missing == 0:
                return True
        else:
            if spare == 0:
                return False
            spare -= 1
    return missing <= 0
