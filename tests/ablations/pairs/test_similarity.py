"""Planted pairs of similar images are all found, decoys are not; each way to embed."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablations.pairs.similarity.candidates import Question, answers_differ, asks_the_same
from ablations.pairs.similarity.embedding import embedding
from ablations.pairs.similarity.neighbours import neighbours
from benchmarks.micro.data.pairs import scene_pair
from benchmarks.pair_sources import open_pairs
from harness.cli.main import cli
from harness.errors import ItemError, UsageError
from tests.ablations.pairs.test_soundness import recompressed
from tests.servers import Reply, Request, ScriptedServer

SIZE = (160, 160)


def write(folder: Path, number: int) -> set[frozenset[str]]:
    """Write items with planted pairs and decoys; return the planted pairs of ids."""
    rng = random.Random("similar")
    rows: list[dict[str, Any]] = []
    planted = set()

    def add(name: str, image: Image.Image, query: str, answer: str) -> None:
        room = name[1:] if name[0] in "pn" else f"{name[1:]}b"
        image.resize(SIZE, Image.Resampling.NEAREST).save(folder / f"{name}.png")
        asked = f"<image>{query} (in room {room})"
        rows.append({"id": name, "query": asked, "answer": answer, "images": [f"{name}.png"]})

    for k in range(number):
        made = scene_pair(rng, "pairs")
        first, second = made.positive.draw(), made.negative.draw()
        planted.add(frozenset({f"p{k}", f"n{k}"}))
        add(f"p{k}", first, made.query, made.answer)
        add(f"n{k}", second, f"{made.query.upper()} ", made.answer_negative)
        other = scene_pair(rng, "pairs")
        images = other.positive.draw(), other.negative.draw()
        match k % 4:
            case 0:  # the same answer
                add(f"a{k}", images[0], other.query, "1/2")
                add(f"b{k}", images[1], other.query, "0.5")
            case 1:  # another question
                add(f"a{k}", images[0], other.query, other.answer)
                add(f"b{k}", images[1], "How many are there?", "3")
            case 2:  # a copy with a contradicting answer
                add(f"a{k}", images[0], other.query, other.answer)
                large = images[0].resize(SIZE, Image.Resampling.NEAREST)
                add(f"b{k}", recompressed(large, 95), other.query, other.answer_negative)
            case 3:  # another picture
                add(f"a{k}", images[0], other.query, other.answer)
                add(f"b{k}", scene_pair(rng, "pairs").positive.draw(), other.query, "seven")
    rows.append({"id": "text", "query": "What is it?", "answer": "x"})
    rng.shuffle(rows)
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return planted


def built(folder: Path, *more: str, out: str = "out") -> dict[str, Any]:
    """Return the manifest of a build of a folder's items."""
    args = ["pairs", "images", str(folder / "items.jsonl"), "--out", str(folder / out), *more]
    cli.main(args, standalone_mode=False)
    document: dict[str, Any] = json.loads((folder / out / "manifest.json").read_text())
    return document


def found(folder: Path, out: str = "out") -> set[frozenset[str]]:
    pairs = open_pairs(str(folder / out / "pairs.jsonl"))
    return {frozenset(pair.id.split("~")) for pair in pairs}


@pytest.mark.parametrize("search", ["exact", "approximate"])
@pytest.mark.parametrize(("how", "cosine"), [("pixels", "0.75"), ("hog", "0.97")])
def test_planted_pairs_are_found_and_no_decoy(
    how: str, cosine: str, search: str, tmp_path: Path
) -> None:
    planted = write(tmp_path, 24)
    manifest = built(tmp_path, "--embedding", how, "--search", search, "--cosine", cosine)
    kept = found(tmp_path)
    assert kept <= planted
    # A large change of colour in one of nine cells can cost pixels a fifth of the cosine.
    assert len(kept) == 24 if how == "hog" else len(kept) >= 21
    assert manifest["funnel"][1]["dropped"] == {"not exactly one image": 1}
    assert any("no learned embedding" in note for note in manifest["notes"])
    first = open_pairs(str(tmp_path / "out" / "pairs.jsonl"))[0]
    assert "<image>" not in first.query


def test_a_build_is_the_same_again_and_another_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 4)
    assert built(tmp_path) == built(tmp_path)
    (tmp_path / "out" / "pairs.jsonl").unlink()  # killed before its end
    one = built(tmp_path)
    assert one["pairs_hash"] == built(tmp_path, out="again")["pairs_hash"]
    with pytest.raises(UsageError, match=r"another build .*cosine"):
        built(tmp_path, "--cosine", "0.9")


def test_the_judge_sorts_pairs(tmp_path: Path) -> None:
    write(tmp_path, 6)

    def answer(request: Request) -> Reply | str:
        assert len(request.images) == 2
        verdict = ("VALID", "INVALID", "UNCERTAIN")[request.number % 3]
        return json.dumps({"verdict": verdict, "reasons": ["said so"]})

    with ScriptedServer(answer) as server:
        args = ("--cosine", "0.5", "--judge", server.url, "--judge-model", "scripted")
        manifest = built(tmp_path, *args)
    counts = manifest["counts"]
    assert (counts["pairs"], counts["uncertain"], counts["rejected"]) == (2, 2, 2)


