"""What this machine can do: packages, backends, disk, data, a checkpoint.

Heavy packages are imported in a child process only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from platform import platform
from typing import Literal

from harness.errors import UsageError, first_line
from harness.files.atomic import write_text
from harness.files.hashing import cache_dir, json_hash, model_fingerprint
from harness.files.text import counted
from harness.files.typed_json import parse
from harness.install.extras import PROJECT, extras, install, unmet
from harness.protocols import Benchmark, Check, Demanding

EXTRAS = ("run", "agents", "train", "pairs")
"""What `harness doctor` looks for, besides what is always installed."""
_IMPORTS = ("torchvision", "transformers", "lmms_eval.api.task", "latex2sympy2")


def machine(needed: Collection[str] = ()) -> Iterator[Check]:
    """Yield what is installed here and whether it loads; the ``needed`` extras must be."""
    yield Check("python", "ok", sys.version.split()[0])
    yield from _packages(needed)
    yield from _imports()
    yield _disk()


def _packages(needed: Collection[str]) -> Iterator[Check]:
    if wrong := unmet(extras().get("", ())):
        yield Check("packages", "missing", "; ".join(wrong) + f": pip install {PROJECT}")
    else:
        yield Check("packages", "ok", "all that reading, comparing and reporting need")
    for extra in EXTRAS:
        if wrong := unmet(extras().get(extra, ())):
            status: Literal["missing", "note"] = "missing" if extra in needed else "note"
            text = "; ".join(wrong) + f": {install(extra)}, or `make install`"
            yield Check(f"extra {extra}", status, text)
        else:
            yield Check(f"extra {extra}", "ok", "all required versions are installed")


def _imports() -> Iterator[Check]:
    """Yield whether the heavy packages load; cached until an installed package changes."""
    if find_spec("torch") is None:
        return
    note = cache_dir() / "imports" / _installed()
    loads, errors = "loads (cached for these versions)", dict.fromkeys(_IMPORTS)
    if not (note.exists() and note.read_text(encoding="utf-8").split() == list(_IMPORTS)):
        loads, errors = "loads", _import_errors()
        if not any(errors.values()):
            with suppress(OSError):
                write_text(note, "\n".join(_IMPORTS))
    repair = "run `python -m harness.install.setup_environment`"
    for name, error in errors.items():
        if error is None:
            yield Check(f"import {name}", "ok", loads)
        else:
            text = f"does not load ({first_line(error)}): {repair}"
            yield Check(f"import {name}", "missing", text)


def _installed() -> str:
    """Return a hash of this interpreter and of the packages installed for it."""
    entries = [
        (entry.name, entry.stat().st_mtime_ns)
        for folder in sorted(set(map(sysconfig.get_path, ("purelib", "platlib"))))
        for entry in os.scandir(folder)
        if not entry.name.startswith("__")  # compiled files come and go
    ]
    libraries = os.environ.get("LD_LIBRARY_PATH", "")
    return json_hash([sys.version, sys.executable, libraries, platform(), sorted(entries)])


def _import_errors() -> dict[str, str | None]:
    """Import the heavy packages in one child; return each one's error, None if it loads."""
    program = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "        print(json.dumps([name, None]), flush=True)\n"
        "    except Exception as error:\n"
        "        print(json.dumps([name, f'{type(error).__name__}: {error}']), flush=True)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, *_IMPORTS], capture_output=True, text=True, check=False
    )
    rows = [line for line in child.stdout.splitlines() if line.startswith('["')]
    errors: dict[str, str | None] = dict(map(json.loads, rows))
    died = f"the interpreter died with exit code {child.returncode}"
    return {name: errors.get(name, died) for name in _IMPORTS}


def _disk() -> Check:
    folder = cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    status: Literal["ok", "note"] = "ok" if free > 20 else "note"
    return Check("disk", status, f"{free:.0f} GB free for caches and data")


def sandbox(*, needed: bool) -> Check:
    """Return which sandbox a model's programs would run in, and why.

    ``needed``: a benchmark in question runs programs.  Not to be called in an event loop.
    """
    from harness.sandbox import choose, find_engine

    try:
        chosen, why = choose()
    except UsageError as error:
        return Check("sandbox", "missing" if needed else "note", str(error))
    engine = find_engine()
    more = f"; with --sandbox-image: {engine.name} {engine.version}" if engine else ""
    return Check("sandbox", "ok", f"{chosen.describe()['kind']}: {why}{more}")


def native_sandbox() -> Check:
    """Return whether lmms-eval's scoring, which evaluates text of a model, runs in a sandbox."""
    from harness.sandbox import native_state

    works, why = native_state()
    if works:
        return Check("native scoring", "ok", f"in a sandbox: {why}")
    text = f"no sandbox ({why}): lmms-eval evaluates responses with your rights and your network"
    return Check("native scoring", "note", f"{text}; --no-native leaves it out")


def data(benchmarks: Sequence[Benchmark]) -> Iterator[Check]:
    """Yield whether each benchmark's data is there and complete."""
    for benchmark in benchmarks:
        declared = benchmark.declaration
        try:
            count = benchmark.count()
        except UsageError as error:
            yield Check(f"data {declared.id}", "missing", str(error))
            continue
        if declared.n_items in (0, count):  # 0: not known
            yield Check(f"data {declared.id}", "ok", counted(count, "item"))
        else:
            text = f"{counted(count, 'item')}, the official set has {declared.n_items}"
            yield Check(f"data {declared.id}", "note", text)


def demands(benchmarks: Sequence[Benchmark]) -> Iterator[Check]:
    """Yield what benchmarks need of the machine beyond data and a model."""
    for benchmark in benchmarks:
        if isinstance(benchmark, Demanding):
            yield from benchmark.checks()


def checkpoint(folder: Path) -> Iterator[Check]:
    """Yield whether a checkpoint folder is complete and has a chat template."""
    try:
        fingerprint = model_fingerprint(folder)
    except UsageError as error:
        yield Check("model", "missing", str(error))
        return
    try:
        config = parse((folder / "config.json").read_bytes())
        architecture = ", ".join(config.get("architectures") or ["unknown architecture"])
    except (OSError, ValueError, AttributeError, TypeError) as error:
        yield Check("model", "missing", f"{folder / 'config.json'} does not read: {error}")
        return
    yield Check("model", "ok", f"{architecture}, content {fingerprint[:12]}")
    if not _has_chat_template(folder):
        yield Check("chat template", "missing", f"{folder} has none: it cannot be asked in chats")
    names = ("preprocessor_config.json", "processor_config.json")
    if "vision_config" in config and not any((folder / name).exists() for name in names):
        yield Check("processor", "missing", f"{folder} has none: images cannot be shown to it")


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    tokenizer = folder / "tokenizer_config.json"
    return tokenizer.exists() and b'"chat_template"' in tokenizer.read_bytes()
