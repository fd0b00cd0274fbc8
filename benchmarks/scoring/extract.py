"""Finds the final answer in a response: the rules that all kinds of answer share.

Yields spans, the most explicit first, each with its rule's name.  Every function is linear in the
text, whose length `clean` bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scoring.normal import normal
from harness.reasoning import without_reasoning

_HEAD, _TAIL = 2_000, 8_000
_SPANS = 12
_BOX_LIMIT = 2_000
_SENTENCE, _LIST = 200, 8
_CONTROL = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|start_of_turn)>")
_BOX = re.compile(r"\\(?:f|frame)?box(?:ed)?\s{0,3}\{")
_BOX_DENIED = re.compile(r"[$\s.]{0,4}is (?:wrong|incorrect|not)\b", re.IGNORECASE)
_TAG = re.compile(
    r"[<\[](?P<name>(?:final_?)?answer|ans|conclusion|final|solution|output|result|response)[>\]]"
    r"(?P<inner>[^<]{0,2000}?)(?:[<\[]/(?P=name)[>\]]|\Z)",
    re.IGNORECASE,
)

# The words for "answer", "the right option" and "is", in many languages.
_FOREIGN = (
    r"\b(?:resposta|respuesta|réponse|antwort|risposta|odpowied\w+|odpověď|antwoord|svar\w*|vastaus"
    r"|jawaban\w*|cevap|yanıt|đáp án|răspuns\w*|válasz|ответ\w*|відповідь|απάντηση)\b"
    r"|ค.{1,2}ตอบ|उत्तर|답|정답|الإجابة|الجواب|答え|正解"
)
_ANSWER = (
    rf"(?:\b(?:answers?|ans\b\.?|final(?=\s?:)|response(?=\s?:)|assistant(?=\s?:))\b|{_FOREIGN})"
)
_RIGHT = (
    r"(?:corr[eé]\w*t[aoe]?|certa|giusta|exacta?e?|bonne|juste|richtige\w*|korrekte\w*|verdadera)"
)
_NOUNS = (
    r"(?:opci[oó]n|opç[ãa]o|option|alternativa|opzione|lettera|letra|lettre|antwort|réponse|wahl)"
)
_OPTION = (
    r"\b(?:(?:correct|right|best|chosen|selected|closest|final|appropriate|suitable|likely|plausible)"
    r"[ \t]+(?:answer[ \t]+)?|my[ \t]+)"
    r"(?:option|choice|letter|alternative|selection|conclusion|match|pick)\b|(?m:^)\W{0,3}(?:option"
    r"|choice|select|selection|option letter)(?=\s?:)"
    rf"|\b(?:{_NOUNS}[ \t]+{_RIGHT}|{_RIGHT}[ \t]+{_NOUNS}|(?:правильн|верн)\w+[ \t]вариант)\b"
    r"|(?m:^)\W{0,3}(?:richtig|korrekt)(?=[ \t]ist\b)"
)
_SAYS = (
    r"(?:[\"' \t]*[:=]+|[ \t]*[→⇒]|[ \t]*->|[ \t]*=>|[ \t]*[—–-][ \t]"
    r"|[^.:;\n?]{0,80}?(?:\b(?:is|are|was|be|es|est|é|è|ist|là|adalah|är|er|jest)\b"
    r"|为|是|は|은|는|คือ)[ \t]{0,3}:?)"
)
_CAPITAL = r"(?-i:[A-Z])"
_LETTER_ONLY = rf"(?=\(?{_CAPITAL}\)?\W{{0,2}}(?:\n|\Z))"
_LETTER = rf"(?=(?:(?:option|choice|answer|letter)[ \t])?[(\"'*]{{0,3}}{_CAPITAL}(?![\w']))"
# What announces an answer, which follows it: its pattern, and an example of the answer B.
LEADS: tuple[tuple[str, str], ...] = (
    (rf"(?:{_ANSWER}|{_OPTION}){_SAYS}", "The correct option is B"),
    (rf"{_ANSWER}[ \t]+{_LETTER_ONLY}", "Answer B"),
    (
        r"\b(?:I|we|let us|let's)(?:'d|'ll|[ \t]+(?:would|will|should|must|therefore|thus|can))?"
        r"[ \t]+(?:choose|select|pick|go[ \t]+with|go[ \t]+for|answer|conclude"
        rf"|lean[ \t]+towards?|say(?=\s\(?{_CAPITAL}\b))\b[ \t]*:?",
        "I would choose B",
    ),
    (
        r"(?:\b(?:ich (?:wähle|nehme)|je choisis|elijo|escojo|escolho|scelgo|выбираю|wybieram"
        r"|ik kies)|\bI[ \t](?:guess|think|believe)|\bif I (?:had|have) to \w+,)[ \t](?:la |die )?"
        + _LETTER,
        "Ich wähle B",
    ),
    (r"(?m:^)####", "#### B"),
    (
        rf"(?:{_FOREIGN})[^.:;\n?]{{0,40}}?(?=(?<!\w)(?-i:[B-J])(?!\w))",
        "La risposta giusta sarebbe la B",
    ),
    (
        r"(?<![不非])(?:正[确確](?:的)?(?:答案|[选選][项項])?(?=[^。\n]{0,3}[为為是:])|答案|回答"
        r"|[选選][项項择擇]?)(?:[应應該该当當]|[为為是选選择擇项項:：]|\s){0,6}"
        r"(?=[(\[《]?(?-i:[A-Z\d$\\-]))",
        "正确的是B",
    ),
    (
        r"(?:所以|因此|故|[则則]|即)[^。\n]{0,60}?(?:为|為|是|等于|选|選)\s{0,3}:?"
        rf"(?=\s?\(?{_CAPITAL}\)?\W{{0,2}}(?:\n|\Z))",
        "所以半径为B",
    ),
    (r"答案(?:应|應)?[为為是]", "答案为B"),
    (
        r"\b(?:it|that|this)(?:'s|[ \t](?:is|would be|must be|should be|has to be|corresponds to"
        r"|matches))[ \t](?:the[ \t])?"
        rf"(?=(?:option|choice|answer|letter)?[ \t]?\(?{_CAPITAL}\)?"
        r"(?:[.,;:!]|[ \t]+\(|[ \t]*$|[ \t](?:as|then)\b|[ \t]because\b))",
        "So it must be B.",
    ),
    (rf"(?m:^)(?:A|solution)[ \t]*:[ \t]*{_LETTER_ONLY}", "A: B"),
    (
        r"\b(?:leaves|leaving|left with|remains?|remaining (?:option|choice|answer|letter) is)"
        r"(?:[ \t](?:us|me|with|only|just)){0,3}[ \t](?:the[ \t])?" + _LETTER,
        "That leaves us with B",
    ),
    (
        r"\bthe (?:option|choice|answer)\b[^.:;\n?]{1,60}\bis[ \t]"
        rf"(?=\(?{_CAPITAL}\)?[ \t]\()",
        "The option with the fewest legs is B (a bird)",
    ),
    (
        r"\b(?:only|last|one)[ \t](?:\w+[ \t])?(?:option|choice|answer|letter|candidate)[ \t]"
        r"(?:that (?:is )?)?(?:left|remaining|remains|fits|works)[ \t]is[ \t]" + _LETTER,
        "The only option left is B",
    ),
)
_LEAD = re.compile(
    # The first condition only saves time.
    r"(?:\b(?=\w)|(?=[#\u3040-\u9fff\uac00-\ud7a3])|(?m:^))"
    rf"(?:{'|'.join(pattern for pattern, _ in LEADS)})",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:not(?! only)|never|cannot)\b|n't\b", re.IGNORECASE)
_UNREAL = re.compile(
    r"\b(?:if(?! (?:we|I|one) (?:must|had|have))|whether|suppose|assum\w*|unless|pretend"
    r"|why|choices|format|form)\b[^.\n]{0,25}\Z",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:choice|option)s?\s+\(?[A-Z]\b")  # "answer choice A is a pentagon"
_DENIAL = re.compile(r"not\b(?! (?:among|listed|given|in)\b)|n't\b|neither\b", re.IGNORECASE)
_CLOSER = re.compile(
    r"^\W*(?:(?:so |please )?(?:i hope|hope (?:this|that|it)|let me know|feel free"
    r"|is there anything|do you have|would you like|if you (?:have|need|would)"
    r"|note that|note:|please note|remember that|thank you|thanks"
    r"|i am (?:still )?(?:learning|under)))",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\W{0,3}(?:therefore|thus|hence|so|consequently|accordingly|in conclusion|conclusion|finally"
    r"|as a result|overall|in summary|this (?:indicates|suggests|means|implies|shows))\b(?! far\b)",
    re.IGNORECASE,
)
_CODE = re.compile(r"```[^`]{0,4000}```")
_ALIGNED = re.compile(
    r"(?:\$\$|\\\[)?\s{0,3}\\begin\{(?P<name>(?:align(?:ed)?|gather(?:ed)?|split)\*?)\}"
    r"(?P<inner>[^{}]{0,40}(?:(?!\\(?:begin|end)\{).){0,2000})\\end\{(?P=name)\}\s{0,3}(?:\$\$|\\\])?",
    re.DOTALL,
)
# The last row of a table that sums up the others, at the end of the text.
_TOTAL = re.compile(
    r"^[ \t|*_]*(?:grand )?(?:total|sum|overall|altogether|gesamt|summe|合计|总计)"
    r"[^|\n]{0,20}\|(?:[^|\n]*\|)*?([^|\n]*\w[^|\n]*)\|?\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)
# The rules that read a response which declares no answer.
UNDECLARED = {"whole response", "emphasis", "conclusion", "last sentence", "first sentence"}
# Drawing code, and calls of tools but those that give an answer.
_NO_PROSE = re.compile(
    r"\[asy\](?:(?!\[asy\]).){0,4000}?(?:\[/asy\]|\Z)"
    r"|<tool_call>(?:(?!answer|<tool_call>).){0,4000}?</tool_call>",
    re.DOTALL,
)
# How a text ends that stops in the middle of a sentence.
_CUT = re.compile(
    r"(?:[=+*/^\\({<]|\\(?:[dt]?frac|cdot|times|sqrt|left)"
    r"|\b(?:is|are|was|were|the|an|of|and|or|to|have|has|get|that|which|with|by|so|therefore|thus"
    r"|hence|since|because|from|on|at|for|we|if|than|not|be|where|when),?)\Z",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?m)(?<=[.!?])(?<!^[A-Z\d]\.)(?<!\bNo\.)(?<!\b[DMS][rst]\.)(?<!\bvs\.)(?<!\b[ei]\.[ge]\.)"
    r"['\"”)\]*]{0,4}\s+(?=\S)|\n+"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the response that may hold the answer, the rule that found it, and its place."""

    rule: str
    text: str
    start: int = 0


