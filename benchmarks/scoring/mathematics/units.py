"""Units of measure: 46300 N is 46.3 kN.  Unknown words ("apples") say nothing and give None."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any

from benchmarks.scoring.mathematics.notation import FUNCTIONS, GREEK, Token
from benchmarks.scoring.mathematics.parser import Node, parse

Dimension = tuple[int, ...]
_AXES = "m kg s A K mol cd rad degC USD EUR".split()
_NONE: Dimension = (0,) * len(_AXES)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its factor to SI and the exponents of its `_AXES`."""

    factor: float
    dimension: Dimension

    def times(self, other: Unit, power: int = 1) -> Unit:
        """Return the product with a power of another unit."""
        pairs = zip(self.dimension, other.dimension, strict=True)
        return Unit(self.factor * other.factor**power, tuple(a + power * b for a, b in pairs))


# Factor to SI, dimension, symbols that take SI prefixes, words that take prefix words.
_PREFIXED = [
    (1, "m", "m", "meter metre"),
    (1e-3, "kg", "g", "gram gramme"),
    (1, "s", "s", "second"),
    (1, "A", "A", "ampere amp"),
    (1, "K", "K", "kelvin"),
    (1, "mol", "mol", "mole"),
    (1, "s-1", "Hz", "hertz"),
    (1, "kg m s-2", "N", "newton"),
    (1, "kg m-1 s-2", "Pa", "pascal"),
    (1, "kg m2 s-2", "J", "joule"),
    (1, "kg m2 s-3", "W", "watt"),
    (1, "A s", "C", "coulomb"),
    (1, "kg m2 s-3 A-1", "V", "volt"),
    (1, "kg m2 s-3 A-2", "Ω", "ohm"),
    (1, "kg-1 m-2 s4 A2", "F", "farad"),
    (1, "kg m2 s-2 A-2", "H", "henry"),
    (1, "kg s-2 A-1", "T", "tesla"),
    (1, "kg m2 s-2 A-1", "Wb", "weber"),
    (1e-3, "m3", "L l", "liter litre"),
    (1.602176634e-19, "kg m2 s-2", "eV", "electronvolt"),
    (4.184, "kg m2 s-2", "cal", "calorie"),
    (1e5, "kg m-1 s-2", "bar", ""),
    (1, "rad", "rad", "radian"),
]
# The same for symbols and words without prefixes; plurals are found by their singular.
_FIXED = [
    (60, "s", "min minute"),
    (3600, "s", "h hr hour"),
    (1, "s", "sec"),
    (86400, "s", "day"),
    (604800, "s", "week"),
    (31557600 / 12, "s", "month"),
    (31557600, "s", "yr year"),
    (math.pi / 180, "rad", "deg degree"),
    (2 * math.pi, "rad", "rev revolution"),
    (2 * math.pi / 60, "rad s-1", "rpm"),
    (1, "degC", "degC"),
    (0.3048, "m", "ft foot feet"),
    (0.0254, "m", "in inch"),
    (0.9144, "m", "yd yard"),
    (1609.344, "m", "mi mile"),
    (149597870700.0, "m", "AU au"),
    (9460730472580800.0, "m", "ly lightyear"),
    (1e-10, "m", "Å angstrom"),
    (0.44704, "m s-1", "mph"),
    (1 / 3.6, "m s-1", "kph kmph"),
    (0.45359237, "kg", "lb pound"),
    (0.028349523125, "kg", "oz ounce"),
    (0.003785411784, "m3", "gal gallon"),
    (1000, "kg", "tonne"),
    (101325, "kg m-1 s-2", "atm"),
    (133.322, "kg m-1 s-2", "mmHg"),
    (1e-6, "m3", "cc"),
    (1, "USD", "dollar usd ¤"),
    (0.01, "USD", "cent ¢"),
    (1, "EUR", "euro eur €"),
]
_PREFIX_SIGNS = {"T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "d": -1, "c": -2, "m": -3}
_PREFIX_SIGNS |= {"μ": -6, "u": -6, "n": -9, "p": -12, "f": -15}
_PREFIX_WORDS = {"tera": 12, "giga": 9, "mega": 6, "kilo": 3, "deci": -1, "centi": -2}
_PREFIX_WORDS |= {"milli": -3, "micro": -6, "nano": -9, "pico": -12}


def _dimension(text: str) -> Dimension:
    """Return the exponents of a product such as ``kg m-1 s-2``."""
    powers = {name: int(power or 1) for name, power in re.findall(r"([A-Za-z]+)(-?\d*)", text)}
    return tuple(powers.get(axis, 0) for axis in _AXES)


def _units(rows: Sequence[tuple[Any, ...]], column: int) -> dict[str, Unit]:
    return {name: Unit(row[0], _dimension(row[1])) for row in rows for name in row[column].split()}


_SYMBOLS = _units(_PREFIXED, 2)
_WORDS = _units(_PREFIXED, 3)
_WHOLE = _WORDS | _units(_FIXED, 2)
_SPELLING = [
    (re.compile(r"\\mu\s*|µ"), "μ"),
    (re.compile(r"\\[oO]mega\s*|Ω"), "Ω"),
    (re.compile(r"\^?\{?\\circ\s*\}?\s*C\b|°\s*C\b|degrees? [Cc]elsius"), " degC "),
    (re.compile(r"(?:\^?\{?\\circ\s*\}?|°)(?:\s*T\b)?"), " deg "),  # T: true bearing
    (re.compile(r"[⟨⟩~]|\\(?!frac)"), " "),
    (re.compile(r"\blight[ -]*year"), "lightyear"),
    (re.compile(r"\b(?:sq\.?|square)\s+(\w+)"), r"\1^2"),
    (re.compile(r"\b(?:cu\.?|cubic)\s+(\w+)"), r"\1^3"),
    (re.compile(r"\bper\b"), "/"),
    (re.compile(r"[·⋅•×*](?!\s*\d)"), " "),
]
_TOKEN = re.compile(r"\s*(\\frac|[A-Za-zμΩÅ]+|[¤¢€]|\^?\s*(?:[{(]\s*-?\d\s*[})]|-?\d)|[{}()/]|\S)")
_PLACES = {"decimal", "decimals", "significant", "digits", "places"}  # to 2 decimal places
_END = Token("sign", "")
_LONGEST = 60  # tokens of a value in front of its unit
_POWER = re.compile(r"\^?\s*(?:[{(]\s*-?\d\s*[})]|-?\d)")


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    r"""Return the unit that a text names (``\frac{J}{kg K}``), or None where a part is unknown."""
    text = text[:80]
    for pattern, plain in _SPELLING:
        text = pattern.sub(plain, text)
    tokens = _TOKEN.findall(text.strip(" .,"))
    unit = _product(tokens, "") if tokens and tokens not in (["1"], ["/"]) else None
    return unit if unit and not tokens and 0 < unit.factor < math.inf else None


def _product(tokens: list[str], closing: str) -> Unit | None:
    """Take the factors up to a closing bracket; behind a slash all divide: ``J/kg K``."""
    product, divides = Unit(1.0, _NONE), False
    while tokens and tokens[0] != closing:
        if tokens[0] == "/":
            tokens.pop(0)
            divides = True
            continue
        factor = _factor(tokens)
        if factor is None:
            return None
        power = int(tokens.pop(0).strip("^ {()}")) if tokens and _POWER.fullmatch(tokens[0]) else 1
        product = product.times(factor, -power if divides and power > 0 else power)
    if tokens:
        tokens.pop(0)
    return product


def _factor(tokens: list[str]) -> Unit | None:
    token = tokens.pop(0)
    if token == "1" and tokens[:1] == ["/"]:
        return Unit(1.0, _NONE)
    if token == "\\frac" and tokens:
        top, bottom = _factor(tokens), _factor(tokens) if tokens else None
        return top.times(bottom, -1) if top and bottom else None
    if token in {"(", "{"}:
        return _product(tokens, ")" if token == "(" else "}")
    return _lookup(token)


def _lookup(name: str) -> Unit | None:
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    lower = name.lower()
    for candidate in (name, lower, lower.rstrip("s"), lower.removesuffix("es")):
        if candidate in _WHOLE:
            return _WHOLE[candidate]
    if name[:1] in _PREFIX_SIGNS and name[1:] in _SYMBOLS:
        return Unit(10.0 ** _PREFIX_SIGNS[name[0]], _NONE).times(_SYMBOLS[name[1:]])
    for prefix, power in _PREFIX_WORDS.items():
        if lower.startswith(prefix) and (base := _WORDS.get(lower[len(prefix) :].rstrip("s"))):
            return Unit(10.0**power, _NONE).times(base)
    return None


DEGREE = parse_unit("deg")


def split_unit(
    tokens: list[Token], known: frozenset[str] | None, plain_units: bool
) -> tuple[Node, Unit | None, str] | None:
    """Return a value, its unit where that is a known one, and the text of the unit; else None."""
    for index in range(1, min(len(tokens), _LONGEST)):
        if not _starts_unit(tokens, index):
            continue
        tail = tokens[index:]
        text = "".join(map(_unit_text, tail)).strip()
        marked = tail[0].text == "^" or any(token.kind == "text" for token in tail[:3])
        plain = plain_units and not _symbolic(tail, known)
        names = [t.text for t in tail if t.kind in {"word", "text"} or t.text == "circ"]
        once = len(names) == len({*names}) or not any(t.text == "-" for t in tail)  # "5m-3m"
        power = once and all(token.kind != "minus" for token in tail)  # not in "5 m - 3"
        unit = parse_unit(text) if power and (marked or plain) else None
        if not unit and not _counts(tail, plain):
            continue
        node = parse(tokens[:index], known)
        if node and (marked or not node.symbols()):
            return node, unit, text
    return None


def _counts(tail: list[Token], plain: bool) -> bool:
    """Whether words or degrees stand behind a number, without more of a calculation."""
    if not (tail[0].kind == "text" or tail[0].text == "^" or (plain and _is_prose(tail))):
        return False
    shown = [token for token in takewhile(lambda t: t.text != "(", tail) if token.text not in "{}"]
    return not any(
        number.kind == "number" and _operates(before) and after.text not in _PLACES
        for before, number, after in zip(shown, shown[1:], [*shown[2:], _END], strict=False)
    )


def _operates(token: Token) -> bool:
    """Whether a token in front of a number makes another value of what stands before it."""
    if token.kind in {"word", "text"}:
        return token.text.strip("⟨⟩ ") in {"plus", "minus", "times", "by", "to"}
    return token.text != "^"


def _symbolic(tail: list[Token], known: frozenset[str] | None) -> bool:
    """Whether words are made of symbols of the right answer: "mg" is no milligram there."""
    letters = {letter for token in tail if token.kind == "word" for letter in token.text}
    return bool(known) and letters <= {name[0] for name in known or ()}


def _starts_unit(tokens: list[Token], index: int) -> bool:
    token, before = tokens[index], tokens[index - 1]
    if token.kind == "text":
        return True
    if token.text == "^":
        return any(later.text == "circ" for later in tokens[index + 1 : index + 3])
    if before.kind != "number" and before.text not in {")", "}", "]", "pi", "!"}:
        return False
    if token.kind == "word":
        return token.text not in FUNCTIONS and token.text not in GREEK
    if token.text == "(":  # 12 (m/s), but not 4 (s - 1)
        return not any(later.text in {"+", "-"} for later in tokens[index:])
    return token.text in {"mu", "Omega", "frac", "1", "€", "¢"}


def _is_prose(tokens: list[Token]) -> bool:
    """Whether words are counted things ("12 apples"), not symbols."""
    return all(
        token.kind == "word" and len(token.text) > 2 and token.text not in FUNCTIONS | GREEK
        for token in tokens
    )


def _unit_text(token: Token) -> str:
    if token.kind == "text":
        return f" {token.text.strip('⟨⟩')} "
    if token.kind == "command":
        return f"\\{token.text} "
    return f"{token.text} " if token.kind == "word" else token.text
