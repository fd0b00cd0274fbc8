"""Options that the commands about pairs share, and how builds end on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import options
from harness.cli.options import COUNT, FILE, FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from harness.backends import BackendSpec
    from harness.runs.identity import ModelIdentity

out = option("--out", FOLDER, "Folder of the build; the same command resumes it.", required=True)
seed = option("--seed", int, "Seed of all draws.", default=0)


backend = options.several(
    option("--backend", ["auto", "vllm", "transformers"], "Inference backend  [default: auto]"),
    option("--endpoint", str, "Ask this OpenAI-compatible server instead.", metavar="URL"),
    option("--api-key-env", str, "endpoint: variable that holds its API key.", metavar="NAME"),
    option("--revision", str, "Model revision, as for 'harness run'."),
    option("--dtype", ["auto", "float32", "bfloat16", "float16"], "Weight dtype  [default: auto]"),
    option("--max-model-len", COUNT, "Maximum context length in tokens."),
)
"""The options of `spec`."""
rows = options.several(
    options.columns,
    option("--image-root", FOLDER,
           "Folder that image paths are relative to  [default: the file's]"),
    option("--pair-template", FILE,
           "File that splits selection prompts given as text; see 'harness pairs template'."),
)  # fmt: skip
"""How the rows of a source of pairs are read."""


def spec(given: Mapping[str, Any], log: Path | None) -> tuple[ModelIdentity, BackendSpec]:
    """Return the model that the options name, and how it is asked; `UsageError` if they clash."""
    from harness.backends import BackendSpec
    from harness.backends.spec import Setup
    from harness.runs.identity import identify

    if given["endpoint"] and given["backend"]:
        raise UsageError("--endpoint URL and --backend are mutually exclusive")
    identity = identify(given["model"], given["endpoint"], given["revision"])
    return identity, BackendSpec(
        kind=given["backend"] or "auto",
        checkpoint=identity.checkpoint,
        endpoint=given["endpoint"],
        model=given["model"] if given["endpoint"] else identity.name,
        dtype=given["dtype"] or "auto",
        max_model_len=given["max_model_len"],
        api_key_env=given["api_key_env"],
        log_path=None if log is None else log / "vllm.log",
        setup=Setup(adapter=identity.adapter),
    )


def note(text: str) -> None:
    """Tell how a build goes, on standard error."""
    echo(text, err=True)


def shown(manifest: Mapping[str, Any], folder: Path, *, as_json: bool) -> int:
    """Print a build's manifest; return the exit code, 1 while something was not asked about."""
    from ablations.pairs.build import funnel_text, made_by_other_code
    from benchmarks.pairs.folders import PAIRS

    if as_json:
        print_result(json.dumps(manifest))
    else:
        counts = manifest["counts"]
        echo(funnel_text(manifest))
        echo(f"{counted(counts['pairs'], 'pair')} in {folder / PAIRS}")
        if counts["uncertain"]:
            echo(f"{counts['uncertain']} uncertain ones in {folder / 'uncertain.jsonl'}")
        if manifest["missed"]:
            echo(f"{manifest['missed']} could not be judged: the same command asks again")
        if made_by_other_code(manifest):
            echo("built by another version of this program: give another --out to build it again")
    return int(bool(manifest["missed"]))
