"""``harness run --config``: a file of options means what the same words mean when typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cli.run import run
from benchmarks.options import split
from harness.backends.models.settings import ModelSettings
from harness.cli.settings import options_in_config, settings_in_force
from harness.errors import UsageError
from harness.own_code import needs_consent


def parsed(*words: str) -> click.Context:
    return run.make_context("run", list(words))


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0.1, 2),
        "top-p": st.floats(0.01, 1),
        "top_k": st.integers(-1, 99),
        "max-tokens": st.one_of(st.integers(1, 9999), st.just("native")),
        "system-prompt": st.text("ab \n'{}:", min_size=1),
        "chat-template-kwargs": st.dictionaries(st.text("abc", min_size=1), st.booleans()),
        "repeats": st.integers(1, 9),
        "no-native": st.booleans(),
        "backend": st.sampled_from(["vllm", "transformers"]),
        "set": st.dictionaries(st.sampled_from(["a.b", "c.d"]), st.text("xy", min_size=1)),
        "vllm-arg": st.dictionaries(st.sampled_from(["seed", "swap-space"]), st.integers(0, 9)),
    },
)


KEYED = st.dictionaries(st.sampled_from(["seed", "quantization", "tokenizer"]), st.integers(0, 9))


def typed(options: dict[str, Any]) -> list[str]:
    """Return the words that one would type for a file of options."""
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else []
        elif isinstance(value, dict) and name != "chat-template-kwargs":
            words += [word for key, each in value.items() for word in (flag, f"{key}={each}")]
        else:
            words += [flag, json.dumps(value) if isinstance(value, dict) else str(value)]
    return words


@given(options=VALUES)
def test_a_file_means_what_is_typed(
    options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "run.yaml"
    file.write_text(yaml.safe_dump({"model": "m", "suite": "probe", **options}, sort_keys=False))
    words = ("--model", "m", "--suite", "probe", *typed(options))
    assert parsed("--config", str(file)).params == parsed(*words).params


@pytest.mark.parametrize("option", [opt for each in run.params for opt in each.opts])
def test_every_option_can_stand_in_a_file_by_its_name(option: str, tmp_path: Path) -> None:
    """But for ``--config`` itself and those that give away a right."""
    file, name = tmp_path / "run.yaml", option.removeprefix("--")
    words = ("--config", str(file), "--model", "m", "--suite", "probe")
    for written in (name, name.replace("-", "_")):
        file.write_text(f"{written}: null")
        if name == "config" or needs_consent(name, None):
            with pytest.raises(UsageError, match=r"unknown option|on the command line"):
                parsed(*words)
        else:
            parsed(*words)


def test_a_file_names_whose_settings_count(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("{model: m, suite: probe, model-settings: qwen3_vl_8b, temperature: 0.6}")
    found = settings_in_force(parsed("--config", str(file)), None)
    assert (found.settings.temperature, found.settings.top_k) == (0.6, 20)  # docs/settings.md


def test_the_command_line_wins_and_each_value_says_where_it_is_from(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("{model: m, suite: probe, temperature: 0.5, top-p: 0.9, benchmarks: [a, b]}")
    context = parsed("--config", str(file), "--temperature", "0.7")
    found = settings_in_force(context, None)
    assert found.settings == ModelSettings(temperature=0.7, top_p=0.9)
    assert found.origins == {"temperature": "command line", "top_p": f"--config {file}"}
    assert context.params["benchmarks"] == "a,b"
    assert options_in_config(context) == {"model", "suite", "temperature", "top-p", "benchmarks"}


@given(file=KEYED, line=KEYED)
def test_each_key_counts_from_the_strongest_that_names_it(
    file: dict[str, int], line: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "run.yaml"
    words = ("--chat-template-kwargs", json.dumps(line))
    for key, value in line.items():
        words += ("--vllm-arg", f"{key}={value}", "--set", f"one.{key}={value}")
    settings = {f"one.{key}": value for key, value in file.items()}
    document = {"chat-template-kwargs": file, "vllm-arg": file, "set": settings}
    path.write_text(json.dumps({"model": "m", "suite": "probe", **document}))
    context = parsed("--config", str(path), *words)
    found, both = settings_in_force(context, None), {**file, **line}
    assert found.settings.chat_template_kwargs == both
    assert found.settings.vllm_arg == {key: str(value) for key, value in both.items()}
    assert split(context.params["settings"], ["one"]).get("one", {}) == {
        key: str(value) for key, value in both.items()
    }
    assert found.origins["chat_template_kwargs"] == f"command line, over --config {path}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("temprature: 1", "unknown option 'temprature': did you mean temperature"),
        ("no-native: 3", "no-native is true or false, not 3"),
        ("config: other.yaml", "unknown option 'config'"),
        ("[a]", "not a mapping"),
        ("a: [", "cannot be read"),
        ("1: 2", "unknown option '1'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason):
        parsed("--config", str(file), "--model", "m", "--suite", "probe")


def vllm(argument: str, option: str = "vllm_arg") -> str:
    """Return why an argument of vLLM is refused, as a pattern."""
    return rf"{option} names code, files or addresses \({argument}\)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("suite: own.py", "suite names code"),
        ("suite: 'vstar, own.py'", "suite names code"),
        ("suite: [vstar, package]", "suite names code"),
        ("backend: own.py:BACKEND", "backend names code"),
        ("benchmark_file: own.py", "benchmark_file names code"),
        ("unsafe: true", "unsafe gives away a right of yours"),
        ("api-key-env: SECRET", "api-key-env gives away a right of yours"),
        ("judge-key-env: SECRET", "judge-key-env gives away a right of yours"),
        ("key-over-http: true", "key-over-http gives away a right of yours"),
        ("vllm-arg: {trust-remote-code: true}", vllm("trust-remote-code", "vllm-arg")),
        ("vllm_arg: [max-num-seqs=4, worker_cls=a.B]", vllm("worker-cls")),
        # Python's logging.config calls what the file names.
        ("vllm_arg: {log-config-file: a.json}", vllm("log-config-file")),
        (
            "vllm_arg: {structured-outputs-config: {reasoning_parser_plugin: a.py}}",
            vllm("structured-outputs-config"),
        ),
        (
            "vllm_arg: {speculative-config: {method: custom_class, model: a.B}}",
            vllm("speculative-config"),
        ),
        ("vllm_arg: {ec_manager_config.cls_path: a.B}", vllm("ec-manager-config")),
        ("vllm_arg: [seed=1, master-addr=192.0.2.1]", vllm("master-addr")),
        ("vllm_arg: {kv-events-config: {endpoint: 'tcp://*:5557'}}", vllm("kv-events-config")),
        ("vllm_arg: ['seed 1 --middleware=a.B']", vllm("seed 1 --middleware")),
    ],
)
def test_what_others_could_misuse_is_for_the_command_line_alone(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(text)
    with pytest.raises(UsageError, match=f"{reason}: give it on the command line$"):
        parsed("--config", "run.yaml", "--model", "m", "--suite", "probe")
    Path("run.yaml").write_text("vllm-arg: {hf-overrides: '{}', mm-processor-kwargs: '{}'}")
    parsed("--config", "run.yaml", "--model", "m", "--suite", "probe")


@pytest.mark.parametrize("text", ["temperature: warm", "temperature: true", "top-k: 1.5"])
def test_a_value_of_another_type_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(click.BadParameter, match=r"must be a (whole )?number|not valid"):
        parsed("--config", str(file), "--model", "m", "--suite", "probe")
