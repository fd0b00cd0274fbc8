"""Equality of answers: pairs judged by sympy, by definition (intervals, lists) or by a standard."""

from __future__ import annotations

import pytest
import sympy
from sympy.parsing.sympy_parser import parse_expr

from benchmarks.scoring.mathematics.equality import Rule, equal
from benchmarks.scoring.mathematics.forms import Group, Reader, Relation, Scalar, symbols_of
from benchmarks.scoring.mathematics.units import parse_unit


def same(right: str, given: str, rule: Rule | None = None, plain_units: bool = True) -> bool:
    wanted = Reader(plain_units=plain_units).form(right)
    assert wanted is not None, right
    form = Reader(symbols_of(wanted), plain_units=plain_units).form(given)
    return form is not None and equal(wanted, form, rule or Rule())


# Expression pairs; whether they are equal is for sympy to say.
PAIRS = [
    ("x**2 - 1", "(x - 1)*(x + 1)"),
    ("(x + 1)**2", "x**2 + 2*x + 1"),
    ("(x + 1)**2", "x**2 + 1"),
    ("x/2 + y/2", "(x + y)/2"),
    ("x/(2 + y)", "x/2 + x/y"),
    ("sin(2*x)", "2*sin(x)*cos(x)"),
    ("sin(2*x)", "2*sin(x)"),
    ("sqrt(x)*sqrt(y)", "sqrt(x*y)"),
    ("sqrt(x + y)", "sqrt(x) + sqrt(y)"),
    ("(x - y)**2", "(y - x)**2"),
    ("x - y", "y - x"),
    ("1/(1/x + 1/y)", "x*y/(x + y)"),
    ("2*x", "2*y"),
]


@pytest.mark.parametrize(("right", "given"), PAIRS)
def test_expressions_as_sympy_judges(right: str, given: str) -> None:
    x, y = sympy.symbols("x y", positive=True)
    difference = parse_expr(right, {"x": x, "y": y}) - parse_expr(given, {"x": x, "y": y})
    wanted = sympy.simplify(difference) == 0
    latex = [text.replace("**", "^").replace("*", " \\cdot ") for text in (right, given)]
    assert same(latex[0], latex[1], plain_units=False) == wanted


@pytest.mark.parametrize(
    ("right", "given", "wanted"),
    [
        ("(-2, 1]", "-2 < x \\le 1", True),
        ("(-2, 1]", "(-2, 1)", False),
        ("(-2, 1]", "[-2, 1]", False),
        ("(-\\infty, 4]", "(-∞, 4]", True),
        ("[0,1] \\cup [2,3]", "[2,3] ∪ [0,1]", True),
        ("3, -3", "x = \\pm 3", True),
        ("3, -3", "-3 and 3", True),
        ("3, -3", "3", False),
        ("\\{1, 2\\}", "\\{2, 1\\}", True),
        ("(1, 2)", "(2, 1)", False),
        ("[1, 2, 3]", "[1, 2, 3]", True),
        ("[1, 2, 3]", "[3, 2, 1]", False),
        ("y = 2x + 1", "2x - y + 1 = 0", True),
        ("y = 2x + 1", "y = 2x - 1", False),
        ("y = 2x + 1", "2x + 1", True),
        ("\\frac{x^2}{81}+\\frac{y^2}{9}=1", "x^2 + 9y^2 = 81", True),
        ("y < 2x + 6", "2x + 6 > y", True),
        ("y < 2x + 6", "y > 2x + 6", False),
        ("y < 2x + 6", "y \\leq 2x + 6", False),
        ("x = 0", "y = 0", False),
        ("h = 15", "x = 15", True),
        ("5 = s", "s = 5", True),
        ("|x-3|", "|3-x|", True),
        ("|x-3|", "x-3", False),
        ("13\\%", "0.13", True),
        ("13", "13\\%", True),
        ("13\\%", "130", False),
        ("1:64", "\\frac{1}{64}", True),
        ("1{,}000{,}000", "10^6", True),
        ("12 345", "12345", True),
    ],
)
def test_forms(right: str, given: str, wanted: bool) -> None:
    assert same(right, given) == wanted


