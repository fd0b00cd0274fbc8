"""The clauses of a response, and the forms in which one mentions an answer without claiming it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scoring.claims.denials import AFTER, BEFORE, REJECTING_KEY, TURN
from benchmarks.scoring.phrases import Pattern, Row, pattern

_LONG = 150
_WRONG_ENDS = ("wrong", "incorrect", "impossible", "eliminated", "excluded", "ruled out", "false")
# Where a clause ends.
_BOUNDARY = Pattern(
    Row(
        r"(?<=[.!?])(?<!\b[A-Z\d]\.)(?<!\be\.g\.)(?<!\bi\.e\.)[\"')\]*]{0,3}\s+",
        "It is red. It is small.",
        "e.g. red",
    ),
    Row(
        r"(?<=[a-z)][A-Z]\.)\s+(?=[A-Z][a-z])|(?<=\s[A-Z]\.)\s+(?=[A-Z])"
        r"|(?<=[a-z]\s\d\.)\s+(?=[A-Z])",
        "It is B. It is red.",
        "B. red",
    ),
    Row(r"\n+|;\s+", "It is red; it is small.", "It is red"),
    Row(
        r"(?<!thing)(?<!\b[Aa]ll),?\s(?=(?:but|however(?!,)|yet|although|though|so|therefore|because"
        r"|since|whereas|while|as (?:it|the|[A-Z])|rather than|instead of|which)\b)",
        "It is B because A is red.",
        "all but A",
    ),
    Row(
        r",\s(?=(?:and\s)?not\b|in fact\b|the (?:correct |right )?answer\b|it is\b|it's\b)",
        "It is B, not A.",
        "It is red, blue",
    ),
    Row(r"\sand\s(?=[(\[]?[A-Z][)\]]?\sis\b)", "A is wrong and B is right.", "A and B are right"),
    Row(
        r"(?::|\s-)\s(?=the answer\b|it is\b|it's\b)",
        "It is not A - it's B.",
        "the answer is: B",
    ),
    Row(r"(?<=[A-Z)\]])\s(?=not\b)|\s(?=\(not\b)", "It is B not A.", "it is not A"),
    Row(r",\s(?=leaving\b)|(?<=\bnot [A-Z]):\s", "A and C are out, leaving B.", "A, C"),
    Row(
        "|".join(rf"(?<={end}),\s|(?<={end}\)),\s" for end in _WRONG_ENDS),
        "As A is wrong, B is right.",
        "A, B",
    ),
    Row(
        r",\s(?=(?:otherwise|else|if it|when it)\b)", "It is B if dark, otherwise A.", "if dark, A"
    ),
    Row(TURN, "Es B, no A.", "Es B"),
    Row(
        r",\s(?=[\"']\w+[\"']\s*:(?!\s*(?:true|false|[01])\b))",
        '"wrong": "A", "answer": "B"',
        '"option": "A", "correct": false',
    ),
    Row(
        r",?\s(?=(?:porque|ya que|pois|weil|denn|parce que|car (?:le|la|il|elle|[A-Z])"
        r"|perché|poiché|потому|так как)\b)"
        r"|(?<=[\u3040-\u9fff\uac00-\ud7a3])[.,](?=\S)|[.,](?=[\u3040-\u9fff\uac00-\ud7a3])",
        "Bです.Aではありません.",
        "a car",
    ),
    # The first condition only saves time.
    frame=r"(?:(?=[\s,;:.\"')\]*])|(?<=[く라고])|(?=而))(?:{})",
)
_VERB = (
    r"(?:is|are|was|were|isn't|aren't|wasn't|does|do|did|can|could|would|will|should|must|may|has"
    r"|seems?|looks?|appears?|cannot|fails?)"
)
_ADVERBS = r"(?:\s(?:\w+ly|also|therefore|thus|then|just|be|to be|been|an?|the|hence|far too|too))*"
_IS_WRONG = rf"{_VERB}{_ADVERBS}\s" + (
    r"(?:incorrect|wrong|false|untrue|unlikely|impossible|invalid|inaccurate|inconsistent|mistaken"
    r"|implausible|out\b|ruled out|eliminated|excluded|discarded|rejected|not\b(?! only)|never"
    r"|(?:only|just|merely) one of|no match"
    r"|neither|hardly|scarcely|barely|far from|anything but|by no means|at odds with"
    r"|(?:(?:common|classic|typical|tempting|obvious|popular|likely|mere) )?"
    r"(?:trap|distractor|decoy|red herring|lure|illusion|misconception|myth)\b"
    r"|(?:second.best|runner.up|(?:wor|poore|weake)st|poor|bad|weak"
    r"|least (?:likely|plausible|probable"
    r"|suitable|convincing|appropriate|fitting|accurate|sensible))\b)"
)
_DENIES_AFTER = (
    r"(?:(?!\b(?:that|which|who|and|or|where|than|else)\b)[^,.;:\n]){0,30}?"
    rf"(?:\b{_IS_WRONG}|\b\w+(?:n't\b|\s?cannot\b|\sfails?\b)|\s?\bcannot\b|\bfails?\b"
    r"|(?<!\bnever )\b(?:violates?|contradicts?)\b"
    r"|\bmakes (?:the least|no|little) sense\b)"
    rf"|,?\s(?:however,? )?{_IS_WRONG}|[\")\]]*\s\((?:wrong|incorrect|false)\b"
)
_DENIES_BEFORE = (
    r"(?:\b(?:not(?! only)|never|cannot|neither|rather than|instead of|except(?: for)?|other than"
    r"|(?:any|every)thing but|all but|opposite of(?= §+(?!§| (?:is|are)\b))|hardly|rules? out"
    r"|eliminate|exclude|discard|reject|unlikely|myth that|misconception"
    r"|doubt|wrong|incorrect|false|worst|least (?:likely|plausible|probable|suitable)|unlike"
    r"|different from|whether|(?:say|tell|know|sure|clear) if"
    r"|nowhere near|far from|disagree|no way|no longer|lacks?|less(?= §)"
    r"|confus(?:e|es|ed|ing)"
    r"|mistak(?:e|es|en|ing))\b|n't\b|!=|≠|\\neq?\b)[^,.;:\n]{0,40}?"
)
_GAP = r"[^,.;:。\n]{0,20}?"
_MENTION = re.compile("§+")
# Lower case throughout: faster than without attention to case.
_DENIAL = Pattern(
    Row(rf"§(?:\s?(?:{_DENIES_AFTER})|{_GAP}(?:{AFTER}))", "§ is hardly right", "§ is right"),
    Row(rf"(?:{_DENIES_BEFORE}|(?:{BEFORE}){_GAP})§", "it is not §", "not only §"),
    Row(
        r"§[\"')\]]*,?\s*[\"']\w*(?:correct|valid|right|select|chosen|answer)\w*[\"']"
        r"\s*:\s*(?:false|0)\b",
        '§", "correct": false',
        '§", "correct": true',
    ),
    Row(
        r"§[^,.;:\n]{0,30}?\b(?:one|option|choice|answer) (?:that |which )?(?:i|we)"
        r" (?:can |could |would )?(?:exclude|eliminate|reject|rule out|discard|dismiss)\b",
        "§ is the only one i can exclude",
        "§ is the answer once we exclude the rest",
    ),
    Row(
        r"\b(?:trap|distractor|decoy|second.best) (?:answer|option|choice) (?:here )?"
        r"(?:is|was|would be) (?:option )?§",
        "the trap answer is §",
        "the bear trap is §",
    ),
    Row(
        REJECTING_KEY + "§",
        '"not_answer": "§"',
        '"note": "§"',
    ),
)
# A clause that begins with a marked letter: what it says is no verdict on it.
_LISTED = pattern(
    r"\s*[(\[]?[A-Z](?:[)\]]|[.:])\s"
    r"(?!(?:is|are|was|does|can|cannot|has|not|wrong|incorrect|false)\b)",
    "(A) It is not red",
    "(A) is not red",
)
_CONDITION = pattern(
    r"(?i)\A\W*(?:so |and |but )?(?:if|assuming|suppos(?:e|ing)|unless|provided|were|had|should)\b",
    "If B is red",
    "B, if it is red",
)
SUBJUNCTIVE = pattern(
    r"(?i)\b(?:if|unless|had|were)\s(?!i\b|we\b|you\b|forced\b|one\b|any\b)[^,.;\n]{0,60}"
    r"\b(?:were|was|had|did|could|would)\b"
    r"|\b(?:(?:any|some)(?:one|body)|people|those|students?) (?:who|that) (?:overlook|mis|forg[eo]t"
    r"|ignor|skip|confus|guess|neglect|(?:do|does|did)(?: not|n't) )[^,.;\n]{1,60}\bwould\b"
    r"|\A\W*(?:or )?(?:else|otherwise),? (?:it|that|the answer) would\b"
    r"|\A\W*(?:so |and )?(?:were|had)\s(?:it|the|this|that|they)\b|\bonly if\b|\bif so\b"
    r"|\A[^\w§]*(?:(?:the |my )?(?:answer|option|choice)[^\w§]+|it |that )?"
    r"(?:(?:§+|\d[\d.,]*)[^\w§]*\s)?would have been\b",
    "It is B if it were blue.",
    "If I had to guess, B.",
)
_TENTATIVE = pattern(
    r"(?i)\b(?:first|initial(?:ly)?|glance|thought|guess(?:ed)?|seem\w*|look(?:s|ed)?|appear\w*|might"
    r"|may|could|would|lean(?:ing)? towards?|tempt\w+|close|plausible|possible)\b"
    r"|看起来|看似|似乎|好像|看着",
    "It looks blue.",
    "It is blue.",
)
_MAYBE = pattern(
    r"(?i)\b(?:might|may|could|tempt\w+|close|plausible|possible)\b", "might be", "it looks"
)
# Two possible answers: "I lean towards A, but it could be B".
_LEANS = pattern(r"\bleans?(?:ing)? towards?\W+§", "I lean towards §", "It leans on §")
_ADDS = pattern(
    r"\W*but (?:it|the answer) (?:could|might|may) (?:also |well )?be\b",
    "but it may be B",
    "it is B",
)
# What was first thought, where another answer follows: "My first answer was B. ... So C."
_THOUGHT = (
    r"\b(?:first|initial|original|earlier|previous) (?:\w+ )?"
    r"(?:answer|choice|guess|thought|impression|pick|instinct|reaction|reading)\b"
)
_ONCE = pattern(
    rf"(?i)\b(?:was|were) (?:my |our |the )?{_THOUGHT}|{_THOUGHT}[^.;:]{{0,20}}?\b(?:was|were)\b",
    "my first answer was B",
    "the first option is B",
)
_NAME = pattern(r"(?<=\s)[A-Z]\w+", "but Sweden seems better", "but I am unsure")
_TURN = pattern(
    r"(?i)\A\W*(?:(?:but|however|yet|in fact|in reality|actually|though|it)\b"
    r"|但|不过|然而|其实|实际上)",
    "but it is red",
    "red, but",
)
_CONCEDES = pattern(
    r"(?i)\A\W*(?:although|though|while|whereas|rather than|instead of|unlike|not)\b",
    "Although B is red",
    "B, although",
)
_WHICH_IS_WRONG = pattern(
    rf"(?i)\A\W*(?:which\s{_VERB}{_ADVERBS}\s(?:incorrect|wrong|false|mis\w+|typo|mistake|error"
    r"|not (?:\w+ ){0,2}(?:correct|right|true|possible|answer))\b"
    r"|which (?:I|we) (?:\w+ly |must |would )?(?:dispute|doubt|reject|deny|disagree with|withdraw"
    r"|retract|take back)\b"
    r"|which (?:I|we) (?:do not|don't) (?:believe|accept)\W*\Z"
    r"|(?:so|and|hence|therefore|thus)\s(?:it is |is )?not (?:the|an?)"
    r" (?:\w+ )?(?:answer|option)\b"
    r"|(?:this|that) (?:\w+ )?(?:option|answer|choice)\b[^,.;]{0,40}?"
    r"(?:\bnot\b|n't\b|\bcannot|\b(?:wrong|incorrect|false)\b))",
    "which is not correct",
    "which is correct",
)
# An answer for each of several cases is none: "B if it is dark, otherwise C".
_CASE = re.compile(
    r"(?i)\b(?P<condition>if|when|in case)\b|\A\W*(?:and |but |or )?(?:otherwise|else)\b"
)
_STATES = re.compile(r"(?i)\b(?:answer|otherwise|else)\b")
_OTHERWISE = re.compile(r"(?i)\W*(?:otherwise|else|if not)\W*")
# It denies the rest.
_ALL_BUT = pattern(
    r"(?i)\b(?:all|any\w*|every\w*|each)(?: \w+)? (?:but|except(?: for)?|other than|apart from)\b"
    rf".{{1,40}}\b{_IS_WRONG}",
    "Everything except B can be ruled out",
    "Everything but B is red",
)
# A response that sees no image may quote the form of an answer.
UNSEEN = pattern(
    r"(?i)\b(?:cannot|can't|can not|unable to|(?:do|did)(?: not|n't)) (?:\w+ )?"
    r"(?:see|view|access|open|assist|display|process|analy[sz]e|find|receive)\b"
    r"|\b(?:no|without (?:an?|any|the)) (?:image|picture|figure|photo|attachment)"
    r"|\bplease (?:up|provide|share|attach|send)"
    r"|\b(?:once|if|after) you (?:upload|provide|share|attach)",
    "I can't view the image.",
    "I can see the image.",
)
EXAMPLE = pattern(
    r"(?i)\be\.g\.|\b(?:for (?:example|instance)|such as|form(?:at)?|like (?:this|so)|typical"
    r"|template|would look)\b",
    "in the format (B)",
    "in formation",
)
_ASKS = pattern(r"\w[^?\n]*\w[^?\n]*\?[\"')*\s]*\Z", "Is it B?", "Is it B? Yes.")


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

    @property
    def denies(self) -> bool:
        """Whether the clause denies what it mentions."""
        return bool(_DENIAL.search(ends_of(self.covered).lower()))

    def claims_none(self, later: list[Clause], names: bool) -> bool:
        """Whether it mentions options and claims none; ``names``: not all of them are known."""
        # An option's own words deny, concede and suppose nothing.
        text, following = ends_of(self.covered), later[0].text if later else ""
        if _WHICH_IS_WRONG.match(following):
            return True
        if _LISTED.match(self.text) or _ALL_BUT.search(text):
            return False
        if _ASKS.match(ends_of(self.text).strip()) or self.denies or _CONCEDES.match(text):
            return True
        if SUBJUNCTIVE.search(text) or self._supposes():
            return True
        if _ONCE.search(text) and any(c.mentions and not c.denies for c in later):
            return True
        turns = _TURN.match(following) and _TENTATIVE.search(text) and not later[0].denies
        near = later[: 3 if _MAYBE.search(text) else 1]
        named = any(c.mentions or (names and _NAME.search(c.text)) for c in near)
        return bool(turns) and named

    def only_adds(self, before: Clause) -> bool:
        """Whether it names what else is possible, behind an answer that is leaned towards."""
        return bool(_LEANS.search(before.covered) and _ADDS.match(self.text))

    def case(self, before: str, number: bool) -> str:
        """Return the answer that it gives under a condition, else "", with the clause before it."""
        text, start = self.text, 0
        case = _CASE.search(self.covered)  # not one within an option's own text
        if (number and not _STATES.search(text)) or not (case or _OTHERWISE.fullmatch(before)):
            return ""
        if case and case["condition"]:
            begins = not text[: case.start()].strip(" ,")
            start = text.find(",") + 1 if begins else 0
            text = text if begins else text[: case.start()]
        name = _MENTION.search(self.covered[: len(text)], start)
        return text[name.start() : name.end()].strip(" ()[]\"'") if name else ""

    def _supposes(self) -> bool:
        """Whether the clause begins with a condition that names an answer."""
        condition = self.covered.partition(",")[0]
        return bool(_CONDITION.match(self.text)) and ("§" in condition or "nless" in condition)


def ends_of(text: str) -> str:
    """Return a clause without the middle of one that is longer than any in prose."""
    return f"{text[:_LONG]} … {text[-_LONG:]}" if len(text) > 2 * _LONG else text


def clauses_of(text: str, covered: str) -> Iterator[Clause]:
    """Yield the clauses of a text, of which ``covered`` is the covered form."""
    position = 0
    for match in [*_BOUNDARY.finditer(text), None]:
        end = match.start() if match else len(text)
        if match and match[0] == ", " and _CONDITION.match(text[position:end]):
            continue
        comma = text.find(", ", position, end) if _CONCEDES.match(text[position:end]) else -1
        for stop in (comma, end):
            if stop > position:
                yield Clause(position, stop, text[position:stop], covered[position:stop])
                position = stop
        position = match.end() if match else end
