"""Edits of one region are kept, others are not; the whole command against real servers."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ablations.pairs.editing.changes import Limits, change
from ablations.pairs.editing.editors import code_in, editor
from ablations.pairs.editing.edits import Proposal, read_proposal
from ablations.pairs.soundness.shortcuts import shortcuts
from benchmarks.micro.data.pairs import ScenePair, scene_pair
from benchmarks.pair_sources import open_pairs
from harness.cli.main import cli
from harness.errors import ItemError, UsageError
from tests.ablations.pairs.test_soundness import recompressed
from tests.servers import Request, ScriptedServer

Picture = Image.Image
REGION = (16, 16, 32, 32)


def scenes(number: int) -> list[ScenePair]:
    rng = random.Random("edited")
    return [scene_pair(rng, "pairs") for _ in range(number)]


def noisy(image: Picture, sd: float) -> Picture:
    noise = np.random.default_rng(0).normal(0, sd, (*image.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def patched(image: Picture, patch: Callable[[Picture], Picture]) -> Picture:
    made = image.copy()
    made.paste(patch(image.crop(REGION)), REGION)
    return made


def photo() -> Picture:
    """A picture with texture and little noise, as photographs have."""
    y, x = np.mgrid[:96, :96]
    grey = 120 + 60 * np.sin(x / 9) * np.cos(y / 13) + 8 * np.sin(1.5 * x) * np.sin(1.5 * y)
    return noisy(Image.fromarray(np.stack([grey] * 3, -1).astype(np.uint8)), 2)


FAULTS: dict[str, tuple[Callable[[Picture], Picture], str | None]] = {
    "a region redrawn": (
        lambda i: patched(i, lambda r: noisy(Image.new("RGB", r.size, (200, 40, 40)), 2)), None
    ),
    "nothing": (lambda i: i.copy(), "nothing changed"),
    "all brighter": (
        lambda i: i.point(lambda v: min(255, v + 40)), "more than a region changed"
    ),
    "another picture": (lambda i: i.rotate(90), "more than a region changed"),
    "a region, and all blurred": (
        lambda i: patched(i.filter(ImageFilter.GaussianBlur(6)),
                          lambda r: Image.new("RGB", r.size, (200, 40, 40))),
        "changed outside the region",
    ),
    "a region of noise": (
        lambda i: patched(i, lambda r: noisy(Image.new("RGB", r.size, (200, 40, 40)), 60)),
        "another style (noise or sharpness)",
    ),
    "a region, and all recompressed": (
        lambda i: recompressed(
            patched(i, lambda r: noisy(Image.new("RGB", r.size, (200, 40, 40)), 2)), 8),
        "visible artefacts (JPEG blocks)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_an_edit_is_measured(name: str) -> None:
    edit, fault = FAULTS[name]
    original = photo()
    measured = change(original, edit(original))
    assert measured.fault(Limits()) == fault, measured


def test_edits_of_the_micro_world_pass(tmp_path: Path) -> None:
    """Its editor changes the pixels of one cell: outside SSIM is 1 by definition."""
    for made in scenes(20):
        measured = change(made.positive.draw(), made.negative.draw())
        assert measured.fault(Limits()) is None
        assert measured.outside == pytest.approx(1)
    args = ["pairs", "edit", "micro", "--out", str(tmp_path / "out"), "--limit", "40"]
    cli.main(args, standalone_mode=False)
    pairs = open_pairs(str(tmp_path / "out" / "pairs.jsonl"))
    assert len(pairs) == 40
    sides = {"edited" in row["context_positive"][0]["image"] for row in rows(tmp_path)}
    assert sides == {True, False}  # which image supports is drawn
    assert not [test for test in shortcuts(pairs) if test.alarm]


def rows(folder: Path, name: str = "pairs") -> list[dict[str, Any]]:
    lines = (folder / "out" / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def png(image: Picture) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def key(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


class World:
    """Proposes, edits and answers as it should, but for every third and fourth scene.

    The third edit changes all; of the fourth the edited image is answered as the first was.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.scenes = scenes(number)
        self.edits = 0
        self._of = {made.positive.draw().tobytes(): k for k, made in enumerate(self.scenes)}
        self._answers: dict[bytes, str] = {}
        items = []
        for k, made in enumerate(self.scenes):
            made.positive.draw().save(folder / f"{k}.png")
            self._answers[made.positive.draw().tobytes()] = made.answer
            wrong = k % 4 == 3
            self._answers[made.negative.draw().tobytes()] = (
                made.answer if wrong else made.answer_negative
            )
            items.append({"id": f"s{k}", "query": made.query, "answer": made.answer,
                          "images": [f"{k}.png"]})  # fmt: skip
        (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))

    def chat(self, request: Request) -> str:
        image = key(request.images[0])
        if "Propose" not in request.text:
            return self._answers[image]
        made = self.scenes[self._of[image]]
        return json.dumps({"instruction": "change it", "answer": made.answer_negative})

    def edit(self, fields: Any) -> Any:
        assert (fields["prompt"], fields["model"]) == ("change it", "painter")
        self.edits += 1
        k = self._of[key(fields["image"])]
        made = self.scenes[k].negative.draw()
        made = made.point(lambda v: 255 - v) if k % 4 == 2 else made
        return {"data": [{"b64_json": base64.b64encode(png(made)).decode()}]}


