"""The reader of mathematics: values against sympy's, and that what is no expression is none."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.mathematics.evaluate import points, value
from benchmarks.scoring.mathematics.notation import prepare, tokens_of
from benchmarks.scoring.mathematics.parser import Node, parse
from tests.examples import examples

# LaTeX as models write it, and the same in sympy's own notation.
VALUES = [
    ("\\frac{\\sqrt{30}}{2}", "sqrt(30)/2"),
    ("\\dfrac12", "Rational(1, 2)"),
    ("2\\frac{1}{2}", "Rational(5, 2)"),
    ("2 1/2", "Rational(5, 2)"),
    ("2\\sqrt3", "2*sqrt(3)"),
    ("\\sqrt[3]{8}", "2"),
    ("√30/2", "sqrt(30)/2"),
    ("sqrt(2)+1", "sqrt(2)+1"),
    ("3 \\times 10^{5}", "300000"),
    ("1.5e-3", "Rational(3, 2000)"),
    ("1,234.5", "Rational(2469, 2)"),
    ("1{,}234", "1234"),
    ("25\\pi", "25*pi"),
    ("\\frac{360}7", "Rational(360, 7)"),
    ("-\\frac{24}{25}", "-Rational(24, 25)"),
    ("-3^2", "-9"),
    ("(-3)^2", "9"),
    ("2^{-1}", "Rational(1, 2)"),
    ("2**3", "8"),
    ("5!", "120"),
    ("\\binom{5}{2}", "10"),
    ("\\sin 30", "sin(30)"),
    ("\\sin^2 2 + \\cos^2 2", "1"),
    ("\\tan^{-1}(1)", "pi/4"),
    ("\\arctan \\frac{1}{2}", "atan(Rational(1, 2))"),
    ("\\ln 5", "log(5)"),
    ("\\log_{2} 8", "3"),
    ("\\log 100", "2"),
    ("e^{2}", "exp(2)"),
    ("|3-5|", "2"),
    ("\\frac{3^{1008}-1}{3^{1009}}", "(3**1008-1)/Integer(3)**1009"),
    ("\\sqrt{2018^{2}+2}", "sqrt(2018**2+2)"),
    ("4-2 \\sqrt{3}", "4-2*sqrt(3)"),
    ("\\left(\\frac{1}{2}\\right)^{3}", "Rational(1, 8)"),
    ("6 \\sqrt{3}+4 \\pi", "6*sqrt(3)+4*pi"),
    ("½", "Rational(1, 2)"),
    ("2³", "8"),
    ("10 \\div 4", "Rational(5, 2)"),
    ("\\frac{5\\left(5\\cdot 2+7\\right)}{2\\cdot 2+3}", "Rational(85, 7)"),
]


def read(text: str) -> Node | None:
    return parse(tokens_of(prepare(text)))


@pytest.mark.parametrize(("text", "same"), VALUES)
def test_value_is_sympys(text: str, same: str) -> None:
    node = read(text)
    assert node is not None
    assert not node.symbols()
    wanted = sympy.sympify(same, locals={"exp": sympy.exp}).evalf(25)
    assert abs(value(node).real - float(wanted)) <= 1e-12 * max(1, abs(float(wanted)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\frac{1}{",
        "1 +",
        "(1",
        "2 3",
        "x_",
        "^2",
        "\\unknown{2}",
        "1" + "+1" * 200,
        "(" * 60,
        "√" * 200,
        "sin " * 200,
    ],
)
def test_no_expression(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text", ["10^{10^{10^{10}}}", "\\frac{1}{0}", "\\ln 0", "99999!", "\\infty-\\infty"]
)
def test_what_has_no_value_is_nan_or_infinite_and_quick(text: str) -> None:
    node = read(text)
    assert node is not None
    number = value(node)
    assert number != number or abs(number) == float("inf")


def test_symbols_keep_their_subscripts() -> None:
    node = read("v_{0} + a_{\\text{max}} t' + \\omega")
    assert node is not None
    assert node.symbols() == {"v_0", "a_max", "t'", "omega"}


def test_letter_runs_need_known_symbols() -> None:
    tokens = tokens_of(prepare("mgh"))
    assert parse(tokens, frozenset({"m", "g", "h"})) is not None
    assert parse(tokens, frozenset({"m", "g"})) is None


numbers = st.integers(0, 40).map(lambda number: (str(number), sympy.Integer(number)))


def expressions(
    inner: st.SearchStrategy[tuple[str, sympy.Expr]],
) -> st.SearchStrategy[tuple[str, sympy.Expr]]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: (f"({p[0][0]}) + ({p[1][0]})", p[0][1] + p[1][1])),
        pairs.map(lambda p: (f"\\left({p[0][0]}\\right) - {{{p[1][0]}}}", p[0][1] - p[1][1])),
        pairs.map(lambda p: (f"({p[0][0]}) \\cdot ({p[1][0]})", p[0][1] * p[1][1])),
        pairs.map(
            lambda p: (f"\\frac{{{p[0][0]}}}{{1+({p[1][0]})^2}}", p[0][1] / (1 + p[1][1] ** 2))
        ),
        inner.map(lambda p: (f"\\sqrt{{1+({p[0]})^{{2}}}}", sympy.sqrt(1 + p[1] ** 2))),
        inner.map(lambda p: (f"-({p[0]})", -p[1])),
        inner.map(lambda p: (f"\\sin({p[0]})", sympy.sin(p[1]))),
        inner.map(lambda p: (f"\\pi ({p[0]})", sympy.pi * p[1])),
    )


@given(st.recursive(numbers, expressions, max_leaves=6))
@examples(150)
def test_random_expressions_have_sympys_value(pair: tuple[str, sympy.Expr]) -> None:
    text, same = pair
    node = read(text)
    assert node is not None
    wanted = complex(same.evalf(20))
    assert abs(complex(value(node)) - wanted) <= 1e-9 * max(1.0, abs(wanted))


def test_points_are_fixed_and_apart() -> None:
    symbols = frozenset({"x", "y"})
    first, second = [[*points(symbols, signed=True)] for _ in range(2)]
    assert first == second
    assert any(at["x"] < 0 for at in first)
    assert len({float(at["x"]) for at in first} | {float(at["y"]) for at in first}) == 8
