"""The page of a study: verdict, where the gain comes from, and everything behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from statistics import fmean
from typing import Any

from ablations.statistics.analysis import TESTS
from ablations.statistics.comparison.sides import Comparison
from ablations.statistics.design import roles
from ablations.statistics.design.roles import GATE, Kind
from ablations.statistics.lines import Line
from ablations.statistics.text.notes import joined
from ablations.statistics.text.verdict import step_verdict, withheld
from ablations.study.plan import PROBE
from ablations.study.study import Report
from benchmarks.micro.data.pairs import is_micro
from benchmarks.pairs.selection import LETTERS
from harness.files.typed_json import fits
from harness.runs.store import read_marks
from reports import figures, shared, tables
from reports.pages import Block, Collapsible, Page, Pictured, Section, Step
from reports.read import paper
from reports.read.flips import Flips, flips
from reports.read.runs import Run
from reports.read.study import Model, Study, curves, ledger
from reports.tables import Column, Side, Table

Pictures = Callable[[Flips], dict[tuple[str, str], str]]
MICRO_WORLD = "micro world"
TESTED = "The contrasts of the macro average, in points"
CHECKS = (
    "Checks outside the order of tests, each at alpha. They can only withhold a claim: a method "
    "that does not beat the model before training gained nothing, and a control that loses to the "
    "baseline beyond the margin is beaten by anything."
)
LEFT_OUT = "left out"  # as in notes by `ablations.statistics.scores` on benchmarks and items

# Panels of the training curves: heading -> name in training.jsonl.
CURVES = {
    "Loss of selection, L_CA": "ca/loss",
    "Loss of your own on pairs": "pair_loss/loss",
    "Loss of GRPO": "grpo/loss",
    "Gradient norm of λ L_CA": "grad_norm/ca",
    "Gradient norm of your own loss": "grad_norm/pair_loss",
    "Gradient norm of GRPO": "grad_norm/grpo",
}


def page(study: Study, pictures: Pictures) -> Page:
    """Return the page of a study; ``pictures`` gives thumbnails of the flips shown."""
    verdict = study.report.verdict
    # Without a verdict the first sentence says why; otherwise the conclusion precedes the figures.
    headline, _, _ = verdict.partition(". " if verdict.startswith("No verdict") else ": ")
    above, below = _notes(study)
    incomplete = [
        f"Missing from the plan: {gap.arm} seed {gap.seed}: {gap.step} failed: {gap.reason}."
        for gap in study.report.missing
    ]
    runs = [model.run for model in study.models]
    warnings = shared.warnings(runs, (*joined(above), *incomplete))
    return Page(
        "study",
        study.report.name,
        f"Ablation study {study.report.name}: {study.title}",
        headline.rstrip("."),
        verdict,
        steps=_steps(study),
        warnings=(*_micro(study, warnings), *warnings),
        sections=_sections(study, runs, pictures),
        # Warnings already include the notes on data.
        notes=joined(note for note in below if note not in warnings),
    )


def _sections(study: Study, runs: Sequence[Run], pictures: Pictures) -> tuple[Section, ...]:
    by_arm = {arm: [model.run for model in study.of(arm)] for arm in study.arms}
    probes = [model.probe for model in study.models if model.probe is not None]
    return (
        *_waterfall(study),
        *_forest(study),
        _deltas(study),
        *_selection(study),
        _seeds(study),
        *_training(study),
        *_flips(study, by_arm, pictures),
        *shared.needle_section(by_arm),
        _validity(study, runs),
        shared.provenance([*runs, *probes], (_plan_table(study),)),
    )


def _notes(study: Study) -> tuple[list[str], list[str]]:
    """Return the notes above the answer, and those below it.

    Below go notes on single benchmarks, such as few clusters, which do not affect the verdict over
    seeds. What was left out of a planned benchmark does.
    """
    above: list[str] = []
    below: list[str] = []
    for note in study.report.notes:
        name, _, text = note.partition(": ")
        of_one = any(name in model.run.manifest["benchmarks"] for model in study.models)
        moves = name in study.plan["plan"]["benchmarks"] and LEFT_OUT in text
        (below if of_one and not moves else above).append(note)
    return above, below


def _micro(study: Study, warnings: Sequence[str]) -> tuple[str, ...]:
    """Return the label of a study trained on the embedded world, unless a warning has it."""
    paths = study.plan.get("paths") or {}
    trained = any(is_micro(paths.get(name) or "") for name in ("pairs", "rl_data"))
    if not trained or any(MICRO_WORLD in warning for warning in warnings):
        return ()
    return (f"{MICRO_WORLD}: trained on the embedded world, no evidence about real models",)


_TITLES: dict[Kind, str] = {
    "total": "Is there a gain?",
    "objective": "Is it the objective?",
    "placebo": "Does it vanish with the placebo?",
    "data": "Does the data alone help?",
}


def _steps(study: Study) -> tuple[Step, ...]:
    """Return the steps of the verdict: the built-in ones, or those of a custom design."""
    lines = study.report.analysis.contrasts
    if study.design.locates_gain:
        by_kind = {kind: [line for line in lines if line.kind == kind] for kind in GATE}
        return tuple(_step(_TITLES[kind], of, kind, study) for kind, of in by_kind.items())
    by_name = {line.name: line for line in lines}
    return tuple(
        _step(_title_of(step), of_step, step.contrasts[0].kind, study, step.rule != "holm")
        for step in study.design.steps
        if (of_step := [by_name[each.name] for each in step.contrasts if each.name in by_name])
    )


def _title_of(step: roles.Step) -> str:
    first, *others = step.contrasts
    if first.kind == "trend":
        return f"A trend over {first.knob}?"
    if first.kind == "regression":
        return "Any regression?"
    if others:
        return "A family of contrasts (Holm)" if step.rule == "holm" else "Several contrasts"
    return f"{first.plus} against {first.minus}"


def _step(
    title: str, lines: Sequence[Line], kind: Kind, study: Study, one_claim: bool | None = None
) -> Step:
    if not lines:
        return Step(title, (), "no arms for it", "flat")
    alpha = study.rules.alpha
    numbers = tuple((line.name, tables.difference(line, alpha)) for line in lines)
    if reason := withheld(lines, study.report.analysis.checks, study.design):
        return Step(title, numbers, f"not judged: {reason}", "flat")
    verdict = step_verdict(kind, lines, one_claim=one_claim)
    return Step(title, numbers, tables.signed(verdict), verdict.tone)


def _waterfall(study: Study) -> tuple[Section, ...]:
    terms = study.report.analysis.waterfall
    if not terms:
        return ()
    columns = (
        Column("arm", "Through"), Column("total", "Total", "delta"),
        Column("objective", "Objective", "delta", "The gain over the arm that reuses the data"),
        Column("data", "Data", "delta", "That arm's gain over the start"),
        Column("share", "Objective's share", "share", "Objective / total; only where the interval "
               "of the total excludes 0"),
        Column("share_interval", f"{tables.level_of(study.rules.level)} interval (Fieller)",
               "shares"),
    )  # fmt: skip
    rows = [
        asdict(term)
        | {"share_interval_low": term.share_low, "share_interval_high": term.share_high}
        for term in terms
    ]
    table = Table("waterfall-table", "Total = objective + data, in points", columns, rows,
                  "analysis.json, waterfall through {arm}")  # fmt: skip
    figure = figures.waterfall(terms, study.report.analysis.contrasts, study.rules.level)
    return (Section("source", "Where the gain comes from", (figure, table)),)


def _forest(study: Study) -> tuple[Section, ...]:
    lines = study.report.analysis.contrasts
    if not lines:
        return ()
    rules = study.rules
    test = TESTS[rules.variance]
    if rules.variance == "paired":
        test += " where both arms draw the same items in the same order, else Welch t,"
    text = (
        "Each step is tested only if all steps before it are better; after that, numbers are "
        f"estimates. Verdicts are at alpha {rules.alpha:g}, with an equivalence margin of "
        f"{100 * rules.margin:g} points; the primary test is {test} on per-seed macro averages."
    )
    table = tables.contrasts("contrasts", TESTED, lines, rules)
    blocks: list[Block] = [text, figures.forest(lines, rules.margin), table]
    if checks := study.report.analysis.checks:
        caption = "Arms against the base, and controls, in points"
        blocks += [CHECKS, tables.contrasts("checks", caption, checks, rules)]
    if study.report.bootstrap:
        blocks.append(f"{study.report.bootstrap}.")
    return (Section("contrasts-section", "The contrasts", tuple(blocks)),)


def _deltas(study: Study) -> Section:
    analysis = study.report.analysis
    means = {
        name: {arm: fmean(seeds[arm]) for arm in study.arms} for name, seeds in study.scores.items()
    }
    sides = {arm: _side(study, arm, means) for arm in study.arms}
    blocks: list[Block] = [tables.scores(means, {line.arm: line for line in analysis.arms})]
    for number, line in enumerate(analysis.contrasts):
        lines, margin = line.benchmarks, study.rules.margin
        table = tables.benchmarks(
            f"delta-{number}", line.name, lines, sides[line.plus], sides[line.minus], study.rules
        )
        if number == 0:
            figure = figures.by_benchmark("benchmarks-figure", line.name, lines, margin)
            blocks += [figure, table]
        else:
            blocks.append(Collapsible(line.name, (table,)))
    return Section("benchmarks", "Benchmark by benchmark", tuple(blocks))


def _side(study: Study, arm: str, means: Mapping[str, Mapping[str, float]]) -> Side:
    models = study.of(arm)
    invalid = {name: sum(shared.invalid(model.run, name) for model in models) for name in means}
    return Side(arm, len(models), {name: by_arm[arm] for name, by_arm in means.items()}, invalid)


def _selection(study: Study) -> tuple[Section, ...]:
    rows = [
        asdict(model.measured) | {"macro": average}
        for arm in study.arms
        for model, average in zip(study.of(arm), study.report.macro[arm], strict=True)
        if model.measured.selection is not None
    ]
    if not rows:
        return ()
    ours: dict[str, list[figures.Point]] = {}
    for row in rows:
        ours.setdefault(row["arm"], []).append((row["selection"], row["macro"]))
    text = (
        "Does a model that learned to select the supporting context also do better on the task? "
        "Our seeds are in colour. The paper's models are in grey, for the shape of its claim: "
        "they are other models on other benchmarks."
    )
    figure = figures.selection(ours, paper.selection_vs_task(), paper.SOURCE, study.arms)
    columns = (
        Column("arm", "Arm"),
        Column("seed", "Seed", "count"),
        Column("selection", "Selection accuracy", "score", "On the probe, both orders; chance 50"),
        Column("macro", "Macro average", "score"),
    )
    caption = "Selection accuracy and macro average, in percent"
    table = Table("selection-table", caption, columns, rows, "analysis.json, {arm} seed {seed}")
    title = "Selecting the context against doing the task"
    return (Section("selection", title, (text, figure, Collapsible("The numbers", (table,)))),)


def _seeds(study: Study) -> Section:
    scores = {tables.AVERAGE: study.report.macro, **study.scores}
    rows = [
        {"model": model.name, "anchor": model.run.anchor, "folder": model.run.path.name}
        | {name: by_arm[arm][number] for name, by_arm in scores.items()}
        for arm in study.arms
        for number, model in enumerate(study.of(arm))
    ]
    columns = (
        Column("model", "Model"),
        Column(tables.AVERAGE, "Average", "score"),
        *(Column(name, name, "score") for name in study.scores),
    )
    caption, source = "Score of every seed, in percent", "{folder}, items with a score in every run"
    table = Table("seeds-table", caption, columns, rows, source, search=True)
    blocks = (figures.seeds(study.report.macro), _arms_table(study), table)
    return Section("seeds", "Per seed", blocks)


def _arms_table(study: Study) -> Table:
    columns: tuple[Column, ...] = (
        Column("arm", "Arm"), Column("seeds", "Seeds", "count"), Column("mean", "Mean", "score"),
        Column("mean", f"{tables.level_of(study.rules.level)} interval", "bounds", "Of the mean: "
               "over seeds, of one seed over items"),
        Column("training_sd", "sd, training", "sd", "Of a seed's macro average, points: what "
               "moves all items of a seed together"),
        Column("decoding_sd", "sd, items", "sd", "Of a seed's macro average, points: answers "
               "that change one by one"),
    )  # fmt: skip
    rows = [asdict(line) for line in study.report.analysis.arms]
    if losses := study.report.losses:
        columns += (Column("loss", "Loss on pairs"),)
        rows = [row | {"loss": losses.get(row["arm"])} for row in rows]
    caption = "The arms: macro average, and the spread of a seed"
    return Table("arms", caption, columns, rows, "analysis.json, arm {arm}")


def _training(study: Study) -> tuple[Section, ...]:
    lines = {
        arm: [curves(model.training) for model in study.of(arm) if model.training is not None]
        for arm in study.arms
    }
    panels: dict[str, dict[str, list[list[figures.Point]]]] = {}
    for title, name in CURVES.items():
        for arm, several in lines.items():
            if drawn := [curve for rows in several if (curve := _curve(rows, name))]:
                panels.setdefault(title, {})[arm] = drawn
    if not panels:
        return ()
    text = (
        "One line per seed, one marker per arm. Of two terms, one with a far smaller gradient norm "
        "has little effect."
    )
    return (Section("training", "Training curves", (text, figures.training(panels, study.arms))),)


def _curve(rows: Sequence[Mapping[str, Any]], name: str) -> list[figures.Point]:
    points: list[Any] = [(r.get("step"), r.get(name)) for r in rows if r.get("stage") != "sft"]
    return [p for p in points if fits(p, figures.Point) and all(map(isfinite, p))]


def _flips(
    study: Study, by_arm: Mapping[str, Sequence[Run]], pictures: Pictures
) -> tuple[Section, ...]:
    report = study.report
    if not report.analysis.contrasts:
        return ()
    if unnamed(report):
        text = "An older version wrote the analysis: run the study's command again for these items."
        return (Section("flips", "Items gained and lost", (text,)),)
    line = report.analysis.contrasts[0]
    minus, plus = ((arm, by_arm[arm]) for arm in (line.minus, line.plus))
    changed = flips(minus, plus, list(study.scores), report.left_out)
    return (flips_section(changed, pictures(changed)),)


def unnamed(found: Report | Comparison) -> bool:
    """Whether items were left out of a document that does not name them, as older ones do not."""
    return bool(found.excluded) and not found.left_out


def flips_section(changed: Flips, images: dict[tuple[str, str], str]) -> Section:
    """Return the section on items gained and lost."""
    columns = (Column("benchmark", "Benchmark"), Column("gained", "Gained", "count"),
               Column("lost", "Lost", "count"))  # fmt: skip
    sides = f"{changed.plus} and {changed.minus}"
    rows = [
        {"benchmark": name, "gained": up, "lost": down, "sides": sides}
        for name, (up, down) in changed.counts.items()
    ]
    caption = f"Items that {changed.plus} gains and loses against {changed.minus}"
    table = Table("flips-counts", caption, columns, rows, "samples of {sides}, {benchmark}")
    text = (
        f"An item is gained where {changed.plus} is right more often than not over its runs and "
        f"{changed.minus} is not; lost the other way round. Shown are {len(changed.shown)} of "
        f"{len(changed.rows):,}, some of every benchmark; all are listed in the file next to this "
        "page that ends in `.flips.csv`. `harness show RUN BENCHMARK/ITEM` shows any item in full."
    )
    return Section("flips", "Items gained and lost", (text, table, Pictured(changed, images)))


def _validity(study: Study, runs: Sequence[Run]) -> Section:
    blocks: list[Block] = []
    probes = {model.name: model.probe for model in study.models if model.probe}
    if (parts := shared.parts_table(probes)) is not None:
        bias = "Position bias: the probe asks every pair in both orders; its parts tell them apart."
        if not all(map(asks_both_orders, probes.values())):
            bias = (
                "Position bias: some pairs are asked in one order only, so a preference for one "
                "letter does not cancel in the score; the parts supports_A and supports_B tell it."
            )
        blocks += [bias, Collapsible("Parts of the probe", (parts,))]
    trained = [model for model in study.models if model.training is not None]
    if (spent := _ledger_table(trained)) is not None:
        blocks.append(spent)
    blocks += shared.left_out(study.report)
    return shared.validity(runs, blocks)


def asks_both_orders(probe: Run) -> bool:
    """Whether a run of the probe asked every pair in both orders."""
    ids = {id_ for id_, _ in read_marks(probe.path, PROBE)}
    return all(f"{id_[:-1]}{letter}" in ids for id_ in ids for letter in LETTERS)


def _ledger_table(models: Sequence[Model]) -> Table | None:
    rows = [row for model in models if (row := _ledger_row(model))]
    if not rows:
        return None
    own = any(row["norm_own"] is not None for row in rows)
    shown = "Pairs by a loss" if own else "Pairs by SFT, L_CA"
    columns: tuple[Column, ...] = (
        Column("model", "Model"), Column("optimizer_steps", "Steps", "count", "Optimizer steps"),
        Column("train_tokens", "Train tokens", "count"),
        Column("generated_tokens", "Generated tokens", "count"),
        Column("grpo_forwards", "GRPO forwards", "count"),
        Column("selection_forwards", "Selection forwards", "count"),
        Column("prompts", "RL items", "count", "Ordinary RL items of the steps that ran"),
        Column("contrastive_rl_items", "Pairs as RL items", "count", "Of da-rl and da-qa"),
        Column("exposures", shown, "count", "Contrastive pairs shown by a loss"),
        Column("norm_grpo", "Gradient, GRPO", "number", "Mean gradient norm of the GRPO loss"),
        Column("norm_ca", "Gradient, λ L_CA", "number", "Mean gradient norm of the selection loss"),
        Column("norm_ce", "Gradient, cross-entropy", "number",
               "Mean gradient norm of the loss, where the letter is learned by cross-entropy"),
        Column("clipped_wrong", "Clipped wrong", "share", "Pairs clipped while wrong: no gradient"),
        Column("seconds", "Training", "seconds"), Column("run_seconds", "Evaluation", "seconds"),
    )  # fmt: skip
    if own:
        columns += (
            Column("norm_own", "Gradient, own loss", "number",
                   "Mean gradient norm of the loss of your own on pairs"),
            Column("loss_on_pairs", "Loss on pairs"),
        )  # fmt: skip
    if any(row.get("one_order_pairs") for row in rows):
        columns += (
            Column("one_order_pairs", "Pairs in one order", "count",
                   "A preference for one letter does not cancel in them"),
        )  # fmt: skip
    return Table("ledger", "What the training took", columns, rows, "{training}/ledger.json")


def _ledger_row(model: Model) -> dict[str, Any]:
    assert model.training is not None
    stored = ledger(model.training)
    if not stored:
        return {}
    norms: Any = stored.get("gradient_norms")
    norms = norms if fits(norms, dict[str, float | None]) else {}
    return {
        **{name: value for name, value in stored.items() if fits(value, float)},
        "norm_grpo": norms.get("grpo"),
        "norm_ca": norms.get("ca"),
        "norm_ce": norms.get("cross_entropy"),
        "norm_own": norms.get("pair_loss"),
        "loss_on_pairs": stored.get("loss_on_pairs"),
        "model": model.name,
        "run_seconds": model.measured.run_seconds,
        "training": model.measured.training,
    }


def _plan_table(study: Study) -> Table:
    plan, rules = study.plan["plan"], study.rules
    # Their scores existed before the plan: a note says when.
    external = any(arm["origin"] == "runs" for arm in plan["arms"].values())
    values = {
        "plan hash": study.plan["hash"],
        "written" if external else "written, before any score was read": study.plan.get("written"),
        "suite": plan.get("suite"),
        "items per benchmark": plan.get("limit") or "all",
        "matching": plan.get("matching"),
        "base model's content hash": plan.get("model") or "external",
        "pairs": (plan.get("data") or {}).get("pairs") or "none",
        "RL data": (plan.get("data") or {}).get("rl_data") or "none",
        "arms": ", ".join(
            f"{name} ({arm['origin']}, {arm['seeds']})" for name, arm in plan["arms"].items()
        ),
        "contrasts": ", ".join(plan["contrasts"]),
        "alpha": f"{rules.alpha:g}",
        "margin": f"{100 * rules.margin:g} points",
        "effect size": f"{100 * rules.effect_size:g} points",
        "variance": rules.variance,
        "bootstrap": f"{rules.resamples} resamples, seed {rules.seed}",
    }
    return tables.facts("plan", "The plan", "Plan", values, "plan.json")
