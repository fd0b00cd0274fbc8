r"""Parses the tokens of an expression to a tree of `Node`.

The work is bounded by the number of tokens: the grammar of latex2sympy2 can take minutes on
hostile input, and its callers `eval` what it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.scoring.mathematics.notation import FUNCTIONS, GREEK, MAX_TOKENS, Token

MAX_DEPTH = 48
_FACTORS = {"frac", "binom", "pi", "infty"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ANGLES = {"theta", "phi", "alpha", "beta", "gamma", "psi"}


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

    def approximate(self) -> bool:
        """Whether a number with a decimal point or a power of ten occurs in the tree."""
        decimal = self.op == "number" and not self.text.isdigit()
        return decimal or any(arg.approximate() for arg in self.args)


class NotAnExpressionError(ValueError):
    """The tokens form no expression."""


_END = Token("end", "")


def parse(tokens: list[Token], known: frozenset[str] | None = None) -> Node | None:
    """Return the expression that the tokens form, or None.

    ``known`` limits which letter runs are products of symbols ("mgh" where the right answer has m,
    g and h); None takes every letter as a symbol.
    """
    return _parsed(tuple(tokens), known) if 0 < len(tokens) <= MAX_TOKENS else None


@lru_cache(256)  # the beginnings of one text are asked for again, to find where its unit begins
def _parsed(tokens: tuple[Token, ...], known: frozenset[str] | None) -> Node | None:
    parser = _Parser([*tokens, _END], known)
    try:
        node = parser.sum()
    except NotAnExpressionError:
        return None
    return node if parser.token is _END else None


class _Parser:
    """Recursive descent over the tokens, the last of which is `_END`; its depth is bounded."""

    def __init__(self, tokens: list[Token], known: frozenset[str] | None) -> None:
        self.tokens, self.known = tokens, known
        self.position = self.depth = self.bars = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def sees(self, *texts: str) -> bool:
        return self.token.text in texts and self.token.kind not in {"text", "end"}

    def take(self) -> str:
        self.position += 1
        return self.tokens[self.position - 1].text

    def skip(self, text: str) -> bool:
        seen = self.sees(text)
        self.position += seen
        return seen

    def nested(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpressionError("too deep")
        node = read()
        self.depth -= 1
        return node

    def sum(self) -> Node:
        node = self.product()
        while self.sees("+", "-"):
            node = Node(self.take(), (node, self.product()))
        return node

    def product(self) -> Node:
        node = self.signed()
        while True:
            if self.sees("*", "/", ":"):
                op = "*" if self.take() == "*" else "/"
                node = Node(op, (node, self.signed()))
            elif self.token.kind == self.tokens[self.position - 1].kind == "number":
                raise NotAnExpressionError("two numbers side by side")
            elif self.starts_factor():
                node = Node("*", (node, self.power()))
            else:
                return node

    def signed(self) -> Node:
        signs = 0
        while self.sees("-", "+"):
            signs += self.take() == "-"
        node = self.power()
        return Node("neg", (node,)) if signs % 2 else node

    def starts_factor(self) -> bool:
        kind, text = self.token.kind, self.token.text
        if kind == "command":
            return text in FUNCTIONS or text in GREEK or text in _FACTORS
        if text == "|":
            return not self.bars
        return kind in {"number", "word"} or (kind == "sign" and text in "([{√")

    def power(self) -> Node:
        return self.raised(self.atom())

    def raised(self, node: Node) -> Node:
        while True:
            if self.skip("^"):
                if not self.skip("circ"):  # angles are compared in degrees as written
                    node = Node("^", (node, self.exponent()))
            elif self.skip("!"):
                node = Node("!", (node,))
            else:
                return node

    def minus(self, read: Callable[[], Node]) -> Node:
        return Node("neg", (read(),)) if self.skip("-") else read()

    def argument(self) -> Node:
        """Read a braced group, or the one token that LaTeX takes as the argument."""
        digits = self.token.text
        if self.token.kind == "number" and len(digits) > 1 and digits.isdigit():
            self.tokens[self.position] = Token("number", digits[1:])
            return Node("number", text=digits[0])
        return self.exponent()

    def exponent(self) -> Node:
        """Read a power: a group or, unlike LaTeX, all digits of a number, as in ``10^12``."""
        return self.group("}") if self.sees("{") else self.minus(self.atom)

    def group(self, closing: str) -> Node:
        """Read what stands between the bracket here and its closing one."""
        self.take()
        node = self.nested(self.sum)
        if not self.skip(closing):
            raise NotAnExpressionError(closing)
        return node

    def atom(self) -> Node:
        return self.nested(self.leaf)

    def leaf(self) -> Node:
        kind, text = self.token.kind, self.token.text
        if kind == "number":
            digits = self.take().replace("{,}", "").replace(",", "").rstrip(".")
            return Node("number", text=str(int(digits)) if digits.isdigit() else digits)
        if kind == "text" and len(letter := text.strip("⟨⟩ ")) == 1:
            self.tokens[self.position] = Token("word", letter)
        if self.token.kind == "word":
            return self.word()
        if kind == "command":
            return self.command()
        if kind == "sign" and text in _CLOSING:
            return self.group(_CLOSING[text])
        if self.sees("|"):
            self.bars += 1
            node = self.group("|")
            self.bars -= 1
            return Node("abs", (node,))
        raise NotAnExpressionError(text)

    def word(self) -> Node:
        text = self.take()
        if text in FUNCTIONS:
            return self.call(text)
        if text in GREEK or text in {"pi", "Pi"}:
            return Node("pi") if text.lower() == "pi" else self.symbol(text)
        if self.known is not None and not set(text) <= {"e", *(name[0] for name in self.known)}:
            raise NotAnExpressionError(text)
        node = self.symbol(text[-1])
        if len(text) > 1:
            node = self.raised(node)  # in "mv^2" only v is squared
        for letter in reversed(text[:-1]):
            node = Node("*", (Node("symbol", text=letter), node))
        return node

    def symbol(self, name: str) -> Node:
        """Read subscripts and primes of a symbol: they belong to its name."""
        while self.sees("_", "'"):
            name += self.take()
            if name.endswith("_"):
                if self.token is _END:
                    raise NotAnExpressionError("_")
                name += self.take().strip("⟨⟩").replace(" ", "")
        return Node("e") if name == "e" else Node("symbol", text=name)

    def command(self) -> Node:
        name = self.take()
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
            degree = self.group("]") if self.sees("[") else Node("number", text="2")
            return Node("root", (self.group(")") if self.sees("(") else self.argument(), degree))
        base = power = None
        while self.sees("^", "_"):
            if self.take() == "^":
                power = self.exponent()
            else:
                base = self.argument()
        inverse = power == Node("neg", (Node("number", text="1"),))
        if inverse and not name.startswith("arc"):
            name, power = f"arc{name}", None
        argument = self.call_argument()
        node = Node(name, (argument,) if base is None else (argument, base))
        return node if power is None else Node("^", (node, power))

    def call_argument(self) -> Node:
        r"""Read ``(x)`` or a run of factors, ``\sin 2x``; an angle ends it: ``\sin\theta v``."""
        if self.sees("("):
            return self.group(")")
        node = self.minus(self.power)
        while self.starts_factor() and not self.sees("(", "[", "|"):
            if self.token.text in FUNCTIONS or node.text.partition("_")[0] in _ANGLES:
                break
            node = Node("*", (node, self.power()))
        return node
