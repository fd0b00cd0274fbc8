"""``harness pairs edit``: pairs of an image and its edited copy, whose answers differ.

The cascade: proposal -> another answer -> edit -> only a region changed, no artefact, the same
style -> a vision-language model gives each image its own answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ablations.pairs.build import Build
from ablations.pairs.editing.changes import Limits, change
from ablations.pairs.editing.editors import Edit
from ablations.pairs.judging import ask_all, json_object
from ablations.pairs.progress import Note, silent
from ablations.pairs.similarity.candidates import (
    KINDS,
    Question,
    answers_differ,
    image_of,
    only_image,
    question_of,
)
from benchmarks.micro.data.pairs import scene_pair
from benchmarks.pairs.saving import png
from benchmarks.scoring import Target, score
from harness.errors import ItemError
from harness.files.atomic import write_bytes
from harness.files.hashing import json_hash
from harness.protocols import Judge
from harness.records import ImagePart, Item, Message, TextPart

if TYPE_CHECKING:
    from PIL import Image

_PROPOSE = """\
Question about the image: {query}
Right answer: {answer}

Propose the smallest edit of the image after which the question has another definite answer. \
Change only what decides it; keep the style, and add no text or marks.
Reply with one JSON object and nothing else:
{{"instruction": "one sentence for an image editor", "answer": "the new answer"}}"""
_ANSWER = "{query}\nAnswer with a single word, number or phrase."
SIDES = ("original", "edited")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An editing instruction, and the answer that the edited image should have."""

    instruction: str
    answer: str


def read_proposal(reply: str) -> Proposal | None:
    """Parse a language model's reply; None without an instruction or answer."""
    value = json_object(reply)
    texts = [value.get(name) for name in ("instruction", "answer")]
    if not all(isinstance(text, str | int | float) and str(text).strip() for text in texts):
        return None
    return Proposal(*(str(text).strip() for text in texts))


@dataclass(frozen=True)
class Source:
    """An image with a question about it; ``image`` opens it."""

    question: Question
    image: Callable[[], Image.Image]


@dataclass(frozen=True)
class Edited:
    """A source, its proposal and its edited image."""

    source: Source
    proposal: Proposal
    edited: Callable[[], Image.Image]


@dataclass(frozen=True)
class Asking:
    """The checker of answers, the limits on edits, and the pairs' domain."""

    checker: Judge | None = None
    limits: Limits = field(default_factory=Limits)
    domain: str = "edited"


def sources_of(items: Sequence[Item]) -> list[Source]:
    """Return the items with exactly one image, opened when needed."""
    return [
        Source(question, lambda number=number: image_of(items[number]))  # type: ignore[misc]
        for number, question in enumerate(map(question_of, items))
        if question is not None
    ]


def micro_edits(number: int, seed: int) -> list[Edited]:
    """Return scenes of the micro world, from the pairs' split, redrawn with one change each."""
    rng = random.Random(f"edits/{seed}")
    made = []
    for index in range(number):
        pair = scene_pair(rng, "pairs")
        question = Question(f"micro-{seed}-{index}", pair.query, pair.answer, "text")
        instruction = f"Change {pair.query[5:-1]} from {pair.answer} to {pair.answer_negative}."
        proposal = Proposal(instruction, pair.answer_negative)
        made.append(Edited(Source(question, pair.positive.draw), proposal, pair.negative.draw))
    return made


def build_edited(
    build: Build,
    sources: Sequence[Source],
    makers: tuple[Judge, Edit],
    asking: Asking,
    note: Note = silent,
) -> dict[str, Any]:
    """Fill a build with pairs made by a proposer and an editor; return its manifest.

    Raises `UsageError` if a server is gone.
    """
    proposer, edit = makers
    questions = {
        str(number): partial(
            _message, source.image, _PROPOSE, query=source.question.text,
            answer=source.question.answer,
        )
        for number, source in enumerate(sources)
    }  # fmt: skip
    build.funnel.step("items", "items", len(sources))
    asked = ask_all(build, proposer, questions, read_proposal, note=note)
    dropped = {"no readable proposal": len(asked.unread), "not asked": len(asked.missed)}
    build.funnel.step("proposals", "edits", len(asked.by_id), dropped)
    proposed = {int(number): proposal for number, proposal in asked.by_id.items()}
    differ = {
        n: p
        for n, p in proposed.items()
        if answers_differ(sources[n].question, Question("", "", p.answer, "text"))
    }
    build.funnel.step("another answer", "edits", len(differ),
                      {"the same answer": len(proposed) - len(differ)})  # fmt: skip
    made, failed = _edited(build, sources, dict(sorted(differ.items())), edit, note)
    build.funnel.step("edited", "images", len(made), {"the editor failed": len(failed)})
    if failed:
        build.funnel.notes.append(f"the editor failed on {len(failed)}; the first: {failed[0]}")
    return finish_edited(build, made, asking, missed=len(asked.missed) + len(failed), note=note)


