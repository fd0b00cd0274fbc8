"""What lmms-eval's own ``simple_evaluate`` gives on a data root: the reference for `test_native`.

Run as ``python -m tests.benchmarks.vqa.native_reference DATA_ROOT OUT.json`` with the judge in
lmms-eval's environment variables.  Tasks are built from lmms-eval's TaskManager and read the data
sets by themselves; nothing of `benchmarks.vqa` scores here (its adapters name the items).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import suites
from benchmarks.vqa.base.benchmark import LmmsBenchmark

# How lmms-eval's aggregate of each benchmark comes from the mean of right answers: metric, factor.
AGGREGATES: Mapping[str, tuple[str, float] | None] = {
    "mathvista": ("llm_as_judge_eval", 100),
    "mathverse": ("gpt_eval_score", 1),
    "mathvision": ("mathvision_standard_eval", 100),
    "mmmu_pro": ("mmmu_acc", 1),
    "mmmu": ("mmmu_acc", 1),
    "vstar": ("vstar_overall_acc", 100),
    "mmstar": None,  # a mean of means over finer categories
    "blink": ("blink_acc", 1),
    "scienceqa": ("exact_match", 1),
    "phyx": ("eval_results", 1),
    "olympiadbench_physics": ("llm_as_judge_eval", 1),
    "mme_realworld_lite": ("mme_realworld_score", 1),
}

# Answers of every kind: right, wrong, framed, boxed, rubbish, empty.
ANSWERS = (
    "{gold}",
    "The answer is ({gold}).",
    "{wrong}",
    "So it is \\boxed{{{gold}}}.",
    "No idea at all, sorry about that.",
    "",
    "Answer: {gold}",
    "A dog sits in the picture. The answer is {gold}.",
    "**{gold}**",
    "({gold})",
    "{gold}. That follows from the picture.",
    "The best answer is {wrong}.",
    "It is about $\\frac{{3}}{{2}}$, or 1.5 of them.",
    "Based on what is drawn: {gold}",
    "So the final answer is $\\boxed{{{gold}}}$.",
)


def answer(task: Any, doc_id: int, doc: Mapping[str, Any]) -> str:
    """Return the answer that the deterministic model gives to a document."""
    gold = task.doc_to_target(doc)
    gold = str(gold[0] if isinstance(gold, list) else gold).strip("()")
    wrong = "B" if gold == "A" else "A"
    place = doc_id * 4 + zlib.crc32(task.config.task.encode())
    return ANSWERS[place % len(ANSWERS)].format(gold=gold, wrong=wrong)


def correct(benchmark: str, sample: Mapping[str, Any]) -> float:
    """Return whether one logged sample is right, by the table of the benchmarks' facts."""
    from lmms_eval.tasks.mme_realworld.utils import mme_realworld_aggregate_results
    from lmms_eval.tasks.mmmu.utils import mmmu_aggregate_results
    from lmms_eval.tasks.mmmu_pro.utils import mmmu_pro_aggregate_results
    from lmms_eval.tasks.vstar_bench.utils import vstar_aggregate_results

    rules: dict[str, Callable[[], Any]] = {
        "mathvista": lambda: sample["llm_as_judge_eval"]["true_false"],
        "mathverse": lambda: sample["gpt_eval_score"],
        "mathvision": lambda: sample["mathvision_standard_eval"]["scores"][0],
        "mmmu_pro": lambda: mmmu_pro_aggregate_results([sample["mmmu_acc"]]),
        "mmmu": lambda: mmmu_aggregate_results([sample["mmmu_acc"]]),
        "vstar": lambda: vstar_aggregate_results([sample["vstar_overall_acc"]]) / 100,
        "mmstar": lambda: sample["average"]["score"],
        "blink": lambda: sample["blink_acc"]["is_correct"],
        "scienceqa": lambda: sample["exact_match"],
        "phyx": lambda: sample["eval_results"]["true_false"],
        "olympiadbench_physics": lambda: sample["llm_as_judge_eval"],
        "mme_realworld_lite": lambda: mme_realworld_aggregate_results(
            [sample["mme_realworld_score"]]
        ),
    }
    return float(rules[benchmark]())


def point_phyx_at_the_judge() -> None:
    """PhyX's judge has its host and model as constants."""
    from lmms_eval.tasks.phyx.utils import phyx_evaluator
    from openai import OpenAI

    phyx_evaluator.client = OpenAI(base_url=os.environ["OPENAI_API_URL"], api_key="EMPTY")
    phyx_evaluator.juder_model = os.environ["MODEL_VERSION"]


def make_model() -> Any:
    """Return the deterministic model."""
    from lmms_eval.api.instance import GenerationResult, TokenCounts
    from lmms_eval.api.model import lmms

    class Scripted(lmms):  # type: ignore[misc]
        is_simple = False
        tasks: dict[str, Any]

        def generate_until(self, requests: list[Any]) -> list[GenerationResult]:
            found = []
            for request in requests:
                _, _, _, doc_id, name, split = request.args
                doc = self.task_dict[name][split][doc_id]
                text = answer(self.tasks[name], doc_id, doc)
                found.append(GenerationResult(text, TokenCounts(output_tokens=1)))
            return found

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

    return Scripted()


def evaluate(benchmark: LmmsBenchmark, manager: Any, model: Any) -> dict[str, Any]:
    """Return answers and values by item id, and the aggregate of every task."""
    from lmms_eval.api.task import ConfigurableMessagesTask
    from lmms_eval.evaluator import simple_evaluate

    answers, values, aggregates = {}, {}, []
    for index, form in enumerate(benchmark.forms):
        home = benchmark.data_root / benchmark.id
        homes = (home / form.config, home)
        folder = next(path for path in homes if (path / "dataset_dict.json").is_file())
        config = manager._get_config(form.task)
        config.update(dataset_path=str(folder), dataset_kwargs={"load_from_disk": True})
        config.pop("dataset_name", None)
        if benchmark.id == "phyx":
            point_phyx_at_the_judge()
        task = ConfigurableMessagesTask(config=config, model_name="harness")
        model.tasks = {form.task: task}
        found = simple_evaluate(
            model=model,
            tasks=[task],
            task_manager=manager,
            batch_size=1,
            log_samples=True,
            bootstrap_iters=0,
            process_docs_parallel=1,
            cli_args=argparse.Namespace(output_path="out", process_with_media=False),
        )
        rows = {place.row: place.id for place in benchmark.places.values() if place.form == index}
        ids = []
        for sample in found["samples"][form.task]:
            ids.append(rows[sample["doc_id"]])
            answers[ids[-1]] = sample["resps"][0][0]
            values[ids[-1]] = correct(benchmark.id, sample)
        if rule := AGGREGATES[benchmark.id]:
            metric = found["results"][form.task][f"{rule[0]},none"]
            aggregates.append({"ids": ids, "mean": metric / rule[1]})
    return {"answers": answers, "values": values, "aggregates": aggregates}


def main(root: Path, out: Path) -> None:
    """Evaluate every benchmark and write what was found."""
    from lmms_eval.tasks import TaskManager

    manager, model = TaskManager("WARNING"), make_model()
    found = {}
    for name in AGGREGATES:
        benchmark = suites.benchmark(name, root)
        assert isinstance(benchmark, LmmsBenchmark)
        found[name] = evaluate(benchmark, manager, model)
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
