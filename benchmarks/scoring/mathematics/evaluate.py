"""Evaluates expressions: exactly where they are rational, else to thirty digits; no `eval`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from benchmarks.scoring.mathematics.parser import Node

_EXACT = {"+", "-", "*", "/", "neg", "abs", "^"}
_EXACT_BITS, _EXPONENT = 4096, 400


@cache
def _context() -> Any:
    from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]

    context = MPContext()
    context.dps = 30
    return context


def _operations() -> Mapping[str, Callable[..., Any]]:
    c = _context()
    return {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "neg": operator.neg,
        "abs": abs,
        "^": _power,
        "root": lambda a, n: c.root(a, int(n)) if n == int(n) and 0 < n < 100 else a ** (1 / n),
        "!": lambda a: c.factorial(a) if abs(a) < 1000 else c.nan,
        "binom": lambda a, b: c.binomial(a, b) if abs(a) < 1000 and abs(b) < 1000 else c.nan,
        "log": lambda a, base=10: c.log(a) / c.log(base),
        "lg": c.log10,
    }


@cache
def _operation(name: str) -> Callable[..., Any]:
    return _operations().get(name) or getattr(_context(), name.replace("arc", "a"))


def _power(base: Any, exponent: Any) -> Any:
    c = _context()
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent) <= _EXACT_BITS:
            return base ** int(exponent)
    base, exponent = inexact(base), inexact(exponent)
    if abs(exponent) > 100_000 or (base and abs(c.log(abs(base)) * abs(exponent)) > 1e6):
        return c.nan
    return base**exponent


def inexact(number: Any) -> Any:
    """Return a fraction as an mpmath number; everything else as it is."""
    if isinstance(number, Fraction):
        return _context().mpf(number.numerator) / number.denominator
    return number


def value(node: Node, at: Mapping[str, Any] | None = None) -> Any:
    """Return a Fraction where only rational operations occur, else an mpmath number.

    It is nan where it is undefined, too large to compute or has a symbol that ``at`` does not give.
    """
    try:
        return _value(node, at or {})
    except (ArithmeticError, ValueError, KeyError, TypeError):
        return _context().nan


def _value(node: Node, at: Mapping[str, Any]) -> Any:
    c = _context()
    if node.op == "number":
        exponent = node.text.lower().partition("e")[2]
        return Fraction(node.text) if abs(int(exponent or 0)) < _EXPONENT else c.mpf(node.text)
    if node.op == "symbol":
        return at[node.text]
    if node.op in {"pi", "e", "infty"}:
        return {"pi": +c.pi, "e": +c.e, "infty": c.inf}[node.op]
    args = [_value(arg, at) for arg in node.args]
    exact = node.op in _EXACT and all(isinstance(arg, Fraction) for arg in args)
    return _operation(node.op)(*(args if exact else map(inexact, args)))


def values(first: Node, second: Node, at: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """Return the values of two expressions, of one type: both fractions or neither."""
    a, b = value(first, at), value(second, at)
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a, b
    return inexact(a), inexact(b)


def points(symbols: frozenset[str], signed: bool) -> Iterator[dict[str, Any]]:
    """Yield fixed points at which expressions in these symbols are compared.

    Different ones agree at all of them only by a vanishing chance (Schwartz-Zippel).
    """
    c = _context()
    names = sorted(symbols)
    for k in range(1, 5):
        sign = -1 if signed and k % 2 == 0 else 1
        yield {
            name: sign * (c.mpf("0.31") + c.frac(c.sqrt(2 + 3 * i + 7 * k)) * (3 * k - 2))
            for i, name in enumerate(names)
        }