def clean(text: str) -> str:
    """Return a response ready to be read: no thinking, no control tokens, plain signs.

    Of a response longer than 10,000 characters the first 2,000 and the last 8,000 are kept: an
    answer stands at an end.
    """
    if len(text) > 8 * (_HEAD + _TAIL):
        text = text[: 4 * _HEAD] + "\n\n" + text[-4 * _TAIL :]
    text = without_reasoning(text)
    if len(text) > _HEAD + _TAIL:
        text = text[:_HEAD] + "\n\n" + text[-_TAIL:]
    return _CONTROL.sub("", normal(text)).strip()


def _lines(match: re.Match[str]) -> str:
    """Return the equations of an ``aligned`` environment, one per line."""
    return "\n" + match["inner"].replace("\\\\", "\n").replace("&", "") + "\n"


def flat(text: str) -> str:
    """Return a cleaned response without markdown: emphasis, headings, quotes, rules."""
    text = _ALIGNED.sub(_lines, text)
    text = re.sub(r"~~[^~\n]{1,80}~~", "", _NO_PROSE.sub("", text))
    text = re.sub(r"\*\*(?!-?\d)|(?<!\d)\*\*|__(?=\S)|(?<=\S)__", "", text)
    return re.sub(r"(?m)^[ \t]{0,8}(?:#{1,6}[ \t]|>[ \t]?(?!=?\s?[-\d.])|-{3,}$|\*{3,}$)", "", text)