def _message(image: Callable[[], Image.Image], text: str, **values: str) -> Message:
    return Message("user", (ImagePart(image()), TextPart(text.format(**values))))


def _edited(
    build: Build,
    sources: Sequence[Source],
    proposals: Mapping[int, Proposal],
    edit: Edit,
    note: Note,
) -> tuple[list[Edited], list[str]]:
    """Edit every image that is not in the build's folder yet; return why others failed."""
    made: list[Edited] = []
    failed: list[str] = []
    for number, proposal in proposals.items():
        made_of = json_hash([sources[number].question.id, proposal.instruction])[:12]
        path = build.path / f"edited/{number:07d}-{made_of}.png"
        if not path.is_file():
            original = sources[number].image()
            try:
                image = edit(original, proposal.instruction, build.plan.seed + number)
            except ItemError as error:
                failed.append(f"{sources[number].question.id}: {error}")
                continue
            write_bytes(path, png(image.convert("RGB").resize(original.size)))
            note(f"edited {len(made) + 1} of {len(proposals)} images")
        made.append(Edited(sources[number], proposal, partial(only_image, path)))
    return made, failed


def finish_edited(
    build: Build, made: Sequence[Edited], asking: Asking, *, missed: int = 0,
    note: Note = silent,
) -> dict[str, Any]:  # fmt: skip
    """Check edited images, write those that pass as pairs, and return the manifest."""
    rng = random.Random(f"{build.plan.seed}/edited")
    rows: list[tuple[Edited, dict[str, Any]]] = []
    rejected: list[dict[str, Any]] = []
    faults = Counter[str]()
    for each in made:
        found = change(each.source.image(), each.edited())
        row = _row(build, each, asking.domain, supports=rng.random() < 0.5)
        row["change"] = found.record()
        if (fault := found.fault(asking.limits)) is not None:
            faults[fault] += 1
            rejected.append({**row, "fault": fault})
        else:
            rows.append((each, row))
    build.funnel.step("only a region changed", "pairs", len(rows), faults)
    if asking.checker is None:
        build.funnel.notes.append("no model was asked whether the edits changed the answers")
        return build.finish([row for _, row in rows], (), rejected, missed=missed)
    return _answered(build, rows, rejected, asking.checker, missed, note)


def _row(build: Build, made: Edited, domain: str, *, supports: bool) -> dict[str, Any]:
    """Return a pair; ``supports``: its answer is that of the edited image."""
    question, name = made.source.question, made.source.question.id
    contexts = []
    for kind, image in zip(SIDES, (made.source.image, made.edited), strict=True):
        file = f"images/{kind}-{json_hash(name)[:16]}.png"
        write_bytes(build.path / file, png(image()))
        contexts.append([{"image": file}])
    answers = [question.answer, made.proposal.answer]
    if supports:
        contexts.reverse()
        answers.reverse()
    return {
        "id": name, "domain": domain, "query": question.text, "answer": answers[0],
        "answer_negative": answers[1], "context_positive": contexts[0],
        "context_negative": contexts[1], "source": "edited image",
        "instruction": made.proposal.instruction,
    }  # fmt: skip


def _answered(
    build: Build,
    rows: Sequence[tuple[Edited, dict[str, Any]]],
    rejected: list[dict[str, Any]],
    checker: Judge,
    missed: int,
    note: Note,
) -> dict[str, Any]:
    """Keep pairs for which a model gives both images their expected answers."""
    questions = {
        f"{number}/{side}": partial(_message, image, _ANSWER, query=each.source.question.text)
        for number, (each, _) in enumerate(rows)
        for side, image in zip(SIDES, (each.source.image, each.edited), strict=True)
    }
    asked = ask_all(build, checker, questions, lambda reply: reply or None, note=note)
    kept, faults = [], Counter[str]()
    for number, (each, row) in enumerate(rows):
        replies = [asked.by_id.get(f"{number}/{side}") for side in SIDES]
        wanted = (each.source.question.answer, each.proposal.answer)
        if None in replies:
            faults["not answered"] += 1
        elif all(map(_is, map(str, replies), wanted)):
            kept.append(row)
            continue
        else:
            faults["not the asked answer"] += 1
        rejected.append({**row, "fault": "answers", "replies": replies})
    build.funnel.step(f"answered as asked by {checker.model}", "pairs", len(kept), faults)
    return build.finish(kept, (), rejected, missed=missed + len(asked.missed))


def _is(reply: str, answer: str) -> bool:
    return any(score(reply, Target(kind, answer)).value == 1 for kind in KINDS)
