"""One normal form of signs that look alike, for responses, golds and options."""

from __future__ import annotations

import re
import unicodedata

# Each word begins with the plain sign, its look-alikes follow.
_WORDS = (
    "-−–‒‐‑﹣➖ —―⸺ '‘’‚‛′´ʹʼ＇「」『』 \"“”„‟«» .。 ,、، :∶ ?؟ [【〔 ]】〕"
    " <〈 >〉 (⟨ )⟩ °º˚∘ /⁄∕ |∣ *∗⁎ ·⋅∙・ ×✕✖⨯ ≤⩽≦ ≥⩾≧"
).split()
_SIGNS = {word[0]: word[1:] for word in _WORDS} | {"''": "″", "\n": "\u2028\u2029\x85"}
# Zero-width and directional marks, invisible operators, soft hyphen, variation selectors.
_SIGNS[""] = "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF, 0xAD, 0xFE0E])
)
_SIGNS[""] += "".join(map(chr, [0xFE0F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
# Each of these means more than the plain signs that Unicode offers for it.
_KEPT = "…‥"
_KEPT_KINDS = {"<super>", "<sub>", "<fraction>", "<circle>"}
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢ"
_SCRIPT = re.compile(f"(?P<raised>[{_RAISED}]+)|[{_LOWERED}]+")
_LEVEL = str.maketrans(_RAISED + _LOWERED, 2 * "0123456789+-=()ni")
_FRACTION = re.compile(r"(?P<whole>\d)?\s?(?P<sign>[¼½¾⅐-⅞↉])")
_LINE_END = re.compile(r"\r\n?")
# "\frac", "\beta" and "\vec" after a faulty JSON escape.
_ESCAPED = re.compile("[\x08\x0b\x0c](?=[a-z])")
_COMMANDS = {"\x08": "\\b", "\x0b": "\\v", "\x0c": "\\f"}


class _Table(dict[int, str]):
    """The plain form of each character, worked out when it is first seen."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _plain(chr(code))
        return plain


def _plain(sign: str) -> str:
    """Return a compatibility character as the characters that it stands for."""
    kind, *codes = unicodedata.decomposition(sign).split() or [""]
    if kind == "<circle>" and (letter := unicodedata.normalize("NFKC", sign)).isascii():
        return sign if letter.isdigit() else letter
    if not kind.startswith("<") or kind in _KEPT_KINDS or sign in _KEPT:
        return sign
    return "".join(_TABLE[int(code, 16)] for code in codes)


_TABLE = _Table({code: chr(code) for code in range(128)})
_TABLE.update({ord(sign): plain for plain, signs in _SIGNS.items() for sign in signs})
# Spaces of all widths; the letters of emoji, which Unicode does not decompose.
_TABLE.update(dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "))
_TABLE.update({start + i: chr(65 + i) for start in (0x1F150, 0x1F170) for i in range(26)})


def normal(text: str) -> str:
    """Return text with one sign for all its look-alikes: ``−3½ cm²`` is ``-3 1/2 cm^2``."""
    text = _ESCAPED.sub(lambda match: _COMMANDS[match[0]], _LINE_END.sub("\n", text))
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(_TABLE)
    text = _SCRIPT.sub(_script, _FRACTION.sub(_spelled, text))
    return unicodedata.normalize("NFC", text)


def trimmed(text: str, signs: str) -> str:
    """Return text without the signs at its ends; the point of ".5" is part of the number."""
    inner = text.rstrip(signs).lstrip(signs)
    start = len(text.rstrip(signs)) - len(inner)
    return f".{inner}" if text[:start].endswith(".") and inner[:1].isdigit() else inner


def _spelled(match: re.Match[str]) -> str:
    """Spell a fraction sign as "1/2", with a space behind a whole number."""
    fraction = unicodedata.normalize("NFKC", match["sign"]).replace("\u2044", "/")
    return f"{match['whole'] or ''} {fraction}".lstrip()


def _script(match: re.Match[str]) -> str:
    mark, inner = "^" if match["raised"] else "_", match[0].translate(_LEVEL)
    return f"{mark}{inner}" if len(inner) == 1 else f"{mark}{{{inner}}}"
