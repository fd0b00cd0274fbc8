r"""Parses mathematics as models write it: LaTeX, Unicode, calculator notation.

Returns a tree of `Node`, or None if the text is not an expression; `value` evaluates it at given
symbol values.  Nothing is passed to `eval`, and the work is bounded by the number of tokens: the
grammar of latex2sympy2 can take minutes on hostile input, and its callers `eval` what it returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

MAX_TOKENS = 240
MAX_DEPTH = 24

_ALIASES = {
    "\x0c": "\\f",  # "\frac" after a faulty JSON escape; likewise the next two
    "\x08": "\\b",
    "\x0b": "\\v",
    "π": "\\pi ",
    "√": "\\sqrt ",
    "∛": "\\sqrt[3]",
    "∞": "\\infty ",
    "°": "^\\circ ",
    "º": "^\\circ ",
    "平方厘米": "\\text{cm}^2",
    "平方米": "\\text{m}^2",
    "厘米": "\\text{cm}",
    "毫米": "\\text{mm}",
    "千米": "\\text{km}",
    "公里": "\\text{km}",
    "米": "\\text{m}",
    "度": "^\\circ ",
    "掳": "^\\circ ",  # a degree sign read in the wrong encoding
    "℃": "^\\circ C",
    "∘": "^\\circ ",
    "×": "*",
    "·": "*",
    "⋅": "*",
    "∙": "*",
    "÷": "/",
    "⁄": "/",
    "±": "\\pm ",
    "≤": "\\leq ",
    "⩽": "\\leq ",
    "≥": "\\geq ",
    "⩾": "\\geq ",
    "≠": "\\neq ",
    "≈": "\\approx ",
    "∪": "\\cup ",
    "∈": "\\in ",
    "∠": "\\angle ",
    "′": "'",
    "½": "\\frac{1}{2}",
    "⅓": "\\frac{1}{3}",
    "⅔": "\\frac{2}{3}",
    "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}",
    "⅛": "\\frac{1}{8}",
    "Ω": "\\Omega ",
    "\u2126": "\\Omega ",
    "µ": "\\mu ",
    "μ": "\\mu ",
    "θ": "\\theta ",
    "α": "\\alpha ",
    "β": "\\beta ",
    "γ": "\\gamma ",
    "λ": "\\lambda ",
    "ρ": "\\rho ",
    "σ": "\\sigma ",
    "ω": "\\omega ",
    "φ": "\\phi ",
    "Δ": "\\Delta ",
}
_ROOT_SIGN = re.compile(r"√\s?(\d+(?:\.\d+)?|[A-Za-z])")  # unlike \sqrt it takes all digits
_MIXED = re.compile(r"(?<![\w.,/^_}])(\d{1,6}) +(\d{1,4})\s?/\s?(\d{1,4})(?![\d.])")  # 2 1/2
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|nolimits|[bB]ig+[lrm]?|quad|qquad|rm|bf|it)"
    r"(?![A-Za-z])|\\[,;:!> ]|\\(?=\$)|[$~\u2061]|\{\s*\}|\\phantom\{[^{}]*\}|\\[()\[\]]"
)
_RENAMED = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "le": "leq", "ge": "geq"}
_RENAMED |= {"leqslant": "leq", "geqslant": "geq", "ne": "neq", "simeq": "approx", "sim": "approx"}
_RENAMED |= {"lt": "<", "gt": ">", "cdot": "*", "times": "*", "div": "/", "ast": "*", "colon": ":"}
_RENAMED |= {"varphi": "phi", "vartheta": "theta", "varepsilon": "epsilon", "infin": "infty"}
_RENAMED |= {"mid": "|", "vert": "|", "lvert": "|", "rvert": "|", "degree": "circ", "deg": "circ"}
_RENAMED |= {"lbrace": "\\{", "rbrace": "\\}", "vee": "or", "land": "and", "lor": "or"}
_TEXT_MACROS = r"\\(?:text|textbf|textit|textrm|textup|textnormal|mathrm|mathsf|mbox|hbox|rm)"
_TEXT = re.compile(_TEXT_MACROS + r"\s{0,2}\{\s{0,4}(?P<inner>[^{}]{0,120})\}")
_FACE = re.compile(
    r"\\(?:boxed|mathbf|mathit|mathbb|mathcal|boldsymbol|bm|vec|overline|bar|hat|dot)\s?"
)
_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:(?:,|\{,\})\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?\.?|\.\d+)"
    r"(?:[eE][+\-]?\d+(?![\d.]))?)"
    r"|(?P<text>⟨[^⟩]*⟩)|(?P<command>\\[A-Za-z]+|\\[{}%|])|(?P<word>[A-Za-z]+)|(?P<sign>\S)"
)
FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"}
    | {"sinh", "cosh", "tanh", "ln", "log", "lg", "exp", "sqrt"}
)
GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"}
    | {"lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"}
    | {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega", "hbar", "ell"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind (number, text, command, word, sign) and its text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node of an expression: an operation with arguments, or a leaf with its text."""

    op: str
    args: tuple[Node, ...] = ()
    text: str = ""

    def symbols(self) -> frozenset[str]:
        """Return the names of the free symbols."""
        if self.op == "symbol":
            return frozenset({self.text})
        return frozenset().union(*(arg.symbols() for arg in self.args))

    def uses(self, op: str) -> bool:
        """Whether an operation occurs in the tree."""
        return self.op == op or any(arg.uses(op) for arg in self.args)


