"""Finds the final answer in a response: the rules that all kinds of answer share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.scoring.normal import normal
from benchmarks.scoring.phrases import CONCLUDES, I, Pattern, Row, pattern
from benchmarks.scoring.statements import MAX_SPANS, Span, statements
from harness.reasoning import without_reasoning

_HEAD, _TAIL = 2_000, 8_000
_BOX_LIMIT = 2_000
_SENTENCE, _LIST = 200, 8
_CONTROL = pattern(
    r"<\|python_tag\|>[^\n]*|<\|[^|<>\n]{1,40}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|start_of_turn)>",
    "<|im_end|>",
    "<B>",
)
_BOX = pattern(r"\\(?:f|frame)?box(?:ed)?\s{0,3}\{", "\\\\boxed{B}", "boxed{B}")
_NOT_BOX = pattern(r"(?i)\b(?:not|instead of|rather than)\s[$(\s]{0,4}\Z", "9 (not ", "not 9, but ")
_BOX_DENIED = pattern(
    r"(?i)[$\s.]{0,4}is (?:wrong|incorrect|not)\b|\$?\s?\?", "$ is wrong", "$ is right"
)
_TAG = pattern(
    r"(?i)[<\[](?P<name>(?:final_?)?answer|ans|conclusion|final|solution|output|result|response)[>\]]"
    r"(?P<inner>[^<]{0,2000}?)(?:[<\[]/(?P=name)[>\]]|\Z)",
    "<answer>B</answer>",
    "answer: B",
)

# A line or sentence that only takes leave.
LEAVE = pattern(
    r"(?i)^\W*(?:(?:so |please )?(?:i hope|hope (?:this|that|it)|let me know|feel free"
    r"|is there anything|do you have|would you like|if you (?:have|need|would)"
    r"|note that|note:|please note|remember that|thank you|thanks"
    r"|i am (?:still )?(?:learning|under)))",
    "I hope this helps!",
    "The hope is B",
)
_CONCLUSION = pattern(
    rf"(?i)\A\W{{0,3}}(?:{CONCLUDES}|overall|in summary"
    r"|this (?:indicates|suggests|means|implies|shows))\b(?! far\b)",
    "Therefore, B",
    "B, therefore",
)
_CODE = re.compile(r"```[^`]{0,4000}```")
_ALIGNED = re.compile(
    r"(?:\$\$|\\\[)?\s{0,3}\\begin\{(?P<name>(?:align(?:ed)?|gather(?:ed)?|split)\*?)\}"
    r"(?P<inner>[^{}]{0,40}(?:(?!\\(?:begin|end)\{).){0,2000})\\end\{(?P=name)\}\s{0,3}(?:\$\$|\\\])?",
    re.DOTALL,
)
# The last row of a table that sums up the others, at the end of the text.
_TOTAL = pattern(
    r"^[ \t|*_]*(?:grand )?(?:total|sum|overall|altogether|gesamt|summe|合计|总计)"
    r"[^|\n]{0,20}\|(?:[^|\n]*\|)*?([^|\n]*\w[^|\n]*)\|?\s*\Z",
    "| Total | 12 |",
    "The total is 12 |",
    I | re.MULTILINE,
)
# The rules that read a response which declares no answer.
UNDECLARED = {"whole response", "emphasis", "conclusion", "last sentence", "first sentence"}
# Drawing code, and calls of tools but those that give an answer.
_ANSWERS = "(?i:answer|finish|submit|final)"
_NO_PROSE = Pattern(
    Row(r"\[asy\](?:(?!\[asy\]).){0,4000}?(?:\[/asy\]|\Z)", "[asy]draw()[/asy]", "draw()"),
    Row(
        r"(?:<(?:tool_call|function_call|tool_code)>|```tool_(?:call|code)\b)"
        rf"(?:(?!{_ANSWERS}|<tool_|<function_).){{0,4000}}?(?:</(?:tool_|function_)\w+>|```|\Z)",
        '<tool_call>{"name": "zoom"}</tool_call>',
        '<tool_call>{"name": "answer"}</tool_call>',
    ),
    Row(
        rf"^Action(?: Input)?:[ \t]*(?!{_ANSWERS})(?:\w+[\[(]|\{{)[^\n]*",
        "Action: select[B]",
        "Action: Finish[B]",
    ),
    Row(
        rf"\A\s*(?!{_ANSWERS})[a-z_][\w.]{{2,60}}\((?=[^\n)]{{0,200}}[\"'{{])[^\n]*\)\s*\Z",
        'functions.search({"query": "Rome"})',
        "sin(2x)",
    ),
    flags=re.DOTALL | re.MULTILINE,
)
# How a text ends that stops in the middle of a sentence.
_CUT = pattern(
    r"(?i)(?:[=+*/^\\({<]|\\(?:[dt]?frac|cdot|times|sqrt|left)"
    r"|\b(?:is|are|was|were|the|an|of|and|or|to|have|has|get|that|which|with|by|so|therefore|thus"
    r"|hence|since|because|from|on|at|for|we|if|than|not|be|where|when),?)\Z",
    "so the area is",
    "It is 5.",
)
_SENTENCE_END = re.compile(
    r"(?m)(?<=[.!?])(?<!^[A-Z\d]\.)(?<!\bNo\.(?=\s?\d))(?<!\b[DMS][rst]\.)(?<!\bvs\.)(?<!\b[ei]\.[ge]\.)"
    r"['\"”)\]*]{0,4}\s+(?=\S)|\n+"
)


def clean(text: str) -> str:
    """Return a response without thinking and control tokens, with plain signs.

    Of one longer than 10,000 characters the first 2,000 and the last 8,000 are kept.
    """
    text = _shortened(without_reasoning(_shortened(text, 8)))
    return _CONTROL.sub("", normal(text)).strip()


def _shortened(text: str, times: int = 1) -> str:
    head, tail = times * _HEAD, times * _TAIL
    return text if len(text) <= head + tail else f"{text[:head]}\n\n{text[-tail:]}"


def _lines(match: re.Match[str]) -> str:
    """Return the equations of an ``aligned`` environment, one per line."""
    return "\n" + match["inner"].replace("\\\\", "\n").replace("&", "") + "\n"


def flat(text: str) -> str:
    """Return a cleaned response without markdown: emphasis, headings, quotes, rules."""
    text = _ALIGNED.sub(_lines, text)
    text = re.sub(r"~~[^~\n]{1,80}~~", "", _NO_PROSE.sub("", text))
    text = re.sub(r"\*\*(?!-?\d)|(?<!\d)\*\*|__(?=\S)|(?<=\S)__", "", text)
    return re.sub(r"(?m)^[ \t]{0,8}(?:#{1,6}[ \t]|>[ \t]?(?!=?\s?[-\d.])|-{3,}$|\*{3,}$)", "", text)


def boxes(text: str) -> Iterator[Span]:
    r"""Yield the contents of every closed ``\boxed{...}`` (and ``\fbox``), innermost, in order."""
    closing = _closing_braces(text)
    for match in _BOX.finditer(text):
        end = closing.get(match.end() - 1)
        if end is None or end - match.end() > _BOX_LIMIT:
            continue
        denied = _BOX_DENIED.match(text, end + 1) or _NOT_BOX.search(text[: match.start()][-20:])
        if not (denied or _BOX.search(text, match.end(), end)):
            yield Span("boxed", text[match.end() : end].strip(), match.start())


def _closing_braces(text: str) -> dict[int, int]:
    """Return the position of the closing brace of every opening one, escaped braces aside."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            pairs[opened.pop()] = match.start()
    return pairs


