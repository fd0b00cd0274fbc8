"""The probe: both orders, letters' log-probabilities from real backends, answers otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from PIL import Image

from benchmarks.probe import Probe
from benchmarks.suites import benchmark
from harness.cli.main import cli
from harness.errors import UsageError
from harness.protocols import Tools, build_items
from harness.records import Item, Response
from tests.servers import Reply, Request, ScriptedServer


def write_pairs(folder: Path, number: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pairs.jsonl"
    rows = [
        {
            "id": f"p{place}",
            "domain": "trajectory",
            "query": "key",
            "answer": str(place),
            "answer_negative": str(place + 1),
            "context_positive": f"key={place}",
            "context_negative": f"key={place + 1}",
        }
        for place in range(number)
    ]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    cli.main(["run", "--suite", "probe", "--json", *words], standalone_mode=False)
    (row,) = json.loads(capsys.readouterr().out)["benchmarks"]
    return row  # type: ignore[no-any-return]


def words(folder: Path) -> list[str]:
    return ["--model", "m", "--data-root", str(folder / "data"), "--out", str(folder / "runs")]


def looks(request: Request) -> str:
    """The letter of the context that holds the answer, read off the prompt."""
    text = request.text
    answer = text.partition("Answer: ")[2].partition("\n")[0]
    first = text.partition("Context A:")[2].partition("Context B:")[0]
    return "A" if f"key={answer}" in first else "B"


def test_each_pair_is_asked_in_both_orders(tmp_path: Path) -> None:
    write_pairs(tmp_path / "probe")
    probe = Probe(tmp_path)
    items = list(build_items(probe))
    assert probe.count() == len(items) == 8
    assert [item.target["letter"] for item in items] == ["A", "B"] * 4  # type: ignore[union-attr]
    assert [item.cluster for item in items] == [f"p{place // 2}" for place in range(8)]  # type: ignore[union-attr]
    a, b = (item.messages[0].render() for item in items[:2])  # type: ignore[union-attr]
    assert a.index("key=0") < a.index("key=1")
    assert b.index("key=1") < b.index("key=0")


@pytest.mark.parametrize(("bias", "parts"), [(0.0, (1.0, 1.0)), (5.0, (1.0, 0.0))])
def test_a_taste_for_one_letter_cancels_and_shows(
    bias: float, parts: tuple[float, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's letters differ by 1 nat for the right one; ``bias`` nats are added to A."""
    write_pairs(tmp_path / "data" / "probe")
    asked = words(tmp_path)

    def answer(request: Request) -> Reply:
        right = looks(request)
        told = {"A": -2.0 + bias, "B": -2.0}
        told[right] += 1.0
        return Reply("A", logprobs=told)

    with ScriptedServer(answer, models=["m"]) as server:
        row = run(
            [*asked, "--endpoint", server.url],
            capsys,
        )
        assert all(request.body["max_tokens"] == 1 for request in server.requests)
    assert row["strict"] == sum(parts) / 2
    assert row["parts"] == {
        "supports_A": parts[0],
        "supports_B": parts[1],
        "trajectory": row["strict"],
    }


def test_without_log_probabilities_the_answer_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "data" / "probe")
    asked = words(tmp_path)
    with ScriptedServer(lambda request: f"Context {looks(request)}.", models=["m"]) as server:
        row = run(
            [*asked, "--endpoint", server.url],
            capsys,
        )
    assert (row["strict"], row["unparsable"]) == (1.0, 0)


