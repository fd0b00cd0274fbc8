"""Make run folders from logs, in the run store's layout: manifest, samples, native, summary."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import registry, suites
from benchmarks.imports.log import Log, LoggedTask, Metric
from benchmarks.imports.matching import Items
from benchmarks.imports.options import Options
from benchmarks.imports.reading import redacted
from benchmarks.imports.scales import metric_of, scale_of
from benchmarks.imports.scoring import Scored, SourceScored, StrictlyScored, light, native_metric
from harness.errors import UsageError
from harness.files.atomic import folder as new_folder
from harness.files.atomic import write_json
from harness.files.hashing import file_hashes, json_hash
from harness.files.text import counted
from harness.install.extras import missing
from harness.protocols import Declaration, Demanding
from harness.records import Sample
from harness.runs.store import SCHEMA, UNKNOWN, SampleKey, encode_fast, read_manifest, stored_file
from harness.runs.summary import BenchmarkSummary, checked_summaries, summarise

IMPORTED = "imported"
_LONGEST = 60  # length of task names in a folder's name
_EVERY = 100_000  # answers between progress lines
Note = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """A run folder made from a log, or already there, and its content."""

    path: Path
    model: str
    seed: int | None
    rows: Sequence[BenchmarkSummary]
    notes: Sequence[str]


def import_run(log: Log, options: Options, note: Note) -> Imported:
    """Make the run folder of a log; an existing one is left unchanged.

    Raises `UsageError`, and writes nothing, if the log does not read or a score is out of range.
    """
    tasks = options.chosen(log)
    if not tasks:
        raise UsageError(f"the log of {log.model} holds no task with samples")
    model = options.model_name or log.model
    seed = log.seed if options.seed is None else options.seed
    parts = list(_parts(log, tasks, options, note))
    digests = dict(zip(map(str, log.files), file_hashes(log.files), strict=True))
    scoring = {part.declaration.id: part.declaration.scoring for part in parts}
    base = json_hash(
        {
            "imported": [log.tool, log.version, sorted(digests.values())],
            "options": options.keyed(),
            "model": [model, seed],
            "scoring": scoring,
        }
    )
    path = options.out / _folder_name(model, [part.declaration.id for part in parts], base)
    if _holds(path, base):
        rows = list(checked_summaries(path, read_manifest(path)).values())
        return Imported(path, model, seed, rows, [f"{path} holds this log already"])
    known = {"imported": options.model_name or log.identity or model, "seed": seed}
    fingerprint = json_hash(known)
    with new_folder(path) as beside:
        rows = [_written(beside, part, note) for part in parts]
        manifest = {
            "base": base,
            "model": {
                "name": model, "revision": None, "fingerprint": fingerprint, "verified": False
            },
            "sampling": _sampling([part.settings for part in parts], seed),
            **_manifest(log, parts, rows, digests),
        }  # fmt: skip
        write_json(beside / "manifest.json", manifest)
        document = {"benchmarks": [dataclasses.asdict(row) for row in rows]}
        write_json(beside / "summary.json", document)
    return Imported(path, model, seed, rows, log.notes)


def _manifest(
    log: Log, parts: Sequence[Scored], rows: Sequence[BenchmarkSummary], digests: Mapping[str, str]
) -> dict[str, Any]:
    """Return a log's manifest; ``digests`` are the sha256 sums of its files."""
    return {
        "schema": SCHEMA,
        "origin": IMPORTED,
        "suite": "+".join(part.declaration.id for part in parts),
        "benchmarks": {
            part.declaration.id: _entry(part, row.note)
            for part, row in zip(parts, rows, strict=True)
        },
        "settings": {},
        "settings_from": {},
        "reasoning_tags": [],
        "sources": [{"backend": f"{log.tool} {log.version}"}],
        "invocations": [
            {
                "started": log.started or UNKNOWN, "ended": None,
                "backend": {"kind": f"{log.tool} {log.version}"},
                "benchmarks": [row.benchmark for row in rows], "limit": None,
                "repeats": max(len(row.covered) for row in rows),
                "judge": None, "packages": {}, "git": {}, "machine": {},
            }
        ],
        "imported": {
            "tool": log.tool,
            "version": log.version,
            "files": [{"name": Path(name).name, "sha256": d} for name, d in digests.items()],
            "config": redacted(log.config),
            "notes": list(log.notes),
        },
    }  # fmt: skip


