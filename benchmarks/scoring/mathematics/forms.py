r"""The shape of a mathematical answer: a value with its unit, a relation, a list, an interval.

A piece of text that should be one answer (``x = \frac{1}{2}``, ``[-3, 1)``, ``3 or -3``,
``46.3\text{ kN}``); parses to a `Form`, or None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from benchmarks.scoring.mathematics.notation import prepare, tokens_of
from benchmarks.scoring.mathematics.parser import Node, parse
from benchmarks.scoring.mathematics.units import DEGREE, Unit, parse_unit, split_unit
from benchmarks.scoring.normal import trimmed

MAX_CHARACTERS = 400
MAX_PARTS = 24
MAX_SIGNS = 2

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\})\d{3})+(?![\d,]|\.\d*,)")
_SPACED = re.compile(r"(?<![\d.,])(\d{1,3}) (?=\d{3}(?:\D|$))")
_COMMA = re.compile(",")
_AND = re.compile(r"⟨\s*(?:and|or|,)\s*⟩|\b(?:and|or)\b|&|;|\\cup|\\or\b|,")
_LABEL = re.compile(r"^[A-Za-z⟨⟩ .]{2,40}:(?!\d)\s*")
_PREFIX = re.compile(
    r"(?i)^(?:(?:the|answer|value|point|is|equals|about|approximately|around|roughly|nearly"
    r"|exactly)\s+)+(?=\S)"
)
_SET_AS_TEXT = re.compile(r"⟨([^⟩]*)⟩")
_LEADING_TEXT = re.compile(
    r"(?i)^⟨(?![^⟩]*\b(?:not?|than|least|most|over|under|above|below|between|half|twice)\b)[^⟩]{2,}⟩"
    r"\s*(?=[^\s⟨])"
)
_POINT_NAME = re.compile(r"^[A-Z]['\d]?\s*(?=\([^()]*,[^()]*\)$)")  # A(1, 2)
_CLOCK = re.compile(r"(?i)(?P<time>\d{1,2}:\d\d(?::\d\d)?)\s?(?P<half>[ap])\.?\s?m\.?")
_RELATION = re.compile(r"\\(?:leq|geq|neq|approx|in|equiv|le|ge|sim|simeq)(?![A-Za-z])|<=|>=|=|<|>")
_RELATION_NAMES = {"<=": "leq", ">=": "geq", "le": "leq", "ge": "geq"}
_EQUAL = {"=", "approx", "equiv", "sim", "simeq"}
_PERCENT = re.compile(r"\s*(?:\\?%|⟨\s*per ?cent\s*⟩|\bper ?cent\b)\s*$")
_CURRENCY = re.compile(r"^(?P<sign>[-+]?)\s*(?P<unit>[€£¥₹¤]|USD?|EUR|RM|Rs\.?)\s*(?=[\d(.])")
_DOLLARS = re.compile(r"\A\s*(-?)\\?\$(?=\s?[\d.][^$]*\Z)")  # the sign of "$5", not of "$5$"
_CALCULATED = re.compile(r"-?\d[^=]*[^=^\s{]\s*(?:[-+*/×]|\\times|\\cdot)\s*\d")  # 5 m × 3 m
_SIGNS = re.compile(r"\\(?:times|cdot|text|mathrm)\b")
_NAME = re.compile(r"[A-Za-z](?:_\w+)?")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z]")  # not those of a command
_DECORATION = re.compile(r"_?⟨[^⟩]*⟩|_\w|'|\^\\circ|[{}|]")
_LABELS = [
    re.compile(r"(?:m\s?)?\\(?:angle|triangle|Delta)\s*\w{1,4}"),  # m\angle ABC
    re.compile(r"[A-Za-z.]+(?:\s+[A-Za-z.]+){0,7}"),  # the area
    re.compile(r"\\[A-Za-z]+(?:\s*[A-Za-z])?"),  # \theta
    re.compile(r"(?:[A-Za-z]{1,3}\s*)?\(\s*[A-Za-z]\w{0,2}(?:\s*,\s*[A-Za-z]){0,4}\s*\)"),  # f(x)
]


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

    @property
    def degrees(self) -> bool:
        """Whether the value is an angle in degrees."""
        return self.unit == DEGREE


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
        prepared = prepare(_DOLLARS.sub(r"\1¤", text))
        if prepared.count("\\pm") + prepared.count("\\mp") > MAX_SIGNS:
            return None
        if whole := _SET_AS_TEXT.fullmatch(prepared):
            prepared = whole[1]
        return self._form(_PREFIX.sub("", prepared), 0)

    def _form(self, text: str, depth: int) -> Form | None:
        text = _LEADING_TEXT.sub("", _LABEL.sub("", trimmed(text, " .,;:")))
        text = _POINT_NAME.sub("", _unbraced(text))
        if not text or depth > 6:
            return None
        if not _encloses(text, "([", ")]"):
            text = _SPACED.sub(r"\1", text)
            text = _THOUSANDS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
        pieces = [plain for piece in _split(text, _AND) for plain in _signs(piece)]
        if len(pieces) > 1:
            return self._group(pieces, "", depth)
        if text.startswith("\\{") and text.endswith("\\}"):
            return self._group(_split(text[2:-2], _COMMA), "", depth)
        if _encloses(text, "([", ")]"):
            parts = _split(text[1:-1], _COMMA)
            if len(parts) > 1 or text[0] == "[":
                return self._group(parts, text[0] + text[-1], depth)
        return self._relation(text)

    def _group(self, pieces: list[str], brackets: str, depth: int) -> Form | None:
        if len(pieces) > MAX_PARTS:
            return None
        parts = [self._form(piece, depth + 1) for piece in pieces]
        return Group(tuple(part for part in parts if part), brackets) if all(parts) else None

    def _relation(self, text: str) -> Form | None:
        depths = _depths(text)
        ops = [m for m in _RELATION.finditer(text) if depths[m.start()] == 0]
        if not ops:
            return self.scalar(text)
        names = [_RELATION_NAMES.get(bare := m[0].lstrip("\\"), bare) for m in ops]
        ends = [(0, 0), *(m.span() for m in ops), (len(text), len(text))]
        sides = [text[a[1] : b[0]] for a, b in pairwise(ends)]
        if names[0] == "in":
            return self._form(sides[-1], 1)
        if all(name in _EQUAL for name in names):
            return self._equation(sides)
        if len(names) == 2 and set(names) <= {"<", "leq"}:
            low, high = self._side(sides[0]), self._side(sides[2])
            brackets = ("(" if names[0] == "<" else "[") + (")" if names[1] == "<" else "]")
            return Group((low, high), brackets) if low and high else None
        if len(names) == 1:
            left, right = self._side(sides[0]), self._side(sides[1])
            return _inequality(names[0], left, right) if left and right else None
        return None

    def _side(self, text: str) -> Scalar | None:
        """Read a side of an inequality: a symbol may stand there, whichever it is."""
        name = text.strip()
        return Scalar(Node("symbol", text=name)) if _NAME.fullmatch(name) else self.scalar(name)

    def _equation(self, sides: list[str]) -> Form | None:
        if _NAME.fullmatch(sides[-1].strip()) and not _LETTER.search(sides[0]):
            sides = sides[::-1]  # 5 = s
        left, right = sides[0].strip(), self.scalar(sides[-1])
        if right is None:
            group = self._form(sides[-1], 1)
            return group if isinstance(group, Group) and _is_label(left) else None
        if _is_label(left):
            return replace(right, name=left)
        left_scalar = self.scalar(left)
        if left_scalar is None:
            words = re.findall(r"[A-Za-z]+", _SIGNS.sub(" ", left))
            calculated = right.unit and _CALCULATED.match(left) and all(map(parse_unit, words))
            return right if calculated and not right.node.symbols() else None
        if not right.node.symbols() and (len(sides) > 2 or not left_scalar.node.symbols()):
            return right
        return Relation("=", left_scalar.node, right.node)

    def scalar(self, text: str) -> Scalar | None:
        """Return the value that a text without relation or list is, or None."""
        text, money = text.strip(), None
        if sign := _CURRENCY.match(text):
            text = sign["sign"] + text[sign.end() :].replace("¤", "")
            money = parse_unit(sign["unit"])
        if clock := _CLOCK.fullmatch(text):
            node = parse(tokens_of(clock["time"]))
            return Scalar(node, unit_text=f"{clock['half'].lower()}m") if node else None
        percent = bool(_PERCENT.search(text))
        tokens = tokens_of(_PERCENT.sub("", text))
        if with_unit := split_unit(tokens, self.known, self.plain_units):
            return Scalar(*with_unit, percent=percent)
        node = parse(tokens, self.known)
        return Scalar(node, money, percent=percent) if node else None


def symbols_of(form: Form | None) -> frozenset[str]:
    """Return the symbols of a form, a one-letter name on its left side included."""
    if form is None:
        return frozenset()
    if isinstance(form, Group):
        return frozenset().union(*(symbols_of(part) for part in form.parts))
    if isinstance(form, Relation):
        return form.left.symbols() | form.right.symbols()
    symbols, name = form.node.symbols(), form.name.strip()
    return symbols | {name} if symbols and _NAME.fullmatch(name) else symbols


def _unbraced(text: str) -> str:
    while _encloses(text, "{", "}"):
        text = text[1:-1].strip()
    return text


def _encloses(text: str, opening: str, closing: str) -> bool:
    """Whether one pair of brackets encloses a text, half-open intervals included."""
    ends = len(text) > 2 and text[0] in opening and text[-1] in closing
    return ends and all(_depths(text)[1:-2])


def _split(text: str, marks: re.Pattern[str]) -> list[str]:
    """Split a text at the commas or list words outside all brackets."""
    depths = _depths(text)
    cuts = [m.span() for m in marks.finditer(text) if depths[m.start()] == 0]
    ends = [(0, 0), *cuts, (len(text), len(text))]
    pieces = [text[a[1] : b[0]].strip() for a, b in pairwise(ends)]
    return [piece for piece in pieces if piece.strip(" ,;.⟨⟩")]


def _depths(text: str) -> list[int]:
    """Return how many brackets are open at each character, the brackets themselves outside."""
    depth, depths = 0, []
    for sign in text:
        if sign in ")]}":
            depth = max(0, depth - 1)
        depths.append(depth)
        depth += sign in "([{"
    return [*depths, depth]


def _signs(piece: str) -> list[str]:
    r"""Return both values of ``a \pm b``."""
    if "\\pm" not in piece and "\\mp" not in piece:
        return [piece]
    plus = piece.replace("\\pm", "+", 1).replace("\\mp", "-", 1)
    return [plus, piece.replace("\\pm", "-", 1).replace("\\mp", "+", 1)]


def _inequality(name: str, left: Scalar, right: Scalar) -> Relation:
    if name in {">", "geq"}:
        left, right, name = right, left, "<" if name == ">" else "leq"
    return Relation(name, left.node, right.node)


def _is_label(left: str) -> bool:
    """Whether the left side of an equation only names the quantity: words, x, f(x), AB."""
    bare = _DECORATION.sub("", left).strip(" .")
    return not bare or any(label.fullmatch(bare) for label in _LABELS)
