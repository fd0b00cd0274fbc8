"""Load a checkpoint folder, as an image-text model if transformers has one, else as text.

The transformers backend and the trainers both load through here. Chat templates are rendered within
a time limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.backends.models.adapter import Adapter
from harness.backends.models.settings import ModelSettings
from harness.errors import UsageError, first_line, nearest
from harness.files import plain
from harness.files.typed_json import fits, parse, read_object
from harness.time_limit import within


def reads_images(folder: Path) -> bool:
    """Whether a checkpoint's architecture is an image-text-to-text model.

    Raises `UsageError` if its configuration is missing or names no architecture that transformers
    has.
    """
    import transformers

    return type(_config(folder)) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING


def model_class(folder: Path) -> Any:
    """Return the class of a checkpoint's model, without loading weights.

    Raises `UsageError` if transformers has neither an image-text-to-text model nor a causal LM for
    its architecture, or it has a separate text encoder.
    """
    import transformers

    config = _config(folder)
    kinds = (
        transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        transformers.MODEL_FOR_CAUSAL_LM_MAPPING,
    )
    known = next((kind[type(config)] for kind in kinds if type(config) in kind), None)
    if known is None or getattr(config, "is_encoder_decoder", False):
        raise UsageError(
            f"{folder}: {config.model_type} is neither a causal LM nor an image-text-to-text "
            "model of transformers with a decoder alone"
        )
    return known


def _config(folder: Path) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers may raise anything on an unknown configuration
        raise UsageError(f"{folder} cannot be loaded: {first_line(error)}") from error


def weight_files(folder: Path) -> list[Path]:
    """Return a checkpoint's safetensors files: those of its index, else the single one.

    Empty if the weights are in another format. Raises `UsageError` for a corrupt index.
    """
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if not index.exists():
        return [single] if single.exists() else []
    try:
        names = set(parse(plain.read_given(index))["weight_map"].values())
        return [folder / Path(name).name for name in sorted(names)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{index} is corrupt: {first_line(error)}") from error


# Names in the safetensors format; float8 and integers mean a quantized checkpoint.
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def stored_dtypes(folder: Path) -> set[str]:
    """Return the floating-point dtypes of a checkpoint's weights and configuration.

    Reads only the files' headers. Empty if the weights are not safetensors. Raises `UsageError` if
    a file is corrupt.
    """
    from safetensors import SafetensorError, safe_open

    dtypes = set()
    try:
        for file in weight_files(folder):
            with safe_open(file, framework="np") as tensors:
                names = tensors.keys()
                dtypes |= {_DTYPES.get(tensors.get_slice(name).get_dtype()) for name in names}
        config = parse(plain.read_given(folder / "config.json"))
        stated = config.get("dtype") or config.get("torch_dtype")
    except (OSError, ValueError, AttributeError, SafetensorError) as error:
        raise UsageError(f"{folder} cannot be read: {first_line(error)}") from error
    return {name for name in (*dtypes, stated if dtypes else None) if name}


def load_processor(folder: Path, **options: Any) -> Any:
    """Return the processor of an image-text model, or the tokenizer of a text model.

    Raises `UsageError` if it cannot be loaded, or has no chat template.
    """
    import transformers

    reader = transformers.AutoProcessor if reads_images(folder) else transformers.AutoTokenizer
    try:
        processor = reader.from_pretrained(folder, trust_remote_code=False, **options)
    except (
        OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError, AttributeError,
    ) as error:  # fmt: skip
        raise UsageError(
            f"{folder}: its processor cannot be loaded: {first_line(error)}"
        ) from error
    if processor.chat_template is None:
        raise UsageError(f"{folder} has no chat template: add its chat_template.jinja")
    return processor


def set_up(processor: Any, settings: ModelSettings) -> None:
    """Set a processor's chat template and pixel limits, as requested.

    Raises `UsageError` if the template cannot be compiled, reads no variable of that name, or the
    processor has no such limits.
    """
    import transformers.utils.chat_template_utils as templates
    from jinja2 import TemplateError

    if (text := settings.template_text()) is not None:
        try:
            templates._compile_jinja_template(text)
        except TemplateError as error:
            place = f"line {line}: " if (line := getattr(error, "lineno", None)) else ""
            raise UsageError(f"--chat-template {settings.chat_template}: {place}{error}") from error
        processor.chat_template = text
        if hasattr(processor, "tokenizer"):
            processor.tokenizer.chat_template = text
    if variables := settings.chat_template_kwargs:
        known = _variables(processor)
        own = sorted(known - _GIVEN)
        for name in variables:
            if name not in known:
                raise UsageError(
                    f"--chat-template-kwargs: the chat template reads no {name!r}, so it has no "
                    f"effect: {nearest(name, own) if own else 'it reads no variables at all'}"
                )
    if limits := settings.pixels():
        images: Any = getattr(processor, "image_processor", None)
        if "min_pixels" not in getattr(
            getattr(images, "valid_kwargs", None), "__annotations__", ()
        ):
            option = f"--{next(iter(limits)).replace('_', '-')}"
            raise UsageError(
                f"{option} has no effect: this model's processor has no such limit; remove it"
            )
        names = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}  # areas, in pixels
        size = dict(images.size) | {names[name]: limit for name, limit in limits.items()}
        if size["shortest_edge"] > size["longest_edge"]:
            raise UsageError(
                f"--min-pixels {size['shortest_edge']} is above --max-pixels "
                f"{size['longest_edge']}: give both"
            )
        images.size = size


def try_settings(folder: Path, settings: ModelSettings) -> None:
    """Raise what `set_up` would raise, without loading weights.

    A processor that cannot be loaded here is left to the backend.
    """
    if not (settings.chat_template or settings.chat_template_kwargs or settings.pixels()):
        return  # transformers is slow to import
    try:
        processor = load_processor(folder)
    except UsageError:
        return
    set_up(processor, settings)


# Passed to every template.
_GIVEN = frozenset({"messages", "tools", "add_generation_prompt", "documents", "raise_exception"})


def _variables(processor: Any) -> frozenset[str]:
    import transformers.utils.chat_template_utils as templates

    template = processor.chat_template
    if isinstance(template, dict):
        template = template.get("default", "")
    return frozenset(templates._get_template_variables(template))


def put_on(model: Any, adapter: Adapter) -> None:
    """Put a LoRA adapter on a model; `UsageError` if it is not an adapter of this model."""
    try:
        info = model.load_adapter(str(adapter.folder))
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError) as error:
        raise UsageError(f"{adapter.folder} does not fit the model: {first_line(error)}") from error
    if wrong := sorted([*info.missing_keys, *info.unexpected_keys]):
        raise UsageError(
            f"{adapter.folder} is not an adapter of this model: {len(wrong)} weights have no place "
            f"or are missing ({wrong[0]}, ...)"
        )


def load_model(folder: Path, **options: Any) -> Any:
    """Return a checkpoint's model; ``options`` go to ``from_pretrained``.

    Raises `UsageError` if it cannot be loaded, or lacks weights.
    """
    import pickle

    import transformers
    from safetensors import SafetensorError

    maker = transformers.AutoModelForCausalLM
    if reads_images(folder):
        maker = transformers.AutoModelForImageTextToText
    # Of generation_config.json the tokens alone: transformers refuses models for some of the rest.
    suggested = read_object(folder / GENERATION)
    tokens = None if suggested is None else _special_tokens(suggested)
    options = {"generation_config": tokens, **options}
    try:
        model, info = maker.from_pretrained(
            folder, output_loading_info=True, trust_remote_code=False, **options
        )
    except (
        OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError, SafetensorError,
    ) as error:  # fmt: skip
        raise UsageError(f"{folder} cannot be loaded: {first_line(error)}") from error
    except (pickle.UnpicklingError, EOFError) as error:
        raise UsageError(
            f"{folder} cannot be loaded: its weights are a pickle that is cut short or holds more "
            "than tensors, which is never run; get them as safetensors"
        ) from error
    if info["missing_keys"]:
        # transformers would initialise them randomly and continue.
        raise UsageError(
            f"{folder} lacks {len(info['missing_keys'])} of the model's weights "
            f"({min(info['missing_keys'])}, ...): use a complete checkpoint"
        )
    _forget_sampling(model)
    return model


GENERATION = "generation_config.json"
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def _forget_sampling(model: Any) -> None:
    """Keep only special tokens from the generation settings that a checkpoint suggests.

    transformers uses the suggestions for whatever a caller of `generate` leaves open, and refuses
    to save some of them.
    """
    model.generation_config = _special_tokens(model.generation_config.to_dict())
    for name in model.config._get_generation_parameters():  # where older checkpoints have them
        delattr(model.config, name)


def check_suggested(folder: Path) -> None:
    """Check that transformers loads a model beside a checkpoint's generation_config.json.

    `load_model` uses only its tokens; TRL's reference model, for a KL term, is loaded with all.
    Raises `UsageError` if transformers refuses the file.
    """
    import transformers

    try:
        document = parse(plain.read_given(folder / GENERATION))
    except (OSError, ValueError):  # there is none, or no JSON: transformers goes without
        return
    try:
        transformers.GenerationConfig.from_dict(document)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{folder / GENERATION} keeps the reference model of the KL term from loading: "
            f"{first_line(error)}; correct or remove it, or train with --kl 0"
        ) from error


def _special_tokens(settings: Mapping[str, Any]) -> Any:
    """Return generation settings with only the special tokens of others."""
    import transformers

    tokens = {name: settings.get(name) for name in _TOKENS}
    return transformers.GenerationConfig(
        **{name: value for name, value in tokens.items() if fits(value, int | list[int])}
    )


def unreadable() -> tuple[type[Exception], ...]:
    """Return the exceptions that a processor or its chat template raises on unsupported input."""
    from jinja2 import TemplateError

    of_python = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
    return (TemplateError, *of_python)


TEMPLATE_SECONDS = 10.0
"""The most that rendering one conversation may take; a usual template takes about 1 ms."""


def rendered(
    processor: Any,
    chat: Sequence[Any],
    options: Mapping[str, Any] = MappingProxyType({}),
    seconds: float = TEMPLATE_SECONDS,
) -> str:
    """Return a conversation rendered with a processor's or tokenizer's template, up to the answer.

    A template is a program by the checkpoint's author. transformers runs it in jinja2's sandbox,
    which bounds what it can access but not how long it loops. ``options`` are its variables. Raises
    `UsageError` if it takes longer than ``seconds`` of processor time.
    """
    try:
        text: str = within(
            seconds,
            lambda: processor.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, **options
            ),
        )
    except TimeoutError:
        raise UsageError(
            f"the chat template does not end within {seconds:g} s of processor time: it loops; "
            "use another checkpoint"
        ) from None
    return text