async def _scores(text: str, probe: Probe) -> float | None:
    item = next(build_items(probe))
    return (await probe.score(item, Response(text), Tools())).value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ('{"A": -1.0, "B": -2.0}', 1.0),
        ('{"A": -2.0, "B": -1.0}', 0.0),
        ('{"A": null, "B": -9.0}', 0.0),
        ('{"A": -9.0, "B": null}', 1.0),
        ('{"A": -1.0, "B": -1.0}', 0.5),
        # No log-probabilities: an answer, of which the letter is read.
        ("are what you want, but I choose A", 1.0),
        ('{"A": "x", "B": -1.0}: Context B', 0.0),
        ('{"A": "x", "B": 1}', 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_the_likelier_letter_is_the_choice(told: str, value: float, tmp_path: Path) -> None:
    import asyncio

    write_pairs(tmp_path / "probe")
    assert asyncio.run(_scores(f"logprobs {told}", Probe(tmp_path))) == value


def test_a_checkpoint_tells_what_its_own_forward_says(micro_model: Path) -> None:
    """transformers in process: log-probabilities equal log_softmax of an unpadded forward."""
    import asyncio

    import torch
    import transformers

    from harness.backends.transformers import TransformersModel

    items = list(build_items(Probe(Path(), pairs="micro", number=2)))

    async def ask() -> list[object]:
        async with TransformersModel(micro_model) as model:
            return list(
                await asyncio.gather(
                    *(model.logprobs(item.messages, ("A", "B")) for item in items)  # type: ignore[union-attr]
                )
            )

    told = asyncio.run(ask())
    model = transformers.AutoModelForImageTextToText.from_pretrained(micro_model)
    processor = transformers.AutoProcessor.from_pretrained(micro_model)
    letters = processor.tokenizer.convert_tokens_to_ids(["A", "B"])
    for item, found in zip(items, told, strict=True):
        content = [
            {"type": "image", "image": part.image}
            if hasattr(part, "image")
            else {"type": "text", "text": part.text}
            for part in item.messages[0].content  # type: ignore[union-attr]
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            expected = model(**inputs).logits[0, -1].log_softmax(-1)[letters]
        assert found == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_fingerprint_holds_the_images(tmp_path: Path) -> None:
    """The text of the file alone does not say what is asked: an image may be another."""
    from PIL import Image

    folder = tmp_path / "probe"
    folder.mkdir()
    row = {"query": "What colour?", "answer": "red"}
    contexts = {"context_positive": [{"image": "a.png"}], "context_negative": [{"image": "b.png"}]}
    (folder / "pairs.jsonl").write_bytes(orjson.dumps({**row, **contexts}) + b"\n")
    found = set()
    for first, second in (("red", "blue"), ("red", "green"), ("green", "red")):
        Image.new("RGB", (8, 8), first).save(folder / "a.png")
        Image.new("RGB", (8, 8), second).save(folder / "b.png")
        found.add(Probe(tmp_path).fingerprint())
    (folder / "b.png").unlink()
    found.add(Probe(tmp_path).fingerprint())
    assert len(found) == 4
    before = Probe(tmp_path).fingerprint()
    assert Probe(tmp_path).fingerprint() == before


def test_a_file_of_texts_has_the_fingerprint_of_its_text(tmp_path: Path) -> None:
    import hashlib

    path = write_pairs(tmp_path / "probe")
    assert Probe(tmp_path).fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_missing_pairs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file of pairs"):
        Probe(tmp_path).fingerprint()


def test_a_pair_that_is_mended_takes_the_place_of_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its image is no part of the file of pairs: the run goes on when it has come."""
    path = write_pairs(tmp_path / "data" / "probe", number=2)
    row, other = map(json.loads, path.read_text().splitlines())
    row["context_positive"] = [{"image": "late.png"}, {"text": "key=0"}]
    path.write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    with ScriptedServer(looks, models=["m"]) as server:
        asked = [*words(tmp_path), "--endpoint", server.url, "--max-errors", "100%"]
        before = run(asked, capsys)
        Image.new("RGB", (4, 4)).save(path.with_name("late.png"))
        after = run(asked, capsys)
    assert (before["n"], before["errors"]) == (4, 2)
    assert (after["n"], after["errors"], after["strict"]) == (4, 0, 1.0)


def test_what_is_stored_opens_no_image(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "probe", number=2)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["context_negative"] = [{"image": "gone.png"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    probe = Probe(tmp_path)
    assert probe.ids() == ["p0/A", "p0/B", "p1/A", "p1/B"]
    items = [probe.build(item_id) for item_id in ("p1/A", "p1/B")]
    assert [(item.id, type(item)) for item in items] == [("p1/A", Item), ("p1/B", Item)]


def test_one_domain_of_the_embedded_world_can_be_asked() -> None:
    for domain in ("image", "trajectory"):
        probe = Probe(Path(), pairs=f"micro:{domain}", number=3)
        assert {part for item in build_items(probe) for part in item.parts} == {
            "supports_A",
            "supports_B",
            domain,
        }
    assert probe.fingerprint() != Probe(Path(), pairs="micro", number=3).fingerprint()
    with pytest.raises(UsageError, match=r"probe\.pairs=micro:sound.*image, trajectory"):
        benchmark("probe", options={"pairs": "micro:sound"})
