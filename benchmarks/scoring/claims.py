"""Takes out of a response what it does not claim: what it denies, supposes, asks or takes back.

Works on clauses, each with the options that it mentions.  What is left is read as the answer, so a
denied option never changes a verdict.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from benchmarks.scoring.denials import AFTER, BEFORE, TURN
from benchmarks.scoring.value_claims import DENIED, is_open

T = TypeVar("T")
Mentioned = Literal["option", "value", "number"]
# "The answer is A. Wait, B.": what comes before is taken back if what comes after is an answer.
_RETRACTED = re.compile(
    r"(?:(?<=[.!?,;:)\n*}…])|(?<=\s[-—]))\s{0,3}(?:"
    r"wait|hold on|oops|h+m+|scratch that|correction|corrected|(?:i'm |i am )?sorry|my mistake"
    r"|on (?:second thoughts?|reflection|closer \w+|further \w+|a second \w+)|apologies"
    r"|actually|i (?:meant|misread|miscounted|made an? \w+)"
    r"|let me (?:re-?[a-z]+|(?:look|check|count|think|try|see)(?: \w+)? again|correct)"
    r")\b[\s,.:;!…-]{0,8}(?:no\b[\s,.:;!]+)?(?:i meant\s)?"
    r"|(?:\.{3}|[?…—,]|\s-)\s{0,3}(?P<no>no)\b[,:]\s*",
    re.IGNORECASE,
)
# A model that runs on invents further questions and answers them.
_RUN_ON = re.compile(
    r"\n[ \t]{0,8}(?:(?:Hint:[^\n]{0,200}\n)?[ \t]{0,8}(?:Question|Problem|Human|User|Q)\s?\d*\s?:"
    r"|The (?:correct )?option letter for\b)"
)
_WRONG_ENDS = ("wrong", "incorrect", "impossible", "eliminated", "excluded", "ruled out", "false")
# Where a clause ends, each with an example of two clauses.
BOUNDARIES: tuple[tuple[str, str], ...] = (
    (
        r"(?<=[.!?])(?<!\b[A-Z\d]\.)(?<!\be\.g\.)(?<!\bi\.e\.)[\"')\]*]{0,3}\s+",
        "It is red. It is small.",
    ),
    (r"(?<=[.!?]\*\*)\s+", "**It is red.** It is small."),
    (
        r"(?<=[a-z)][A-Z]\.)\s+(?=[A-Z][a-z])|(?<=\s[A-Z]\.)\s+(?=[A-Z])"
        r"|(?<=[a-z]\s\d\.)\s+(?=[A-Z])",
        "It is B. It is red.",
    ),
    (r"\n+|;\s+", "It is red; it is small."),
    (
        r"(?<!thing)(?<!\b[Aa]ll),?\s(?=(?:but|however(?!,)|yet|although|though|so|therefore|because|since|whereas|while"
        r"|as (?:it|the|[A-Z])|rather than|instead of|which)\b)",
        "It is B because A is red.",
    ),
    (
        r",\s(?=(?:and\s)?not\b|in fact\b|the (?:correct |right )?answer\b|it is\b|it's\b)",
        "It is B, not A.",
    ),
    (r"\sand\s(?=[(\[]?[A-Z][)\]]?\sis\b)", "A is wrong and B is right."),
    (r":\s(?=the answer\b|it is\b)", "A does not fit: the answer is B."),
    (r"(?<=[A-Z)\]])\s(?=not\b)|\s(?=\(not\b)", "It is B not A."),
    (r",\s(?=leaving\b)|(?<=\bnot [A-Z]):\s", "A and C are out, leaving B."),
    ("|".join(rf"(?<={end}),\s" for end in _WRONG_ENDS), "As A is wrong, B is right."),
    (r",\s(?=(?:otherwise|else|if it|when it)\b)", "It is B if it is dark, otherwise A."),
    (TURN, "Es B, no A."),
    (
        r",?\s(?=(?:porque|ya que|pois|weil|denn|parce que|car (?:le|la|il|elle|[A-Z])"
        r"|perché|poiché|потому|так как)\b)"
        r"|(?<=[\u3040-\u9fff\uac00-\ud7a3])[.,](?=\S)|[.,](?=[\u3040-\u9fff\uac00-\ud7a3])",
        "Bです.Aではありません.",
    ),
)
# The first condition only saves time.
_BOUNDARY = re.compile(
    r"(?:(?=[\s,;:.\"')\]*])|(?<=[く라고])|(?=而))"
    rf"(?:{'|'.join(pattern for pattern, _ in BOUNDARIES)})"
)
_WRONG = (
    r"(?:incorrect|wrong|false|untrue|unlikely|impossible|invalid|inaccurate|inconsistent|mistaken"
    r"|implausible|out\b|ruled out|eliminated|excluded|discarded|rejected|not\b(?! only)|never"
    r"|no match|neither|hardly|scarcely|barely|far from|anything but|by no means|at odds with"
    r"|(?:second.best|(?:wor|poore|weake)st|poor|bad|weak|least (?:likely|plausible|probable"
    r"|suitable|convincing|appropriate|fitting|accurate|sensible))\b)"
)
_VERB = (
    r"(?:is|are|was|were|isn't|aren't|wasn't|does|do|did|can|could|would|will|should|must|may|has"
    r"|seems?|looks?|appears?|cannot|fails?)"
)
_ADVERBS = r"(?:\s(?:\w+ly|also|therefore|thus|then|just|be|to be|been|an?|the|hence|far too|too))*"
_NO = r"(?:n't\b|\s?cannot\b|\sfails?\b)"
_DENIES_AFTER = (
    r"(?:(?!\b(?:that|which|who|and|or|where|than)\b)[^,.;:\n]){0,30}?"
    rf"(?:\b{_VERB}{_ADVERBS}\s{_WRONG}|\b\w+{_NO}|\s?\bcannot\b|\bfails?\b"
    r"|\bmakes (?:the least|no|little) sense\b)"
    rf"|,?\s(?:however,? )?{_VERB}{_ADVERBS}\s{_WRONG}"
)
_DENIES_BEFORE = (
    r"(?:\b(?:not(?! only)|never|cannot|neither|rather than|instead of|except(?: for)?|other than"
    r"|(?:any|every)thing but|all but|rules? out|eliminate|exclude|discard|reject|unlikely|doubt"
    r"|wrong|incorrect|false|worst|least (?:likely|plausible|probable|suitable)|unlike"
    r"|different from|whether|nowhere near|far from)\b|n't\b)[^,.;:\n]{0,40}?"
)
_GAP = r"[^,.;:。\n]{0,20}?"
_MENTION = re.compile("§+")
# Lower case throughout: faster than without attention to case.
_DENIAL = re.compile(
    rf"§(?:\s?(?:{_DENIES_AFTER})|{_GAP}(?:{AFTER}))"
    rf"|(?:{_DENIES_BEFORE}|(?:{BEFORE}){_GAP})§"
)
# A clause that begins with a marked letter: what it says is no verdict on it.
_LISTED = re.compile(
    r"\s*[(\[]?[A-Z](?:[)\]]|[.:])\s"
    r"(?!(?:is|are|was|does|can|cannot|has|not|wrong|incorrect|false)\b)"
)
_CONDITION = re.compile(
    r"\W*(?:(?:so |and |but )?(?:if|assuming|suppose|supposing|unless|provided|were|had|should)\b)",
    re.IGNORECASE,
)
_SUBJUNCTIVE = re.compile(
    r"\b(?:if|unless|had|were)\s(?!i\b|we\b|you\b|forced\b|one\b|any\b)[^,.;\n]{0,60}"
    r"\b(?:were|was|had|did|could|would)\b"
    r"|\A\W*(?:so |and )?(?:were|had)\s(?:it|the|this|that|they)\b|\bonly if\b|\bif so\b",
    re.IGNORECASE,
)
_TENTATIVE = re.compile(
    r"\b(?:first|initial(?:ly)?|glance|thought|guess(?:ed)?|seem\w*|look(?:s|ed)?|appear\w*|might"
    r"|may|could|would|tempt\w+|close|plausible|possible)\b",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"\b(?:might|may|could|tempt\w+|close|plausible|possible)\b", re.IGNORECASE)
_TURN = re.compile(r"\W*(?:but|however|yet|in fact|in reality|actually|though|it)\b", re.IGNORECASE)
_CONCEDES = re.compile(
    r"\W*(?:although|though|while|whereas|rather than|instead of|unlike|not)\b", re.IGNORECASE
)
_WHICH_IS_WRONG = re.compile(
    rf"\W*which\s{_VERB}{_ADVERBS}\s(?:incorrect|wrong|false"
    r"|not (?:\w+ ){0,2}(?:correct|right|true|possible|answer))\b"
    r"|\W*(?:so|and|hence|therefore|thus)\s(?:it is |is )?not (?:the|an?)"
    r" (?:\w+ )?(?:answer|option)\b",
    re.IGNORECASE,
)
# An answer for each of several cases is none: "B if it is dark, otherwise C".
_CASE = re.compile(
    r"\b(?P<condition>if|when|in case)\b|\A\W*(?:and |but |or )?(?:otherwise|else)\b", re.IGNORECASE
)
_STATES = re.compile(r"\b(?:answer|otherwise|else)\b", re.IGNORECASE)
_OTHERWISE = re.compile(r"\W*(?:otherwise|else|if not)\W*", re.IGNORECASE)
# "Everything except B can be ruled out" denies the rest.
_ALL_BUT = re.compile(
    r"\b(?:all|any\w*|every\w*|each)(?: \w+)? (?:but|except(?: for)?|other than|apart from)\b"
    rf".{{1,40}}\b{_VERB}{_ADVERBS}\s{_WRONG}",
    re.IGNORECASE,
)
# A response that sees no image may quote the form of an answer.
_UNSEEN = re.compile(
    r"\b(?:cannot|can't|can not|unable to|(?:do|did)(?: not|n't)) (?:\w+ )?"
    r"(?:see|view|access|open|assist|display|process|analy[sz]e|find|receive)\b"
    r"|\bno (?:image|picture|figure|photo|attachment)"
    r"|\bplease (?:up|provide|share|attach|send)"
    r"|\b(?:once|if|after) you (?:upload|provide|share|attach)",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"\be\.g\.|\b(?:for (?:example|instance)|such as|form(?:at)?|like (?:this|so)|typical|template"
    r"|would look)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(r"\w[^?\n]*\w[^?\n]*\?[\"')*\s]*\Z")


_PARTS, _LONG, _NEAR = 6, 150, 2


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of a text with its place; in ``covered`` each mention of an answer is a "§§§"."""

    start: int
    end: int
    text: str
    covered: str

    @property
    def mentions(self) -> bool:
        """Whether the clause mentions a possible answer."""
        return "§" in self.covered


