"""Units of measure: enough to know that 46300 N is 46.3 kN and 5 cm is not 5 m.

Unknown words ("apples", "dollars") give None: they say nothing for or against an answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

Dimension = tuple[int, ...]
_AXES = "m kg s A K mol cd rad degC"
_NONE: Dimension = (0,) * 9


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its factor to SI and the exponents of m, kg, s, A, K, mol, cd, rad, degC."""

    factor: float
    dimension: Dimension


def _dimension(**exponents: int) -> Dimension:
    return tuple(exponents.get(axis, 0) for axis in _AXES.split())


_LENGTH, _MASS, _TIME = _dimension(m=1), _dimension(kg=1), _dimension(s=1)
_AREA, _VOLUME, _ANGLE = _dimension(m=2), _dimension(m=3), _dimension(rad=1)
_FORCE = _dimension(kg=1, m=1, s=-2)
_PRESSURE = _dimension(kg=1, m=-1, s=-2)
_ENERGY = _dimension(kg=1, m=2, s=-2)
_SPEED = _dimension(m=1, s=-1)

_PREFIXES = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "c": 1e-2, "d": 1e-1, "m": 1e-3}
_PREFIXES |= {"μ": 1e-6, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "h": 1e2}
_PREFIX_WORDS = {"tera": 1e12, "giga": 1e9, "mega": 1e6, "kilo": 1e3, "centi": 1e-2, "deci": 1e-1}
_PREFIX_WORDS |= {"milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12}

# Symbols that take SI prefixes.
_SYMBOLS: dict[str, Unit] = {
    "m": Unit(1, _LENGTH),
    "g": Unit(1e-3, _MASS),
    "s": Unit(1, _TIME),
    "A": Unit(1, _dimension(A=1)),
    "K": Unit(1, _dimension(K=1)),
    "mol": Unit(1, _dimension(mol=1)),
    "Hz": Unit(1, _dimension(s=-1)),
    "N": Unit(1, _FORCE),
    "Pa": Unit(1, _PRESSURE),
    "J": Unit(1, _ENERGY),
    "W": Unit(1, _dimension(kg=1, m=2, s=-3)),
    "C": Unit(1, _dimension(A=1, s=1)),
    "V": Unit(1, _dimension(kg=1, m=2, s=-3, A=-1)),
    "Ω": Unit(1, _dimension(kg=1, m=2, s=-3, A=-2)),
    "F": Unit(1, _dimension(kg=-1, m=-2, s=4, A=2)),
    "H": Unit(1, _dimension(kg=1, m=2, s=-2, A=-2)),
    "T": Unit(1, _dimension(kg=1, s=-2, A=-1)),
    "Wb": Unit(1, _dimension(kg=1, m=2, s=-2, A=-1)),
    "L": Unit(1e-3, _VOLUME),
    "l": Unit(1e-3, _VOLUME),
    "eV": Unit(1.602176634e-19, _ENERGY),
    "cal": Unit(4.184, _ENERGY),
    "bar": Unit(1e5, _PRESSURE),
    "rad": Unit(1, _ANGLE),
}
# Symbols and words that take none; plurals are found by their singular.
_FIXED: dict[str, Unit] = {
    "min": Unit(60, _TIME),
    "h": Unit(3600, _TIME),
    "hr": Unit(3600, _TIME),
    "sec": Unit(1, _TIME),
    "minute": Unit(60, _TIME),
    "hour": Unit(3600, _TIME),
    "day": Unit(86400, _TIME),
    "week": Unit(604800, _TIME),
    "deg": Unit(math.pi / 180, _ANGLE),
    "degree": Unit(math.pi / 180, _ANGLE),
    "radian": Unit(1, _ANGLE),
    "rev": Unit(2 * math.pi, _ANGLE),
    "rpm": Unit(2 * math.pi / 60, _dimension(rad=1, s=-1)),
    "degC": Unit(1, _dimension(degC=1)),
    "ft": Unit(0.3048, _LENGTH),
    "foot": Unit(0.3048, _LENGTH),
    "feet": Unit(0.3048, _LENGTH),
    "in": Unit(0.0254, _LENGTH),
    "inch": Unit(0.0254, _LENGTH),
    "yd": Unit(0.9144, _LENGTH),
    "yard": Unit(0.9144, _LENGTH),
    "mi": Unit(1609.344, _LENGTH),
    "mile": Unit(1609.344, _LENGTH),
    "mph": Unit(0.44704, _SPEED),
    "kph": Unit(1 / 3.6, _SPEED),
    "kmph": Unit(1 / 3.6, _SPEED),
    "Å": Unit(1e-10, _LENGTH),
    "lb": Unit(0.45359237, _MASS),
    "tonne": Unit(1000, _MASS),
    "atm": Unit(101325, _PRESSURE),
    "mmHg": Unit(133.322, _PRESSURE),
    "cc": Unit(1e-6, _VOLUME),
    "ohm": _SYMBOLS["Ω"],
}
_WORDS: dict[str, Unit] = {
    name: _SYMBOLS[symbol]
    for symbol, names in {
        "m": "meter metre",
        "g": "gram gramme",
        "s": "second",
        "A": "ampere amp",
        "K": "kelvin",
        "mol": "mole",
        "Hz": "hertz",
        "N": "newton",
        "Pa": "pascal",
        "J": "joule",
        "W": "watt",
        "C": "coulomb",
        "V": "volt",
        "Ω": "ohm",
        "F": "farad",
        "T": "tesla",
        "Wb": "weber",
        "L": "liter litre",
        "cal": "calorie",
    }.items()
    for name in names.split()
}
_SPELLING = (
    (re.compile(r"\\mu\s*|[µμ]"), "μ"),
    (re.compile(r"\\[oO]mega\s*|[ΩΩ]"), "Ω"),
    (re.compile(r"\^?\{?\\(?:circ|degree)\s*\}?\s*C\b|°\s*C\b|℃|degrees? [Cc]elsius"), " degC "),
    (re.compile(r"(?:\^?\{?\\(?:circ|degree)\s*\}?|°)(?:\s*T\b)?"), " deg "),  # T: true bearing
    (re.compile(r"(?<=[A-Za-z])\.(?=[A-Za-z])"), " "),
    (re.compile(r"[⟨⟩{}\\~]"), " "),
    (re.compile(r"\b(?:sq\.?|square)\s+(\w+)"), r"\1^2"),
    (re.compile(r"\b(?:cu\.?|cubic)\s+(\w+)"), r"\1^3"),
    (re.compile(r"(\w+)\s+squared\b"), r"\1^2"),
    (re.compile(r"(\w+)\s+cubed\b"), r"\1^3"),
    (re.compile(r"\s+per\s+"), "/"),
    (re.compile(r"[·⋅•×*]"), " "),
)
_FACTOR = re.compile(r"\s*(?P<slash>/)?\s*(?P<name>[A-Za-zμΩÅ]+)\s*(?:\^?\s*(?P<power>-?\d))?")


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """Return the unit that a text names, or None where any part of it is unknown."""
    text = text[:80]
    for pattern, plain in _SPELLING:
        text = pattern.sub(plain, text)
    text = text.replace("(", " ").replace(")", " ").strip(" .,")
    if not text:
        return None
    factor, dimension, position = 1.0, _NONE, 0
    while position < len(text):
        match = _FACTOR.match(text, position)
        unit = _lookup(match["name"]) if match else None
        if match is None or unit is None:
            return None
        power = int(match["power"] or 1) * (-1 if match["slash"] else 1)
        factor *= unit.factor**power
        dimension = tuple(a + power * b for a, b in zip(dimension, unit.dimension, strict=True))
        position = match.end()
        while position < len(text) and text[position] == " ":
            position += 1
    return Unit(factor, dimension)


def _lookup(name: str) -> Unit | None:
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    lower = name.lower()
    for candidate in (name, lower, lower.rstrip("s"), lower.removesuffix("es")):
        if found := _FIXED.get(candidate) or _WORDS.get(candidate):
            return found
    for prefix, scale in _PREFIXES.items():
        base = _SYMBOLS.get(name[len(prefix) :]) if name.startswith(prefix) else None
        if base:
            return Unit(base.factor * scale, base.dimension)
    for prefix, scale in _PREFIX_WORDS.items():
        base = _WORDS.get(lower[len(prefix) :].rstrip("s")) if lower.startswith(prefix) else None
        if base:
            return Unit(base.factor * scale, base.dimension)
    return None
