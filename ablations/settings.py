"""What a training run is made with: every choice, its default and what it means.

The command line and recipes (YAML) come in by the fields' names; frozen `Settings` leave.  Nothing
heavy is imported.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ablations.arms import MATCHINGS
from harness.errors import UsageError, nearest

RECIPES = Path(__file__).parent / "recipes"
# Read before training and changed by none of it: they may differ when a run is continued.
_FREE = ("save_every", "report_to", "norms_every")


# TRL names its losses in a help text alone.  Its "luspo" is left out: it needs ratios of sequences.
LOSSES = ("dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "vespo")


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """The finite numbers from ``low``, or above it where it is ``open``, to ``high``."""

    low: float
    high: float = math.inf
    open: bool = False
    why: str = ""

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open else value >= self.low
        return above and value <= self.high and math.isfinite(value)

    def __str__(self) -> str:
        first = f"{'above' if self.open else 'at least'} {self.low:g}"
        last = "" if self.high == math.inf else f" and at most {self.high:.10g}"
        return first + last + self.why


_COUNT, _WEIGHT, _POSITIVE = Range(1), Range(0), Range(0, open=True)
RANGES: Mapping[str, Range] = MappingProxyType(
    {
        **dict.fromkeys(("agent_steps", "agent_context", "prompts", "pair_count"), _COUNT),
        **dict.fromkeys(("prompts_per_step", "pairs_per_step", "batch_size"), _COUNT),
        **dict.fromkeys(("max_tokens", "lora_alpha", "save_every"), _COUNT),
        **dict.fromkeys(("coefficient", "weight_decay", "warmup_steps", "kl"), _WEIGHT),
        # 0 leaves these out.
        **dict.fromkeys(("max_grad_norm", "lora_rank", "norms_every"), _WEIGHT),
        **dict.fromkeys(("clip", "temperature"), _POSITIVE),
        **dict.fromkeys(("learning_rate", "sft_learning_rate"), _POSITIVE),
        "seed": Range(0, 2**32 - 1),  # numpy's
        "group": Range(2, why=": an advantage is relative to the group"),
        "adam_beta2": Range(0, 0.999999),
        "top_p": Range(0, 1, open=True),
        "accuracy_weight": Range(0, 1),
        "ratio_low": Range(0, 1),
        "ratio_high": _WEIGHT,
    }
)
"""Field -> what it may be, for every number."""


def _field(default: Any, help: str, *, choices: tuple[str, ...] = ()) -> Any:
    told = {"help": help, "choices": choices}
    return dataclasses.field(default=default, metadata=told)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices of one run.  The paper's text publishes no hyperparameter: the defaults are ours.

    The defaults follow what is usual for GRPO on vision-language models (EasyR1, PAPO).
    """

    model: str = _field("", "Checkpoint folder or hub id to start from.")
    pairs: str | None = _field(None, "Contrastive pairs: file, folder, hub id, or micro[:DOMAIN].")
    rl_data: str | None = _field(
        None, "RL items: file, folder, hub id, micro[:DOMAIN], or agent:BENCHMARK."
    )
    data_root: str | None = _field(None, "agent: folder with the benchmark's data.")
    agent_steps: int = _field(30, "agent: most steps of an episode.")
    agent_context: int = _field(32768, "agent: most tokens of an episode.")
    prompts: int | None = _field(None, "Ordinary RL items of an arm with pairs  [default: all]")
    pair_count: int | None = _field(None, "Only the first N pairs.")
    matching: str = _field("instances", "What all arms have alike.", choices=MATCHINGS)
    seed: int = _field(0, "Seed of the order of the data, of rollouts and of pairs.")

    coefficient: float = _field(1.0, "lambda, the weight of the loss on selection prompts.")
    clip: float = _field(10.0, "c, the bound of the margin in L_CA.")
    clip_form: str = _field(
        "two-sided", "Form of the clip.", choices=("two-sided", "upper", "none")
    )

    learning_rate: float = _field(1e-6, "Peak learning rate (AdamW).")
    sft_learning_rate: float | None = _field(None, "Of da-sft's first stage  [default: the same]")
    weight_decay: float = _field(1e-2, "AdamW's weight decay.")
    adam_beta2: float = _field(0.999, "AdamW's second beta.")
    warmup_steps: int = _field(0, "Steps of linear warm-up.")
    schedule: str = _field("constant", "transformers' learning-rate schedule.")
    max_grad_norm: float = _field(1.0, "Gradient norm to clip at.")

    prompts_per_step: int = _field(32, "RL items in an optimizer step.")
    group: int = _field(5, "Completions of each RL item.")
    pairs_per_step: int = _field(16, "Pairs in a step of SFT, or of ca-only.")
    batch_size: int | None = _field(None, "Completions a device takes at once  [default: all]")
    temperature: float = _field(1.0, "Temperature of rollouts.")
    top_p: float = _field(1.0, "Nucleus of rollouts; below 1 the importance ratio is biased.")
    max_tokens: int = _field(2048, "Most tokens of a completion.")
    kl: float = _field(0.01, "Weight of the KL term to the starting weights (k3 estimator).")
    ratio_low: float = _field(0.2, "Lower clip of the probability ratio.")
    ratio_high: float = _field(0.3, "Upper clip of the probability ratio.")
    loss_type: str = _field(
        "dapo", "TRL's loss_type; dapo is the mean over tokens.", choices=LOSSES
    )

    reward: str | None = _field(
        None, "Your reward, MODULE:FUNCTION or dotted  [default: accuracy + format]"
    )
    accuracy_weight: float = _field(0.9, "Share of accuracy in the reward; the rest is format.")
    format_pattern: str | None = _field(
        None, "Expression that a well-formed completion matches  [default: an answer can be read]"
    )

    lora_rank: int = _field(0, "Rank of LoRA adapters on all linear layers; 0 trains all weights.")
    lora_alpha: int | None = _field(None, "LoRA's alpha  [default: twice the rank]")
    dtype: str = _field(
        "float32", "Number format of the weights.", choices=("float32", "bfloat16", "auto")
    )
    bf16: bool | None = _field(None, "bf16 autocast  [default: on a GPU]")
    gradient_checkpointing: bool = _field(False, "Recompute activations in the backward pass.")
    vllm_server: str | None = _field(None, "URL of a trl vllm-serve that makes the rollouts.")
    template: dict[str, Any] = dataclasses.field(
        default_factory=dict,
        metadata={"help": "Options of the chat template (recipes only).", "choices": ()},
    )
    columns: dict[str, str] = dataclasses.field(
        default_factory=dict,
        metadata={"help": "Our field -> the data set's column.", "choices": ()},
    )

    save_every: int = _field(50, "Steps between checkpoints that a killed run continues from.")
    report_to: str = _field("tensorboard", "Where to log beside training.jsonl: wandb, none, ...")
    norms_every: int = _field(25, "Steps between measurements of each loss term's gradient norm.")

    def __post_init__(self) -> None:
        """Refuse values that cannot be.

        Raises:
            UsageError: names the first.
        """
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if choices and value not in choices:
                raise UsageError(f"{field.name} is one of {', '.join(choices)}, not {value!r}")
            if field.name in RANGES and value is not None and value not in RANGES[field.name]:
                raise UsageError(f"{field.name} is {RANGES[field.name]}, not {value!r}")

    def decisive(self) -> dict[str, Any]:
        """Return all choices that decide the weights that come out."""
        everything = dataclasses.asdict(self)
        return {name: value for name, value in everything.items() if name not in _FREE}


