"""Every hyperparameter of a training run: its type, range, default and help text."""

from __future__ import annotations

# ruff: noqa: RUF009 - `_field` declares a field, as dataclasses.field does
import dataclasses
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from ablations.arms import Matching
from benchmarks.pairs.pixels import wrong_limits
from benchmarks.pairs.selection import Asking, LetterForms, Orders
from harness.errors import UsageError, nearest
from harness.files.typed_yaml import expected, read_yaml
from harness.own_code import NamedCode
from harness.references import beside

RECIPES = Path(__file__).parent / "recipes"
# They do not affect the weights, so they may differ when a run is resumed.
_FREE = ("save_every", "report_to", "norms_every")
FILES = ("pair_template", "selection_chat_template")
"""Settings that name a file whose content affects the weights."""
CODE: Mapping[str, str] = MappingProxyType(
    {"reward": "contextrl_harness.rewards", "pair_loss": "contextrl_harness.losses"}
)
"""Settings that name code of the user's own, and the group of entry points of each."""
LATER: Mapping[str, Any] = MappingProxyType(
    {
        "save_dtype": "float32",
        "image_root": None,
        "selection_rows": "leave-out",
        "pair_template": None,
        "orders": "both",
        "selection_suffix": "",
        "prefill": "",
        "letters": "bare",
        "selection_chat_template": None,
        "selection_template": {},
        "max_selection_tokens": None,
        "pair_passes": 1,
        "rl_passes": 1,
        "freeze_vision": False,
        "min_pixels": None,
        "max_pixels": None,
        "updates_per_rollout": 1,
        "pair_loss": None,
    }
)
"""Settings that older plans lack, and the default that counts for them; keys leave it out."""

