"""What a training run is made with: every choice, its default and what it means.

The command line and recipes (YAML) come in by the fields' names; frozen `Settings` leave.  Nothing
heavy is imported.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablations.arms import MATCHINGS
from harness.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"
# Read before training and changed by none of it: they may differ when a run is continued.
_FREE = ("save_every", "report_to", "norms_every")


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
    loss_type: str = _field("dapo", "TRL's loss_type; dapo is the mean over tokens.")

    reward: str | None = _field(None, "Your reward, MODULE:FUNCTION  [default: accuracy + format]")
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
        for name in ("prompts_per_step", "pairs_per_step", "max_tokens", "save_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1")
        if self.group < 2:
            raise UsageError("group is at least 2: an advantage is relative to the group")
        if self.clip <= 0 and self.clip_form != "none":
            raise UsageError("clip is above 0")
        if self.coefficient < 0 or not 0 <= self.accuracy_weight <= 1:
            raise UsageError("coefficient is at least 0, accuracy_weight between 0 and 1")

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
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise UsageError(f"--config {where}: unknown name {name!r}{hint}")


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
    if kind in (int, float) and isinstance(value, int | float | str) and value is not True:
        try:
            return kind(value)
        except ValueError:
            pass
    raise UsageError(f"{field.name} is of the kind {name}, not {value!r}")