def recipe_path(name: str) -> Path:
    """Return the path of a YAML file, or of a recipe that ships with the project by its name.

    Raises:
        UsageError: there is no such file.
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

    Raises:
        UsageError: there is no such file, it is no YAML mapping, or it names an unknown field.
    """
    import yaml

    path = recipe_path(name)
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--config {name} cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise UsageError(f"--config {name} is no mapping of names to values")
    _refuse_unknown(found, name)
    return found


def _refuse_unknown(found: Mapping[str, Any], where: str) -> None:
    known = [field.name for field in dataclasses.fields(Settings)]
    for name in found:
        if name not in known:
            hint = nearest(str(name), known)
            raise UsageError(f"--config {where}: unknown name {name!r}: {hint}")


def settings(recipe: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """Return the settings of a recipe, words of the command line (None: not given) before it.

    Raises:
        UsageError: a value has the wrong kind or cannot be.
    """
    values = {**recipe, **{name: value for name, value in given.items() if value is not None}}
    for field in dataclasses.fields(Settings):
        if field.name in values:
            values[field.name] = _converted(field, values[field.name])
    return Settings(**values)


_KINDS: dict[str, type[Any]] = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict}


def _converted(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value in the field's kind: YAML reads 1e-6 as a text."""
    name = str(field.type).partition("[")[0].partition(" ")[0]
    kind = _KINDS[name]
    if value is None and "None" in str(field.type):
        return None
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    number = isinstance(value, int | float | str) and not isinstance(value, bool)
    if kind in (int, float) and number:
        try:
            made = kind(value)
        except (ValueError, OverflowError):
            made = None
        # 2.7 is no whole number.
        if made is not None and (kind is float or made == float(value)):
            return made
    raise UsageError(f"{field.name} is of the kind {name}, not {value!r}")


def check_words(settings: Settings) -> None:
    """See that the libraries know the words of some settings; they are loaded for that.

    Raises:
        UsageError: the schedule or a place to log to is none of theirs, or is not installed.
    """
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
    for place in settings.report_to.split(","):
        if settings.report_to not in ("none", "all") and place not in installed():
            raise UsageError(
                f"report_to is none, all or of what is installed here ({', '.join(installed())}), "
                f"not {place!r}"
            )
