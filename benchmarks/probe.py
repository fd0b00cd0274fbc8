"""The contrastive context probe: which of two contexts supports the answer?

Each pair is asked twice, with the supporting context under A and under B, so that a preference for
one letter cancels and shows as the difference of two parts.  The choice is the likelier letter
where the backend gives log-probabilities, else the letter that is answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import inf
from pathlib import Path
from typing import Any, cast

from benchmarks.micro.data.pairs import MICRO, is_micro, micro_domains
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.micro.prepare import LABEL
from benchmarks.options import file, option, positive
from benchmarks.pair_sources import content_of, open_pairs
from benchmarks.pairs.file import PairError, check, check_ids, pair_id
from benchmarks.pairs.rows import Preview
from benchmarks.pairs.selection import (
    ASK,
    FIRST,
    LETTERS,
    PLAIN,
    SECOND,
    AnyPair,
    Asking,
    Letter,
    LetterForms,
    Orders,
)
from benchmarks.pairs.tables import LazyRows, kind_of
from benchmarks.scoring import Target
from benchmarks.scoring import score as read_letter
from harness import reasoning
from harness.errors import TooLongError, UsageError
from harness.files.hashing import file_hash, json_hash, source_hash
from harness.files.plain import read_given
from harness.files.typed_json import fits, parse
from harness.protocols import OWN_FORM, Benchmark, Declaration, FailedItem, Model, PromptForm, Tools
from harness.records import Item, Message, Pair, Response, Sampling, Score, TextPart

MICRO_PAIRS = 200
NAMES = ("Context A", "Context B")
_PREFIX = "logprobs "
_LEFT_OUT = "left out: "


def _source(word: str) -> str:
    if is_micro(word):
        try:
            micro_domains(word)
        except UsageError as error:
            raise ValueError(str(error)) from error
    elif not Path(word).exists() and (Path(word).is_absolute() or word.count("/") != 1):
        raise ValueError("no such file; write a file of pairs, a folder, or micro[:DOMAIN]")
    return word


def _folder(word: str) -> Path:
    if not Path(word).is_dir():
        raise ValueError("no such folder")
    return Path(word)


def _columns(word: str) -> tuple[tuple[str, str], ...]:
    columns = tuple(mapping.partition("=")[::2] for mapping in word.split(","))
    if not all(all(names) for names in columns):
        raise ValueError("write NAME=VALUE,NAME=VALUE")
    return columns


def _variables(word: str) -> tuple[tuple[str, Any], ...]:
    """Return NAME=VALUE pairs; a value is JSON, or else a text."""

    def value(text: str) -> Any:
        with suppress(ValueError):
            return parse(text)
        return text

    return tuple((name, value(text)) for name, text in _columns(word))


def _choice(*values: str) -> Callable[[str], Any]:
    def parse(word: str) -> str:
        if word not in values:
            raise ValueError(f"write {' or '.join(values)}")
        return word

    return parse


@dataclass(frozen=True)
class Probe(Benchmark):
    """Context-selection accuracy (chance 50); parts are the orders and the pairs' domains."""

    root: Path
    images: bool = True
    pairs: str | None = option(
        None, _source, "file, folder or data set of pairs, or micro[:DOMAIN] for held-out ones"
    )
    columns: tuple[tuple[str, str], ...] = option(
        (), _columns, "our field=column, with commas between"
    )
    image_root: Path | None = option(None, _folder, "folder that image paths are relative to")
    pair_template: Path | None = option(None, file, "file that splits written prompts of text")
    orders: Orders = option("both", _choice("both", "written"), "both orders of a pair, or one")
    suffix: str = option("", str, "line at the end of every prompt")
    prefill: str = option("", str, "beginning of the answer, before the letter")
    letters: LetterForms = option(
        "bare",
        _choice("bare", "likelier"),
        "a letter, or the likelier of it with and without blank",
    )
    min_pixels: int | None = option(None, positive, "enlarge images to so many pixels")
    max_pixels: int | None = option(None, positive, "reduce images to so many pixels")
    template: Path | None = option(None, file, "file with the chat template of the prompts")
    variables: tuple[tuple[str, Any], ...] = option(
        (), _variables, "variables of the chat template, as enable_thinking=false"
    )
    max_selection_tokens: int | None = option(
        None, positive, "leave out prompts of more tokens, and count them as unscored"
    )
    number: int = option(MICRO_PAIRS, positive, "number of pairs from the embedded world")

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        form = {
            "template": self.template and file_hash(self.template),
            "variables": dict(self.variables),
            "max_selection_tokens": self.max_selection_tokens,
        }
        return Declaration(
            id="probe",
            title="Contrastive context probe",
            protocol={
                "prompt": [FIRST, SECOND, ASK],
                "orders": list(LETTERS),
                "choice": "log-probability, else the answered letter",
                **({} if self._asking == PLAIN else {"asked": self._asking.stated}),
                **{name: value for name, value in form.items() if value},
            },
            scoring=_scoring_version() + reasoning.tags_version(),
            max_tokens=8192,
            native_max_tokens=8,
            n_items=2 * MICRO_PAIRS,
            metric="share of right choices over both orders",
            clusters="the pair",
            note=LABEL if self._generated else "",
        )

    @property
    def _asking(self) -> Asking:
        return Asking(
            self.orders, self.suffix, self.prefill, self.letters, self.min_pixels, self.max_pixels
        )

    @cached_property
    def _form(self) -> tuple[PromptForm, ...]:
        """The form of the prompts, none where it is left to the model."""
        template = None if self.template is None else read_given(self.template).decode()
        form = PromptForm(template, dict(self.variables), self.max_selection_tokens)
        return () if form == OWN_FORM else (form,)

    def _named(self) -> str:
        path = self.root / "probe" / "pairs.jsonl"
        if self.pairs is None and not path.is_file():
            raise UsageError(
                f"probe: there is no file of pairs at {path}: put one there, or give "
                "--set probe.pairs=FILE or probe.pairs=micro"
            )
        return str(path) if self.pairs is None else self.pairs

    @property
    def _generated(self) -> bool:
        return self.pairs is not None and is_micro(self.pairs)

    @cached_property
    def _pairs(self) -> Sequence[AnyPair]:
        if self._generated:
            return micro_pairs("probe", self.number, domains=micro_domains(str(self.pairs)))
        return open_pairs(
            self._named(),
            columns=dict(self.columns),
            image_root=self.image_root,
            template=self.pair_template,
        )

    def fingerprint(self) -> str:
        """Return the hash of the pairs; of a file, of its text and of the images it names."""
        if not self._generated:
            content = content_of(self._named(), dict(self.columns), self.image_root)
            rules = [file_hash(self.pair_template)] if self.pair_template else []
            return json_hash([content, *rules]) if rules else str(content)
        pairs = [pair for pair in self._pairs if isinstance(pair, Pair)]
        return json_hash([MICRO, [(p.id, p.query, p.answer, _content(p)) for p in pairs]])

    def count(self) -> int:
        """Return the number of questions: two per pair, or one."""
        return len(self.ids())

    def ids(self) -> Sequence[str]:
        """Return the ids of the questions, the orders of a pair one after the other."""
        return self._ids

    @cached_property
    def _ids(self) -> list[str]:
        return [
            f"{name}/{letter}"
            for name, index in self._pair_ids.items()
            for letter in self._asking.letters_of(self._preview(name, index))
        ]

    def _preview(self, name: str, index: int) -> Preview:
        """Return the preview of a written pair; others, and wrong ones, have both orders."""
        pairs = self._pairs
        if isinstance(pairs, LazyRows) and kind_of(pairs.undecoded(index)[0]) == "selection":
            with suppress(PairError):
                return replace(pairs.preview(index), id=name)
        return Preview(name, "", images=False)

    @cached_property
    def _pair_ids(self) -> Mapping[str, int]:
        """The index of each pair by its id; `PairError` if two have the same."""
        pairs = self._pairs
        if isinstance(pairs, LazyRows):  # a malformed pair has an id, too
            names = [pair_id(*pairs.undecoded(index)) for index in range(len(pairs))]
        else:
            names = [pair.id for pair in pairs]
        check_ids(names)
        return {name: index for index, name in enumerate(names)}

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one question; a pair that does not read is a failed item."""
        pair_id, _, letter = item_id.rpartition("/")
        try:
            pair = self._pairs[self._pair_ids[pair_id]]
            if isinstance(pair, Pair):
                check(pair)
        except PairError as error:
            return FailedItem(item_id, str(error))
        messages = self._asking.prompt(pair, cast("Letter", letter)).messages
        if self.prefill:
            messages = (*messages, Message("assistant", (TextPart(self.prefill),)))
        return Item(
            id=item_id,
            messages=messages,
            target={"letter": letter},
            cluster=pair.id,
            parts=(f"supports_{letter}", pair.domain),
        )

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask for the letters' log-probabilities, else for an answer."""
        forms = self._asking.forms
        tokens = [f"{blank}{letter}" for blank in forms for letter in LETTERS]
        try:
            values = await model.logprobs(item.messages, tokens, *self._form)
            if values is None or all(value is None for value in values):
                return await self._answered(item, model, sampling)
        except TooLongError as error:
            return Response(f"{_LEFT_OUT}{error}")
        by_form = [values[start : start + 2] for start in range(0, len(values), 2)]
        known = [pair for pair in by_form if any(value is not None for value in pair)]
        counted = known if self.letters == "likelier" else known[:1]
        likeliest = [
            max((value for value in column if value is not None), default=None)
            for column in zip(*counted, strict=True)
        ]
        # JSON knows no infinity: null is a letter that is not among the likeliest tokens.
        return Response(_PREFIX + json.dumps(dict(zip(LETTERS, likeliest, strict=True))))

    async def _answered(self, item: Item, model: Model, sampling: Sampling) -> Response:
        if self.prefill or any(form.template or form.variables for form in self._form):
            raise UsageError(
                f"probe: {model.name} gives no log-probabilities of the letters: leave out "
                "probe.prefill, probe.template and probe.variables, or use another backend"
            )
        response = await model.chat(item.messages, sampling)
        for form in self._form:
            form.check(response.prompt_tokens)
        return response

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score the likelier letter, or the answered one by the rules of choice questions."""
        right = item.target["letter"]
        if self.max_selection_tokens and response.text.startswith(_LEFT_OUT):
            return Score(None, "unscored", why=response.text)
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
