"""The content of an item's page as JSON values: its list entry, and the item in full."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from harness.cli.tables import episode, known
from harness.files.text import abridged, visible
from harness.reasoning import extra_tags
from harness.records import ImagePart, Message, Response
from harness.runs import sources
from harness.runs.lookup import ShownAnswer
from harness.runs.store import SecondaryScore
from reports.read.flips import target
from reports.read.runs import Run
from reports.view.items import Place, View

BRIEF = 120  # characters of a text in the list
LONGEST = 20_000  # characters of a text in an item; `harness show` has everything
IMAGE = re.compile(r"<image \d+x\d+>")  # as written by `Message.render`
Sides = Sequence[Sequence[ShownAnswer]]


def shown_text(value: Any) -> Any:
    """Return a JSON value with all its text made visible, and abridged if long."""
    if isinstance(value, str):
        return visible(abridged(value, LONGEST))
    if isinstance(value, dict):
        return {name: shown_text(inner) for name, inner in value.items()}
    return [shown_text(inner) for inner in value] if isinstance(value, list) else value


def entry(place: Place, sides: Sides) -> dict[str, Any]:
    """Return an item's list entry: what is shown, filtered by and searched first.

    ``verdicts`` and ``predictions`` are by run, ``statuses`` of any answer; ``differs`` names how
    runs, scorers or repeats disagree.
    """
    first = next(chain.from_iterable(sides)).sample
    texts = {
        "benchmark": place.benchmark,
        "id": _brief(place.id),
        "question": _brief(IMAGE.sub("", "\n".join(first.prompt))),
        "target": _brief(target(first.target)),
    }
    listed: dict[str, Any] = shown_text(
        texts
        | {
            "verdicts": [verdict(side) for side in sides],
            "predictions": [_brief(", ".join(_predictions(side))) for side in sides],
            "statuses": list(dict.fromkeys(_statuses(chain.from_iterable(sides)))),
            "differs": list(disagreements(sides)),
        }
    )
    return listed


def _brief(text: str) -> str:
    line = " ".join(text[: 4 * BRIEF].split())
    return line if len(line) <= BRIEF else f"{line[: BRIEF - 1]}…"


def _mean(side: Sequence[ShownAnswer]) -> tuple[str, float | None]:
    """Return a run's mean score on an item, and its kind: native if there is no strict one."""
    strict = [answer.sample.score.value for answer in side]
    native = [answer.native.value for answer in side if answer.native]
    for kind, scores in (("strict", strict), ("native", native)):
        if values := [value for value in scores if value is not None]:
            return kind, fmean(values)
    return "", None


def verdict(side: Sequence[ShownAnswer]) -> str:
    """Return a run's verdict on an item in a word, over its repeats."""
    if not side:
        return "not asked"
    kind, mean = _mean(side)
    if mean is None:
        return "no score"
    word = "right" if mean == 1 else "wrong" if mean == 0 else "partly right"
    return word if kind == "strict" else f"{word} ({kind})"


def _predictions(side: Sequence[ShownAnswer]) -> list[str]:
    predictions = (answer.sample.score.prediction for answer in side)
    return list(dict.fromkeys(each for each in predictions if each is not None))


def _statuses(answers: Iterable[ShownAnswer]) -> Iterator[str]:
    for answer in answers:
        yield answer.sample.score.status
        if answer.sample.response is not None and answer.sample.response.truncated:
            yield "truncated"


def disagreements(sides: Sides) -> Iterator[str]:
    """Yield how the answers to an item disagree; for two runs, the second against the first.

    An item counts as right if its mean score is at least 0.5, as in `reports.read.flips`.
    """
    means = [_mean(side) for side in sides]
    if len(sides) == 2:
        yield from _between(means, sides)
    for kind in ("native", "judged"):
        if any(_other_verdict(answer, getattr(answer, kind)) for side in sides for answer in side):
            yield f"strict and {kind} disagree"
    if any(len({_right(answer.sample.score.value) for answer in side}) > 1 for side in sides):
        yield "repeats disagree"


def _between(means: Sequence[tuple[str, float | None]], sides: Sides) -> Iterator[str]:
    before, after = (_right(mean) for _, mean in means)
    if not all(sides):
        yield "in one run alone"
    elif means[0][0] == means[1][0] and before is not None:
        if before != after:
            yield "gained" if after else "lost"
        elif _predictions(sides[0]) != _predictions(sides[1]):
            yield "same verdict, another prediction"
    if all(sides) and sides[0][0].sample.prompt != sides[1][0].sample.prompt:
        yield "another prompt"


