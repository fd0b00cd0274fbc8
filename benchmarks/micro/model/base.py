"""The embedded base model's architecture: a small Qwen3-VL whose visual token is one cell.

Makes an untrained model, its processor and tokenizer; the trained weights are in ``weights/``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks.micro.content import prompts, questions, traces
from benchmarks.micro.content.prompts import LETTERS
from benchmarks.micro.content.questions import ORDINALS
from benchmarks.micro.content.scenes import COLOURS, SIZES, cell_name
from benchmarks.micro.model.qwen3vl import (
    Shape,
    Tower,
    byte_level,
    config,
    fan_in_normal,
    learn,
    processor,
    wrapped,
)
from benchmarks.pairs import selection

if TYPE_CHECKING:
    import torch
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
    )

BASE = Shape(
    Tower(hidden=128, intermediate=256, layers=4, heads=4),
    kv_heads=4,
    head_dim=32,
    vision=Tower(hidden=64, intermediate=128, layers=1, heads=2),
    max_pixels=512 * 512,
    merge=1,
    tied=True,
)
"""About a million parameters; one visual token stands for 16 x 16 pixels."""

VOCABULARY = 1600
CELLS = tuple(cell_name(row, column) for row in range(6) for column in range(6))
_PLAIN = """
What Which Where How how Is Name Give Answer Question Context Each
colour is at of the image size thing things there many are left right above below or has most same
as colours sizes none yes no two decimals share all fraction in lowest terms with a list and correct
to this answer equation mark marks ball far from start choices m s t x frac
read call set hold does did show print was txt run tests ok lint build done empty save wait plan log
go on change user assistant supports context letter which
"""
# Words that questions, options, traces and answers are made of.
WORDS = (*COLOURS, *SIZES, *ORDINALS, *traces.KEYS, *traces.VALUES, *_PLAIN.split())


def tokenizer() -> PreTrainedTokenizerFast:
    """Return the base model's tokenizer.

    Whole tokens are the fixed sentences of prompts and questions; the names of cells, the words of
    the world and the texts of options (with and without a blank before them); numbers below 100;
    the option letters, alone and as they stand before an option's text.
    """
    from tokenizers import AddedToken

    made = byte_level(digits=r"\p{N}{1,2}")
    texts = [f"{blank}{word}" for word in (*WORDS, *LETTERS) for blank in ("", " ")]
    texts += [str(number) for number in range(100)]
    # Twice, since what stands once in the text is no merge.
    learn(made, [text for text in texts for _ in range(2)], VOCABULARY - len(_whole()))
    made.add_tokens([AddedToken(text, normalized=False) for text in _whole()])
    return wrapped(made)


def _whole() -> list[str]:
    cells = [f"{blank}{cell}" for cell in CELLS for blank in ("", " ")]
    forms = [form.partition("{text}")[0].rstrip() for form in prompts.FORMS]
    letters = [form.format(letter=letter) for letter in LETTERS for form in forms]
    said = (*prompts.SENTENCES, *questions.PHRASES, *traces.PHRASES)
    said += (*(f"{blank}{name}" for name in questions.image_names(4) for blank in ("", " ")),)
    said += (selection.ASK,)
    options = [option for option in questions.OPTIONS if not option.isalnum()]
    said += (*options, *(f" {option}" for option in questions.OPTIONS if not option.isalpha()))
    return [*dict.fromkeys((*said, *letters, *cells))]


def untrained(
    seed: int, shape: Shape = BASE
) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """Return a model with random weights and its processor.

    Weights have variance 1 / fan-in: with the usual 0.02 a model this narrow does not learn.  What
    a layer adds to the stream starts at a tenth of that, so that tokens stay distinct after the
    first layers.  Two heads start as a circuit that looks a letter up by its option, see
    `_look_up`.
    """
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    words = tokenizer()
    with torch.random.fork_rng(devices=[]):
        model = Qwen3VLForConditionalGeneration._from_config(
            config(shape, words), attn_implementation="eager"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "pos_embed" in name:
                weight.normal_(0.0, 1.0, generator=generator)
            elif weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                fan_in_normal(weight, generator)
            if "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(0.1)
        _look_up(model, words, shape, generator)
    return model, processor(shape, words)


def _look_up(
    model: Qwen3VLForConditionalGeneration,
    words: PreTrainedTokenizerFast,
    shape: Shape,
    generator: torch.Generator,
) -> None:
    """Let two heads start as an induction circuit, which training alone does not find in time.

    The first head of the first layer attends to the token before; the first head of the second
    layer to an equal token (with or without the blank before it): from an option in a thought to
    that option in the list, which knows the letter before it.  Training does the rest.
    """
    import torch

    language = model.model.language_model
    half = shape.head_dim // 2
    embedding = language.embed_tokens.weight
    for text, token in words.get_vocab().items():
        bare = words.vocab.get(text[1:]) if text[0] in "Ġ " else None
        if bare is not None:
            embedding[token] = (embedding[bare] + embedding[token] / 2) / math.sqrt(1.25)
    # Equal for all tokens, for a query and a key that know nothing but the position.
    embedding[:, 0] = 0.25
    _attend_to_token_before(language, shape)
    # The slow frequencies, which hardly turn over the length of a prompt.
    slow = [side + pair for side in (0, half) for pair in range(7, half)]
    equal = language.layers[1].self_attn
    match = torch.empty(len(slow), shape.language.hidden)
    fan_in_normal(match, generator)
    match[:, 0] = 0
    for weight in (equal.q_proj.weight, equal.k_proj.weight):
        weight[: shape.head_dim] = 0
        weight[slow] = match


def _attend_to_token_before(language: Any, shape: Shape) -> None:
    import torch

    half, before = shape.head_dim // 2, language.layers[0].self_attn
    before.q_proj.weight[: shape.head_dim] = before.k_proj.weight[: shape.head_dim] = 0
    for pair, turn in enumerate(language.rotary_emb.inv_freq[:3]):
        before.k_proj.weight[pair, 0] = 1
        before.q_proj.weight[pair, 0] = torch.cos(turn)
        before.q_proj.weight[half + pair, 0] = -torch.sin(turn)
        before.q_norm.weight[[pair, half + pair]] = 4
