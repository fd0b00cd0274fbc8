"""A judge's opinion on candidate pairs: VALID, INVALID or UNCERTAIN, with reasons."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from ablations.pairs.build import Build, Row
from ablations.pairs.progress import Note, Progress, silent
from harness.errors import ItemError, one_failure
from harness.files.text import counted
from harness.files.typed_json import parse
from harness.protocols import Judge
from harness.records import Message

Opinion = Literal["VALID", "INVALID", "UNCERTAIN"]
Question = Callable[[], str | Message]
"""Makes what is asked."""
CONCURRENCY = 16
T = TypeVar("T")

ASK = """\
Reply with one JSON object and nothing else:
{"verdict": "VALID" or "INVALID" or "UNCERTAIN", "reasons": [...], "explanation": "one sentence"}"""

# "verdict": "valid", Verdict: INVALID, **Verdict** - UNCERTAIN; not "a verdict that is valid".
_LABELLED = re.compile(
    r"\bverdict\b[\"'*`\s]*[:=-][\"'*`\s]*(VALID|INVALID|UNCERTAIN)\b", re.IGNORECASE
)
# VALID, INVALID: ...; not "valid points" in running text.
_WORD = re.compile(r"\b(VALID|INVALID|UNCERTAIN)\b")
_MARKS = r"""(?:[\s"'*`_#>(\[$-]|<(?:answer|verdict)>|\\(?:boxed|text)\{)*+"""
_SENTENCE = r"""(?:\A|[.!?]["'*`)]*\s|\n[ \t]*\n)"""
_LABEL = r"""(?:(?:so|thus|hence|therefore|here\sis|my|the|final|overall)[\s,]+)*
    (?:verdict|answer|result|assessment|opinion|judge?ment|conclusion|decision)"""
_PAIR = r"(?:it|this|(?:the|this)\s(?:pair|item|candidate|example))"
_PAIR_IS = rf"(?:{_PAIR}\sis|it['’]s)"
_OPINION = r"""I(?:['’]d)?\s(?:think|believe|find|conclude|say)(?:\sthat)?
    |I\sam\s(?:certain|confident|sure)(?:\sthat)?|in\smy\s(?:opinion|view|judge?ment)|overall|in\s(?:conclusion|short|summary)"""
# Text that may precede a stated verdict: nothing, "Verdict:", "My assessment is", "They fit, so the
# pair is", "I think it is"; not "I don't think it is", "It fails to be", "If they fit, the pair
# is".
_BEFORE = re.compile(
    rf"""(?:
      (?:\A|[.!?]["'*`)]*\s*\n|\n[ \t]*\n|</think>)
    | (?:\A|\n) {_MARKS} {_LABEL} [\s"'*`_]* [:=-]
    | [{{,]\s*["']verdict["']\s*:
    | {_SENTENCE} {_MARKS}
      (?:(?:(?:(?!\b(?:if|unless|whether|would|could|that|doubt)\b)[^.!?\n])*,\s)?
        (?:so|thus|hence|therefore),?\s)?
      (?:(?:{_OPINION}),?\s)?
      (?:{_LABEL}\sis | {_PAIR_IS} | I\s(?:judge|rate|consider|call)\s{_PAIR}(?:\sas|\sto\sbe)?)
    ) {_MARKS}\Z""",
    re.VERBOSE | re.IGNORECASE,
)
# Text that may follow: an end or a reason; not "VALID?", "VALID if they differ", "VALID: not at
# all", "VALID, but I am not sure", which only UNCERTAIN may be.
_AFTER = re.compile(
    r"""(?:(?<=UNCERTAIN)|(?!.*\bI(?:\sam|['’]m)\s(?:not\s(?:\w+\s)?(?:sure|certain)|unsure)\b))
    (?!\W*\?)["'*`_}$]*(?:</\w+>)?(?:
      (?:[.!]|\n[ \t]*\n|\s*\Z)
    | (?:[ \t]*[,:;(–—-]|\n|\s(?:because|since)\b)
      (?!\W*(?:(?:but|and|only|even)\s)*(?:if|unless|provided|assuming|or|hardly|never)\b)
    )(?!\W*(?:(?:but|though|although|yet)\s)?(?:
      not(?:\s(?:at\sall|really|quite))?\W*\Z|no\W*\Z|no\sway
      |i\s(?:doubt|do\snot\sthink|don['’]t\sthink)\b))""",
    re.VERBOSE | re.IGNORECASE,
)
_CLAUSE = 400  # characters checked before a verdict
_LONGEST = 40_000  # of a reply: it is read in the square of its length; judges write 4096 tokens


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's opinion on one candidate; ``reasons`` are short labels, often none."""

    opinion: Opinion
    reasons: tuple[str, ...] = ()
    explanation: str = ""


def read_judgement(reply: str) -> Judgement | None:
    """Parse a judge's reply: its JSON object, else a labelled verdict, else its only verdict.

    None if it has no verdict or several, or does not state it plainly.
    """
    if (judgement := _from_json(reply)) is not None:
        return judgement
    if len(reply) > _LONGEST:
        return None
    found = [*_LABELLED.finditer(reply)] or [*_WORD.finditer(reply)]
    names = {match[1].upper() for match in found}
    if len(names) != 1 or not all(_stated(reply, *match.span(1)) for match in found):
        return None
    return Judgement(cast("Opinion", names.pop()), explanation=reply.strip()[:500])


def _stated(reply: str, begin: int, end: int) -> bool:
    """Whether a reply plainly states the verdict found there; False when in doubt."""
    before = _BEFORE.search(reply, max(0, begin - _CLAUSE), begin)
    return before is not None and _AFTER.match(reply, end) is not None


def json_object(reply: str) -> dict[str, Any]:
    """Return the JSON object in a reply; empty without one."""
    begin, end = reply.find("{"), reply.rfind("}")
    try:
        value = parse(reply[begin : end + 1].encode()) if 0 <= begin < end else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _from_json(reply: str) -> Judgement | None:
    if reply.count('"verdict"', reply.find("{"), reply.rfind("}")) > 1:
        return None  # with a repeated key the last would count
    value = json_object(reply)
    opinion = str(value.get("verdict", "")).strip().upper()
    if opinion not in get_args(Opinion):
        return None
    reasons: Any = value.get("reasons") or []
    reasons = reasons if isinstance(reasons, list) else [reasons]
    return Judgement(
        cast("Opinion", opinion), tuple(map(str, reasons)), str(value.get("explanation") or "")
    )


@dataclass(frozen=True)
class Asked(Generic[T]):
    """Parsed replies by id; why others could not be parsed (``unread``) or requested."""

    by_id: dict[str, T] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    missed: dict[str, str] = field(default_factory=dict)


def judge_all(
    build: Build, judge: Judge, questions: Mapping[str, Question], *, note: Note = silent
) -> Asked[Judgement]:
    """Ask the judge about every candidate; see `ask_all`.

    A reply without a verdict is requested again, and finally counts as UNCERTAIN.
    """
    asked = ask_all(build, judge, questions, read_judgement, note=note)
    for name, why in asked.unread.items():
        asked.by_id[name] = Judgement("UNCERTAIN", ("no readable verdict",), why)
    return asked


def ask_all(
    build: Build,
    judge: Judge,
    questions: Mapping[str, Question],
    read: Callable[[str], T | None],
    *,
    note: Note = silent,
) -> Asked[T]:
    """Send many requests to a model concurrently, storing its replies in the build.

    ``questions`` are made when they are sent, so that images open late. A reply that ``read``
    cannot parse is requested again. Raises `UsageError` if the server is gone or does not serve the
    model.
    """
    with one_failure():
        return asyncio.run(_ask_all(build, judge, questions, read, note))


async def _ask_all(
    build: Build,
    judge: Judge,
    questions: Mapping[str, Question],
    read: Callable[[str], T | None],
    note: Note,
) -> Asked[T]:
    from harness.backends.http.endpoint import EndpointModel
    from harness.runs.judge import NoVerdictError, Replies

    asked: Asked[T] = Asked()
    async with EndpointModel(judge.url, judge.model, judge.api_key) as model:
        model.on_status = lambda text: note(f"{judge.model}: {text}")
        replies = Replies(build, model)

        async def ask(name: str) -> None:
            try:
                asked.by_id[name] = await replies.ask(questions[name](), read)
            except NoVerdictError as error:
                asked.unread[name] = str(error)
            except ItemError as error:
                asked.missed[name] = str(error)

        await Progress(judge.model, len(questions), note).over(questions, ask, CONCURRENCY)
    return asked


def finish_judged(
    build: Build,
    rows: Sequence[Row],
    judge: Judge | None,
    question: Callable[[Row], str | Message],
    note: Note,
) -> dict[str, Any]:
    """Ask the judge about every row, write the rows by its opinion, and return the manifest.

    Without a judge all are kept. ``question`` makes the message about a row.
    """
    if judge is None:
        build.funnel.notes.append("no judge was given (--judge): pairs are not judged")
        return build.finish(rows)
    by_id = {row["id"]: row for row in rows}
    asked = {name: partial(question, row) for name, row in by_id.items()}
    judged = judge_all(build, judge, asked, note=note)
    by_opinion: dict[str, list[dict[str, Any]]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    for name, row in by_id.items():
        if name in judged.by_id:
            judgement = judged.by_id[name]
            by_opinion[judgement.opinion].append({**row, "judge": asdict(judgement)})
            if judgement.opinion == "INVALID":
                reasons.update(f"INVALID ({reason})" for reason in judgement.reasons[:1] or ("",))
    dropped = {reason.replace(" ()", ""): count for reason, count in reasons.items()}
    dropped |= {"UNCERTAIN": len(by_opinion["UNCERTAIN"]), "not judged": len(judged.missed)}
    build.funnel.step("judged VALID", "pairs", len(by_opinion["VALID"]), dropped)
    if judged.missed:
        name, why = next(iter(judged.missed.items()))
        build.funnel.notes.append(
            f"{counted(len(judged.missed), 'pair')} could not be judged; the first: "
            f"{name}: {why}; the same command asks again"
        )
    return build.finish(
        by_opinion["VALID"],
        by_opinion["UNCERTAIN"],
        by_opinion["INVALID"],
        missed=len(judged.missed),
    )
