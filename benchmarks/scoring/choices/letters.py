"""Option letters: the forms in which models write them; articles and pronouns are none."""

from __future__ import annotations

import re
from functools import lru_cache

from benchmarks.scoring.phrases import CONCLUDES, NOUN, WORDLY

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mathbb|bf|rm|mbox"
    r"|boldsymbol|operatorname|underline|emph|left|right)(?![a-z])\s{0,2}"
)
_ITALIC = re.compile(r"(?<![\w\\])_([A-Z])_(?!\w)")
_LATEX_NOISE = re.compile(
    r"\\[()\[\],;:! ]|[$~`{}]|\\(?:quad|qquad|displaystyle)\b|(?<!\w)\*(?!\s)|(?<!\s)\*(?!\w)"
)
_SIGNED = re.compile(r"-\s?\\?\$(?=[\d.])")  # "-$750"
_BRACKETS = str.maketrans("《》", "()")
_QUOTED = re.compile(r"(?<!\w)[\"']([A-Za-z])[.,]?[\"'](?!\w)")
_FILLER = re.compile(
    r"(?i)(?:\s|[\"':]|[=>](?!\s?\d)|[-—](?!\s?[\d.$\\(])|\b(?:but|it's|therefore|thus|hence|clearly|simply|indeed|most|likely|probably|also"
    r"|then|actually|definitely|the|option|choice|letter|answer|number|alternative|as|follows"
    r"|correct|following|best|is|es|é|è|est|ist|c'est|opción|opção|lettre|letra|lettera|alternativa|opzione|alternativ|вариант|réponse|antwort|la|le|el|il"
    r"|die|der|das|(?-i:a(?=\s(?:letra|alternativa|opção|[A-Z]\b))))\b|选项|的是){1,12}"
)
_BEHIND = r"(?=\s{1,3}(?:because|since|as|due|given|based|which|where|with|for|is|are|in)\b)"
_JUDGED = (
    r"(?:is|are|would be|must be|should be|seems|appears|looks)\s(?:therefore\s|thus\s|clearly\s)?"
    r"(?:to be\s)?(?:the\s)?(?:most\s|only\s|best\s)?"
    r"(?:correct|right|answer|accurate|appropriate|best|suitable|true|plausible|likely)\b"
)
_FITS = r"(?:fits?|match(?:es)?|works?|applies)\b(?! (?:less|worse))"
_BEFORE_END = (
    r"(?:\b(?:it's|that's|is|be|get|by|choose|pick|select|with|label(?:l?ed)?|marked|as)|=)"
)
_MARKED = re.compile(r"\(\s?([A-Z])\s?\)|\[([A-Z])\]")
# "A dog" is no mention of option A, "A is" is one.
_NO_ARTICLE = (
    r"(?!(?<=[AI])\s(?!is\b|was\b|and\b|or\b|can|does|may\b|would\b|looks|seems|if\b|has\b"
    r"|fits)[a-z])"
)
_COMPARES = re.compile(r"\b(?:than|unlike|as)\b")
_MANY = 50


@lru_cache(maxsize=256)
def simplify(text: str) -> str:
    """Return text without LaTeX wrappers and signs that carry no meaning for an option."""
    text = _SIGNED.sub("-", text)
    text = _LATEX_NOISE.sub(" ", _WRAPPER.sub(" ", _ITALIC.sub(r"\1", text)))
    text = text.translate(_BRACKETS)
    text = _QUOTED.sub(r"(\1)", text)
    return re.sub(r"[ \t]+", " ", text).strip()


def letter(index: int) -> str:
    """Return the letter of an option."""
    return chr(ord("A") + index)


def after_filler(text: str) -> int:
    """Return where a statement begins behind "therefore", "the option" and their kin."""
    match = _FILLER.match(text)
    return match.end() if match else 0


def marked(text: str) -> list[str]:
    """Return the capital letters in brackets, ``(B)``, in order, whether options or not."""
    return [_group(match) for match in _MARKED.finditer(text)]


def named(text: str, noun: str = NOUN) -> list[str]:
    """Return the letters named as options, "option B", in order; ``noun`` is a pattern."""
    return _named(noun).findall(text)