def boxed(text: str) -> list[str]:
    r"""Return the contents of every closed ``\boxed{...}`` (and ``\fbox``), innermost, in order."""
    return [span.text for span in _boxes(text)]


def _boxes(text: str) -> Iterator[Span]:
    closing = _closing_braces(text)
    for match in _BOX.finditer(text):
        end = closing.get(match.end() - 1)
        if end is None or end - match.end() > _BOX_LIMIT:
            continue
        if not (_BOX.search(text, match.end(), end) or _BOX_DENIED.match(text, end + 1)):
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


def statements(text: str) -> list[Span]:
    """Return what follows each "the answer is" and its kin, in order of appearance.

    Denials ("the answer is not A"), conditions ("if the answer is A") and questions are left out.
    """
    found = []
    leads = [*_LEAD.finditer(text)]
    # A statement ends where the next one begins; of "Answer: Answer: B" only the last one counts.
    ends = [*(lead.start() for lead in leads[1:]), len(text)]
    stated = [(m, end) for m, end in zip(leads, ends, strict=False) if text[m.end() : end].strip()]
    for match, end in stated[-_SPANS:]:
        before = text[max(0, match.start() - 40) : match.start()]
        rest = text[match.end() : min(match.end() + 600, end)].lstrip(" \t*_")
        if _UNREAL.search(before) or _NEGATED.search(match[0]) or _LISTED.search(match[0]):
            continue
        paragraph, _, following = rest.lstrip("\n ").partition("\n")
        if not paragraph.strip(" *_#:$>-"):
            paragraph = following.lstrip("\n ").partition("\n")[0]
        if paragraph and not _DENIAL.match(paragraph):
            found.append(Span("answer statement", paragraph, match.start()))
    return found


