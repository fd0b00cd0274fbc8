r"""Brings mathematics as models write it (LaTeX, Unicode, calculator notation) to one notation.

`prepare` gives one spelling to each sign, ``½`` or ``\dfrac12`` to ``\frac{1}{2}``; `tokens_of`
cuts the result into tokens for the parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.scoring.normal import normal

MAX_TOKENS = 240

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau"
    " upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega"
).split()
GREEK = frozenset({*_GREEK_NAMES, "hbar", "ell"})
FUNCTIONS = frozenset(
    ("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp sqrt").split()
)
_SIGN_NAMES = "pi sqrt infty pm leq geq neq approx cup in angle".split() + _GREEK_NAMES
_SIGNS = {
    sign: f"\\{name} "
    for sign, name in zip("π√∞±≤≥≠≈∪∈∠αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΣΦΨΩ", _SIGN_NAMES, strict=True)
}
_SIGNS |= {"°": "^\\circ ", "度": "^\\circ ", "∛": "\\sqrt[3]", "×": "*", "·": "*", "÷": "/"}
_SIGNS |= {"掳": "^\\circ "}  # a degree sign read in the wrong encoding
_SIGNS |= {"厘米": "\\text{cm}", "毫米": "\\text{mm}", "千米": "\\text{km}", "公里": "\\text{km}"}
_SIGNS |= {"米": "\\text{m}", "平方厘米": "\\text{cm}^2", "平方米": "\\text{m}^2"}
_SIGNS |= {"负": "-", "負": "-", "和": " and ", "或": " or "}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000}
SCALES |= {"million": 10**6, "billion": 10**9, "trillion": 10**12}


def _as_text(match: re.Match[str]) -> str:
    """Mark words set as text; a number or a sign set as text is itself."""
    inner = re.sub(r"\\(?:[,;:!> ]|cdot|times)|~", " ", match["inner"]).strip()
    return f" ⟨{inner}⟩ " if re.search(r"[A-Za-z]", inner) else f" {inner} "


def _as_fraction(match: re.Match[str]) -> str:
    top, bottom = match[1] or match[2] or "", match[3] or match[4] or ""
    return f"\\frac{{{top}}}{{{bottom}}}"


def _as_mixed(match: re.Match[str]) -> str:
    """Add a whole number and the fraction behind it: 2 1/2."""
    top, bottom = match[2] or match[4], match[3] or match[5]
    return f"({match[1]}+{top}/{bottom})" if int(top) < int(bottom) else match[0]


_INNER = r"(?:[^{}]|\{[^{}]{0,40}\}){0,120}"  # what braces hold, with braces inside
_ARGUMENT = r"(?:\s?(\d)|\s?\{\s?([^{}]{0,200}?)\s?\})"
_DEGREE = r"\\(?:degrees?|deg|textdegree)(?![A-Za-z])"
# What is rewritten, in this order; behind each an example.
_REWRITTEN: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"√\s?(\d+(?:\.\d+)?|[A-Za-z])", r"\\sqrt{\1}"),  # √30: all digits, unlike \sqrt
    ("|".join(sorted(_SIGNS, key=len, reverse=True)), lambda match: _SIGNS[match[0]]),
    (r"\\!\s?", ""),  # 1\!,000
    (r"\{,\}", ","),  # 1{,}000
    (r"\\(?:SI|qty)\{([^{}]*)\}\{([^{}]*)\}", r"\1 \\text{\2}"),  # \SI{12}{m/s}
    (rf"\^?\s?\{{{_DEGREE}\}}|\^?\s?{_DEGREE}", r"^\\circ "),  # 30\degree
    (r"\\circ(?=[A-Z])", r"\\circ "),  # 20^\circC
    (r"\^\s?\{\s?\\circ\s?\}|(?<=[\d})])\\circ\b", r"^\\circ "),  # 30^{\circ}, 30\circ
    (r"\*\*", "^"),  # 2**10
    (r"(?<=[\w)}])\s(?:(squared)|cubed)\b", lambda match: "^2" if match[1] else "^3"),
    (r"\{\\(?:rm|bf|it)\s([^{}]{0,60})\}", r"\\text{\1}"),  # 5{\rm cm}
    (
        r"\\(?:text\w{0,6}|mathrm|mathsf|[mh]box|rm|operatorname|unit|si)\s{0,2}"
        rf"\{{(?P<inner>{_INNER})\}}",  # 5\text{ cm}
        _as_text,
    ),
    (r"(?<!log)(?<!log\s)_\{\s?⟨?([^{}⟨⟩]{1,60})⟩?\s?\}", r"_⟨\1⟩"),  # v_{max}
    (r"(?<=\d)\s*⟨?\s?\bto\b\s?⟩?\s*(?=\d)", ":"),  # 3 to 4
    (r"\b(?:minus|negative)\s+(?=[\d.$\\(])", "-"),  # negative 3
    (r"(?<=\d)\s?[xX]\s?(?=10\s?\^)|(?<=\d)\s[xX]\s(?=[\d.])", "*"),  # 3 x 10^8
    (rf"\\[dtc]?frac(?![A-Za-z]){_ARGUMENT}{_ARGUMENT}", _as_fraction),  # \dfrac12
    (
        r"(?<![\w.,/^_}])(\d{1,6})(?: +(\d{1,4})\s?/\s?(\d{1,4})(?![\d.])"
        r"|\s*\\frac\{(\d{1,4})\}\{(\d{1,4})\})",  # 2 1/2, 2\frac{1}{2}
        _as_mixed,
    ),
    (rf"(?<=[\d)])\s?\b({'|'.join(SCALES)})\b", lambda match: f"*{SCALES[match[1]]}"),
    (
        r"\\(?:left|right|displaystyle|textstyle|limits|nolimits|[bB]ig+[lrm]?|quad|qquad|rm"
        r"|bf|it)(?![A-Za-z])|\\[,;:> ]|\\(?=\$)|[$~]|\{\s*\}|\\phantom\{[^{}]*\}|\\[()\[\]]",
        " ",
    ),
    (r"\\(?:boxed|mathbf|mathit|mathbb|mathcal|boldsymbol|bm|vec|overline|bar|hat|dot)\s?", ""),
    (r"^[\u4e00-\u9fff,:]{1,20}\s?(?=[-\d.\\])", ""),  # 一共有12
    (r"(?<=\d)\s?([\u4e00-\u9fff]{1,12})", r" ⟨\1⟩ "),  # 12个
    (r"\s+", " "),
]
_PATTERNS = [(re.compile(pattern), plain) for pattern, plain in _REWRITTEN]
_RENAMED = (
    dict.fromkeys(("mid", "vert", "lvert", "rvert"), "|")
    | dict.fromkeys(("cdot", "times", "ast"), "*")
    | dict.fromkeys(("simeq", "sim"), "approx")
    | dict.fromkeys(("vee", "lor"), "or")
    | {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "le": "leq", "ge": "geq", "ne": "neq"}
    | {"leqslant": "leq", "geqslant": "geq", "lt": "<", "gt": ">", "div": "/", "colon": ":"}
    | {"varphi": "phi", "vartheta": "theta", "varepsilon": "epsilon", "infin": "infty"}
    | {"lbrace": "\\{", "rbrace": "\\}", "land": "and"}
)
_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:(?:,|\{,\})\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?\.?|\.\d+)"
    r"(?:[eE][+\-]?\d+(?![\d.]))?)"
    r"|(?P<text>⟨[^⟩]*⟩)|(?P<command>\\[A-Za-z]+|\\[{}%|])|(?P<word>[A-Za-z]+)"
    r"|(?P<minus>(?<=\s)-(?=\s))|(?P<sign>\S)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind (number, text, command, word, sign; minus: with spaces) and its text."""

    kind: str
    text: str


@lru_cache(maxsize=8192)
def prepare(text: str) -> str:
    """Return text with one spelling for each sign; words set as text stand between ⟨ and ⟩."""
    text = normal(text)
    for pattern, plain in _PATTERNS:
        text = pattern.sub(plain, text)
    return text.strip()


def tokens_of(prepared: str) -> list[Token]:
    """Return the tokens of a prepared text, the first `MAX_TOKENS` + 1 at most."""
    tokens = []
    for match in _TOKEN.finditer(prepared):
        kind, text = match.lastgroup or "sign", match[0]
        if kind == "command":
            text = _RENAMED.get(text[1:], text[1:])
            kind = "sign" if text in {*"*/<>|:%"} else kind
        tokens.append(Token(kind, text))
        if len(tokens) > MAX_TOKENS:
            break
    return tokens
