"""Options of benchmarks: typed fields that words of a user may set, and clear refusals."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from benchmarks import options
from benchmarks.options import declared, numbers, one_of, option, parsed, positive, yes_or_no
from harness.errors import UsageError


@dataclass(frozen=True)
class Example:
    size: int = option(3, positive, "how many")
    lengths: tuple[int, ...] = option((1, 2), numbers, "which lengths")
    form: str = option("a", one_of("a", "b"), "which form")
    deep: bool = option(False, yes_or_no, "whether deep")
    fixed: int = 7


def test_words_become_typed_values() -> None:
    words = {"size": "5", "lengths": "10, 20", "form": "b", "deep": "yes"}
    built = Example(**parsed("example", Example, words))
    assert built == Example(5, (10, 20), "b", True)
    assert set(declared(Example)) == {"size", "lengths", "form", "deep"}


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("size", "0", "example.size=0: write a whole number above 0"),
        ("lengths", "1,x", "whole numbers"),
        ("form", "c", "one of a, b"),
        ("deep", "maybe", "true or false"),
        ("fixed", "8", "no option 'fixed'"),
        ("sise", "8", "did you mean size"),
    ],
)
def test_wrong_words_are_refused_in_one_line(name: str, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parsed("example", Example, {name: word})


def test_words_are_told_apart_by_benchmark() -> None:
    words = ["niah.lengths=1,2", "niah.kind=a=b", "phyx.x="]
    found = options.split(words, ["niah", "phyx"])
    assert found == {"niah": {"lengths": "1,2", "kind": "a=b"}, "phyx": {"x": ""}}


@pytest.mark.parametrize("word", ["niah", "niah.lengths", "lengths=3", ".a=b", "other.a=b"])
def test_words_of_another_form_or_benchmark_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        options.split([word], ["niah"])


def test_a_benchmark_without_options_says_so() -> None:
    @dataclass
    class Plain:
        data_root: str

    with pytest.raises(UsageError, match="plain has no option 'depth': there are none"):
        parsed("plain", Plain, {"depth": "3"})