def cut_off(text: str) -> bool:
    """Whether a text stops in the middle of a sentence, as at a limit of tokens."""
    end = text[-_SENTENCE:].rstrip(" $*_\n")
    listed = end.endswith(",") and len(end.split()) > _LIST  # longer than "red, blue,"
    return listed or bool(_CUT.search(end))


def pleasantry(piece: str) -> bool:
    """Whether a line or sentence only takes leave: "I hope this helps!"."""
    return bool(_CLOSER.match(piece))


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text: no pleasantries, no code blocks, no table rows."""
    text = _CODE.sub("\n", text)
    pieces = (piece.strip() for piece in _SENTENCE_END.split(text))
    return [piece for piece in pieces if piece and not pleasantry(piece) and piece.count("|") < 2]


def conclusions(pieces: list[str]) -> list[str]:
    """Return the sentences that begin with "therefore", "so" and their kin, the last one first."""
    return [piece for piece in reversed(pieces) if _CONCLUSION.match(piece)]


def declared(text: str) -> list[Span]:
    """Return the spans that the response itself declares to be its answer, the most plain first.

    A box counts for more than a tag or a statement, and of its kind the last one: models correct
    themselves.
    """
    found = [*_boxes(text)][-_SPANS:] + statements(text)
    for match in [*_TAG.finditer(text)][-_SPANS:]:
        found.append(Span("answer tag", match["inner"].strip(), match.start()))
    if total := _TOTAL.search(text):
        found.append(Span("table total", total[1].strip(), total.start()))
    return sorted(found, key=lambda span: (span.rule == "boxed", span.start), reverse=True)