def test_rules_of_nearness() -> None:
    # MathVision: both sides rounded to two decimals.
    assert same("\\sqrt{2018^2+2}", "2018", Rule(precision=2))
    assert not same("2.05", "2.04", Rule(precision=2))
    # MathVista: int(float(x)) of the answer.
    assert same("5", "5.9", Rule(precision=0, truncate=True))
    assert not same("5", "6.0", Rule(precision=0, truncate=True))
    # OlympiadBench: absolute tolerance, one for all blanks or one each; exact without.
    assert same("3.14", "3.1", Rule(tolerances=(0.1,)))
    assert not same("3.14", "3.0", Rule(tolerances=(0.1,)))
    assert same("10, 0.5", "10.9, 0.501", Rule(tolerances=(1.0, 0.01)))
    assert not same("10, 0.5", "10.9, 0.6", Rule(tolerances=(1.0, 0.01)))
    assert not same("3.14", "3.141", Rule(exact=True))
    # Without a rule a decimal of three digits stands for what rounds to it; a short one does not.
    assert same("11.8", "11.83")
    assert not same("11.83", "11.8")
    assert not same("0.5", "0.46")
    assert not same("2", "2.3")


def test_units_are_converted_or_refused() -> None:
    assert same("46.3 kN", "46300 N")
    assert not same("46.3 kN", "46.3 N")
    assert same("5 m", "500 cm")
    assert not same("5 m", "5 s")
    assert same("5 m", "5")
    assert same("5", "5 apples")
    assert same("36\\pi \\mathrm{cm}^3", "36π cm³")
    assert same("180^\\circ", "\\pi \\text{ rad}")


# Factors to SI: NIST SP 811 (2008), appendix B; the electronvolt: SI brochure, 9th edition.
@pytest.mark.parametrize(
    ("text", "factor", "metres", "seconds"),
    [
        ("in", 0.0254, 1, 0),
        ("ft", 0.3048, 1, 0),
        ("mi", 1609.344, 1, 0),
        ("mph", 0.44704, 1, -1),
        ("km/h", 1 / 3.6, 1, -1),
        ("km h^{-1}", 1 / 3.6, 1, -1),
        ("atm", 101325.0, -1, -2),
        ("cal", 4.184, 2, -2),
        ("eV", 1.602176634e-19, 2, -2),
        ("\\mu m", 1e-6, 1, 0),
        ("mL", 1e-6, 3, 0),
        ("cubic centimeters", 1e-6, 3, 0),
        ("square metres", 1.0, 2, 0),
        ("kilometers per hour", 1 / 3.6, 1, -1),
        ("N·m", 1.0, 2, -2),
    ],
)
def test_unit_factors(text: str, factor: float, metres: int, seconds: int) -> None:
    unit = parse_unit(text)
    assert unit is not None
    assert unit.factor == pytest.approx(factor)
    assert (unit.dimension[0], unit.dimension[2]) == (metres, seconds)


@pytest.mark.parametrize("text", ["apples", "square units", "", "xyz/abc", "talers"])
def test_unknown_units(text: str) -> None:
    assert parse_unit(text) is None


def test_symbols_are_no_units() -> None:
    # In a formula with m and g, "mg" is a product, not a milligram.
    assert same("$\\frac{mg}{2}$", "\\frac{1}{2} m g", plain_units=False)
    assert same("$\\frac{mg}{2}$", "\\frac{1}{2} m g")


def test_forms_have_their_shapes() -> None:
    reader = Reader()
    assert isinstance(reader.form("Area $=50.27 \\mathrm{~cm}^2$"), Scalar)
    assert isinstance(reader.form("x^2+y^2=49"), Relation)
    assert isinstance(reader.form("domain: [-4, 0) and range: (-3, 1]"), Group)
    assert reader.form("x" * 500) is None
    assert reader.form("1 \\pm 2 \\pm 3 \\pm 4") is None
