"""Run a checkpoint in this process with Hugging Face transformers, in batches.

An answer depends on its batch only up to rounding: every row has its own limit and its own random
numbers. It is delivered when it ends, while the batch continues. (transformers' own continuous
batching takes token ids only: no images.)
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.backends import wire
from harness.backends.batching import Batcher, BatchError, Deliver
from harness.backends.checkpoint import (
    load_model,
    load_processor,
    put_on,
    reads_images,
    rendered,
    set_up,
    unreadable,
)
from harness.backends.reasoning_tags import decoded, dropped_ids, named_tags
from harness.backends.spec import AS_IT_IS, Setup
from harness.backends.tokenizer import LocalTokenizer
from harness.errors import ContextOverflowError, ItemError, UsageError, first_line
from harness.files.text import counted
from harness.protocols import OWN_FORM, PromptForm
from harness.reasoning import closed, opening
from harness.records import ImagePart, Message, Response, Sampling

if TYPE_CHECKING:
    import torch

CPU_BATCH = 8
GPU_BATCH = 16
NEWS_EVERY = 15.0  # seconds
# Tensors with one number per token; left-padded.
_PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as model inputs: tensors of a batch of one, by argument name."""

    tensors: Mapping[str, torch.Tensor]
    limit: int
    sampling: Sampling

    @property
    def length(self) -> int:
        """The number of tokens, including those of images."""
        return int(self.tensors["input_ids"].shape[1])

    @property
    def layout(self) -> Hashable:
        """What prompts of one batch share: the same tensors, joinable along their first axis."""
        return frozenset(
            (name, None if name in _PER_TOKEN else tuple(tensor.shape[1:]))
            for name, tensor in self.tensors.items()
        )


