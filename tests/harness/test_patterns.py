"""Regular expressions of users end, whatever the text is."""

from __future__ import annotations

import re

import pytest

from benchmarks.pairs.template import PairTemplate
from harness.errors import UsageError
from harness.patterns import Pattern


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"(?:a|aa)+b", "a" * 5000), (r"(?:x+x+)+y", "x" * 5000)],
)
def test_a_match_that_would_never_end_is_an_error(pattern: str, text: str) -> None:
    with pytest.raises(TimeoutError):
        Pattern(pattern, 0.05).fullmatch(text)


@pytest.mark.parametrize("pattern", ["(", "(?P<a>x)(?P<a>y)", "a" * 10 + "{99999999999}", "[b-a]"])
def test_what_is_no_pattern_is_a_value_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pattern(pattern)


def test_matches_are_those_of_python() -> None:
    match = Pattern(r"<think>(?P<thought>.*)</think>\s*(\d+)").fullmatch("<think>a\nb</think>\n7")
    assert match is not None
    assert (match["thought"], match[2], match.span("thought")) == ("a\nb", "7", (7, 10))
    assert Pattern(r"\d+").fullmatch("7 ") is None


def test_a_template_names_the_prompt_that_it_cannot_be_fitted_to_in_time() -> None:
    parts = ("Q: (?P<query>.+?)", "A: (?P<answer>.+?)", "C: (?P<context_a>.+?)",
             "D: (?P<context_b>.+?)", "Which")  # fmt: skip
    template = PairTemplate(Pattern("\n".join(parts), 0.05))
    fitting = "Q: q\nA: a\nC: c\nD: d\nWhich"
    assert template.exchanged(fitting) == "Q: q\nA: a\nC: d\nD: c\nWhich"
    with pytest.raises(UsageError, match=r"more than 0\.05 s on the prompt 'Q: q"):
        template.exchanged("Q: q" + "\nA: a\nC: c\nD: d" * 2000)


@pytest.mark.parametrize(
    "pattern",
    ["Answer{s}: .*", "x{i}", "(?:cat){e<=1}", r"\\{d}", r"\{s}", "a{2}", "a{,2}", "[{s}]+"],
)
@pytest.mark.parametrize(
    "text",
    ["Answer{s}: 4", "Answer: 4", "x", "x{i}", "xy", "cat{e<=1}", "cut", "\\{d}", "{s}", "aa"],
)
def test_braces_are_read_as_python_reads_them(pattern: str, text: str) -> None:
    expected = re.compile(pattern, re.DOTALL).fullmatch(text)
    assert bool(Pattern(pattern).fullmatch(text)) is bool(expected)
