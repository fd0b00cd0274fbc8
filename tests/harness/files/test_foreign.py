"""Types of what was read from JSON: annotations as the language defines them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from harness.files.typed_json import fits, parse, record
from harness.files.typed_yaml import parse_yaml


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (str, ["", "x"], [5, None, b"x"]),
        (int, [0, -3], [True, 1.0, "1"]),
        (float, [0.5, 1, float("nan")], [False, "1", None]),
        (str | None, ["x", None], [5]),
        (Literal["a", "b"], ["a"], ["c", None, ["a"]]),
        (list[str], [[], ["x"]], [["x", 1], "x"]),
        (Sequence[int], [[1], (1, 2)], ["12", [None], 5]),
        (tuple[str, ...], [(), ("x", "y")], [["x", 1], "x"]),
        (tuple[int, str], [(1, "x")], [(1,), (1, "x", 2), ("x", 1)]),
        (Mapping[str, float | None], [{}, {"x": 1, "y": None}], [{"x": "1"}, {1: 1.0}, []]),
        (dict[str, dict[str, Any]], [{"x": {"y": [1]}}], [{"x": 5}, {"x": None}]),
        (Any, [None, [1]], []),
    ],
)
def test_values_fit_annotations(hint: Any, right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if not fits(value, hint)] == []
    assert [value for value in wrong if fits(value, hint)] == []


def test_yaml_with_aliases_is_refused_before_it_is_expanded() -> None:
    assert parse_yaml("a: [1, '*b', {c: 2}]") == {"a": [1, "*b", {"c": 2}]}
    lists = [", ".join([f"*b{n - 1}" if n else "x"] * 1000) for n in range(9)]
    bomb = "".join(f"b{n}: &b{n} [{entries}]\n" for n, entries in enumerate(lists))
    merged = "a: &a {x: 1}\nb: {<<: [*a, *a]}\n"
    for text in (bomb, merged, "&a [*a]", "[" * 5000, "a: b: c", "\0"):
        with pytest.raises(ValueError, match=r"\S") as caught:
            parse_yaml(text)
        assert "\n" not in str(caught.value)


def test_a_yaml_number_in_base_60_is_refused_and_a_text_is_not() -> None:
    for text in ("hours: 1:30", "a:\n- 24:00:00", "a: {b: -1:30.5}"):
        with pytest.raises(ValueError, match=r"line \d: YAML reads .* in base 60"):
            parse_yaml(text)
    kept = {"a": "1:30", "b": "512:1024", "c": "micro:7", "d": "1:30"}
    assert parse_yaml("a: '1:30'\nb: 512:1024\nc: micro:7\nd: !!str 1:30") == kept


@dataclass(frozen=True, slots=True)
class Inner:
    number: int


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: tuple[Inner, ...]
    last: Inner | None = None


def test_yaml_that_nobody_wrote_by_hand_is_refused() -> None:
    assert parse_yaml(f"a: {'x' * 999_000}")["a"] == "x" * 999_000
    with pytest.raises(ValueError, match="longer than 1000000 characters"):
        parse_yaml(f"a: {'x' * 1_000_000}")


@pytest.mark.parametrize("opening", ["[", "{", "- ", '"a": [', "? "])
def test_deep_yaml_is_refused_before_its_nesting_costs_time(opening: str) -> None:
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        parse_yaml(opening * 20_000)  # a whole parse takes minutes


def test_a_record_is_looked_through_and_the_wrong_field_is_named() -> None:
    stored = {"name": "x", "inner": [{"number": 1}, {"number": 2}], "last": {"number": 3}}
    assert record(Outer, stored) == Outer("x", (Inner(1), Inner(2)), Inner(3))
    with pytest.raises(ValueError, match=re.escape("`int`, got `str` - at `$.inner[1].number`")):
        record(Outer, {"name": "x", "inner": [{"number": 1}, {"number": "2"}]})
    with pytest.raises(ValueError, match=re.escape("required field `number` - at `$.last`")):
        record(Outer, {"name": "x", "inner": [], "last": {}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (b"\xff\xfe\xff", "can't decode"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_a_value_error(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_half_a_surrogate_pair_is_read() -> None:
    assert parse(r'"\ud800"') == "\ud800"


def test_large_whole_numbers_stay_whole() -> None:
    assert parse("123456789012345678901234567890") == 123456789012345678901234567890
