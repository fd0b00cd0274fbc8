r"""Parses the tokens of an expression to a tree of `Node`.

The work is bounded by the number of tokens: the grammar of latex2sympy2 can take minutes on
hostile input, and its callers `eval` what it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.scoring.mathematics.notation import FUNCTIONS, GREEK, MAX_TOKENS, Token

MAX_DEPTH = 48
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

    def skip(self, text: str) -> bool:
        seen = self.sees(text)
        self.position += seen
        return seen

    def expect(self, text: str) -> None:
        if not self.skip(text):
            raise NotAnExpressionError(text)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpressionError("too deep")

    def sum(self) -> Node:
        self.deeper()
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
        if self.sees("{"):
            return self.group("{", "}")
        token = self.peek()
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.position] = Token("number", token.text[1:])
            return Node("number", text=token.text[0])
        return self.minus(self.atom)

    def exponent(self) -> Node:
        """Read a power: a group or, unlike LaTeX, all digits of a number, as in ``10^12``."""
        return self.group("{", "}") if self.sees("{") else self.minus(self.atom)

    def group(self, opening: str, closing: str) -> Node:
        self.expect(opening)
        node = self.sum()
        self.expect(closing)
        return node

    def atom(self) -> Node:
        self.deeper()
        node = self.leaf()
        self.depth -= 1
        return node

    def leaf(self) -> Node:
        token = self.peek()
        if token.kind == "number":
            return self.number()
        if token.kind == "word":
            return self.word()
        if token.kind == "text" and len(letter := token.text.strip("⟨⟩ ")) == 1:
            self.tokens[self.position] = Token("word", letter)
            return self.word()
        if token.kind == "command":
            return self.command()
        closing = {"(": ")", "[": "]", "{": "}"}.get(token.text)
        if token.kind == "sign" and closing:
            return self.group(token.text, closing)
        if self.skip("|"):
            self.bars += 1
            node = self.sum()
            self.bars -= 1
            self.expect("|")
            return Node("abs", (node,))
        raise NotAnExpressionError(token.text)

    def number(self) -> Node:
        text = self.take().text.replace("{,}", "").replace(",", "").rstrip(".")
        return Node("number", text=str(int(text)) if text.isdigit() else text)

    def word(self) -> Node:
        text = self.take().text
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
            name += "'" if self.skip("'") else self.take().text + self.subscript()
        return Node("e") if name == "e" else Node("symbol", text=name)

    def subscript(self) -> str:
        if self.at_end():
            raise NotAnExpressionError("_")
        return self.take().text.strip("⟨⟩").replace(" ", "")

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
        r"""Read ``(x)`` or a run of factors, ``\sin 2x``; an angle ends it: ``\sin\theta v``."""
        if self.sees("("):
            return self.group("(", ")")
        node = self.minus(self.power)
        while self.starts_factor() and not self.sees("(", "[", "|"):
            if self.peek().text in FUNCTIONS or node.text.partition("_")[0] in _ANGLES:
                break
            node = Node("*", (node, self.power()))
        return node

    def root(self) -> Node:
        degree = Node("number", text="2")
        if self.sees("["):
            degree = self.group("[", "]")
        if self.sees("("):
            return Node("root", (self.group("(", ")"), degree))
        return Node("root", (self.argument(), degree))