@lru_cache(maxsize=256)
def _named(noun: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?i:{noun})\s[(\"']{{0,2}}([A-Z])(?![\w'*+/^=]|,\s?[A-Z]\b)")


@lru_cache(maxsize=64)
def mention_of(count: int) -> re.Pattern[str]:
    """Return a pattern of a mention of one of so many options by its letter."""
    last = letter(count - 1)
    return re.compile(
        rf"(?<!{WORDLY})(?<!\\)[(\[\"']{{0,2}}[A-{last}]{_NO_ARTICLE}[)\]\"']{{0,2}}(?!{WORDLY})"
    )


class Letters:
    """The letter forms for one number of options; `letters_for` keeps them."""

    def __init__(self, count: int) -> None:
        last = letter(count - 1)
        up, any_case = f"[A-{last}]", f"[A-{last}a-{last.lower()}]"
        no_word = "".join(letter(i) for i in range(count) if letter(i) not in "AI") or "~"
        bare = (
            rf"(?P<dot>{any_case})\s?(?=[).\]](?!\w)|:(?![A-Za-z]\b))|(?P<end>{any_case})(?=\W{{0,3}}(?:$|\n))"
            rf"|(?P<mid>{up})(?=\s?[,;\-—/](?![\w$.\\])|[,;](?=[\u3040-\u9fff])|\s\(|\s(?:and|or|&)\s)|(?P<reason>{up}){_BEHIND}"
            rf"|(?P<sure>[{no_word}])(?=\s(?![<>=≤≥]{{1,2}}\s?\(?{up}(?![\w>])))|(?P<east>{up})(?=[\u3040-\u9fff\uac00-\ud7a3])"
        )
        other = rf"(?:\(\s?{any_case}\s?\)|{up}(?![\w'])|{any_case}(?=\W{{0,2}}(?:$|\n)))"
        self.token = re.compile(rf"[(\[<]\s?(?P<in>{any_case})\s?(?:[)\]>]|\Z)|{bare}")
        self.more = re.compile(
            rf"[).\s]{{0,3}}(?:,?\s?(?:(?:and|or)\s(?:possibly\s|perhaps\s|maybe\s)|and|or|&|/|与|和|或)\s?(?P<other>{other})"
            rf"|,\s?(?P<next>{other})(?=\s?(?:,|and\b|or\b|are\b|&|[.)]|$)))"
        )
        self.judged = re.compile(
            rf"(?<![\w'])(?P<others>(?:[(\[]?{up}[)\]]?(?:,\s(?:and\s|or\s)?|\s(?:and|or|&)\s(?:[a-z-]+\s){{0,3}})){{0,6}})"
            rf"[(\[]?(?P<judged>{up})[)\]]?[.:]?\s(?:{_JUDGED}|{_FITS})|(?P<east>{up})\s?(?:[选選][项項])?是?正[确確]"
        )
        self.concluded = re.compile(
            rf"\b(?i:{CONCLUDES})[,:]?\s(?i:it is\s|the answer is\s)?(?:(?i:{NOUN}\s)\(?({up})"
            rf"(?![\w'])|\(({up})\)|({up})(?=[.,;:]|\s*$))(?!\)?\s(?:is|are)\s(?:not|in|less)\b)",
            re.MULTILINE,
        )
        self.remaining = re.compile(
            rf"\b(?i:only|all but|except(?: for)?|other than|apart from)\s(?:(?i:{NOUN})\s)?"
            rf"[(\[]?(?P<left>{up})[)\]]?"
            r"(?=\s(?i:remains|is left|survives|fits|works|can be|are|is))"
            rf"|(?<![\w'])(?P<it>{up})\s(?:it is|remains|is (?:left|what remains|all that))\b"
        )
        self.ending = re.compile(rf"{_BEFORE_END}\s?({up})\W{{0,2}}\Z")
        self.line = re.compile(
            rf"(?:(?i:{NOUN})\s)?(?:[(\[]({any_case})[)\]]|({up})(?:[).](?!\w)|:(?![A-Za-z]\b))|({up})(?=\s*$))"
        )

    def at(self, text: str, position: int = 0) -> tuple[str, ...]:
        """Return the letter that stands at a position, and those joined to it by "and"."""
        match = self.token.match(text, position)
        if not match:
            return ()
        found = [match[match.lastgroup or 0].upper()]
        end = match.end()
        while more := self.more.match(text, end):
            found.append((more["other"] or more["next"]).strip("() ").upper())
            end = more.end()
        return tuple(dict.fromkeys(found))

    def on_line(self, line: str) -> str | None:
        """Return the letter with which a line begins: ``(B) text``, ``B. text``, ``B``."""
        match = self.line.match(line)
        return _group(match) if match else None

    def is_letter(self, sentence: str) -> str | None:
        """Return the letter that a sentence consists of, or None."""
        match = self.line.fullmatch(sentence.rstrip(" ."))
        return _group(match) if match else None

    def judgement(self, text: str) -> tuple[tuple[str, ...], str, str] | None:
        """Return letters, rule and part where a text judges or concludes: "B is right", "So B"."""
        for rule, form in (("conclusion", self.concluded), ("remaining option", self.remaining)):
            if matches := [*form.finditer(text)]:
                return (_group(matches[-1]),), rule, matches[-1][0]
        if matches := [*self.judged.finditer(text)][-_MANY:]:
            judged = {
                *(match["judged"] or match["east"] for match in matches),
                *(name for match in matches for name in re.findall("[A-Z]", match["others"] or "")),
            }
            return tuple(sorted(judged)), "verdict", matches[-1][0]
        match = self.ending.search(text)
        if match and not _COMPARES.search(text, text.rfind(". ") + 1):
            return (_group(match),), "ending letter", match[0]
        return None


letters_for = lru_cache(maxsize=32)(Letters)


def names_no_option(text: str, position: int) -> bool:
    """Whether a letter beyond the options stands at a position: "(E)" of four.  Call it last."""
    match = letters_for(26).token.match(text, position)
    if not match or match.lastgroup not in {"in", "end", "dot"}:
        return False
    return match[match.lastgroup].isupper()


def _group(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()
