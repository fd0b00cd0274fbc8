"""Whether an answer equals the right one: numbers, expressions, equations, intervals, lists."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from benchmarks.scoring.mathematics.evaluate import inexact, points, values
from benchmarks.scoring.mathematics.forms import Form, Group, Relation, Scalar
from benchmarks.scoring.mathematics.parser import Node

_NEAR, _ROUGHLY = 10**9, 20  # parts of the number
_MIN_DIGITS = 3
_HALVES = {"am", "pm"}
_INFINITY = Node("infty")
_DEGREE = math.pi / 180


@dataclass(frozen=True, slots=True)
class Rule:
    """How near is equal.

    ``precision``: both sides rounded to so many decimals, where one of them is no exact fraction.
    ``truncate``: the answer cut to an integer first (MathVista's integers).  ``tolerances``:
    absolute, one for all parts or one per part.  With none of these, values are equal to nine
    digits, or, unless ``exact``, where the right answer is a decimal number of three digits or
    more, when the answer rounds to it.
    """

    precision: int | None = None
    truncate: bool = False
    tolerances: tuple[float, ...] = ()
    exact: bool = False


def equal(right: Form, given: Form, rule: Rule, part: int = 0) -> bool:
    """Return whether ``given`` is the right answer; ``part`` numbers the blank it stands in."""
    if right == given:
        return True
    if isinstance(right, Group):
        group = _interval(given) if isinstance(given, Relation) else given
        return isinstance(group, Group) and _groups_equal(right, group, rule)
    if isinstance(given, Group):
        if len(given.parts) == 1:
            return equal(right, given.parts[0], rule, part)
        return isinstance(right, Relation) and _interval(right) == given
    if isinstance(right, Relation):
        relation = given if isinstance(given, Relation) else _named(given)
        return relation is not None and _relations_equal(right, relation)
    if isinstance(given, Relation):
        relation = _named(right)
        return relation is not None and _relations_equal(relation, given)
    return _scalars_equal(right, given, rule, part)


def _groups_equal(right: Group, given: Group, rule: Rule) -> bool:
    if len(right.parts) != len(given.parts):
        return False
    if right.ordered:
        pairs = zip(right.parts, given.parts, strict=True)
        same = right.brackets == given.brackets or (right.brackets == "()" and _coordinates(given))
        return same and all(equal(r, g, rule, i) for i, (r, g) in enumerate(pairs))
    left = list(given.parts)
    for index, wanted in enumerate(right.parts):
        if match := next((g for g in left if equal(wanted, g, rule, index)), None):
            left.remove(match)
    return not left


def _coordinates(given: Group) -> bool:
    """Whether a list names its parts in alphabetical order, as in "x = 1, y = 2"."""
    names = [part.name.strip() for part in given.parts if isinstance(part, Scalar)]
    return not given.ordered and all(names) and names == sorted(set(names)) and len(names) > 1


def _interval(relation: Relation) -> Group | None:
    """Return the interval of ``x > 2``; None where no symbol stands alone on one side."""
    edge = {"<": "()", "leq": "[]"}.get(relation.op)
    if edge is None:
        return None
    if relation.left.op == "symbol" and not relation.right.symbols():
        low = Scalar(Node("neg", (_INFINITY,)))
        return Group((low, Scalar(relation.right)), f"({edge[1]}")
    if relation.right.op == "symbol" and not relation.left.symbols():
        return Group((Scalar(relation.left), Scalar(_INFINITY)), f"{edge[0]})")
    return None


def _named(scalar: Scalar) -> Relation | None:
    """Return ``y = 2x`` as an equation; None where the value has no one-symbol name."""
    name = scalar.name.strip()
    if not re.fullmatch(r"[A-Za-z](?:_\w+)?", name):
        return None
    return Relation("=", Node("symbol", text=name), scalar.node)


def _relations_equal(right: Relation, given: Relation) -> bool:
    """Whether two relations have the same solutions: their differences are proportional."""
    if right.op != given.op:
        return False
    first, second = Node("-", (right.left, right.right)), Node("-", (given.left, given.right))
    if first.symbols() != second.symbols():
        return False
    pairs = [values(first, second, at) for at in points(first.symbols(), signed=True)]
    ratios = [a / b for a, b in pairs if _finite(a) and _finite(b) and b != 0]
    if len(ratios) < 2 or not all(_near(ratio, ratios[0]) for ratio in ratios):
        return False
    return right.op in {"=", "neq"} or ratios[0].real > 0


def _scalars_equal(right: Scalar, given: Scalar, rule: Rule, part: int) -> bool:
    symbols = right.node.symbols()
    if {right.name.strip(), given.name.strip()} == {"x", "y"} or symbols != given.node.symbols():
        return False
    if {right.unit_text, given.unit_text} == _HALVES or not _units_agree(right, given):
        return False
    scale = _scale(right, given)
    if symbols:
        return _expressions_equal(right.node, given.node, scale)
    return _values_equal(right, given, scale, rule, part)


def _units_agree(right: Scalar, given: Scalar) -> bool:
    """Whether two units, where both are known, measure the same; 1/s stands for rad/s."""
    if not (right.unit and given.unit) or right.unit.dimension == given.unit.dimension:
        return True
    per_second = {"1/s", "s^{-1}", "s^-1"}
    texts = {scalar.unit_text.replace(" ", "") for scalar in (right, given)}
    return bool(texts & per_second) and bool(texts - per_second <= {"rad/s", "rads^{-1}"})


def _scale(right: Scalar, given: Scalar) -> float:
    """Return what the given value is multiplied by to stand in the unit of the right one."""
    if right.unit and given.unit:
        return given.unit.factor / right.unit.factor
    if given.degrees and right.node.uses("pi"):
        return _DEGREE
    return 1 / _DEGREE if right.degrees and given.node.uses("pi") and not given.unit else 1.0


def _expressions_equal(right: Node, given: Node, scale: float) -> bool:
    signed = right.uses("abs") or given.uses("abs")
    pairs = [values(right, given, at) for at in points(right.symbols(), signed)]
    finite = [(a, b) for a, b in pairs if _finite(a) and _finite(b)]
    return len(finite) >= 2 and all(_near(a, b * scale) for a, b in finite)


def _values_equal(right: Scalar, given: Scalar, scale: float, rule: Rule, part: int) -> bool:
    a, b = values(right.node, given.node)
    if not _finite(a) or not _finite(b) or {right.unit_text, given.unit_text} <= _HALVES:
        return bool(a == b) or right.node == given.node
    if scale != 1.0:
        a, b = inexact(a), inexact(b) * scale
    # "45%" may be a plain 45 of an item that asks for per cent; "0.25%" is no 0.25.
    small = given.percent and not right.percent and abs(b) < 1
    if not small and _numbers_equal((right, a), (given, b), rule, part):
        return True
    if right.percent != given.percent:
        converted = b * 100 if right.percent else b / 100
    elif given.unit_text == "K" and not right.unit_text:
        converted = b * 1000
    else:
        return False
    return _numbers_equal((right, a), (given, converted), Rule(), part)


def _numbers_equal(
    right: tuple[Scalar, Any], given: tuple[Scalar, Any], rule: Rule, part: int
) -> bool:
    (wanted, a), (answer, b) = right, given
    if a.imag or b.imag:
        return _near(a, b)
    a, b = a.real, b.real
    if rule.truncate:
        return int(b) == int(a)
    if rule.tolerances:
        tolerance = rule.tolerances[min(part, len(rule.tolerances) - 1)]
        return bool(abs(a - b) <= tolerance * (1 + 1e-9))
    fractions = isinstance(a, Fraction) and isinstance(b, Fraction)
    if fractions and not (wanted.node.approximate() or answer.node.approximate()):
        return bool(a == b)
    if rule.precision is not None:
        near = wanted.decimals or _ROUGHLY * abs(a - b) <= abs(a)
        return bool(near and _rounded(a, rule.precision) == _rounded(b, rule.precision))
    if rule.exact or _near(a, b):
        return _near(a, b)
    half = 0.5 * 10.0 ** -(wanted.decimals or 0)
    long = bool(wanted.decimals) and wanted.digits >= _MIN_DIGITS
    return long and bool(abs(a - b) <= half * (1 + 1e-9))


def _rounded(number: Any, decimals: int) -> Any:
    return round(float(number), decimals) if abs(number) < 1e15 else number


def _near(a: Any, b: Any) -> bool:
    return bool(_NEAR * abs(a - b) <= max(abs(a), abs(b)))


def _finite(number: Any) -> bool:
    return bool(number == number and abs(number) < float("inf"))