def test_the_command_keeps_edits_that_change_the_answer(tmp_path: Path) -> None:
    world = World(tmp_path, 8)
    with ScriptedServer(world.chat, more={"/v1/images/edits": world.edit}) as server:
        args = ["pairs", "edit", str(tmp_path / "items.jsonl"), "--out", str(tmp_path / "out"),
                "--proposer", server.url, "--proposer-model", "scripted",
                "--editor", server.url, "--editor-model", "painter",
                "--checker", server.url, "--checker-model", "scripted"]  # fmt: skip
        cli.main(args, standalone_mode=False)
        cli.main(args, standalone_mode=False)  # finished: nothing is asked again
        (tmp_path / "out" / "pairs.jsonl").unlink()  # killed before its end
        cli.main(args, standalone_mode=False)
    assert {row["id"] for row in rows(tmp_path)} == {"s0", "s1", "s4", "s5"}
    faults = {row["id"]: row["fault"] for row in rows(tmp_path, "rejected")}
    assert faults == {"s2": "more than a region changed", "s6": "more than a region changed",
                      "s3": "answers", "s7": "answers"}  # fmt: skip
    assert (world.edits, len(server.requests)) == (8, 8 + 2 * 6)
    for row in rows(tmp_path):
        made = world.scenes[int(row["id"][1:])]
        edited = "edited" in row["context_positive"][0]["image"]
        assert row["answer"] == (made.answer_negative if edited else made.answer)