def _right(value: float | None) -> bool | None:
    return None if value is None else value >= 0.5


def _other_verdict(answer: ShownAnswer, other: SecondaryScore | None) -> bool:
    pair = {_right(answer.sample.score.value), _right(other.value if other else None)}
    return pair == {True, False}


def item(view: View, place: Place, sides: Sides) -> dict[str, Any]:
    """Return an item in full: prompt without images, target, and each run's answers."""
    first = next(chain.from_iterable(sides))
    prompts = [side[0].sample.prompt if side else () for side in sides]
    other = prompts[1] if len(prompts) == 2 and all(prompts) and prompts[0] != prompts[1] else ()
    sample = first.sample
    cluster = f"cluster {sample.cluster}" + "".join(f", {part}" for part in sample.parts)
    full: dict[str, Any] = shown_text(
        {
            "about": [*filter(None, [first.note]), cluster],
            "prompt": [{"role": "", "parts": [{"text": text}]} for text in sample.prompt],
            "other_prompt": list(other),
            "target": target(sample.target),
            "target_json": json.dumps(sample.target, ensure_ascii=False, indent=1),
            "show": shlex.quote(f"{place.benchmark}/{place.id}"),
            "sides": [_side(run, side) for run, side in zip(view.runs, sides, strict=True)],
        }
    )
    return full


def _side(run: Run, side: Sequence[ShownAnswer]) -> dict[str, Any]:
    with extra_tags(run.manifest.get("reasoning_tags", [])):
        return {"run": run.label, "answers": [_answer(each) for each in side]}


def _answer(answer: ShownAnswer) -> dict[str, Any]:
    sample = answer.sample
    score, response = sample.score, sample.response
    verdicts = [_verdict_line("strict", score.value, score.status, score.why)]
    for kind, other in (("native", answer.native), ("judged", answer.judged)):
        if other is not None:
            verdicts.append(_verdict_line(kind, other.value, other.by, other.why))
    return {
        "repeat": sample.repeat,
        "verdict": verdict([answer]),
        "prediction": score.prediction,
        "verdicts": verdicts,
        "flag": score.flag,
        "from": f"{sources.text(answer.source)}, {sources.period(sample.time, sample.time)}",
        **({} if response is None else _response(response)),
    }


def _verdict_line(kind: str, value: float | None, by: str, why: str) -> str:
    return f"{kind} {'-' if value is None else f'{value:g}'} ({by}){f': {why}' if why else ''}"


def _response(response: Response) -> dict[str, Any]:
    """Return a response with its reasoning apart, and an agent's episode as its steps."""
    thought, answer, whole = parts_of(response)
    steps = list(episode(response.trajectory[2:])) if response.trajectory else []
    return {
        "thought": thought,
        "whole": whole,
        "answer": answer,
        "absence": response.absence,
        "known": known(response),
        "episode": "\n".join(steps),
    }


def parts_of(response: Response) -> tuple[str, str, bool]:
    """Return reasoning, answer, and whether all is reasoning, as the answer is not its end."""
    text, answer = response.text.strip(), response.answer
    whole = text != answer and not (answer and text.endswith(answer))
    inside = text if whole else text[: len(text) - len(answer)].strip()
    thought = "\n\n".join(filter(None, [response.reasoning, inside]))
    return thought, answer, whole and bool(answer)


def pictured(
    messages: Sequence[Message], stored: Sequence[str], url: Callable[[ImagePart, int], str]
) -> list[dict[str, Any]]:
    """Return a prompt with its images in place, as messages with a role and parts.

    If the stored prompt differs (a run of imported responses), it is shown as stored, with the
    images below. ``url`` gives an image's address by its number.
    """
    images = [part for each in messages for part in each.content if isinstance(part, ImagePart)]
    addresses = {id(part): _image(part, url(part, n)) for n, part in enumerate(images)}
    if [abridged(message.render()) for message in messages] != list(stored):
        texts = [{"role": "", "parts": shown_text([{"text": text}])} for text in stored]
        return [*texts, {"role": "", "parts": list(addresses.values())}]
    return [
        {
            "role": message.role,
            "parts": [
                addresses[id(part)]
                if isinstance(part, ImagePart)
                else {"text": shown_text(part.text)}
                for part in message.content
            ],
        }
        for message in messages
    ]


def _image(part: ImagePart, address: str) -> Mapping[str, Any]:
    return {"image": address, "width": part.image.width, "height": part.image.height}
