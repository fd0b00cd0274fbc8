r"""The shape of a mathematical answer: a value with its unit, a relation, a list, an interval.

A piece of text that should be one answer (``x = \frac{1}{2}``, ``[-3, 1)``, ``3 or -3``,
``46.3\text{ kN}``); parses to a `Form`, or None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.scoring.mathematics.parser import (
    FUNCTIONS,
    GREEK,
    Node,
    Token,
    parse,
    prepare,
    tokens_of,
)
from benchmarks.scoring.mathematics.units import Unit, parse_unit

MAX_CHARACTERS = 400
MAX_PARTS = 24
MAX_SIGNS = 2

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\})\d{3})+(?![\d,]|\.\d*,)")
_SPACED = re.compile(r"(?<![\d.,])(\d{1,3}) (?=\d{3}(?:\D|$))")
_AND = re.compile(r"⟨\s*(?:and|or|,)\s*⟩|\b(?:and|or)\b|&|;|\\cup|\\or\b|\n")
_LABEL = re.compile(r"^[A-Za-z⟨⟩ .]{2,40}:(?!\d)\s*")
_RELATION = re.compile(r"\\(?:leq|geq|neq|approx|in|equiv|le|ge|sim|simeq)(?![A-Za-z])|<=|>=|=|<|>")
_RELATION_NAMES = {"<=": "leq", ">=": "geq", "le": "leq", "ge": "geq", "<": "<", ">": ">"}
_EQUAL = {"=", "approx", "equiv", "sim", "simeq"}
_CLOSING = {"(": ")", "[": "]"}
_PERCENT = re.compile(r"\s*(?:\\?%|⟨\s*percent\s*⟩|\bpercent\b)\s*$")
_CURRENCY = re.compile(r"^(?P<sign>[-+]?)\s*(?:[€£¥₹]|US|USD|EUR|RM|Rs\.?)\s*(?=[\d(.])")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: its expression, its unit if a known one is written, and how it is written."""

    node: Node
    unit: Unit | None = None
    unit_text: str = ""
    percent: bool = False
    name: str = ""

    @property
    def decimals(self) -> int | None:
        """The decimals of a plain decimal number; None for everything else."""
        node = self.node.args[0] if self.node.op == "neg" else self.node
        if node.op != "number" or "e" in node.text.lower():
            return None
        return len(node.text.partition(".")[2])

    @property
    def digits(self) -> int:
        """The significant digits of a plain decimal number (0 for everything else)."""
        node = self.node.args[0] if self.node.op == "neg" else self.node
        return len(node.text.replace(".", "").lstrip("0")) if self.decimals is not None else 0


