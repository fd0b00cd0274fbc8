"""The normal form: idempotent, loses no sign, and makes one sign of its look-alikes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.normal import normal
from tests.examples import examples

SIGNS = "−–—‑﹣‘’“”′″´½⅔３．％：（）ＡⒶ𝑥𝟏²⁻³₂㎡℃ºﬁ①\u00a0\u2009\u200b\r\n \u0301\u0338"
texts = st.text(st.one_of(st.sampled_from(SIGNS + "ab3x=+-."), st.characters()), max_size=12)


@given(texts)
@examples(300)
def test_the_normal_form_is_its_own(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(st.text(st.characters(codec="ascii", exclude_characters="\r\x08\x0b\x0c")))
@examples(100)
def test_ascii_stays(text: str) -> None:
    assert normal(text) == text


@given(st.sampled_from("−–‒‐‑﹣－"), st.integers(0, 10**6), st.sampled_from(["%", " m", "½", ""]))
@examples(100)
def test_a_minus_sign_stays(sign: str, number: int, behind: str) -> None:
    assert normal(f"{sign}{number}{behind}").startswith(f"-{number}")


@given(st.integers(-999, 999), st.integers(-99, 99))
@examples(100)
def test_raised_digits_are_a_power(base: int, power: int) -> None:
    raised = str(power).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    mark = f"^{power}" if len(raised) == 1 else f"^{{{power}}}"
    assert normal(f"{base}{raised}") == f"{base}{mark}"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("−3½ cm²", "-3 1/2 cm^2"),
        ("３．５％", "3.5%"),
        ("ｄ´Ａrtagnan’s “ﬁre”", "d'Artagnan's \"fire\""),
        ("H₂O", "H_2O"),
        ("\x0crac{1}{2}", "\\frac{1}{2}"),
        ("㎡ ℃", "m^2 °C"),
        ("①② … ™", "①② … ™"),
        ("𝑥 + 𝟏 Ⓑ ⒝", "x + 1 B (b)"),
        ("Cafe\u0301", "Café"),
    ],
)
def test_signs(text: str, plain: str) -> None:
    assert normal(text) == plain