class NotAnExpressionError(ValueError):
    """The tokens form no expression."""


def prepare(text: str) -> str:
    """Return text with one spelling for each sign; words set as text stand between ⟨ and ⟩."""
    text = _ROOT_SIGN.sub(r"\\sqrt{\1}", text)
    for alias, plain in _ALIASES.items():
        if alias in text:
            text = text.replace(alias, plain)
    text = re.sub(r"\\circ(?=[A-Z])", r"\\circ ", text)
    text = _MIXED.sub(r"(\1+\2/\3)", text)
    text = _SUPERSCRIPTS.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPT) + "}", text)
    text = _DROPPED.sub(" ", _TEXT.sub(_worded, text))
    return re.sub(r"\s+", " ", _FACE.sub("", text)).strip()


def _worded(match: re.Match[str]) -> str:
    """Mark words set as text; a number or a sign set as text is itself."""
    inner = match["inner"].strip()
    return f" ⟨{inner}⟩ " if re.search(r"[A-Za-z]", inner) else f" {inner} "


def tokens_of(prepared: str) -> list[Token]:
    """Return the tokens of a prepared text, the first `MAX_TOKENS` + 1 at most."""
    found = []
    for match in _TOKEN.finditer(prepared):
        kind, text = match.lastgroup or "sign", match[0]
        if kind == "command":
            name = _RENAMED.get(text[1:], text[1:])
            kind, text = ("sign", name) if len(name) == 1 and name in "*/<>|:%" else (kind, name)
        found.append(Token(kind, text))
        if len(found) > MAX_TOKENS:
            break
    return found


def parse(tokens: list[Token], known: frozenset[str] | None = None) -> Node | None:
    """Return the expression that the tokens form, or None.

    ``known`` limits which letter runs are products of symbols ("mgh" where the right answer has m,
    g and h); None takes every letter as a symbol.
    """
    if not tokens or len(tokens) > MAX_TOKENS:
        return None
    parser = _Parser(tokens, known)
    try:
        node = parser.sum()
    except NotAnExpressionError:
        return None
    return node if parser.at_end() else None