class Endless(BaseHTTPRequestHandler):
    """Answers with an image that has no end."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has had enough
            while True:
                self.wfile.write(b"x" * 2**20)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("file", ["evil.py", "unet/evil.py"])
def test_code_in_the_folder_of_an_editor_is_not_run(file: str, tmp_path: Path) -> None:
    """diffusers 0.36 runs both when it loads such a folder, whatever `trust_remote_code` says."""
    ran = tmp_path / "ran"
    index = {"_class_name": ["evil", "Evil"], "_diffusers_version": "0.36.0", "unet": ["evil", "M"]}
    (tmp_path / "editor" / file).parent.mkdir(parents=True)
    (tmp_path / "editor" / file).write_text(f"open({str(ran)!r}, 'w')")
    (tmp_path / "editor" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"holds code \(evil\.py\), which is not run"):
        editor(str(tmp_path / "editor"))
    assert not ran.exists()


def test_code_in_a_folder_that_an_editor_links_to_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "editor").mkdir()
    (tmp_path / "other" / "unet").mkdir(parents=True)
    (tmp_path / "editor" / "unet").symlink_to(tmp_path / "other" / "unet")
    (tmp_path / "other" / "unet" / "again").symlink_to(tmp_path / "editor")  # has no end
    (tmp_path / "other" / "unet" / "evil.txt").write_text("")
    (tmp_path / "other" / "unet" / "evil.py").symlink_to("evil.txt")
    with pytest.raises(UsageError, match=r"holds code \(evil\.py\), which is not run"):
        editor(str(tmp_path / "editor"))
    assert code_in(tmp_path / "other" / "unet" / "again") == "evil.py"
    (tmp_path / "other" / "unet" / "evil.py").unlink()
    assert code_in(tmp_path / "editor") is None


def test_an_editors_answer_is_read_up_to_a_limit() -> None:
    with HTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        edit = editor(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(ItemError, match="the server's answer is larger than 64 MiB"):
            edit(Image.new("RGB", (2, 2)), "change it", 0)
        server.shutdown()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "give --proposer"),
        (["--proposer", "http://127.0.0.1:1"], "--proposer URL and --proposer-model M"),
    ],
)
def test_what_is_missing_is_one_line(args: list[str], says: str, tmp_path: Path) -> None:
    World(tmp_path, 1)
    command = ["pairs", "edit", str(tmp_path / "items.jsonl"), "--out", str(tmp_path / "out")]
    with pytest.raises(UsageError, match=says) as caught:
        cli.main([*command, *args], standalone_mode=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "proposal"),
    [
        ('Sure: {"instruction": "Paint it.", "answer": "red"}', Proposal("Paint it.", "red")),
        ('{"instruction": "Add one.", "answer": 4}', Proposal("Add one.", "4")),
        ('{"instruction": "", "answer": "red"}', None),
        ('{"instruction": "Paint it."}', None),
        ("Paint it red.", None),
        ("}{", None),
    ],
)
def test_proposals_are_read(reply: str, proposal: Proposal | None) -> None:
    assert read_proposal(reply) == proposal


def test_an_editor_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no server answers") as caught:
        editor("http://127.0.0.1:1")(photo(), "x", 0)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"cannot be loaded|not installed"):
        editor(str(tmp_path))


@pytest.mark.slow
def test_a_diffusers_pipeline_edits(tmp_path: Path) -> None:
    """A random Stable Diffusion img2img pipeline of a few thousand weights: seeded."""
    diffusers = pytest.importorskip("diffusers")
    import torch
    import transformers as tf

    torch.manual_seed(0)
    (tmp_path / "vocab").mkdir()
    words = {word: n for n, word in enumerate(["<|startoftext|>", "<|endoftext|>", "a</w>"])}
    (tmp_path / "vocab" / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "vocab" / "merges.txt").write_text("#version: 0.2\n")
    text = tf.CLIPTextConfig(vocab_size=3, hidden_size=32, intermediate_size=37, bos_token_id=0,
                             num_attention_heads=4, num_hidden_layers=1, eos_token_id=1,
                             pad_token_id=1)  # fmt: skip
    pipeline = diffusers.StableDiffusionImg2ImgPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=[32, 64], latent_channels=4, norm_num_groups=32,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2),
        unet=diffusers.UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=4,
            out_channels=4, cross_attention_dim=32,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D")),
        text_encoder=tf.CLIPTextModel(text),
        tokenizer=tf.CLIPTokenizer(str(tmp_path / "vocab" / "vocab.json"),
                                   str(tmp_path / "vocab" / "merges.txt"),
                                   unk_token="<|endoftext|>", model_max_length=8),
        scheduler=diffusers.DDIMScheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(tmp_path / "pipeline")
    # The class in model_index.json decides which pipeline is loaded; others take no image.
    paint = editor(str(tmp_path / "pipeline"))
    first, second, other = (paint(photo(), "a", seed) for seed in (1, 1, 2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()
