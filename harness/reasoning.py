"""Takes a model's reasoning out of its text, whatever tags it stands between."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from harness.errors import UsageError
from harness.files.hashing import json_hash, source_hash

_NAMES = (
    r"(?:think(?:ing)?(?::[\w-]+)?|thoughts?|reason(?:ing)?|analysis|reflection|scratch_?pad"
    r"|rationale|cot|chain_of_thought|inner_monologue|(?:mm|seed):think|seed:cot_budget_reflect)"
)
# Of tags like XML's.
_WIDER = (
    r"(?:(?:think(?:ing)?|thought|reasoning)[_-]?(?:process|steps?|content|trace)|ant_?thinking"
    r"|chain-of-thoughts?|chain_of_thoughts|(?:inner|internal)[_-]?(?:thoughts?|reasoning)"
    rf"|deep_?think(?:ing)?|{_NAMES})"
)
# Closing tags that are text without their opening ones.
_RESPONSE = r"(?:Here is|Here's) my response:"
_DETAILS = r"(?P<inner><details\b(?:(?!</?details\b)[\s\S])*</details>)|</details>"
# Each row: how the reasoning opens and closes, and an example.  "{}" and "{+}" are names.  Without
# attention to case but where a row says otherwise.
PAIRS: tuple[tuple[str, str, str], ...] = (
    (r"<\s?{+}(?:\s\w+=[^<>\n]{0,80})?\s?>", r"<\s?/\s?{+}\s?>", "<think>A</think>B"),
    (
        r"<details\stype=.reasoning[^<>\n]{0,80}>",
        _DETAILS,
        '<details type="reasoning" done="true">A</details>B',
    ),
    # "[Analysis]" is a heading.
    (r"\[think(?:ing)?\]", r"\[/think(?:ing)?\]", "[THINK]A[/THINK]B"),
    (r"◁\s?{}\s?▷", r"◁\s?/\s?{}\s?▷", "◁think▷A◁/think▷B"),
    (
        r"<\|(?:begin|start)_?(?:of_?)?{}\|>",
        r"<\|end_?(?:of_?)?{}\|>",
        "<|begin_of_thought|>A<|end_of_thought|>B",
    ),
    (r"<\|{}_(?:begin|start)\|>", r"<\|{}_end\|>", "<|think_start|>A<|think_end|>B"),
    # Solar Open ends its <|think|> with the next message.
    (
        r"<\|\s?{}\s?\|>",
        r"(?:<\|\s?/\s?{}\s?\|>|<\|content\|>)",
        "<|think|>A<|end|><|begin|>assistant<|content|>B",
    ),
    (
        r"<\|channel\|>\s?(?:analysis|commentary)[^<\n]{0,80}<\|message\|>",
        r"<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>",
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>B",
    ),
    # The same where the server left out the special tokens.
    (r"\Aanalysis(?-i:(?=[A-Z]))", r"assistantfinal", "analysisA.assistantfinalB"),
    # Of one family each: MedGemma, Gemma 4, Kimi K3, PLaMo 3, K2 Horizon, Inkling, Apertus,
    # Muse Glimmer.
    (r"<unused94>\s?{}", r"<unused95>", "<unused94>thought\nA<unused95>B"),
    (r"<\|channel>(?:\s?{}\b)?", r"<channel\|>", "<|channel>thought\nA<channel|>B"),
    (
        r"<\|open\|>\s?{}\s?<\|sep\|>",
        r"<\|close\|>\s?{}\s?<\|sep\|>",
        "<|open|>think<|sep|>A<|close|>think<|sep|>B",
    ),
    (
        r"<\|plamo:begin_think:plamo\|>",
        r"<\|plamo:end_think:plamo\|>",
        "<|plamo:begin_think:plamo|>A<|plamo:end_think:plamo|>B",
    ),
    (r"<ifm\|{}(?:_\w+)?>", r"</ifm\|{}(?:_\w+)?>", "<ifm|think_fast>A</ifm|think_fast>B"),
    (
        r"<\|content_thinking\|>",
        r"<\|content_text\|>",
        "<|content_thinking|>A<|end_message|><|message_model|><|content_text|>B",
    ),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>", "<|inner_prefix|>A<|inner_suffix|>B"),
    (
        r"\bto=self<\|message\|>",
        r"\bto=user<\|message\|>",
        "to=self<|message|>A<|eom|>to=user<|message|>B",
    ),
    # Plain sentences, at the beginning alone: Granite 3.2 and Apriel.
    (
        r"\A(?:Here is|Here's) my thought process:",
        _RESPONSE,
        "Here is my thought process: A Here is my response: B",
    ),
    (
        r"\AHere are my reasoning steps:",
        r"\[BEGIN FINAL RESPONSE\]",
        "Here are my reasoning steps:\nA[BEGIN FINAL RESPONSE]B",
    ),
    # LLaVA-CoT writes these in capitals before its conclusion.
    (r"(?-i:<SUMMARY>)", r"(?-i:</SUMMARY>)", "<SUMMARY>A</SUMMARY>B"),
    (r"(?-i:<CAPTION>)", r"(?-i:</CAPTION>)", "<CAPTION>A</CAPTION>B"),
)
# A fence opens with nothing but a language: behind a closing one a tag may follow on its line.
_BLOCK = re.compile(
    r"^[ \t]*```[\w+#.-]*[ \t]*\n.*?(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_SPECIAL = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<eos>|<end_of_turn>")
# "The <think> tag": of the text that names it; "</think>\nBlock B" begins an answer.
_NOUN = re.compile(r" (?:tags?|tokens?|blocks?|markers?|elements?)\b")
_STRAY = 200
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "「": "」"}


# Opening and closing tags that the user gave, exactly as the model writes them.
Tags = tuple[tuple[str, str], ...]
_given: Tags = ()


@contextmanager
def extra_tags(tags: Iterable[Sequence[str]]) -> Iterator[None]:
    """Read these opening and closing tags too, in this process, until the block ends."""
    global _given
    before, _given = _given, tuple((opening, closing) for opening, closing in tags)
    try:
        yield
    finally:
        _given = before


def given_tags() -> Tags:
    """Return the tags of `extra_tags`, none by default."""
    return _given


def reasoning_version() -> str:
    """Return the version of these rules: they decide what every scorer reads."""
    return _source_version() + tags_version()


def tags_version() -> str:
    """Return what the user's tags add to a scorer's version: nothing by default."""
    return f"-tags-{json_hash(sorted(_given))[:8]}" if _given else ""


@lru_cache(maxsize=1)
def _source_version() -> str:
    return source_hash(Path(__file__))


@lru_cache(maxsize=16)
def _rows(given: Tags) -> tuple[tuple[str, str], ...]:
    """Return patterns of opening and closing tags: the user's before those of `PAIRS`."""
    exact = [(f"(?-i:{re.escape(begin)})", f"(?-i:{re.escape(end)})") for begin, end in given]
    return (*exact, *((opening, closing) for opening, closing, _ in PAIRS))


