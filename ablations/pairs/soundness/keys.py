"""Whether the right letter of written selection prompts is predictable without the contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.pairs.soundness import features
from ablations.pairs.soundness.shortcuts import FAMILY_ALPHA, FEWEST, Shortcut, read
from benchmarks.pairs.selection import AnyPair, WrittenPair, sides
from harness.records import ImagePart, Pair, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.pairs.template import PairTemplate

TESTS = 3
PERIODS = (2, 3, 4, 5, 8)
"""Rows after which a pattern of letters may repeat."""


def separated(pair: AnyPair, template: PairTemplate | None = None) -> Pair | None:
    """Return a pair with its contexts separated: for a written one, its two images.

    A text pair is split by the ``template``. None if the contexts are unknown. In a prompt with
    images, all text is the question.
    """
    if isinstance(pair, Pair):
        return pair
    parts = [part for message in pair.messages for part in message.content]
    text = features.text_of(parts)
    images = sum(isinstance(part, ImagePart) for part in parts)
    if pair.exchanged is not None and images == 2:
        return Pair(pair.id, pair.domain, text, "", None, *sides(pair), pair.source)
    found = template and template.parts(features.text_of(pair.messages[-1].content))
    if not found or images:
        return None
    texts = TextPart(found["context_a"]), TextPart(found["context_b"])
    right, wrong = texts[:: 1 if pair.letter == "A" else -1]
    return Pair(
        pair.id, pair.domain, found["query"], found["answer"], None, (right,), (wrong,), pair.source
    )  # fmt: skip


def written_keys(pairs: Sequence[WrittenPair], apart: Sequence[Pair | None]) -> list[Shortcut]:
    """Test the letters of written prompts with `keys`; ``apart`` are the `separated` pairs.

    Findings are only notices if all prompts can be asked in both orders.
    """
    questions = ["" if pair is None else f"{pair.query}\n{pair.answer}" for pair in apart]
    found = keys([p.letter for p in pairs], questions, [p.domain for p in pairs])
    if not all(pair.exchanged for pair in pairs):
        return found
    return [replace(test, alarm=False, notice=test.alarm) for test in found]


def keys(
    letters: Sequence[str], questions: Sequence[str], domains: Sequence[str], seed: int = 0
) -> list[Shortcut]:
    """Test the letters of prompts that have one order.

    ``questions`` are the prompts' texts without their contexts, empty if those are unknown; equal
    ones stay in one fold. ``domains`` are the prompts' kinds.
    """
    signs = np.where(np.array(letters) == "A", 1.0, -1.0)
    alpha = FAMILY_ALPHA / TESTS
    found = [_balance(signs, alpha)]
    x = np.asarray(features.bag_of_words(questions).todense(), float)
    equal = np.unique(np.array(questions), return_inverse=True)[1]
    if not any(questions):
        equal = np.arange(len(signs))
    every = np.arange(len(signs))
    readers = (
        ("key by place", "the row's number and its domain", _places(domains), every),
        ("key by question", "the prompt without its contexts", np.tanh(x), equal),
    )
    for test, sees, columns, groups in readers:
        plain = Shortcut(test, sees, len(signs), int(groups.max()) + 1)
        if plain.clusters >= FEWEST and np.any(columns):
            result = read(columns - columns.mean(0), signs, groups, alpha, seed)
            plain = Shortcut(
                test, sees, plain.pairs, plain.clusters, result.accuracy, result.low, result.high,
                result.p, alarm=result.low > 0.5,
            )  # fmt: skip
        found.append(plain)
    return found


def _balance(signs: NDArray[Any], alpha: float) -> Shortcut:
    """Test the commoner letter's fraction with an exact binomial interval (Clopper and Pearson)."""
    from scipy.stats import binomtest

    count = int(max(np.sum(signs > 0), np.sum(signs < 0)))
    plain = Shortcut("key balance", "nothing: the commoner letter", len(signs), len(signs))
    if len(signs) < FEWEST:
        return plain
    test = binomtest(count, len(signs))
    low, high = test.proportion_ci(1 - alpha)
    return Shortcut(
        plain.test, plain.sees, len(signs), len(signs), count / len(signs), float(low), float(high),
        float(test.pvalue), alarm=low > 0.5,
    )  # fmt: skip


def _places(domains: Sequence[str]) -> NDArray[Any]:
    """Return features of a row's number and domain, shape (rows, d)."""
    number = np.arange(len(domains))
    waves = [f(2 * np.pi * number / period) for period in PERIODS for f in (np.sin, np.cos)]
    halves = [np.sign(number - len(domains) / 2), number / max(1, len(domains)) - 0.5]
    kinds = [np.array([each == name for each in domains], float) for name in sorted(set(domains))]
    return np.stack([*waves, *halves, *kinds], axis=1)
