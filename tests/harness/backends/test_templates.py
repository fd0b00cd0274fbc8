"""Chat templates that loop end in one line, in whichever thread they are rendered."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.micro.model.build import WEIGHTS
from harness.backends.checkpoint import load_processor, rendered
from harness.errors import UsageError
from tests.commands import harness, one_line

NESTED = (
    "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
)
MACRO = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}"
CHAT = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]


def looping(folder: Path, template: str) -> Path:
    shutil.copytree(WEIGHTS, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize("template", [NESTED, MACRO])
def test_a_template_that_loops_is_one_line(template: str, tmp_path: Path) -> None:
    processor = load_processor(looping(tmp_path / "model", template))

    def attempt() -> None:
        with pytest.raises(UsageError, match=r"the chat template does not end within 0.1 s"):
            rendered(processor, CHAT, seconds=0.1)
        time.sleep(0.01)  # nothing comes after it

    attempt()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(attempt) for _ in range(2)]:
            done.result(5)


def test_a_template_that_ends_is_not_disturbed() -> None:
    """A thousand renderings, also by several threads, each with a limit of its own."""
    processor = load_processor(WEIGHTS)
    text = rendered(processor, CHAT)
    assert "x" in text
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: rendered(processor, CHAT, seconds=5), range(1000))) == {text}
    assert threading.active_count() < 100


@pytest.mark.slow
def test_a_run_and_a_training_of_such_a_checkpoint_end(tmp_path: Path) -> None:
    model = looping(tmp_path / "model", NESTED)
    run = ["run", "--model", str(model), "--suite", "probe", "--set", "probe.pairs=micro:image"]
    run += ["--limit", "1", "--backend", "transformers", "--out", str(tmp_path / "runs")]
    one_line(harness(*run), "the chat template does not end within 10 s", after_progress=True)
    train = ["train", "--arm", "contextrl", "--model", str(model), "--config", "micro"]
    one_line(harness(*train, "--dry-run"), "the chat template does not end", after_progress=True)