@lru_cache(maxsize=16)
def _tags(given: Tags) -> re.Pattern[str]:
    """Return the pattern of every tag."""
    pairs = "|".join(
        f"(?P<open{row}>{opening})"
        + (f"|(?P<close{row}>{closing})" if closing not in (_RESPONSE, _DETAILS) else "")
        for row, (opening, closing) in enumerate(_rows(given))
    )
    first = {tag[0] for pair in given for tag in pair} | set("<[◁")
    signs = re.escape("".join(sorted(first)))
    saves_time = f"(?=[{signs}ath])(?=[{signs}]|analysis|assistantf|to=|Here)"
    return re.compile(f"{saves_time}(?:{_with_names(pairs)})", re.IGNORECASE)


def _with_names(pattern: str, form: str = "{}") -> str:
    """Return a pattern with the names in place of "{}" and "{+}"."""
    return pattern.replace("{}", form.format(_NAMES)).replace("{+}", form.format(_WIDER))


def without_reasoning(text: str, given: Tags | None = None) -> str:
    """Return the text without the model's reasoning, in time linear in its length.

    A template may open the reasoning in the prompt, so all before a lone closing tag is reasoning,
    unless nothing comes after it: then the tag is a stray one.  Reasoning that never closes leaves
    no answer.  A tag that the text quotes, or that stands in the middle of a line of a code block,
    is text.

    Args:
        text: what the model wrote.
        given: the user's tags; None takes those of `extra_tags`.
    """
    given, text = _given if given is None else given, text.lstrip()
    blocks = [match.span() for match in _BLOCK.finditer(text) if match[0].rstrip().endswith("```")]
    tags, kept, position = _tags(given), "", 0
    while tag := _next(tags, text, position, blocks):
        before, position = text[position : tag.start()], tag.end()
        if str(tag.lastgroup).startswith("open"):
            kept += before
            closing = _next(_closing(tag, given), text, position, blocks)
            if closing is not None:
                position = closing.end()
            elif _is_sentence(tag, given):  # any model may write it
                kept += tag[0]
            else:
                return kept.strip()
        elif _is_empty(text, position, given):
            return (kept + before).strip()
        else:
            kept = ""
    return (kept + text[position:]).strip()


def _next(
    pattern: re.Pattern[str], text: str, position: int, blocks: list[tuple[int, int]]
) -> re.Match[str] | None:
    """Return the next tag that is no part of what the text says."""
    for tag in pattern.finditer(text, position):
        if tag.groupdict().get("inner"):
            continue
        start, end = tag.span()
        quote = _QUOTES.get(text[start - 1 : start])
        if (quote and text.startswith(quote, end)) or _NOUN.match(text, end):
            continue
        block = bisect_right(blocks, (start, end)) - 1
        if block < 0 or start >= blocks[block][1] or _alone(text, start, end):
            return tag
    return None