def _holds(path: Path, base: str) -> bool:
    """Whether a folder is this log's run; UsageError if it is something else."""
    if not path.exists():
        return False
    manifest = read_manifest(path)
    if manifest.get("origin") != IMPORTED:
        raise UsageError(f"{path} is another run: give another --out")
    return bool(manifest["base"] == base)


def _folder_name(model: str, names: Sequence[str], base: str) -> str:
    def plain(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip("._")

    label = plain("+".join(names))
    if len(label) > _LONGEST:
        label = f"{label[:_LONGEST]}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
    return f"{plain(model)[:_LONGEST] or 'model'}-{label or 'log'}-{base[:8]}"


def _parts(log: Log, tasks: Sequence[LoggedTask], options: Options, note: Note) -> Iterator[Scored]:
    """Yield the scored tasks of each benchmark: by our scorer if its items are available."""
    groups: dict[tuple[str, bool], list[LoggedTask]] = {}
    for task in tasks:
        benchmark = options.benchmark(task)
        groups.setdefault((benchmark or task.name, benchmark is not None), []).append(task)
    for (name, known), members in groups.items():
        strict = _strict(log, name, members, options, note) if known else None
        if strict is not None:
            yield strict
        else:
            for task in members:
                yield _by_source(log, task, options, as_score=not known)


def _strict(
    log: Log, name: str, tasks: Sequence[LoggedTask], options: Options, note: Note
) -> Scored | None:
    """Return a benchmark of ours, scored strictly; None, with a note, if its items are missing."""
    kind = registry.kind(name)
    try:
        benchmark = suites.benchmark(name, options.data_root, images=False)
        items = Items(benchmark)
        declared = benchmark.declaration
        if declared.needs_sandbox or isinstance(benchmark, Demanding):
            raise UsageError("its answers are programs: score them with `harness score`")
        items.all  # noqa: B018 - reads the data, or raises
    except (UsageError, ModuleNotFoundError) as error:
        why = error if isinstance(error, UsageError) else missing(error)
        if why is None:
            raise
        note(
            f"{name}: no strict score, only the log's own, as native ({why}); "
            "--source-scores makes the log's own the score"
        )
        return None
    metrics = {task.name: options.metric or native_metric(kind, task) for task in tasks}
    rules = f"{log.tool} {log.version}" if any(metrics.values()) else ""
    declared = dataclasses.replace(
        declared, native_rules=rules, native_needs_judge=False, judged_rules=""
    )
    return StrictlyScored(
        declaration=declared, tool=log.tool, tasks=tasks, items=items, metrics=metrics
    )


def _by_source(log: Log, task: LoggedTask, options: Options, *, as_score: bool) -> Scored:
    metric = metric_of(task, options.metric)
    scale = scale_of(
        task.metrics.get(metric or "", Metric()), options.scale(task), options.lower_is_better
    )
    shown = f"{metric or 'no metric'}, by {log.tool}"
    if (scale.low, scale.high, scale.flipped) != (0, 1, False):
        shown += f", {scale.low:g} to {scale.high:g}{', lower is better' * scale.flipped}"
    notes = [f"the score is {log.tool}'s own {metric}, not a strict one"] if as_score else []
    if not task.clusters:
        notes.append("clusters are not known, so intervals take items as independent")
    declared = Declaration(
        id=task.name, title=task.name, protocol={"tool": log.tool, **task.asked},
        scoring=f"{log.tool} {task.name} {shown}", max_tokens=0, native_max_tokens=0, n_items=0,
        metric=shown, clusters=task.clusters or UNKNOWN, note="; ".join(notes),
        native_rules="" if as_score else f"{log.tool} {log.version}",
    )  # fmt: skip
    return SourceScored(
        declaration=declared, tool=log.tool, tasks=[task],
        metric=metric, scale=scale, as_score=as_score,
    )  # fmt: skip


def _written(folder: Path, part: Scored, note: Note) -> BenchmarkSummary:
    declared = part.declaration
    kept: dict[SampleKey, Sample] = {}
    slim = isinstance(part, SourceScored) and part.as_score
    with ExitStack() as stack:
        samples = stack.enter_context(_open(folder, "samples", declared.id))
        native = stack.enter_context(_open(folder, "native", declared.id))
        for line, verdict in part.lines():
            samples.write(encode_fast(line))
            if verdict is not None:
                native.write(json.dumps(dataclasses.asdict(verdict)).encode() + b"\n")
            kept[line.id, line.repeat] = light(line) if slim else line
            if part.answers % _EVERY == 0:
                note(f"{declared.id}: {counted(part.answers, 'answer', ',')}")
    if not kept:
        why = f": {part.notes()[0]}" if part.notes() else ""
        raise UsageError(f"{declared.id}: no answer of the log can be imported{why}")
    answered = Counter(item_id for item_id, _ in kept)
    fewest, repeats, notes = min(answered.values()), max(answered.values()), part.notes()
    if fewest < repeats:
        each = f"{fewest} to {counted(repeats, 'answer')} each"
        notes.append(f"items have {each}: an item's score is their mean")
    for text in notes:
        note(f"{declared.id}: {text}")
    noted = dataclasses.replace(declared, note="; ".join(filter(None, (declared.note, *notes))))
    return summarise(folder, noted, [len(answered)] * repeats, None, kept)


def _open(folder: Path, kind: Any, benchmark: str) -> Any:
    path = stored_file(folder, kind, benchmark)
    path.parent.mkdir(exist_ok=True)
    return path.open("wb")


def _entry(part: Scored, note: str) -> dict[str, Any]:
    declared, settings = part.declaration, part.settings
    protocol, hashed, data, n = {"tool": part.tool, **part.asked}, "", UNKNOWN, None
    if isinstance(part, StrictlyScored):
        data = part.items.benchmark.fingerprint()
        if part.as_ours and not any("system" in asked for asked in part.asked.values()):
            protocol = dict(declared.protocol)
        elif not part.prompts.known:
            hashed = UNKNOWN
    else:
        n = sum(task.n_data or 0 for task in part.tasks) or None
    return {
        "title": declared.title,
        "protocol": protocol,
        "protocol_hash": hashed or json_hash(protocol),
        "data_revision": None,
        "data_fingerprint": data,
        "n": n,
        "n_official": declared.n_items or None,
        "max_tokens": settings.get("max_tokens", UNKNOWN),
        "image_conversion": None,
        "metric": declared.metric,
        "clusters": declared.clusters,
        "headline": list(declared.headline),
        "note": note,
        "native_rules": declared.native_rules,
        "judged_rules": "",
        "judge": None,
        "sampling": {"temperature": UNKNOWN, "top_p": UNKNOWN, **settings},
        "log": {
            "tasks": [task.name for task in part.tasks],
            "prompts": str(part.prompts),
            **({"documents": str(part.documents)} if data == UNKNOWN else {}),
            "unmatched": len(part.unmatched),
        },
    }


def _sampling(settings: Sequence[Mapping[str, Any]], seed: int | None) -> dict[str, Any]:
    def agreed(name: str) -> Any:
        values = {each.get(name, UNKNOWN) for each in settings}
        return values.pop() if len(values) == 1 else UNKNOWN

    drawn = {name: agreed(name) for name in ("temperature", "top_p")}
    return {**drawn, "seed": UNKNOWN if seed is None else seed}
