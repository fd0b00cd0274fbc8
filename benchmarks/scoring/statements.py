"""Finds what a response declares to be its answer in words: "the answer is" and its kin."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.scoring.phrases import I, Pattern, Row, pattern

MAX_SPANS = 12
# The words for "answer", "the right option" and "is", in many languages.
_FOREIGN = (
    r"\b(?:resposta|respuesta|réponse|antwort|risposta|odpowied\w+|odpověď|antwoord|svar\w*|vastaus"
    r"|jawaban\w*|cevap|yanıt|đáp án|răspuns\w*|válasz|ответ\w*|відповідь|απάντηση)\b"
    r"|ค.{1,2}ตอบ|उत्तर|답|정답|الإجابة|الجواب|答え|正解"
)
_ANSWER = (
    rf"(?:\b(?:answers?|ans\b\.?|(?:final|response|assistant|verdict|output)(?=\s?:))\b|{_FOREIGN})"
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
    r"|choice|chosen|decision|final decision|pick|select|selection|option letter)(?=\s?:)"
    rf"|\b(?:{_NOUNS}[ \t]+{_RIGHT}|{_RIGHT}[ \t]+{_NOUNS}|(?:правильн|верн)\w+[ \t]вариант)\b"
    r"|(?m:^)\W{0,3}(?:richtig|korrekt)(?=[ \t]ist\b)|[\"'](?:choice|option)(?=[\"']\s?:)"
)
_SAYS = (
    r"(?:[\"' \t]*[:=]+|[ \t]*[→⇒]|[ \t]*->|[ \t]*=>|[ \t]*[—–-][ \t]"
    r"|[^.:;\n?]{0,80}?(?:\b(?:is|are|was|be|es|est|é|è|ist|là|adalah|är|er|jest)\b"
    r"|为|是|は|은|는|คือ)[ \t]{0,3}:?)"
)
_CAPITAL = r"(?-i:[A-Z])"
_LETTER_ONLY = rf"(?=\(?{_CAPITAL}\)?\W{{0,2}}(?:\n|\Z))"
_LETTER = rf"(?=(?:(?:option|choice|answer|letter)[ \t])?[(\"'*]{{0,3}}{_CAPITAL}(?![\w']))"
# What announces an answer, which follows it.
LEADS = Pattern(
    Row(rf"(?:{_ANSWER}|{_OPTION}){_SAYS}", "The correct option is B", "The correct option"),
    Row(
        r"\b(?:I|we|let us|let's)"
        r"(?:'d|'ll|[ \t]+(?:would|will|should|must|therefore|thus|can|now))?"
        r"[ \t]+(?:choose|select|pick|(?:go|stick)[ \t]+with|(?:go|opt|settle)[ \t]+for"
        r"|settle[ \t]+on|(?:switch|change)[ \t]+to|answer|conclude"
        rf"|lean[ \t]+towards?|say(?=\s\(?{_CAPITAL}\b))\b[ \t]*:?"
        r"|\bI(?:'m|[ \t]am)[ \t](?:leaning[ \t]towards?|going[ \t](?:with|for))\b",
        "I would choose B",
        "I would lose B",
    ),
    Row(
        r"(?:\b(?:ich (?:wähle|nehme)|je choisis|elijo|escojo|escolho|scelgo|выбираю|wybieram"
        r"|ik kies)|\bI[ \t](?:guess|think|believe)|\bif I (?:had|have) to \w+,)[ \t](?:la |die )?"
        + _LETTER,
        "Ich wähle B",
        "Ich sehe B",
    ),
    Row(r"(?m:^)####", "#### B", "B ####"),
    Row(
        rf"(?:{_FOREIGN})[^.:;\n?]{{0,40}}?(?=(?<!\w)(?-i:[B-J])(?!\w))",
        "La risposta giusta sarebbe la B",
        "La risposta giusta",
    ),
    Row(
        r"(?<![不非])(?:正[确確](?:的)?(?:答案|[选選][项項])?(?=[^。\n]{0,3}[为為是:])|答案|回答|答(?=\s?:)"
        r"|[选選][项項择擇]?)(?:[应應該该当當]|[为為是选選择擇项項:：]|\s){0,6}"
        r"(?=[(\[《]?(?-i:[A-Z\d$\\-]))",
        "正确的是B",
        "不正确的是B",
    ),
    Row(
        r"(?:所以|因此|故|[则則]|即)[^。\n]{0,60}?(?:为|為|是|等于|选|選)\s{0,3}:?"
        rf"(?=\s?\(?{_CAPITAL}\)?\W{{0,2}}(?:\n|\Z))",
        "所以半径为B",
        "半径为B",
    ),
    Row(r"答案(?:应|應)?[为為是]", "答案为B", "为B"),
    Row(
        r"\b(?:it|that|this)(?:'s|[ \t](?:is|would be|must be|should be|has to be|corresponds to"
        r"|matches))[ \t](?:the[ \t])?"
        rf"(?=(?:option|choice|answer|letter)?[ \t]?\(?{_CAPITAL}\)?"
        r"(?:[.,;:!]|[ \t]+\(|[ \t]*$|[ \t](?:as|then)\b|[ \t]because\b))",
        "So it must be B.",
        "So it must be red.",
    ),
    Row(rf"(?m:^)(?:A|solution)[ \t]*:[ \t]*{_LETTER_ONLY}", "A: B", "A: blue"),
    Row(
        r"\b(?:leaves|leaving|left with|remains?|remaining (?:option|choice|answer|letter) is)"
        r"(?:[ \t](?:us|me|with|only|just)){0,3}[ \t](?:the[ \t])?" + _LETTER,
        "That leaves us with B",
        "That leaves us",
    ),
    Row(
        r"\bthe (?:option|choice|answer)\b[^.:;\n?]{1,60}\bis[ \t]"
        rf"(?=\(?{_CAPITAL}\)?[ \t]\()",
        "The option with the fewest legs is B (a bird)",
        "The option with legs is red",
    ),
    flags=I,
    # The first condition only saves time.
    frame=r"(?:\b(?=\w)|(?=[#\u3040-\u9fff\uac00-\ud7a3])|(?m:^)){}",
)
NEXT_KEY = pattern(r",\s*\"[\w ]{1,40}\"\s*:", '"B", "sure": 1', '"B", "C"')  # of JSON
# A whole key: no "incorrect_answer".
_KEY = pattern(
    r"(?<![\w-])(final|correct)_(?=answer(?![\w-]))", "final_answer: 4", "incorrect_answer: 4"
)
_CLOSING = re.compile(r"(?<=[\"'])\s*[}\]]+\s*\Z")  # the brackets behind a JSON string
_NEGATED = pattern(r"(?i)\b(?:not(?! only)|never|cannot)\b|n't\b", "isn't", "not only")
_UNREAL = pattern(
    r"(?i)\b(?:if(?! (?:we|I|one) (?:must|had|have))|whether|suppose|assum\w*|unless|pretend"
    r"|why|choices|format|form|candidate|not the case that(?![^.\n]*,)"
    r"|(?:not|never|cannot|\w+n't) (?:say|said|think|believe|claim|conclude))\b[^.\n]{0,25}\Z",
    "Suppose the ",
    "the ",
)
_LISTED = pattern(
    r"(?:choice|option)s?\s+\(?[A-Z]\b", "answer choice A is a pentagon", "the choice is A"
)
_DENIAL = pattern(
    r"(?i)\A(?:not\b(?! (?:among|listed|given|in)\b)|n't\b|neither\b)", "not B", "not listed"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the response that may hold the answer, the rule that found it, and its place."""

    rule: str
    text: str
    start: int = 0


def statements(text: str) -> list[Span]:
    """Return what follows each "the answer is" and its kin: no denials, conditions, questions."""
    found = []
    text = _KEY.sub(r"\1 ", text)
    leads = [*LEADS.finditer(text)]
    # A statement ends where the next one begins; of "Answer: Answer: B" only the last one counts.
    ends = [*(lead.start() for lead in leads[1:]), len(text)]
    stated = [(m, end) for m, end in zip(leads, ends, strict=False) if text[m.end() : end].strip()]
    for match, end in stated[-MAX_SPANS:]:
        before = text[max(0, match.start() - 40) : match.start()]
        rest = text[match.end() : min(match.end() + 600, end)].lstrip(" \t*_")
        if _UNREAL.search(before) or _NEGATED.search(match[0]) or _LISTED.search(match[0]):
            continue
        paragraph = NEXT_KEY.split(rest.lstrip("\n *_#:").partition("\n")[0])[0]
        paragraph = _CLOSING.sub("", paragraph)
        if paragraph and not _DENIAL.match(paragraph):
            found.append(Span("answer statement", paragraph, match.start()))
    return found