def _row(tag: re.Match[str], given: Tags) -> tuple[str, str]:
    """Return the patterns of an opening tag and its closing ones."""
    return _rows(given)[int(str(tag.lastgroup).removeprefix("open"))]


def _is_sentence(tag: re.Match[str], given: Tags) -> bool:
    """Whether an opening tag is a plain sentence, which says nothing without the closing one."""
    return _row(tag, given)[0].startswith(r"\A")


def _closing(tag: re.Match[str], given: Tags) -> re.Pattern[str]:
    """Return the pattern of the closing tags that belong to an opening one."""
    return _closing_of(*_row(tag, given), tag[0])


@lru_cache(maxsize=256)
def _closing_of(opening_: str, closing: str, tag: str) -> re.Pattern[str]:
    tag_ = re.match(_with_names(opening_, "(?P<name>{})"), tag, re.IGNORECASE)
    name = re.escape((tag_.groupdict().get("name") if tag_ else "") or "")
    return re.compile(closing.replace("{}", name).replace("{+}", name), re.IGNORECASE)


def _alone(text: str, start: int, end: int) -> bool:
    """Whether nothing else stands on the line."""
    line_end = text.find("\n", end)
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return not before.strip() and not text[end : line_end if line_end >= 0 else None].strip()


def _is_empty(text: str, position: int, given: Tags) -> bool:
    """Whether a text says nothing from a position on: only spaces and special tokens."""
    if len(text) - position >= _STRAY:
        return False
    return not _tags(given).sub("", _SPECIAL.sub("", text[position:])).strip()


_AT_END = re.compile(
    r"(?:<\|channel>\w+|<\|open\|>\w+<\|sep\|>|Here are my reasoning steps:"
    r"|[<\[◁][^<>\[\]▷\s]{1,60}[>\]▷])\s*\Z"
)
# How the closing tag is made from the opening one, by the forms of `PAIRS`: signs, then words.
_SIGNS = (
    (r"^(.)(?!/)", r"\1/"),  # "<think>", "</think>"
    (r"^(.\|)(?!/)", r"\1/"),  # "<|think|>", "<|/think|>"
    (r"^<\|([^|]+)>(?:\w+)?$", r"<\1|>"),  # "<|channel>thought", "<channel|>"
)
_WORDS = {"begin": "end", "start": "end", "open": "close", "prefix": "suffix"}


def closings(tag: str) -> list[str]:
    """Return the texts that may close what a tag opens, by the forms that models use."""
    made = [re.sub(pattern, text, tag, count=1) for pattern, text in _SIGNS]
    for change in (str.lower, str.upper, str.capitalize):
        made += [tag.replace(change(first), change(last), 1) for first, last in _WORDS.items()]
    return [text for text in dict.fromkeys(made) if text != tag]


def is_known(tag: str, closing: str = "") -> bool:
    """Whether a tag opens reasoning by `PAIRS` alone, and a closing tag, if given, closes it."""
    if closing:
        return without_reasoning(f"{tag}\nx{closing}\ny", ()) == "y"
    match = _tags(()).fullmatch(tag)
    return match is not None and str(match.lastgroup).startswith("open")


def known_tags(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of `PAIRS` of which a chat template or a list of tokens names both tags.

    Of the usual ones the closing tag is enough: many templates only cut thoughts off there.
    """
    tags = {match[0] for match in _tags(()).finditer(text)}
    tags |= {tag.replace("/", "", 1) for tag in tags}
    opening_tags = [tag for tag in sorted(tags) if is_known(tag)]
    for tag in opening_tags:
        closing = next((other for other in sorted(tags) if is_known(tag, other)), None)
        if closing is not None:
            yield tag, closing


def opening(prompt: str) -> str:
    """Return the reasoning tag, with the space after it, that a rendered prompt ends with, or "".

    Chat templates of thinking models write it for the model: the answer begins inside the thought.
    """
    given = next((tag for tag, _ in _given if prompt.rstrip().endswith(tag)), None)
    if given is not None:
        return prompt[prompt.rindex(given) :]
    tag = _AT_END.search(prompt)
    # An opening tag leaves no answer; what is none is text.
    return tag[0] if tag is not None and is_known(tag[0].rstrip()) else ""


def closed(prompt: str) -> str:
    """Return a rendered prompt with the thought closed that it may have opened at its end.

    It is closed as Qwen3's template does without thinking: an empty thought.

    Raises:
        UsageError: it is not known how the tag closes.
    """
    opened = opening(prompt)
    if not opened:
        return prompt
    tag = opened.strip()
    known = (closing for closing in closings(tag) if is_known(tag, closing))
    closing = dict(_given).get(tag) or next(known, None)
    if closing is None:
        raise UsageError(
            f"the chat template opens a thought with {tag}, and no tag is known to close it"
        )
    return f"{prompt.rstrip()}\n\n{closing}\n\n"