def cut_off(text: str) -> bool:
    """Whether a text stops in the middle of a sentence, as at a limit of tokens."""
    end = text[-_SENTENCE:].rstrip(" $*_\n")
    listed = end.endswith(",") and len(end.split()) > _LIST  # longer than "red, blue,"
    return listed or bool(_CUT.search(end))


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text: no pleasantries, no code blocks, no table rows."""
    text = _CODE.sub("\n", text)
    pieces = (piece.strip() for piece in _SENTENCE_END.split(text))
    return [piece for piece in pieces if piece and not LEAVE.match(piece) and piece.count("|") < 2]


def conclusions(pieces: list[str]) -> list[str]:
    """Return the sentences that begin with "therefore", "so" and their kin, the last one first."""
    return [piece for piece in reversed(pieces) if _CONCLUSION.match(piece)]


def declared(text: str) -> list[Span]:
    """Return the spans that a response declares to be its answer: boxes first, the last first."""
    tags = (Span("answer tag", m["inner"].strip(), m.start()) for m in _TAG.finditer(text))
    found = [*boxes(text)][-MAX_SPANS:] + statements(text) + [*tags][-MAX_SPANS:]
    if total := _TOTAL.search(text):
        found.append(Span("table total", total[1].strip(), total.start()))
    return sorted(found, key=lambda span: (span.rule == "boxed", span.start), reverse=True)
