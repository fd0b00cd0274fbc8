"""The ``model-index`` metadata of a Hugging Face model card: a model's scores."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.install.extras import need
from harness.reading import Run
from harness.runs.summary import BenchmarkSummary
from reports.export.source import METRICS, Source, data_name, repository, scorer_of


def model_index(source: Source, folder: Path) -> list[Path]:
    """Write the metadata block of a model card, using `huggingface_hub`.

    Scores are in [0, 1], like the Hub's own metrics. `UsageError` if huggingface-hub is not
    installed, there are no scores, or the runs are of different models.
    """
    data = need("huggingface_hub.repocard_data", "model-index")
    runs = [run for _, run in source.only_runs("model-index")]
    models = {run.model for run in runs}
    if len({run.manifest["model"]["fingerprint"] for run in runs}) > 1:
        raise UsageError(
            f"model-index: the runs are of different models ({', '.join(sorted(models))}): "
            "a card is of one"
        )
    rows = [(run, row) for run in runs for row in run.summaries.values()]
    results = [data.EvalResult(**fields) for each in rows for fields in _results(*each)]
    if not results:
        raise UsageError(f"model-index: {source.name} has no scores yet")
    import yaml

    index = {"model-index": data.eval_results_to_model_index(min(models), results)}
    path = folder / "model-index.yaml"
    write_text(path, yaml.safe_dump(index, sort_keys=False, allow_unicode=True))
    return [path]


def _results(run: Run, row: BenchmarkSummary) -> list[dict[str, object]]:
    data = repository(row)
    revision = run.manifest["benchmarks"].get(row.benchmark, {}).get("data_revision")
    fields = {
        "task_type": "image-text-to-text",
        "dataset_type": data or row.benchmark,
        "dataset_name": data_name(run, row),
        "dataset_revision": str(revision) if data and revision else None,
        "metric_args": {"items": row.n},
    }
    named = {f"accuracy ({scorer_of(run, row, kind)})": getattr(row, kind) for kind in METRICS}
    strict = scorer_of(run, row, "strict")
    named |= {f"accuracy ({part}, {strict})": value for part, value in row.parts.items()}
    return [
        {**fields, "metric_type": "accuracy", "metric_name": name, "metric_value": value}
        for name, value in named.items()
        if value is not None
    ]
