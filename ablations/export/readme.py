"""The README of a folder for SkyRL: what is in it, what runs it, what differs, what was not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablations.arms import Arm

_FILES = (
    ("train.parquet", "train", "RL items in SkyRL's row format, in the order of our schedule"),
    (
        "validation.parquet",
        "validation",
        "further RL items, which no arm of this matching trains on",
    ),
    ("pairs.jsonl", "pairs", "the pairs as this arm sees them, in our format (docs/pairs.md)"),
    (
        "selection.jsonl",
        "selection_prompts",
        "selection prompts in the order of our steps, each pair in both orders: `prompt`, "
        "`correct_answer` (A or B), `pair`, `step`",
    ),
)

_SINGLE_TURN = """\
`run.sh` trains it: `ablations.export.environment` registers the environment `harness`, which scores
an answer by this project's strict scorers and format term, and starts SkyRL's own loop. It
needs SkyRL 0.4.0 (`pip install skyrl[fsdp]==0.4.0 skyrl-gym==0.4.0`, Python 3.12, GPUs) and
this project beside it without its own dependencies, whose transformers is newer than SkyRL
allows: `pip install --no-deps .` and `pip install click orjson pyyaml numpy pillow sympy
math-verify`.
"""
_AGENT = """\
`SKYRL=CHECKOUT sh run.sh` trains it in a checkout of github.com/NovaSky-AI/SkyRL by its
mini-swe-agent example: the agent plays in containers, and an instance's `eval_script` says
whether its patch resolves the task. `examples/train/mini_swe_agent/README.md` there says what
to install.
"""
_AGENT_AND_PAIRS = """\
SkyRL has no L_CA, and no extension point of it takes one as it is: a registered policy loss is
given the log-probabilities of the tokens that were said, never the two letters' logits, and is
called on rollouts only. The authors of arXiv 2606.17053 extended the policy worker and the
trainer instead (github.com/sijial430/ContextAwareRL, `Training/SkyRL`,
`examples.train.mini_swe_agent`: `ct_dataset`, `ct_policy_worker`, `ct_trainer`).
`SKYRL=CHECKOUT/Training/SkyRL sh run.sh` is written for that tree; it reads `prompt` and
`correct_answer` of selection.jsonl.

What differs there from L_CA here: it shows a batch of {batch} prompts in every optimizer step,
in an order of its own ({ours} are what our steps show on the whole; the batch must divide by
the number of data-parallel ranks), and takes the likelier of "A" and " A" for a letter.
"""
_PAIRS_ONLY = """\
**There is no run.sh: nothing that we know of trains this arm in SkyRL.** A registered policy
loss is given the log-probabilities of the tokens that were said, never the two letters' logits,
and is called on rollouts only; L_CA needs a second forward on selection.jsonl in every
optimizer step. What must be added is small and sits in two places: a policy worker whose
`forward_backward` also takes a chunk of selection prompts, keeps the logits of the last
position, and adds `lambda * -log sigmoid(clip(l+ - l-, -c, c))`; and a trainer that hands one
over per mini-batch. The authors' extension does this for text and for their agent
(github.com/sijial430/ContextAwareRL, `Training/SkyRL/examples/train/mini_swe_agent/ct_*.py`).
The numbers for it are below.
"""


def readme(arm: Arm, found: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the text, in Markdown.

    Args:
        arm: what was exported.
        found: the summary that `ablations.export.skyrl.Export.write` returns.
        options: SkyRL's options with the recipe's numbers.
    """
    files = "\n".join(
        f"- `{name}` ({found[key]}): {words}" for name, key, words in _FILES if found[key]
    )
    table = "\n".join(f"| `{name}` | `{value}` |" for name, value in options.items())
    planned = found["planned"]
    return f"""# {arm.name} for SkyRL: {arm.title}

**Nothing in this folder was run on a cluster.** What was checked is in docs/training.md of the
project that wrote it.

{files}

Planned: {planned["prompts"]} ordinary RL items, {planned["extra"]} contrastive ones,
{planned["rl_steps"]} optimizer steps of GRPO, {planned["exposures"]} pair exposures.

## What runs it
{_what_runs(found, options)}
## The numbers
| option | value |
|---|---|
{table}

## What is not the same as in `harness train`
SkyRL shuffles prompts by its own seed, so the items are ours and their order is not (matched by
steps, nor how many of a step's items are contrastive). Its KL term
is a mean over each response and then over responses; ours is a mean over all tokens. Its policy
computes in bf16. `trainer.max_prompt_length` is the longest prompt here: SkyRL drops longer ones.
"""


def _what_runs(found: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    if not found["selection_prompts"]:
        return _SINGLE_TURN if found["runs"] == "ablations.export.environment" else _AGENT
    if found["runs"] is None:
        return _PAIRS_ONLY
    batch = options["data.choose_trajectory_batch_size"]
    return _AGENT_AND_PAIRS.format(batch=batch, ours=found["selection_prompts"])