class _Parser:
    """Recursive descent over the tokens; depth and length are bounded."""

    def __init__(self, tokens: list[Token], known: frozenset[str] | None) -> None:
        self.tokens, self.known = tokens, known
        self.position = self.depth = self.bars = 0

    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    def peek(self) -> Token:
        return Token("end", "") if self.at_end() else self.tokens[self.position]

    def sees(self, *texts: str) -> bool:
        return not self.at_end() and self.peek().text in texts and self.peek().kind != "text"

    def take(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, text: str) -> None:
        if not self.sees(text):
            raise NotAnExpressionError(text)
        self.position += 1

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpressionError("too deep")
        node = self.product()
        while self.sees("+", "-"):
            op = self.take().text
            node = Node(op, (node, self.product()))
        self.depth -= 1
        return node

    def product(self) -> Node:
        node = self.signed()
        while True:
            if self.sees("*", "/", ":"):
                op = "*" if self.take().text == "*" else "/"
                node = Node(op, (node, self.signed()))
            elif self.peek().kind == "number" and self.tokens[self.position - 1].kind == "number":
                raise NotAnExpressionError("two numbers side by side")
            elif self.starts_factor():
                node = Node("*", (node, self.power()))
            else:
                return node

    def signed(self) -> Node:
        signs = 0
        while self.sees("-", "+"):
            signs += self.take().text == "-"
        node = self.power()
        return Node("neg", (node,)) if signs % 2 else node

    def starts_factor(self) -> bool:
        token = self.peek()
        if token.kind in {"number", "word"}:
            return True
        if token.kind == "command":
            name = token.text
            return name in FUNCTIONS or name in GREEK or name in {"frac", "binom", "pi", "infty"}
        if token.text == "|":
            return not self.bars
        return token.kind == "sign" and token.text in "([{√"

    def power(self) -> Node:
        node = self.atom()
        while True:
            if self.sees("^"):
                self.take()
                if self.degrees():
                    continue
                node = Node("^", (node, self.argument()))
            elif self.sees("*") and self.position + 1 < len(self.tokens) and self.doubled():
                self.position += 2
                node = Node("^", (node, self.signed_atom()))
            elif self.sees("!"):
                self.take()
                node = Node("!", (node,))
            else:
                return node

    def doubled(self) -> bool:
        after = self.tokens[self.position + 1]
        return after.kind == "sign" and after.text == "*"

    def signed_atom(self) -> Node:
        if self.sees("-"):
            self.take()
            return Node("neg", (self.atom(),))
        return self.atom()

    def degrees(self) -> bool:
        """Take a degree sign after ``^``; angles are compared in degrees as written."""
        start = self.position
        braced = self.sees("{")
        if braced:
            self.take()
        if self.sees("circ"):
            self.take()
            if braced:
                self.expect("}")
            return True
        self.position = start
        return False

    def argument(self) -> Node:
        """Read a braced group, or the one token that LaTeX takes as the argument."""
        if self.sees("{"):
            return self.group("{", "}")
        token = self.peek()
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.position] = Token("number", token.text[1:])
            return Node("number", text=token.text[0])
        return self.signed_atom()

    def exponent(self) -> Node:
        return self.group("{", "}") if self.sees("{") else self.signed_atom()

    def group(self, opening: str, closing: str) -> Node:
        self.expect(opening)
        node = self.sum()
        self.expect(closing)
        return node

    def atom(self) -> Node:
        token = self.peek()
        if token.kind == "number":
            return self.number()
        if token.kind == "word":
            return self.word()
        if token.kind == "command":
            return self.command()
        closing = {"(": ")", "[": "]", "{": "}"}.get(token.text)
        if token.kind == "sign" and closing:
            return self.group(token.text, closing)
        if token.kind == "sign" and token.text == "|":
            return self.absolute()
        raise NotAnExpressionError(token.text)

    def absolute(self) -> Node:
        self.take()
        self.bars += 1
        node = self.sum()
        self.bars -= 1
        self.expect("|")
        return Node("abs", (node,))

    def number(self) -> Node:
        text = self.take().text.replace("{,}", "").replace(",", "").rstrip(".")
        node = Node("number", text=text)
        if text.isdigit() and self.mixed():
            return Node("+", (node, self.command()))
        return node

    def mixed(self) -> bool:
        r"""Whether a fraction of plain numbers follows: ``2\frac{1}{2}`` is two and a half."""
        ahead = [token.text for token in self.tokens[self.position : self.position + 7]]
        if len(ahead) < 3 or ahead[0] != "frac":
            return False
        inner = "".join(ahead[1:7])
        match = re.match(r"\{(\d{1,4})\}\{(\d{1,4})\}", inner) or re.match(r"(\d)(\d)$", ahead[1])
        return bool(match and int(match[1]) < int(match[2]))

    def word(self) -> Node:
        text = self.take().text
        if text in FUNCTIONS:
            return self.call(text)
        if text in GREEK or text in {"pi", "Pi"}:
            return Node("pi") if text.lower() == "pi" else self.symbol(text)
        if self.known is not None and not set(text) <= {"e", *(name[0] for name in self.known)}:
            raise NotAnExpressionError(text)
        node = None
        for index, letter in enumerate(text):
            symbol = self.symbol(letter) if index == len(text) - 1 else Node("symbol", text=letter)
            node = symbol if node is None else Node("*", (node, symbol))
        if node is None:
            raise NotAnExpressionError(text)
        return node

    def symbol(self, name: str) -> Node:
        """Read subscripts and primes of a symbol: they belong to its name."""
        while self.sees("_", "'"):
            if self.take().text == "'":
                name += "'"
            else:
                name += "_" + self.subscript()
        return Node("e") if name == "e" else Node("symbol", text=name)

    def subscript(self) -> str:
        if self.at_end():
            raise NotAnExpressionError("_")
        if not self.sees("{"):
            return self.take().text.strip("⟨⟩")
        self.take()
        parts = []
        while not self.sees("}"):
            if self.at_end():
                raise NotAnExpressionError("_")
            parts.append(self.take().text.strip("⟨⟩"))
        self.take()
        return "".join(parts)

    def command(self) -> Node:
        name = self.take().text
        if name in {"frac", "binom"}:
            top = self.argument()
            return Node("/" if name == "frac" else "binom", (top, self.argument()))
        if name in FUNCTIONS:
            return self.call(name)
        if name in {"pi", "infty"}:
            return Node(name)
        if name in GREEK:
            return self.symbol(name)
        if name == "angle":
            return self.atom()
        raise NotAnExpressionError(name)

    def call(self, name: str) -> Node:
        if name == "sqrt":
            return self.root()
        base = None
        power = None
        while self.sees("^", "_"):
            if self.take().text == "^":
                power = self.exponent()
            else:
                base = self.argument()
        inverse = power is not None and power == Node("neg", (Node("number", text="1"),))
        if inverse and not name.startswith("arc"):
            name, power = f"arc{name}", None
        argument = self.call_argument()
        node = Node(name, (argument,) if base is None else (argument, base))
        return node if power is None else Node("^", (node, power))

    def call_argument(self) -> Node:
        r"""Read ``(x)`` or a run of factors: ``\sin 2x``."""
        if self.sees("("):
            return self.group("(", ")")
        node = self.signed_power()
        while self.starts_factor() and not self.sees("(", "[", "|"):
            if self.peek().text in FUNCTIONS:
                break
            node = Node("*", (node, self.power()))
        return node

    def signed_power(self) -> Node:
        if self.sees("-"):
            self.take()
            return Node("neg", (self.power(),))
        return self.power()

    def root(self) -> Node:
        degree = Node("number", text="2")
        if self.sees("["):
            degree = self.group("[", "]")
        if self.sees("("):
            return Node("root", (self.group("(", ")"), degree))
        return Node("root", (self.argument(), degree))