# TRL's, except "luspo", which needs sequence-level ratios.
Loss = Literal["dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "vespo"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
Clip = Literal["two-sided", "upper", "none"]
Dtype = Literal["float32", "bfloat16", "auto"]
SaveDtype = Literal["float32", "bfloat16"]
SelectionRows = Literal["leave-out", "keep"]
_MAX = sys.float_info.max  # so that infinity is refused
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Weight = Annotated[float, Meta(ge=0, le=_MAX)]
Positive = Annotated[float, Meta(gt=0, le=_MAX)]
Share = Annotated[float, Meta(ge=0, le=1)]


def _field(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices of one run; values are converted to the declared types and checked.

    The paper publishes no hyperparameters.  The defaults are what is usual for GRPO on
    vision-language models (EasyR1, PAPO).  Raises `UsageError` if a value has the wrong type or is
    out of range.
    """

    model: str = _field("", "Checkpoint folder or hub id to start from.")
    pairs: str | None = _field(None, "Contrastive pairs: file, folder, hub id, or micro[:DOMAIN].")
    rl_data: str | None = _field(
        None, "RL items: file, folder, hub id, micro[:DOMAIN], or agent:BENCHMARK."
    )
    image_root: str | None = _field(
        None, "Folder that image paths in pairs and RL items are relative to  [default: the file's]"
    )
    selection_rows: SelectionRows = _field(
        "leave-out", "RL rows that look like selection prompts (several images, answer A or B)."
    )
    pair_template: str | None = _field(
        None, "File that splits selection prompts given as text; see 'harness pairs template'."
    )
    data_root: str | None = _field(None, "agent: folder with the benchmark's data.")
    agent_steps: Count = _field(30, "agent: maximum steps per episode.")
    agent_context: Count = _field(32768, "agent: maximum tokens per episode.")
    prompts: Count | None = _field(None, "RL prompts that are not made from pairs  [default: all]")
    pair_count: Count | None = _field(None, "Use only the first N pairs  [default: all]")
    matching: Matching = _field("instances", "What to hold equal across arms.")
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = _field(
        0, "Seed of the data order, the rollouts and the pairs."
    )

    orders: Orders = _field(
        "both", "Show a pair's contexts in both orders, or as written (L_CA and SFT)."
    )
    selection_suffix: str = _field("", "Line at the end of every selection prompt.")
    prefill: str = _field("", "Beginning of the answer to selection prompts, before the letter.")
    letters: LetterForms = _field(
        "bare",
        "Logit of an option letter: its own, or the higher with and without a leading space.",
    )
    selection_chat_template: str | None = _field(
        None, "File with the chat template of selection prompts  [default: the model's]"
    )
    max_selection_tokens: Count | None = _field(
        None, "Leave out pairs with a longer selection prompt  [default: none]"
    )
    min_pixels: Count | None = _field(
        None, "Enlarge smaller images in all prompts to this many pixels."
    )
    max_pixels: Count | None = _field(
        None, "Shrink larger images in all prompts to this many pixels."
    )

    pair_passes: Count = _field(1, "Passes over the pairs.")
    rl_passes: Count = _field(1, "Passes over the RL items; not beside --prompts.")

    coefficient: Weight = _field(1.0, "lambda, the weight of the loss on selection prompts.")
    clip: Positive = _field(10.0, "c, the clip of the margin in L_CA.")
    clip_form: Clip = _field("two-sided", "Form of the clip.")
    pair_loss: str | None = _field(
        None, "Loss of your own in place of L_CA: FILE.py:NAME, MODULE:NAME or an installed one."
    )

    learning_rate: Positive = _field(1e-6, "Peak learning rate (AdamW).")
    sft_learning_rate: Positive | None = _field(
        None, "Learning rate of da-sft's first stage  [default: the same]"
    )
    weight_decay: Weight = _field(1e-2, "AdamW's weight decay.")
    adam_beta2: Annotated[float, Meta(ge=0, le=0.999999)] = _field(0.999, "AdamW's second beta.")
    warmup_steps: Whole = _field(0, "Steps of linear warm-up.")
    schedule: str = _field("constant", "transformers' learning-rate schedule.")
    max_grad_norm: Weight = _field(1.0, "Gradient norm to clip at.")

    prompts_per_step: Count = _field(32, "RL prompts per optimizer step.")
    updates_per_rollout: Count = _field(
        1, "Optimizer steps per generation phase; above 1 they are off-policy."
    )
    group: Annotated[int, Meta(ge=2)] = _field(5, "Completions per RL prompt.")
    pairs_per_step: Count = _field(16, "Pairs per step of SFT or ca-only.")
    batch_size: Count | None = _field(
        None, "Completions per device and forward pass  [default: all]"
    )
    temperature: Positive = _field(1.0, "Temperature of rollouts.")
    top_p: Annotated[float, Meta(gt=0, le=1)] = _field(
        1.0, "Top-p of rollouts; below 1 the importance ratio is biased."
    )
    max_tokens: Count = _field(2048, "Maximum tokens per completion.")
    kl: Weight = _field(0.01, "Weight of the KL penalty to the starting model (k3 estimator).")
    ratio_low: Share = _field(0.2, "Lower clip of the probability ratio.")
    ratio_high: Weight = _field(0.3, "Upper clip of the probability ratio.")
    loss_type: Loss = _field("dapo", "TRL's loss_type; dapo is the mean over tokens.")

    reward: str | None = _field(
        None,
        "Reward of your own: FILE.py:NAME, MODULE:NAME or an installed one  "
        "[default: accuracy + format]",
    )
    accuracy_weight: Share = _field(0.9, "Share of accuracy in the reward; the rest is format.")
    format_pattern: str | None = _field(
        None, "Regular expression for well-formed completions  [default: has an answer]"
    )

    lora_rank: Annotated[int, Meta(ge=0, le=8192)] = _field(
        0, "Rank of LoRA adapters on all linear layers; 0 trains all weights."
    )
    lora_alpha: Count | None = _field(None, "LoRA's alpha  [default: twice the rank]")
    freeze_vision: bool = _field(False, "Freeze the vision encoder.")
    dtype: Dtype = _field("float32", "Weight dtype in training; auto is the checkpoint's.")
    save_dtype: SaveDtype = _field(
        "float32", "Weight dtype of the checkpoint; 16 bits round small updates away."
    )
    bf16: bool | None = _field(None, "bf16 autocast  [default: on a GPU]")
    gradient_checkpointing: bool = _field(False, "Recompute activations in the backward pass.")
    vllm_server: str | None = _field(None, "URL of a 'trl vllm-serve' that generates rollouts.")
    # Options of the chat template (recipes only), and our field -> the data set's column.
    template: dict[str, Any] = dataclasses.field(default_factory=dict)
    # Further ones for selection prompts.
    selection_template: dict[str, Any] = dataclasses.field(default_factory=dict)
    columns: dict[str, str] = dataclasses.field(default_factory=dict)

    save_every: Count = _field(50, "Steps between checkpoints to resume from.")
    report_to: str = _field(
        "tensorboard", "Where to log in addition to training.jsonl: wandb, none, ..."
    )
    norms_every: Whole = _field(25, "Steps between measurements of each loss term's gradient norm.")

    def __post_init__(self) -> None:
        """Convert and check every value."""
        for name, type_ in _types().items():
            value = getattr(self, name)
            object.__setattr__(self, name, converted(name, value, type_))  # it is frozen
        if wrong_limits(self.min_pixels, self.max_pixels):
            raise UsageError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        if self.rl_passes > 1 and self.prompts is not None:
            raise UsageError(
                f"rl_passes {self.rl_passes} has no effect beside prompts {self.prompts}: give one"
            )

    @property
    def asking(self) -> Asking:
        """How selection prompts are put."""
        return Asking(
            self.orders,
            self.selection_suffix,
            self.prefill,
            self.letters,
            self.min_pixels,
            self.max_pixels,
        )

    def decisive(self) -> dict[str, Any]:
        """Return the settings that affect the trained weights."""
        everything = dataclasses.asdict(self)
        return {name: value for name, value in everything.items() if name not in _FREE}


@functools.cache
def _types() -> dict[str, Any]:
    return get_type_hints(Settings, include_extras=True)


def recipe_path(name: str) -> Path:
    """Return the path of a YAML file, or of a recipe that ships with the project by its name.

    Raises `UsageError` if there is no such file.
    """
    path = Path(name)
    if not path.is_file():
        path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise UsageError(f"--config {name}: no such file, and the recipes are {known}")
    return path


def read_recipe(name: str) -> dict[str, Any]:
    """Return the fields of a YAML file, or of a recipe that ships with the project by its name.

    Paths and code that it names are those beside it, where there are such. Raises `UsageError` if
    there is no such file, it is not a YAML mapping, or it names an unknown field.
    """
    path = recipe_path(name)
    recipe = read_yaml(path, f"--config {name}")
    for field in recipe:
        if field not in _types():
            hint = nearest(str(field), _types())
            raise UsageError(f"--config {name}: unknown name {field!r}: {hint}")
        converted(f"--config {name}: {field}", recipe[field], _types()[field])
    return {field: beside(path, field, value) for field, value in recipe.items()}


def code_of(values: Mapping[str, Any]) -> dict[str, NamedCode]:
    """Return the code of the user's own that settings name, by setting."""
    return {
        field: NamedCode(f"--{field.replace('_', '-')}", str(values[field]), group)
        for field, group in CODE.items()
        if values.get(field)
    }


def refuse_code(values: Mapping[str, Any], where: str) -> None:
    """Raise `UsageError` if settings from a file name code that is not an installed package's."""
    for field, code in code_of(values).items():
        if not code.is_installed:
            raise UsageError(
                f"{where} names the {field.replace('_', ' ')} {code.name}, which is code: add "
                "--allow-code if you trust it"
            )


def settings(recipe: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """Return the settings of a recipe; command-line options (None: not given) override it.

    Raises `UsageError` if a value has the wrong type or is out of range.
    """
    options = {name: value for name, value in given.items() if value is not None}
    return Settings(**{**recipe, **options})


def converted(name: str, value: Any, type_: Any) -> Any:
    """Return a value as its declared type; `UsageError` names what is expected."""
    try:
        # Not strict: YAML reads 1e-6 as text.
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name} must be {expected(str(error), type_)}, got {value!r}") from error


def check_names(settings: Settings) -> None:
    """Raise `UsageError` if transformers does not know the schedule or a logger; loads it."""
    import torch
    from transformers import get_scheduler
    from transformers.integrations import get_available_reporting_integrations as installed

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    try:
        schedule = get_scheduler(settings.schedule, optimizer, 0, 1)
        optimizer.step()
        schedule.step()  # one that needs options of its own, or a metric's value, says so
    except (ValueError, TypeError) as error:
        raise UsageError(f"schedule {settings.schedule!r} cannot be used: {error}") from error
    for logger in settings.report_to.split(","):
        if settings.report_to not in ("none", "all") and logger not in installed():
            raise UsageError(
                f"report_to must be none, all or installed here ({', '.join(installed())}), "
                f"got {logger!r}"
            )