def collate(prompts: Sequence[Prompt], pad: int) -> dict[str, torch.Tensor]:
    """Join prompts of one layout into a batch, left-padding shorter ones.

    Tensors with one number per token become (batch, longest); all others (image patches, grids) are
    concatenated along their first axis, as processors do.
    """
    import torch

    longest = max(prompt.length for prompt in prompts)

    def widened(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in _PER_TOKEN:
            return tensor
        value = pad if name == "input_ids" else 0
        return torch.nn.functional.pad(tensor, (longest - tensor.shape[1], 0), value=value)

    return {
        name: torch.cat([widened(name, prompt.tensors[name]) for prompt in prompts])
        for name in prompts[0].tensors
    }


def penalised(
    logits: torch.Tensor, prompt: torch.Tensor, answer: torch.Tensor, sampling: Sampling
) -> torch.Tensor:
    """Return logits, shape (vocabulary,), with penalties for token ids already present.

    As in vLLM, in this order: repetition divides positive logits of the prompt's and the answer's
    tokens and multiplies negative ones; presence is subtracted for the answer's.
    """
    import torch

    logits = logits.float()
    if (factor := sampling.repetition_penalty) is not None:
        seen = torch.cat([prompt, answer]).unique()
        known = logits[seen]
        logits[seen] = torch.where(known > 0, known / factor, known * factor)
    if (penalty := sampling.presence_penalty) is not None:
        logits[answer.unique()] -= penalty
    return logits


def perturbed(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """Return logits, shape (vocabulary,), whose argmax is a sample from the model's distribution.

    Temperature, then min-p, top-k and nucleus (top-p) in vLLM's order, then Gumbel noise:
    argmax(logits + Gumbel) is distributed as softmax(logits) (Gumbel 1954; Maddison et al. 2014,
    "A* sampling").
    """
    import torch
    from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scaled = logits.float() / sampling.temperature
    top_k = sampling.top_k or -1
    warpers = (
        MinPLogitsWarper(sampling.min_p) if sampling.min_p else None,
        TopKLogitsWarper(top_k) if top_k > 0 else None,
        TopPLogitsWarper(sampling.top_p) if sampling.top_p < 1 else None,
    )
    for warper in filter(None, warpers):
        scaled = warper(torch.empty(0, device=logits.device), scaled[None])[0]
    waiting_times = torch.empty_like(scaled).exponential_(generator=generator)
    return scaled - waiting_times.clamp_min(torch.finfo(torch.float32).tiny).log()


class TokenCount:
    """Report every few seconds how many tokens were generated, and how fast."""

    def __init__(self, on_status: Callable[[str], None], every: float = NEWS_EVERY) -> None:
        self._on_status, self._every = on_status, every
        self._tokens = self._tokens_before = 0
        self._last = 0.0

    def add(self, tokens: int, left: int, batch_size: int) -> None:
        """Count one step of a batch, after which ``left`` of its rows are unfinished."""
        now = time.monotonic()
        if not self._tokens:  # start-up and the first prompts do not count
            self._last, self._tokens_before = now, tokens
        self._tokens += tokens
        if now - self._last >= self._every and self._tokens > self._tokens_before:
            rate = (self._tokens - self._tokens_before) / (now - self._last)
            self._last, self._tokens_before = now, self._tokens
            self._on_status(
                f"transformers: {counted(self._tokens, 'token')} generated, {rate:.1f} tokens/s; "
                f"{batch_size - left} of {counted(batch_size, 'response')} of this batch done"
            )


def _loaded(folder: Path, dtype: str, device: str, setup: Setup) -> tuple[Any, Any]:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    several = device == "cuda" and torch.cuda.device_count() > 1
    processor = load_processor(folder)
    set_up(processor, setup.settings)
    model = load_model(
        folder,
        dtype=dtype if dtype == "auto" else getattr(torch, dtype),
        device_map="auto" if several else None,
    )
    if setup.adapter is not None:
        put_on(model, setup.adapter)
    return processor, (model if several else model.to(device)).eval()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except unreadable() as error:
        raise ItemError(f"the processor cannot read the question: {error}") from error


class Checkpoint:
    """A loaded checkpoint: prepares prompts and answers batches of them. Blocking.

    ``dtype`` is "auto" (the checkpoint's own), "float32", "bfloat16" or "float16", ``device``
    "auto" (the available GPUs, else the CPU) or a torch device. Prompt plus answer have at most
    ``max_model_len`` tokens, by default the model's own limit. Raises `UsageError` if it cannot be
    loaded or set up, or lacks weights or a chat template.
    """

    def __init__(
        self,
        folder: Path,
        dtype: str = "auto",
        device: str = "auto",
        max_model_len: int | None = None,
        count: TokenCount | None = None,
        setup: Setup = AS_IT_IS,
    ) -> None:
        from transformers import GenerationConfig

        self._count = count or TokenCount(lambda _: None)
        self.closing = threading.Event()
        self._processor, self._model = _loaded(folder, dtype, device, setup)
        self._settings = setup.settings
        self._variables = self._settings.chat_template_kwargs or {}
        self._reads_images = reads_images(folder)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        # All end-of-answer tokens: the tokenizer's and the checkpoint's.
        named = self._model.generation_config.eos_token_id
        ends = [self._tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
        self._ends = {int(end) for end in ends if end is not None}
        pairs = named_tags(folder, self._settings.template_text()).pairs
        self._dropped, _ = dropped_ids(self._tokenizer, pairs)
        pad = self._tokenizer.pad_token_id
        self._pad = pad if pad is not None else min(self._ends, default=0)
        longest = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        self._context = min(filter(None, (longest, max_model_len)), default=sys.maxsize)
        self.device = str(self._model.device.type)
        # Without a checkpoint's suggested penalties or top-k.
        self._model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=sorted(self._ends) or None, pad_token_id=self._pad
        )

    def describe(self) -> str:
        """Return where and how the model runs."""
        return f"{self.device}, {str(self._model.dtype).removeprefix('torch.')}"

    def prepare(self, messages: Sequence[Message], sampling: Sampling) -> Prompt:
        """Return the prompt of a conversation.

        Raises `ContextOverflowError` if it does not fit into the context; `ItemError` if the
        processor rejects it; `UsageError` if the chat template exceeds its time limit.
        """
        chat = wire.transformers(self._settings.asked(messages), images=self._reads_images)
        with _readable():
            rendered(self._processor, chat, self._variables)  # rejected if too slow
            inputs = self._tokenized(chat)
        return self._fitting(inputs, sampling)

    def _tokenized(self, chat: Sequence[Any]) -> Any:
        return self._processor.apply_chat_template(
            chat,
            **self._variables,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _fitting(self, inputs: Mapping[str, Any], sampling: Sampling) -> Prompt:
        """Return a prompt with its limit of new tokens; `ContextOverflowError` if none fits."""
        length = int(inputs["input_ids"].shape[1])
        room = self._context - length
        if room < 1:
            raise ContextOverflowError(
                f"the prompt has {counted(length, 'token')}, the context holds {self._context}"
            )
        return Prompt(dict(inputs), min(sampling.max_tokens, room), sampling)

    def prepare_choice(self, messages: Sequence[Message], form: PromptForm) -> Prompt:
        """Return the prompt of a conversation whose answer begins with an option letter.

        A final assistant message is the beginning of that answer. Reasoning that the template opens
        is closed. Raises as `prepare` does, `TooLongError` depending on the form, and `UsageError`
        if it is unknown how the reasoning closes.
        """
        own = {} if form.template is None else {"chat_template": form.template}
        messages, begun = wire.without_prefill(messages)
        chat = wire.transformers(self._settings.asked(messages), images=self._reads_images)
        images = [part.image for m in messages for part in m.content if isinstance(part, ImagePart)]
        with _readable():
            text = rendered(self._processor, chat, {**self._variables, **form.variables, **own})
            if opening(text) or begun or form.variables or own:
                inputs = self._processor(
                    text=[closed(text) + begun],
                    **({"images": [images]} if images else {}),
                    return_tensors="pt",
                    add_special_tokens=False,
                )
            else:
                inputs = self._tokenized(chat)
        prompt = self._fitting(inputs, Sampling(max_tokens=1))
        form.check(prompt.length)
        return prompt

    def generate(self, prompts: Sequence[Prompt], deliver: Deliver[Response]) -> None:
        """Answer a batch of prompts of one layout; each answer is delivered when it ends.

        Raises `BatchError` if it does not fit into memory, or the model rejects it.
        """
        self._attempt(partial(self._generate, prompts, deliver))

    def first_tokens(self, prompts: Sequence[Prompt], deliver: Deliver[torch.Tensor]) -> None:
        """Deliver the first answer token's log-probabilities, (vocabulary,) each, as `generate`."""
        self._attempt(partial(self._first_tokens, prompts, deliver))

    def token_id(self, token: str) -> int | None:
        """Return the id of a text that is one token, else None."""
        ids = self._tokenizer.encode(token, add_special_tokens=False)
        return int(ids[0]) if len(ids) == 1 else None

    def _attempt(self, work: Callable[[], None]) -> None:
        import torch

        try:
            work()
            return
        except torch.AcceleratorError as error:  # a smaller batch would not help
            reason = first_line(error)
            raise UsageError(
                f"the device is lost ({reason}); rerun the command to resume"
            ) from error
        except (ValueError, IndexError, RuntimeError) as error:
            memory = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
            failure = BatchError(f"generation failed: {error}", memory=memory)
        # Here, after the traceback has released the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise failure

    def _inputs(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        device = self._model.device
        return {
            name: tensor.to(device, self._model.dtype if tensor.is_floating_point() else None)
            for name, tensor in collate(prompts, self._pad).items()
        }

    def _first_tokens(self, prompts: Sequence[Prompt], deliver: Deliver[torch.Tensor]) -> None:
        import torch

        with torch.inference_mode():
            output = self._model(**self._inputs(prompts), logits_to_keep=1, use_cache=False)
        for row, logprobs in enumerate(output.logits[:, -1].float().log_softmax(-1).cpu()):
            deliver(row, logprobs)

    def _generate(self, prompts: Sequence[Prompt], deliver: Deliver[Response]) -> None:
        inputs = self._inputs(prompts)
        start = inputs["input_ids"].shape[1]

        def finish(row: int, tokens: torch.Tensor) -> None:
            deliver(row, self._response(prompts[row], tokens[start:].tolist()))

        self._model.generate(
            **inputs,
            max_new_tokens=max(prompt.limit for prompt in prompts),
            stopping_criteria=[self._stop_each(prompts, start, finish)],
            logits_processor=self._draw_each(prompts, start),
        )

    def _stop_each(
        self, prompts: Sequence[Prompt], start: int, finish: Callable[[int, torch.Tensor], None]
    ) -> Any:
        """Return the criterion that ends each row at its own limit, and reports when it ended."""
        import torch
        from transformers import StoppingCriteria

        device, count, closing = self._model.device, self._count, self.closing
        limits = torch.tensor([prompt.limit for prompt in prompts], device=device)
        ends = torch.tensor(sorted(self._ends), dtype=torch.long, device=device)
        finished = torch.zeros_like(limits, dtype=torch.bool)
        left = len(prompts)

        class EachRow(StoppingCriteria):  # type: ignore[misc]
            def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
                nonlocal left
                ended = (input_ids.shape[1] - start >= limits) | torch.isin(input_ids[:, -1], ends)
                rows = (ended & ~finished).nonzero().flatten().tolist()
                for row in rows:
                    finish(row, input_ids[row])
                finished.logical_or_(ended)
                count.add(left, left - len(rows), len(prompts))
                left -= len(rows)
                return finished | closing.is_set()

        return EachRow()

    def _draw_each(self, prompts: Sequence[Prompt], start: int) -> list[Any]:
        """Return the processor that samples each row with its own random numbers, if needed.

        Answers begin at column ``start``, after left-padded prompts.
        """
        import torch
        from transformers import LogitsProcessor

        generators = {
            row: torch.Generator(self._model.device).manual_seed(prompt.sampling.seed)
            for row, prompt in enumerate(prompts)
            if prompt.sampling.temperature > 0
        }

        punished = [
            row
            for row, prompt in enumerate(prompts)
            if {"presence_penalty", "repetition_penalty"} & prompt.sampling.used().keys()
        ]

        class OwnDraw(LogitsProcessor):  # type: ignore[misc]
            def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
                scores = scores.float()
                for row in punished:
                    tokens, begin = input_ids[row], start - prompts[row].length
                    scores[row] = penalised(
                        scores[row], tokens[begin:start], tokens[start:], prompts[row].sampling
                    )
                for row, generator in generators.items():
                    scores[row] = perturbed(scores[row], prompts[row].sampling, generator)
                return scores

        return [OwnDraw()] if generators or punished else []

    def _response(self, prompt: Prompt, tokens: list[int]) -> Response:
        tokens = tokens[: prompt.limit]
        end = next((i for i, token in enumerate(tokens) if token in self._ends), None)
        text = tokens if end is None else tokens[:end]
        return Response(
            text=decoded(self._tokenizer, text, self._dropped),
            prompt_tokens=prompt.length,
            # The end token counts, as with servers.
            completion_tokens=len(text) + (end is not None),
            finish_reason="length" if end is None else "stop",
        )


class TransformersModel:
    """A checkpoint, of a vision-language or a text model, in this process; for ``async with``.

    ``dtype`` and ``max_model_len`` are those of `Checkpoint`; ``name`` is the folder's by default.
    The maximum ``batch_size`` is halved if memory does not suffice. ``on_status`` is called with
    progress on loading and generation. ``setup`` takes effect when the model is opened.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        name: str | None = None,
        dtype: str = "auto",
        batch_size: int | None = None,
        max_model_len: int | None = None,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name or checkpoint.resolve().name
        count = TokenCount(on_status)
        self._load = partial(Checkpoint, checkpoint, dtype, "auto", max_model_len, count)
        # Not the prompts' own: they work in different threads.
        self.tokenizer = LocalTokenizer(checkpoint)
        self._batch_size = batch_size
        self._on_status = on_status
        self.setup = AS_IT_IS
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        begun = time.monotonic()
        self._on_status(f"transformers loads {self.name}")
        loaded = await asyncio.to_thread(self._load, self.setup)
        size = self._batch_size or (CPU_BATCH if loaded.device == "cpu" else GPU_BATCH)
        self._batcher = Batcher(loaded.prepare, loaded.generate, size)
        self._letters = Batcher(loaded.prepare_choice, loaded.first_tokens, size)
        self._token_id = loaded.token_id
        for batcher in (self._batcher, self._letters):
            await self._stack.enter_async_context(batcher)
        # First on exit: a running batch ends at its next token.
        self._stack.callback(loaded.closing.set)
        self._on_status(
            f"loaded in {time.monotonic() - begun:.0f} s ({loaded.describe()}, batches of {size})"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation, batched with others; `ItemError` if it is invalid or fails."""
        return await self._batcher.ask(messages, sampling)

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str], form: PromptForm = OWN_FORM
    ) -> Sequence[float | None] | None:
        """Return each token's log-probability as the first one of an answer.

        None for a text that is several tokens for this model. `ItemError` for an invalid request.
        """
        logprobs = await self._letters.ask(messages, form)
        ids = [self._token_id(token) for token in tokens]
        return [None if token is None else float(logprobs[token]) for token in ids]
