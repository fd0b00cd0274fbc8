"""LongBench v2: multiple-choice questions on documents of up to two million words.

Source of prompts, truncation and extraction: ``pred.py`` and ``prompts/`` of THUDM/LongBench.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.options import option, positive, yes_or_no
from harness.protocols import Benchmark, Declaration, FailedItem, Model, Tools
from harness.reasoning import reasoning_version, without_reasoning
from harness.records import Item, Message, Response, Sampling, Score, TextPart, sum_counts

_QUESTION = """
What is the correct answer to this question: {question}
Choices:
(A) {A}
(B) {B}
(C) {C}
(D) {D}
"""
_FORMAT = 'Format your response as follows: "The correct answer is (insert answer here)".'
_DIRECT = (
    "Please read the following text and answer the question below.\n\n"
    f"<text>\n{{document}}\n</text>\n{_QUESTION}\n{_FORMAT}"
)
_THINK = (
    "Please read the following text and answer the questions below.\n\n"
    f"<text>\n{{document}}\n</text>\n{_QUESTION}\nLet’s think step by step:"
)
_CONCLUDE = (
    "Please read the following text and answer the questions below.\n\n"
    f"The text is too long and omitted here.\n{_QUESTION}\n"
    "Let’s think step by step: {thoughts}\n\n"
    f"Based on the above, what is the single, most likely answer choice? {_FORMAT}"
)

LETTERS = ("A", "B", "C", "D")
_SOURCE = data.source("longbench_v2")
_COLUMNS = _SOURCE.tables[0].columns
_ANSWERS = (r"The correct answer is \(([A-D])\)", r"The correct answer is ([A-D])")


def extract(answer: str) -> str | None:
    """Return the letter that an answer gives by the official rule, or None."""
    found = (re.search(pattern, answer.replace("*", "")) for pattern in _ANSWERS)
    return next((match[1] for match in found if match), None)


@dataclass(frozen=True)
class LongBenchV2(Benchmark):
    """LongBench v2; parts are the lengths (short, medium, long), the domains and the difficulty."""

    root: Path
    images: bool = True
    max_prompt_tokens: int = option(
        120_000, positive, "longer prompts are cut in the middle (the model's tokens)"
    )
    cot: bool = option(False, yes_or_no, "think in a first call, answer in a second")

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return Declaration(
            id="longbench_v2",
            title="LongBench v2",
            protocol={
                "prompts": [_THINK, _CONCLUDE] if self.cot else [_DIRECT],
                "truncation": "the middle of the whole prompt",
                "max_prompt_tokens": self.max_prompt_tokens,
            },
            scoring=f"longbench_v2-1-{reasoning_version()}",
            max_tokens=8192,
            native_max_tokens=1024 if self.cot else 128,
            n_items=_SOURCE.tables[0].count,
            metric="accuracy",
            clusters="items with the same document",
        )

    def fingerprint(self) -> str:
        """Return the content hash of the local data."""
        return data.fingerprint("longbench_v2", self.root)

    def count(self) -> int:
        """Return the number of items in the local data."""
        return data.count("longbench_v2", self.root)

    @cached_property
    def _rows(self) -> Sequence[Mapping[str, Any]]:
        (table,) = data.tables("longbench_v2", self.root)
        return data.records(table)

    @cached_property
    def _ids(self) -> Sequence[str]:
        return [str(row.get("_id")) for row in self._rows]

    @cached_property
    def _row_of(self) -> Mapping[str, int]:
        return {item_id: row for row, item_id in enumerate(self._ids)}

    def ids(self) -> Sequence[str]:
        """Return the ids of the questions, in the data's order."""
        return self._ids

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one question; a row with odd cells is a failed item."""
        row = self._rows[self._row_of[item_id]]
        cells = {name: row.get(name) for name in _COLUMNS}
        odd = [name for name, cell in cells.items() if not isinstance(cell, str)]
        if odd or cells["answer"] not in LETTERS:
            reason = f"no text in {', '.join(odd)}" if odd else f"its answer is {row['answer']!r}"
            return FailedItem(item_id, reason)
        text = {name: str(cell).strip() for name, cell in cells.items()}
        choices = {letter: text[f"choice_{letter}"] for letter in LETTERS}
        document, question, answer = text["context"], text["question"], text["answer"]
        form = _THINK if self.cot else _DIRECT
        prompt = form.format(document=document, question=question, **choices)
        return Item(
            id=item_id,
            messages=(_user(prompt),),
            target={"answer": answer, "question": question, "choices": choices},
            cluster=hashlib.sha256(document.encode("utf-8", "replace")).hexdigest()[:16],
            parts=(text["length"], text["domain"], text["difficulty"]),
        )

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask once, or let the model think in a first call and answer without the document."""
        first = await self._ask(item.messages[0].render(), model, sampling)
        # The user's tags are for scoring alone: this decides what is asked.
        thoughts = without_reasoning(first.text, ())
        if not self.cot or not thoughts:
            return first
        target = item.target
        prompt = _CONCLUDE.format(
            question=target["question"], thoughts=thoughts, **target["choices"]
        )
        return _joined(first, await self._ask(prompt, model, sampling))

    async def _ask(self, prompt: str, model: Model, sampling: Sampling) -> Response:
        kept, cut = await self._without_middle(prompt, model)
        response = await model.chat((_user(kept),), sampling)
        return replace(response, prompt_tokens_cut=cut)

    async def _without_middle(self, prompt: str, model: Model) -> tuple[str, int]:
        """Return a prompt within the limit, and how many tokens of its middle are left out."""
        most = self.max_prompt_tokens
        if len(prompt.encode("utf-8", "replace")) <= most:  # a token has one byte at least
            return prompt, 0
        ids = await model.tokenizer.encode(prompt)
        if len(ids) <= most:
            return prompt, 0
        kept = ids[: most // 2] + ids[len(ids) - (most + 1) // 2 :]
        return await model.tokenizer.decode(kept), len(ids) - most

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score by the official rule; an answer without a letter, or an empty one, is wrong."""
        cut = response.prompt_tokens_cut
        note = f"; {cut} tokens in the middle of the prompt were left out" if cut else ""
        letter = extract(response.answer)
        if letter is None:
            return Score(0.0, "unparsable", None, f"no 'The correct answer is (letter)'{note}")
        value = float(letter == item.target["answer"])
        return Score(value, "scored", letter, f"'The correct answer is {letter}'{note}")


def _user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def _joined(first: Response, second: Response) -> Response:
    """Return the second call's answer, with the first as its reasoning and the costs of both.

    It counts as filtered or truncated if either call's answer was.
    """
    reasons = (first.finish_reason, second.finish_reason)
    return replace(
        second,
        reasoning=first.text,
        prompt_tokens=sum_counts([first.prompt_tokens, second.prompt_tokens]),
        completion_tokens=sum_counts([first.completion_tokens, second.completion_tokens]),
        finish_reason=next((r for r in ("content_filter", "length") if r in reasons), reasons[1]),
        prompt_tokens_cut=first.prompt_tokens_cut + second.prompt_tokens_cut,
    )
