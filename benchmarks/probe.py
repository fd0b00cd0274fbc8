"""The contrastive context probe: which of two contexts supports the answer?

Each pair is asked twice, with the supporting context under A and under B, so that a preference for
one letter cancels and shows as the difference of two parts.  The choice is the likelier letter
where the backend gives log-probabilities, else the letter that is answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf
from pathlib import Path
from typing import Any, cast

from benchmarks.micro.data.pairs import MICRO, is_micro, micro_domains
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.micro.prepare import LABEL
from benchmarks.options import option, positive
from benchmarks.pairs.file import PairError, check, content_hash, pair_id, read_pairs
from benchmarks.pairs.rows import LazyRows
from benchmarks.pairs.selection import ASK, FIRST, LETTERS, SECOND, Letter, selection
from benchmarks.scoring import Target
from benchmarks.scoring import score as read_letter
from harness import reasoning
from harness.errors import UsageError
from harness.files.hashing import json_hash, source_hash
from harness.files.typed_json import fits, parse
from harness.protocols import Declaration, FailedItem, Judge, Model, Tools
from harness.records import Item, Pair, Response, Sampling, Score, TextPart

MICRO_PAIRS = 200
NAMES = ("Context A", "Context B")
_PREFIX = "logprobs "


def _source(word: str) -> str:
    if is_micro(word):
        try:
            micro_domains(word)
        except UsageError as error:
            raise ValueError(str(error)) from error
    elif not Path(word).is_file():
        raise ValueError("no such file; write a file of pairs, or micro[:DOMAIN]")
    return word


@dataclass(frozen=True)
class Probe:
    """Context-selection accuracy (chance 50); parts are the orders and the pairs' domains."""

    root: Path
    images: bool = True
    pairs: str | None = option(
        None, _source, "file of pairs, or micro[:DOMAIN] for held-out pairs of the embedded world"
    )
    number: int = option(MICRO_PAIRS, positive, "number of pairs from the embedded world")

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        return Declaration(
            id="probe",
            title="Contrastive context probe",
            protocol={
                "prompt": [FIRST, SECOND, ASK],
                "orders": list(LETTERS),
                "choice": "log-probability, else the answered letter",
            },
            scoring=_scoring_version() + reasoning.tags_version(),
            max_tokens=8192,
            native_max_tokens=8,
            n_items=2 * MICRO_PAIRS,
            metric="share of right choices over both orders",
            clusters="the pair",
            note=LABEL if self._generated else "",
        )

    def _path(self) -> Path:
        path = self.root / "probe" / "pairs.jsonl" if self.pairs is None else Path(self.pairs)
        if not path.is_file():
            raise UsageError(
                f"probe: there is no file of pairs at {path}: put one there, or give "
                "--set probe.pairs=FILE or probe.pairs=micro"
            )
        return path

    @property
    def _generated(self) -> bool:
        return self.pairs is not None and is_micro(self.pairs)

    @cached_property
    def _pairs(self) -> Sequence[Pair]:
        if self._generated:
            return micro_pairs("probe", self.number, domains=micro_domains(str(self.pairs)))
        return read_pairs(self._path())

    def fingerprint(self) -> str:
        """Return the hash of the pairs; of a file, of its text and of every image that it names.

        An image that is missing counts as such: its pair is an error of the run.

        Raises:
            UsageError: there is no file of pairs.
        """
        if not self._generated:
            return content_hash(self._path())
        pairs = [(pair.id, pair.query, pair.answer, _content(pair)) for pair in self._pairs]
        return json_hash([MICRO, pairs])

    def count(self) -> int:
        """Return the number of questions, two a pair."""
        return 2 * len(self._pairs)

    def ids(self) -> Sequence[str]:
        """Return the ids of the questions, the two orders of a pair one after the other."""
        return [f"{pair_id}/{letter}" for pair_id in self._pair_ids for letter in LETTERS]

    @cached_property
    def _pair_ids(self) -> Mapping[str, int]:
        """The index of each pair by its id."""
        pairs = self._pairs
        if isinstance(pairs, LazyRows):  # a malformed pair has an id, too
            return {pair_id(*pairs.undecoded(index)): index for index in range(len(pairs))}
        return {pair.id: index for index, pair in enumerate(pairs)}

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one question; a pair that does not read is a failed item."""
        pair_id, _, letter = item_id.rpartition("/")
        try:
            pair = self._pairs[self._pair_ids[pair_id]]
            check(pair)
        except PairError as error:
            return FailedItem(item_id, str(error))
        return Item(
            id=item_id,
            messages=selection(pair, cast("Letter", letter)).messages,
            target={"letter": letter},
            cluster=pair.id,
            parts=(f"supports_{letter}", pair.domain),
        )

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask for the letters' log-probabilities, else for an answer."""
        values = await model.logprobs(item.messages, LETTERS)
        if values is None or all(value is None for value in values):
            return await model.chat(item.messages, sampling)
        # JSON knows no infinity: null is a letter that is not among the likeliest tokens.
        return Response(_PREFIX + json.dumps(dict(zip(LETTERS, values, strict=True))))

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score the likelier letter, or the answered one by the rules of choice questions."""
        right = item.target["letter"]
        values = _logprobs(response.text)
        if values is None:
            return read_letter(response.answer, Target("choice", right, choices=NAMES))
        known = {name: -inf if value is None else value for name, value in values.items()}
        first, second = (known[name] for name in LETTERS)
        if first == second:
            return Score(0.5, "scored", None, "both letters are alike")
        chosen = LETTERS[0] if first > second else LETTERS[1]
        why = f"log-probabilities {values['A']} of A and {values['B']} of B"
        return Score(float(chosen == right), "scored", chosen, why)

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Give no values: there is no other scoring."""
        return {}


@cache
def _scoring_version() -> str:
    """Return a name for the rules: the hash of all that reads an answered letter."""
    scoring, rules = Path(__file__).with_name("scoring"), Path(reasoning.__file__)
    return f"probe-1-{source_hash(scoring, rules)}"


def _content(pair: Pair) -> str:
    """Return a hash of both contexts."""
    digest = hashlib.sha256()
    for part in (*pair.context_positive, *pair.context_negative):
        content = part.text.encode() if isinstance(part, TextPart) else part.image.tobytes()
        digest.update(content)
    return digest.hexdigest()


def _logprobs(text: str) -> dict[str, float | None] | None:
    """Return the letters' log-probabilities; None where the text is an answer."""
    try:
        values: Any = parse(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else None
    except ValueError:
        return None
    whole = fits(values, dict[str, float | None]) and set(LETTERS) == set(values)
    return values if whole else None