@cache
def _context() -> Any:
    from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]

    context = MPContext()
    context.dps = 30
    return context


def _operations() -> Mapping[str, Callable[..., Any]]:
    c = _context()
    return {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "neg": lambda a: -a,
        "abs": abs,
        "^": _power,
        "root": lambda a, n: c.root(a, int(n)) if n == int(n) and 0 < n < 100 else a ** (1 / n),
        "!": lambda a: c.factorial(a) if abs(a) < 1000 else c.nan,
        "binom": lambda a, b: c.binomial(a, b) if abs(a) < 1000 and abs(b) < 1000 else c.nan,
        "log": lambda a, base=10: c.log(a) / c.log(base),
        "lg": c.log10,
        "arcsin": c.asin,
        "arccos": c.acos,
        "arctan": c.atan,
        "arccot": c.acot,
        "arcsec": c.asec,
        "arccsc": c.acsc,
        "arcsinh": c.asinh,
        "arccosh": c.acosh,
        "arctanh": c.atanh,
    }


@cache
def _operation(name: str) -> Callable[..., Any]:
    return _operations().get(name) or getattr(_context(), name)


def _power(base: Any, exponent: Any) -> Any:
    c = _context()
    if abs(exponent) > 100_000 or (base and abs(c.log(abs(base)) * abs(exponent)) > 1e6):
        return c.nan
    return base**exponent


def value(node: Node, at: Mapping[str, Any] | None = None) -> Any:
    """Return an expression's value as an mpmath number (30 digits), symbols taken from ``at``.

    Returns:
        nan where it is undefined, too large to compute or has a symbol without value.
    """
    try:
        return _value(node, at or {})
    except (ArithmeticError, ValueError, KeyError, TypeError):
        return _context().nan


def _value(node: Node, at: Mapping[str, Any]) -> Any:
    c = _context()
    if node.op == "number":
        return c.mpf(node.text)
    if node.op == "symbol":
        return at[node.text]
    if node.op in {"pi", "e", "infty"}:
        return {"pi": +c.pi, "e": +c.e, "infty": c.inf}[node.op]
    return _operation(node.op)(*(_value(arg, at) for arg in node.args))


def points(symbols: frozenset[str], signed: bool) -> Iterator[dict[str, Any]]:
    """Yield fixed points at which two expressions in these symbols are compared.

    Two different algebraic expressions agree at all of them only by a vanishing chance
    (Schwartz-Zippel); ``signed`` adds negative values, for expressions with absolute values.
    """
    c = _context()
    names = sorted(symbols)
    for k in range(1, 5):
        sign = -1 if signed and k % 2 == 0 else 1
        yield {
            name: sign * (c.mpf("0.31") + c.frac(c.sqrt(2 + 3 * i + 7 * k)) * (3 * k - 2))
            for i, name in enumerate(names)
        }
