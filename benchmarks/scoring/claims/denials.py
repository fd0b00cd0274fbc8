"""How languages deny an answer: one row per language, each with examples.

``before`` and ``after`` stand in front of the denied answer and behind it; behind ``turn`` the
right one may follow ("no es A, sino B").  English has more forms (`benchmarks.scoring.claims`).
"""

from __future__ import annotations

from typing import NamedTuple


class Denial(NamedTuple):
    """The denials of one language; ``denied`` and ``affirmed`` are examples, of B."""

    language: str
    before: str
    after: str
    turn: str
    denied: str
    affirmed: str


DENIALS = (
    Denial(
        "Spanish, Portuguese, Italian",
        r"\b(?:no|n[ãa]o|non) (?:es|son|é|s[ãa]o|è|sono|era|sea|seja|sia|(?:puede|pode) ser"
        r"|può essere|uno?|uma?|la|el)\b|\b(?:ni|nem|né)\b",
        r"(?:es|son|est[áãa]\w*|é|são|è|sono) (?:(?:in|s)corr\w*t|fals|err[aóo]|equivocad|descartad"
        r"|sbagliat|esclus)\w+|(?:no|não|non) (?:es|son|está|puede|encaja|corresponde|é|são|pode|è"
        r"|può|sono)\b",
        r"(?:sino|mas|ma|bensì|es|son|é|são|è|no|não|non) ",
        "La opción B no es correcta.",
        "La opción B es la correcta, no la A.",
    ),
    Denial(
        "French",
        r"\b(?:n'(?:est|était|a)|ne (?:sont|peut|serait)) pas\b|\bpas (?:une?|le|la)?\b|\bni\b",
        r"(?:est|sont) (?:fau(?:x|sse)|incorrect|erroné|exclu)\w*|(?:n'|ne )\w+ pas\b",
        r"(?:mais|c'est|pas) ",
        "Ce n'est pas la B.",
        "C'est la B, pas la A.",
    ),
    Denial(
        "German, Dutch",
        r"\b(?:nicht|kein\w*|weder|niet|geen)\b",
        r"(?:ist|sind|is) (?:falsch|nicht|kein\w*|unrichtig|ausgeschlossen|auszuschließen|niet|fout"
        r"|onjuist|verkeerd)\b|(?:passt|stimmt|kann) nicht\b"
        r"|(?:klingt verlockend(?! und)|scheidet aus|fällt weg|entfällt)\b",
        r"(?:sondern|nicht|maar|niet) ",
        "Antwort B scheidet aus.",
        "Antwort B ist richtig, nicht A.",
    ),
    Denial(
        "Polish",
        r"\bnie\b",
        r"jest (?:nie|błędn|fałszyw)\w*|nie (?:jest|pasuje)\b",
        r"(?:lecz|tylko|ale|a nie) ",
        "Odpowiedź to nie B.",
        "Odpowiedź to B.",
    ),
    Denial(
        "Russian",
        r"\b(?:не|ни)\b",
        r"(?:-|—|–|является)?\s?(?:не|невер|неправил|ошибоч)\w*",
        r"(?:а|но|не) ",
        "Вариант B неверен.",
        "Ответ B, а не A.",
    ),
    Denial(
        "Turkish, Vietnamese, Indonesian, Arabic",
        r"\b(?:không phải|bukan|ليست?)\b",
        r"(?:değil|yanlış|không đúng|sai|salah|bukan)\w*",
        r"(?:mà|melainkan|بل) ",
        "Jawabannya bukan B.",
        "Jawabannya B.",
    ),
    Denial(
        "Japanese",
        r"(?!)",
        r"(?:では|じゃ|で)な[いく]|では(?:あり|御座い)?ま?せん|(?:は|が)(?:間違|誤り|不正解|違い?)"
        r"|[はが]?正し(?:く(?:あり|な)|くは)|[はが]?当てはまら",
        r"(?<=[はゃ]なく)",
        "答えはBではない。",
        "答えはBです。",
    ),
    Denial(
        "Korean",
        r"(?!)",
        r"(?:이|가|은|는|번[이은]?)?\s?(?:아니|아닙|아닌|틀[렸린립]|오답|잘못|맞지 않)",
        r"(?<=아니라)|(?<=아니고)",
        "정답은 B가 아닙니다.",
        "정답은 B입니다.",
    ),
    Denial(
        "Chinese",
        r"不是|并非|並非|不[选選应應能]|排除|而非",
        r"(?:[选選][项項])?(?:是)?(?:[错錯][误誤的]?|不正[确確]|不[对對符]|有[误誤])",
        r"(?=而是)",
        "选项B不正确。",
        "选项B是正确的。",
    ),
)
BEFORE = "|".join(row.before for row in DENIALS)
AFTER = "|".join(row.after for row in DENIALS)
TURN = "|".join(rf",\s(?={row.turn})" if row.turn[-1] == " " else row.turn for row in DENIALS)
# A key of JSON, in whole words: no "note".
REJECTING_KEY = (
    r"[\"'](?:\w+[_ ])?(?:not|wrong|incorrect|rejected?|excluded?|eliminated?|discarded?)"
    r"(?:[_ ]?(?:answer|option|choice|letter|guess)(?:e?s)?)?[\"']\s*:\s*[\"'\[ ]*"
)
