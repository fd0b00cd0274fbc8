"""Whether an answer equals the right one: numbers, expressions, equations, intervals, lists.

Expressions are equal if they agree at fixed points of their symbols to thirty digits: bounded in
time, unlike symbolic simplification, and wrong only by a vanishing chance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from benchmarks.scoring.mathematics.forms import Form, Group, Relation, Scalar
from benchmarks.scoring.mathematics.parser import Node, points, value

_RELATIVE = 1e-9
_MIN_DIGITS = 3
_APART = 0.01


@dataclass(frozen=True, slots=True)
class Rule:
    """How near is equal.

    ``precision``: both sides rounded to so many decimals.  ``truncate``: the answer cut to an
    integer first (MathVista's integers).  ``tolerances``: absolute, one for all parts or one a
    part.  With none of these, values are equal to nine digits, or, unless ``exact``, where the
    right answer is a decimal number of three digits or more, when the answer rounds to it.
    """

    precision: int | None = None
    truncate: bool = False
    tolerances: tuple[float, ...] = ()
    exact: bool = False


def equal(right: Form, given: Form, rule: Rule, part: int = 0) -> bool:
    """Return whether ``given`` is the right answer; ``part`` numbers the blank it stands in."""
    if isinstance(right, Group):
        return isinstance(given, Group) and _groups_equal(right, given, rule)
    if isinstance(given, Group):
        return len(given.parts) == 1 and equal(right, given.parts[0], rule, part)
    if isinstance(right, Relation):
        relation = given if isinstance(given, Relation) else _named(given)
        return relation is not None and _relations_equal(right, relation)
    if isinstance(given, Relation):
        relation = _named(right)
        if relation is not None and right.node.symbols():
            return _relations_equal(relation, given)
        return given.op == "=" and _solves(right, given, rule, part)
    return _scalars_equal(right, given, rule, part)


def far(right: Scalar, given: Scalar) -> bool:
    """Whether two numbers without symbols differ by more than one per cent, units aside."""
    if right.node.symbols() or given.node.symbols():
        return False
    a, b = value(right.node), value(given.node)
    return _finite(a) and _finite(b) and bool(abs(a - b) > _APART * max(abs(a), abs(b)))


def _groups_equal(right: Group, given: Group, rule: Rule) -> bool:
    if len(right.parts) != len(given.parts):
        return False
    if right.ordered:
        same = right.brackets == given.brackets
        pairs = zip(right.parts, given.parts, strict=True)
        return same and all(equal(r, g, rule, i) for i, (r, g) in enumerate(pairs))
    left = list(given.parts)
    for index, wanted in enumerate(right.parts):
        found = next((g for g in left if equal(wanted, g, rule, index)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _named(scalar: Scalar) -> Relation | None:
    """Return ``y = 2x`` as an equation; None where the value has no one-symbol name."""
    name = scalar.name.strip()
    if not re.fullmatch(r"[A-Za-z](?:_\w+)?", name):
        return None
    return Relation("=", Node("symbol", text=name), scalar.node)


def _solves(right: Scalar, given: Relation, rule: Rule, part: int) -> bool:
    """Whether an equation such as ``a + b = 5`` states the value that was asked for."""
    if given.left.uses("number") or given.right.symbols() != right.node.symbols():
        return False
    return _scalars_equal(right, Scalar(given.right), rule, part)


def _relations_equal(right: Relation, given: Relation) -> bool:
    """Whether two relations have the same solutions: their differences are proportional."""
    if right.op != given.op:
        return False
    first, second = Node("-", (right.left, right.right)), Node("-", (given.left, given.right))
    if first.symbols() != second.symbols():
        return False
    ratios = []
    for at in points(first.symbols(), signed=True):
        a, b = value(first, at), value(second, at)
        if _finite(a) and _finite(b) and b != 0:
            ratios.append(a / b)
    if len(ratios) < 2 or not all(_near(ratio, ratios[0]) for ratio in ratios):
        return False
    return right.op in {"=", "neq"} or ratios[0].real > 0


def _scalars_equal(right: Scalar, given: Scalar, rule: Rule, part: int) -> bool:
    if _coordinates_differ(right.name, given.name):
        return False
    scale = 1.0
    if right.unit and given.unit:
        if right.unit.dimension != given.unit.dimension:
            return False
        scale = given.unit.factor / right.unit.factor
    symbols = right.node.symbols()
    if symbols != given.node.symbols():
        return False
    if symbols:
        return _expressions_equal(right.node, given.node, scale)
    return _values_equal(right, given, scale, rule, part)


def _coordinates_differ(first: str, second: str) -> bool:
    return {first.strip(), second.strip()} == {"x", "y"}


def _expressions_equal(right: Node, given: Node, scale: float) -> bool:
    signed = right.uses("abs") or given.uses("abs")
    agreed = 0
    for at in points(right.symbols(), signed):
        a, b = value(right, at), value(given, at)
        if not (_finite(a) and _finite(b)):
            continue
        if not _near(a, b * scale):
            return False
        agreed += 1
    return agreed >= 2


def _values_equal(right: Scalar, given: Scalar, scale: float, rule: Rule, part: int) -> bool:
    a, b = value(right.node), value(given.node)
    if not _finite(a) or not _finite(b):
        return bool(a == b)
    if scale != 1.0:
        b = b * scale
    candidates = [b]
    if right.percent != given.percent:
        candidates.append(b * 100 if right.percent else b / 100)
    return any(_numbers_equal(right, a, candidate, rule, part) for candidate in candidates)


def _numbers_equal(right: Scalar, a: Any, b: Any, rule: Rule, part: int) -> bool:
    if a.imag or b.imag:
        return _near(a, b)
    a, b = a.real, b.real
    if rule.truncate:
        return int(b) == int(a)
    if rule.precision is not None:
        return round(float(b), rule.precision) == round(float(a), rule.precision)
    if rule.tolerances:
        tolerance = rule.tolerances[min(part, len(rule.tolerances) - 1)]
        return bool(abs(a - b) <= tolerance * (1 + 1e-9))
    if rule.exact or _near(a, b):
        return _near(a, b)
    return bool(right.decimals) and right.digits >= _MIN_DIGITS and _rounds_to(a, b, right.decimals)


def _rounds_to(right: Any, given: Any, decimals: int | None) -> bool:
    """Whether ``given`` is within half a unit of the right answer's last decimal."""
    half = 0.5 * 10.0 ** -(decimals or 0)
    return bool(abs(right - given) <= half * (1 + 1e-9))


def _near(a: Any, b: Any) -> bool:
    return bool(abs(a - b) <= _RELATIVE * max(abs(a), abs(b)))


def _finite(number: Any) -> bool:
    return bool(number == number and abs(number) < float("inf"))