def test_embeddings_of_a_server(tmp_path: Path) -> None:
    """Its vectors are of the image's mean colour; it is asked as vLLM's servers are."""

    def answer(body: Any) -> Any:
        (part,) = body["messages"][0]["content"]
        data = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
        mean = np.asarray(Image.open(io.BytesIO(data))).mean((0, 1))
        return {"data": [{"embedding": mean.tolist()}]}

    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "yellow")]
    with ScriptedServer(lambda _: "", more={"/v1/embeddings": answer}) as server:
        vectors = embedding(server.url).embed(images)
    assert np.allclose(vectors @ vectors.T, [[1, 0, 0.5**0.5], [0, 1, 0.5**0.5],
                                             [0.5**0.5, 0.5**0.5, 1]])  # fmt: skip


@pytest.mark.parametrize(
    "vector",
    [
        [],
        "12",
        {"1": 1},
        [[1.0], [2.0]],
        ["a"],
        [None],
        [1e308, 1.0],
        [10**400],
        [[1], [1, 2]],
        ["1", "2"],
        [True, False],
    ],
    ids=repr,
)
def test_what_is_no_vector_of_finite_numbers_is_one_line(vector: Any) -> None:
    """A NaN would be in every cosine, and near to nothing."""
    images = [Image.new("RGB", (8, 8))] * 2
    answer = {"data": [{"embedding": vector}]}
    with (
        ScriptedServer(lambda _: "", more={"/v1/embeddings": lambda _: answer}) as server,
        pytest.raises(ItemError, match="gives no embedding of an image"),
    ):
        embedding(server.url).embed(images)


def test_vectors_of_different_lengths_are_one_line() -> None:
    lengths = itertools.count(1)

    def answer(_: Any) -> Any:
        return {"data": [{"embedding": [1.0] * next(lengths)}]}

    with (
        ScriptedServer(lambda _: "", more={"/v1/embeddings": answer}) as server,
        pytest.raises(UsageError, match=r"embeddings of different lengths: \[1, 2\]"),
    ):
        embedding(server.url).embed([Image.new("RGB", (8, 8))] * 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "dinov2", "siglip"])
def test_embeddings_of_a_checkpoint(kind: str, tmp_path: Path) -> None:
    """Random weights: an image is nearest to itself, and vectors have length 1."""
    import transformers as tf

    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 32, "patch_size": 8}  # fmt: skip
    if kind == "dinov2":
        size.pop("intermediate_size")
        model: Any = tf.Dinov2Model(tf.Dinov2Config(**size))
        processor: Any = tf.BitImageProcessor(size={"shortest_edge": 32},
                                              crop_size={"height": 32, "width": 32})  # fmt: skip
    elif kind == "clip":
        model = tf.CLIPVisionModel(tf.CLIPVisionConfig(**size))
        processor = tf.CLIPImageProcessor(size={"shortest_edge": 32},
                                          crop_size={"height": 32, "width": 32})  # fmt: skip
    else:
        model = tf.SiglipVisionModel(tf.SiglipVisionConfig(**size))
        processor = tf.SiglipImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(5)]
    vectors = embedding(str(tmp_path)).embed(images)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    alone = np.concatenate([embedding(str(tmp_path)).embed([image]) for image in images])
    assert (np.argmax(alone @ vectors.T, axis=1) == np.arange(5)).all()


@pytest.mark.slow
def test_embeddings_of_a_vision_language_model(tmp_path: Path) -> None:
    from tests.ablations import tiny

    tiny.build("qwen2_5_vl", tmp_path)
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    vectors = embedding(str(tmp_path)).embed(images)
    assert vectors.shape[0] == 2
    assert vectors[0] @ vectors[1] < 0.9999


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be loaded") as caught:
        embedding(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_exact_neighbours_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    expected = set()
    for i in range(300):
        nearest = [j for j in np.argsort(-cosines[i]) if j != i][:5]
        expected |= {(min(i, j), max(i, j)) for j in nearest if cosines[i, j] >= 0.5}
    assert {row[:2] for row in neighbours(vectors, 0.5, 5, "exact")} == expected


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("12", "12.0", True), ("1/2", "0.5", True), ("Red", " red", True), ("red", "blue", False),
        ("A", "B", False), ("\\frac{1}{2}", "1/2", True), ("3", "30", False), ("yes", "no", False),
    ],
)  # fmt: skip
def test_answers_are_compared_strictly(first: str, second: str, same: bool) -> None:
    for a, b in ((first, second), (second, first)):
        assert answers_differ(Question("", "", a, "text"), Question("", "", b, "text")) != same


@pytest.mark.parametrize(
    ("first", "second", "same", "equivalent"),
    [
        ("What is it?", "what is  it", True, True),
        ("How many cats are in the picture?", "How many cats are there?", False, True),
        ("Which is larger?", "Which is not larger?", False, False),
        ("What is the area of radius 5?", "What is the area of radius 6?", False, False),
        ("Is A above B?", "Is B above A?", False, False),
    ],
)
def test_questions_are_compared_by_the_rule(
    first: str, second: str, same: bool, equivalent: bool
) -> None:
    a, b = (Question("", text, "", "text") for text in (first, second))
    assert asks_the_same(a, b, "same") == same
    assert asks_the_same(a, b, "equivalent") == equivalent
    assert asks_the_same(a, b, "any")