def segments(text: str, with_no: bool) -> list[str]:
    """Return a text in the parts between which it takes back what it said, in order.

    ``with_no``: "..., no, ..." takes back too; not where "no" may be an answer.
    """
    begins = [0]
    ends = []
    for match in _RETRACTED.finditer(text):
        if match["no"] and not with_no:
            continue
        ends.append(match.start())
        begins.append(match.end())
    parts = [text[a:b] for a, b in zip(begins, [*ends, len(text)], strict=True)]
    return [text[: begins[-_PARTS]], *parts[-_PARTS:]] if len(parts) > _PARTS else parts


def last_claim(
    text: str, read: Callable[[str, str], tuple[T | None, list[str]]], with_no: bool
) -> tuple[T | None, list[str]]:
    """Read the last part of a response that states something and is not taken back.

    Args:
        text: a cleaned response.
        read: reads a part, given what comes behind it: what the part states, or None, and what
            was passed over in it.
        with_no: as `segments` has it.

    Returns:
        What was read, or None, and the parts that were passed over.
    """
    parts = segments(without_run_on(text), with_no)
    later: list[str] = []
    for index in reversed(range(len(parts))):
        found, passed = read(parts[index], " ".join(parts[index + 1 :]))
        if found is not None:
            taken_back = [part.strip()[-_LONG // 2 :] for part in parts[:index] if part.strip()]
            return found, [*taken_back, *passed]
        later = passed + later
    return None, later


def without_run_on(text: str) -> str:
    """Return a text without the further questions that a model invents behind its answer."""
    match = _RUN_ON.search(text.lstrip())
    return text.lstrip()[: match.start()] if match else text


def claimed(
    text: str, mention: str, masked: str = "", kind: Mentioned = "option"
) -> tuple[str, list[str]]:
    """Return a text without the clauses that mention an answer and do not claim it, and these.

    Args:
        text: a cleaned response.
        mention: a regular expression that finds a mention of a possible answer.
        masked: the text with other characters in place of words that deny nothing here (an option
            may be "It does not move"), of the same length; the text itself where left out.
        kind: of a ``value`` only plain denials count, as derivations are full of conditions; a
            ``number`` is no bound and no choice of two either.
    """
    rules = _Rules(kind)
    clauses = [*_clauses(masked or text, _covered(masked or text, mention))]
    dropped = rules.cases(clauses)
    if _UNSEEN.search(text):
        dropped |= {i for i, clause in enumerate(clauses) if _EXAMPLE.search(clause.text)}
    kept, passed, position = [], [], 0
    for index, clause in enumerate(clauses):
        if index in dropped or rules.drops(clauses, index):
            kept.append(text[position : clause.start])
            passed.append(text[clause.start : clause.end].strip(" ,"))
            position = clause.end
    return "".join([*kept, text[position:]]).lstrip(" ,;"), passed


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules for one kind of answer."""

    kind: Mentioned

    def drops(self, clauses: list[Clause], index: int) -> bool:
        """Whether a clause mentions an answer and does not claim it."""
        clause, later = clauses[index], clauses[index + 1 : index + 4]
        text = _ends(clause.text)
        if not clause.mentions or (self.kind == "option" and _LISTED.match(clause.text)):
            return False
        if self.kind != "option":
            supposed = DENIED.search(text) or _SUBJUNCTIVE.search(text)
            return bool(supposed) or (self.kind == "number" and is_open(text))
        if _ALL_BUT.search(text):
            return False
        if _ASKS.match(text.strip()) or _denies(clause) or _CONCEDES.match(text):
            return True
        if _SUBJUNCTIVE.search(text) or _supposes(clause):
            return True
        following = later[0].text if later else ""
        mentioned = any(c.mentions for c in later[: 3 if _MAYBE.search(text) else 1])
        if _WHICH_IS_WRONG.match(following):
            return True
        return bool(
            _TURN.match(following)
            and mentioned
            and _TENTATIVE.search(text)
            and not _denies(later[0])
        )

    def cases(self, clauses: list[Clause]) -> set[int]:
        """Return the clauses that give different answers for different cases."""
        named = [(i, name) for i in range(len(clauses)) if (name := self._case(clauses, i))]
        return {
            index
            for (i, name), (j, other) in itertools.pairwise(named)
            if name != other and j - i <= _NEAR
            for index in (i, j)
        }

    def _case(self, clauses: list[Clause], index: int) -> str:
        """Return the answer that a clause gives under a condition, else ""."""
        clause = clauses[index]
        text, start = clause.text, 0
        case = _CASE.search(text)
        if self.kind != "option" and not _STATES.search(text):
            return ""
        if not case and not (index and _OTHERWISE.fullmatch(clauses[index - 1].text)):
            return ""
        if case and case["condition"]:
            begins = not text[: case.start()].strip(" ,")
            start = text.find(",") + 1 if begins else 0
            text = text if begins else text[: case.start()]
        name = _MENTION.search(clause.covered, start, len(text))
        return text[name.start() : name.end()].strip(" ()[]\"'") if name else ""


def _supposes(clause: Clause) -> bool:
    """Whether a clause begins with a condition that names an answer."""
    if not _CONDITION.match(clause.text):
        return False
    if clause.text.lstrip().lower().startswith("unless"):
        return True
    return "§" in clause.covered.partition(",")[0] or "otherwise" in clause.text


def _denies(clause: Clause) -> bool:
    return bool(_DENIAL.search(_ends(clause.covered).lower()))


def _ends(text: str) -> str:
    """Return a clause without the middle of one that is longer than any in prose."""
    return f"{text[:_LONG]} … {text[-_LONG:]}" if len(text) > 2 * _LONG else text


def _covered(text: str, mention: str) -> str:
    """Return a text of the same length in which each mention of an answer is a "§§§"."""
    return re.sub(mention, lambda match: "§" * len(match[0]), text)


def _clauses(text: str, covered: str) -> Iterator[Clause]:
    position = 0
    for match in [*_BOUNDARY.finditer(text), None]:
        end = match.start() if match else len(text)
        if match and match[0] == ", " and _CONDITION.match(text, position):
            continue
        comma = text.find(", ", position, end) if _CONCEDES.match(text, position) else -1
        if comma >= 0:
            yield Clause(position, comma, text[position:comma], covered[position:comma])
            position = comma
        if end > position:
            yield Clause(position, end, text[position:end], covered[position:end])
        position = match.end() if match else end