@dataclass(frozen=True, slots=True)
class Relation:
    """An equation or an inequality between two expressions; ``op`` is =, <, leq or neq."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Group:
    """Several parts: an ordered tuple or interval with its brackets, or an unordered list."""

    parts: tuple[Form, ...]
    brackets: str = ""

    @property
    def ordered(self) -> bool:
        """Whether the order of the parts matters."""
        return bool(self.brackets)


Form = Scalar | Relation | Group


@dataclass(frozen=True, slots=True)
class Reader:
    """How to read: which letters may be symbols (None: all), whether plain words may be units."""

    known: frozenset[str] | None = None
    plain_units: bool = True

    def form(self, text: str) -> Form | None:
        """Return the form of a text that should be one answer, or None."""
        if not text or len(text) > MAX_CHARACTERS:
            return None
        prepared = prepare(text).strip(" .,;:\n")
        if prepared.count("\\pm") + prepared.count("\\mp") > MAX_SIGNS:
            return None
        return self._form(prepared, 0)

    def _form(self, text: str, depth: int) -> Form | None:
        text = _unbraced(_LABEL.sub("", text.strip(" ,;.")))
        if not text or depth > 6:
            return None
        inside = _bracketed(text)
        if inside is None:
            text = _SPACED.sub(r"\1", text)
            text = _THOUSANDS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
        pieces = [plain for piece in _split(text, _AND, ",") for plain in _signs(piece)]
        if len(pieces) > 1:
            return self._group(pieces, "", depth)
        if text.startswith("\\{") and text.endswith("\\}"):
            return self._group(_split(text[2:-2], None, ","), "", depth)
        if inside is not None:
            parts = _split(inside, None, ",")
            if len(parts) > 1 or text[0] == "[":
                return self._group(parts, text[0] + text[-1], depth)
        return self._relation(text)

    def _group(self, pieces: list[str], brackets: str, depth: int) -> Form | None:
        if len(pieces) > MAX_PARTS:
            return None
        parts = [self._form(piece, depth + 1) for piece in pieces]
        if not all(parts):
            return None
        return Group(tuple(part for part in parts if part), brackets)

    def _relation(self, text: str) -> Form | None:
        depths = _depths(text)
        ops = [m for m in _RELATION.finditer(text) if depths[m.start()] == 0]
        if not ops:
            return self.scalar(text)
        names = [_name(m[0]) for m in ops]
        sides = [text[: ops[0].start()]]
        sides += [text[a.end() : b.start()] for a, b in pairwise(ops)]
        sides.append(text[ops[-1].end() :])
        if names[0] == "in":
            return self._form(sides[-1], 1)
        if all(name in _EQUAL for name in names):
            return self._equation(sides)
        if len(names) == 2 and set(names) <= {"<", "leq"}:
            low, high = self.scalar(sides[0]), self.scalar(sides[2])
            brackets = ("(" if names[0] == "<" else "[") + (")" if names[1] == "<" else "]")
            return Group((low, high), brackets) if low and high else None
        if len(names) == 1:
            left, right = self.scalar(sides[0]), self.scalar(sides[1])
            return _inequality(names[0], left, right) if left and right else None
        return None

    def _equation(self, sides: list[str]) -> Form | None:
        left, right = sides[0].strip(), self.scalar(sides[-1])
        if right is None:
            group = self._form(sides[-1], 1)
            return group if isinstance(group, Group) and _is_label(left) else None
        if _is_label(left):
            return Scalar(right.node, right.unit, right.unit_text, right.percent, left)
        left_scalar = self.scalar(left)
        if left_scalar is None:
            return None
        if right.node.op == "symbol" and not left_scalar.node.symbols():
            return left_scalar
        if not right.node.symbols() and (len(sides) > 2 or not left_scalar.node.symbols()):
            return right
        return Relation("=", left_scalar.node, right.node)

    def scalar(self, text: str) -> Scalar | None:
        """Return the value that a text without relation or list is, or None."""
        text = _CURRENCY.sub(lambda m: m["sign"], text.strip())
        percent = bool(_PERCENT.search(text))
        tokens = tokens_of(_PERCENT.sub("", text))
        if found := self._with_unit(tokens):
            return Scalar(*found, percent=percent)
        node = parse(tokens, self.known)
        return Scalar(node, percent=percent) if node else None

    def _with_unit(self, tokens: list[Token]) -> tuple[Node, Unit | None, str] | None:
        """Split a value from the unit or the counted thing behind it."""
        for index in range(1, min(len(tokens), 60)):
            if not _starts_unit(tokens, index):
                continue
            tail = "".join(_unit_text(token) for token in tokens[index:])
            marked = tokens[index].kind == "text" or tokens[index].text == "^"
            unit = parse_unit(tail)
            plain = self.plain_units and not self._symbolic(tokens[index])
            if not (marked or (plain and (unit or _is_prose(tokens[index:])))):
                continue
            node = parse(tokens[:index], self.known)
            if node and (marked or not node.symbols()):
                return node, unit, tail.strip()
        return None

    def _symbolic(self, token: Token) -> bool:
        """Whether a word is made of symbols of the right answer: "mg" is no milligram there."""
        return bool(self.known) and set(token.text) <= {name[0] for name in self.known or ()}


def symbols_of(form: Form | None) -> frozenset[str]:
    """Return the symbols of a form, a one-letter name on its left side included."""
    if form is None:
        return frozenset()
    if isinstance(form, Group):
        return frozenset().union(*(symbols_of(part) for part in form.parts))
    if isinstance(form, Relation):
        return form.left.symbols() | form.right.symbols()
    symbols = form.node.symbols()
    named = symbols and re.fullmatch(r"[A-Za-z](?:_\w+)?", form.name.strip())
    return symbols | {form.name.strip()} if named else symbols


def _unbraced(text: str) -> str:
    while text.startswith("{") and text.endswith("}") and _matches(text, "{", "}"):
        text = text[1:-1].strip()
    return text


def _matches(text: str, opening: str, closing: str) -> bool:
    """Whether the first bracket of a text closes with its last character."""
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign == opening) - (sign == closing)
        if depth == 0:
            return index == len(text) - 1
    return False


def _bracketed(text: str) -> str | None:
    """Return the inside of a text that one pair of ( or [ encloses, half-open intervals too."""
    if len(text) < 3 or text[0] not in "([" or text[-1] not in ")]":
        return None
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and index < len(text) - 1:
            return None
    return text[1:-1] if depth == 0 else None


def _split(text: str, words: re.Pattern[str] | None, comma: str) -> list[str]:
    """Split a text at commas and list words outside all brackets."""
    cuts: list[tuple[int, int]] = []
    marks = [(m.start(), m.end()) for m in words.finditer(text)] if words else []
    marks += [(m.start(), m.end()) for m in re.finditer(re.escape(comma), text)]
    depths = _depths(text)
    cuts = sorted(mark for mark in marks if depths[mark[0]] == 0)
    pieces, start = [], 0
    for low, high in cuts:
        pieces.append(text[start:low])
        start = max(start, high)
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if piece.strip(" ,;.⟨⟩")]


def _depths(text: str) -> list[int]:
    depth, found = 0, []
    for sign in text:
        if sign in ")]}":
            depth = max(0, depth - 1)
        found.append(depth)
        depth += sign in "([{"
    return [*found, 0]


def _signs(piece: str) -> list[str]:
    r"""Return both values of ``a \pm b``."""
    if "\\pm" not in piece and "\\mp" not in piece:
        return [piece]
    plus = piece.replace("\\pm", "+", 1).replace("\\mp", "-", 1)
    return [plus, piece.replace("\\pm", "-", 1).replace("\\mp", "+", 1)]


def _name(sign: str) -> str:
    return _RELATION_NAMES.get(sign.lstrip("\\"), sign.lstrip("\\"))


def _inequality(name: str, left: Scalar, right: Scalar) -> Relation:
    if name in {">", "geq"}:
        left, right, name = right, left, "<" if name == ">" else "leq"
    return Relation(name, left.node, right.node)


def _is_label(left: str) -> bool:
    """Whether the left side of an equation only names the quantity: words, x, f(x), AB."""
    bare = re.sub(r"⟨[^⟩]*⟩|_\{[^{}]*\}|_\w|'|\^\\circ", "", left).strip(" .")
    if not bare or re.fullmatch(r"(?:m\s?)?\\(?:angle|triangle|Delta)\s*\w{1,4}", bare):
        return True
    if re.fullmatch(r"[A-Za-z.]+(?:\s+[A-Za-z.]+){0,7}|\\[A-Za-z]+(?:\s*[A-Za-z])?", bare):
        return True
    arguments = r"\(\s*[A-Za-z]\w{0,2}(?:\s*,\s*[A-Za-z]){0,4}\s*\)"
    return bool(re.fullmatch(rf"(?:[A-Za-z]{{1,3}}\s*)?{arguments}", bare))


def _starts_unit(tokens: list[Token], index: int) -> bool:
    token, before = tokens[index], tokens[index - 1]
    closes = before.kind == "number" or before.text in {")", "}", "]", "pi", "!"}
    if token.kind == "text":
        return True
    if token.text == "^":
        return any(later.text == "circ" for later in tokens[index + 1 : index + 3])
    if token.kind == "word":
        return closes and token.text not in FUNCTIONS and token.text not in GREEK
    return closes and token.kind == "command" and token.text in {"mu", "Omega"}


def _is_prose(tokens: list[Token]) -> bool:
    """Whether words are counted things ("12 apples"), not symbols."""
    words = [token for token in tokens if token.kind == "word"]
    return len(words) == len(tokens) and all(
        len(word.text) > 2 and word.text not in FUNCTIONS and word.text not in GREEK
        for word in words
    )


def _unit_text(token: Token) -> str:
    if token.kind == "text":
        return f" {token.text.strip('⟨⟩')} "
    if token.text == "circ":
        return "\\circ "
    if token.kind == "command":
        return f"\\{token.text} "
    return f"{token.text} " if token.kind == "word" else token.text
