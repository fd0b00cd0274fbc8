"""Contrastive pairs from trajectories of coding agents: the paper's cascade of conditions.

Same repository and base commit -> reference patches touch the same file -> the same function or
class -> issues related but different -> patches masked -> a judge. Q is an issue, A its reference
patch, C+ a trajectory that worked on it, C- one that worked on the other issue.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from ablations.pairs.build import Build, BuildPlan, Funnel
from ablations.pairs.judging import ASK, finish_judged
from ablations.pairs.progress import Note, silent
from ablations.pairs.trajectories.instances import Instance, Settings, read_instances
from ablations.pairs.trajectories.masking import leaks, mask_trajectory
from ablations.pairs.trajectories.patches import read_patch
from ablations.pairs.trajectories.reading import Rows, Trajectory, messages_of, open_rows
from ablations.pairs.trajectories.relating import similarity
from ablations.pairs.trajectories.tokens import ISSUE, Secret
from harness.files.hashing import file_hash, tree_hash
from harness.files.text import counted
from harness.protocols import Judge

DOMAIN, SOURCE = "trajectory", "trajectories"


@dataclass(frozen=True)
class Candidate:
    """Two instances that may make a pair; ``query`` is the one whose issue is asked about."""

    query: Instance
    other: Instance
    shared: tuple[str, ...]
    alike: float = 0.0

    @property
    def id(self) -> str:
        """The pair's id."""
        return f"{self.query.id}--{self.other.id}"


def plan_of(
    sources: Sequence[Path], tasks: Sequence[Path], settings: Settings, seed: int
) -> BuildPlan:
    """Return the identity of a build: its settings and the content of its inputs.

    Raises `UsageError` if a source is missing.
    """
    inputs = {}
    for kind, paths in (("source", sources), ("tasks", tasks)):
        for number, path in enumerate(paths):
            files = list(open_rows(path))
            content = tree_hash(path, files) if path.is_dir() else file_hash(path)
            inputs[f"{kind}-{number}"] = content
    return BuildPlan("trajectories", asdict(settings), inputs, seed)


def build_pairs(
    build: Build,
    sources: Sequence[Path],
    tasks: Sequence[Path],
    settings: Settings,
    judge: Judge | None,
    note: Note = silent,
) -> dict[str, Any]:
    """Run the cascade and return the build's manifest.

    Raises `UsageError` if a source cannot be read or holds no trajectory, or the judge is gone.
    """
    files = [rows for source in sources for rows in open_rows(source).values()]
    instances, issues = read_instances(files, tasks, settings, build.funnel)
    candidates = _related(_sharing(instances, settings, build.funnel), issues, settings, build)
    rows = list(_masked(candidates, files, settings, build.funnel))
    return finish_judged(build, rows, judge, question, note)


def _sharing(instances: Sequence[Instance], settings: Settings, funnel: Funnel) -> list[Candidate]:
    """Return pairs of instances in one code base that share a function or class (or a file)."""
    bases: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in sorted(instances, key=lambda each: each.id):
        bases[instance.base].append(instance)
    same_base = sum(len(group) * (len(group) - 1) // 2 for group in bases.values())
    all_pairs = len(instances) * (len(instances) - 1) // 2
    same_file = [pair for group in bases.values() for pair in _by_file(group)]
    funnel.step(
        "same repository and commit", "pairs", same_base, {"other code": all_pairs - same_base}
    )
    funnel.step("same file", "pairs", len(same_file), {"other file": same_base - len(same_file)})
    if settings.same == "file":
        return [
            Candidate(first, second, tuple(sorted(first.patch.shared_files(second.patch))))
            for first, second in same_file
        ]
    candidates = [
        Candidate(first, second, shared)
        for first, second in same_file
        if (shared := first.patch.shared_scopes(second.patch))
    ]
    dropped = {"other function or class": len(same_file) - len(candidates)}
    funnel.step("same function or class", "pairs", len(candidates), dropped)
    return candidates


def _by_file(group: Sequence[Instance]) -> Iterator[tuple[Instance, Instance]]:
    """Yield each pair of instances whose patches touch one file, once."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for number, instance in enumerate(group):
        for path in instance.patch.files:
            by_file[path].append(number)
    pairs = {pair for numbers in by_file.values() for pair in combinations(numbers, 2)}
    for first, second in sorted(pairs):
        yield group[first], group[second]


def _related(
    candidates: Sequence[Candidate], issues: Mapping[str, str], settings: Settings, build: Build
) -> list[Candidate]:
    """Return the pairs with issues that are related and different, in their directions."""
    dropped: Counter[str] = Counter()
    kept = []
    ids = {each.id for pair in candidates for each in (pair.query, pair.other)}
    alike = similarity(issues, ids, settings.measure) if candidates else None
    for pair in candidates:
        assert alike is not None
        share = alike(pair.query.id, pair.other.id)
        reason = _unrelated(pair, share, settings)
        dropped[reason] += 1
        if not reason:
            pair = replace(pair, alike=round(share, 4))
            swapped = replace(pair, query=pair.other, other=pair.query)
            if settings.both_directions:
                kept += [pair, swapped]
            else:
                drawn = _draw(build.plan.seed, "direction", pair.id)
                kept.append(pair if drawn < 0.5 else swapped)
    left = dropped.pop("", 0)
    build.funnel.step("issues related, not the same", "pairs", left, dropped)
    if settings.limit is not None and len(kept) > settings.limit:
        ranked = sorted(kept, key=lambda pair: _draw(build.plan.seed, "limit", pair.id))
        build.funnel.step("limit", "pairs", settings.limit, {"--limit": len(kept) - settings.limit})
        kept = sorted(ranked[: settings.limit], key=lambda pair: pair.id)
    return kept


def _unrelated(pair: Candidate, share: float, settings: Settings) -> str:
    first, second = pair.query, pair.other
    if first.issue.split() == second.issue.split() or share >= settings.duplicate:
        return "the same issue"
    if first.patch.added == second.patch.added and first.patch.files == second.patch.files:
        return "the same patch"
    return "unrelated issues" if share < settings.related else ""


def _draw(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that depends only on the seed and the names."""
    digest = hashlib.sha256("\n".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 256**7


def _masked(
    candidates: Sequence[Candidate], files: Sequence[Rows], settings: Settings, funnel: Funnel
) -> Iterator[dict[str, Any]]:
    """Yield the rows of pairs with masked contexts; count them at the end."""
    dropped: Counter[str] = Counter()
    count = unquoted = 0
    for pair in candidates:
        chosen = _chosen(pair.query, pair.other)
        secret = _secret(pair, chosen)
        contexts = []
        for instance, trajectory in zip((pair.query, pair.other), chosen, strict=True):
            turns = messages_of(files[trajectory.source][trajectory.index])
            issue = None if settings.keep_issue else instance.issue
            contexts.append(mask_trajectory(turns, secret, issue))
        if any(any(leaks(context, secret)) for context in contexts):
            dropped["masking left a line of a patch"] += 1
        elif contexts[0].text == contexts[1].text:
            dropped["identical contexts"] += 1
        else:
            count += 1
            unquoted += sum(ISSUE not in context.text for context in contexts)
            edits = [context.edits for context in contexts]
            shown = [sum(1 for _ in secret.lines_in(context.text)) for context in contexts]
            counts = {"masked_edits": edits, "patch_lines_shown": shown}
            yield _row(pair, chosen, (contexts[0].text, contexts[1].text), counts)
    funnel.step("masked", "pairs", count, dropped)
    if unquoted and not settings.keep_issue:
        funnel.notes.append(
            f"{counted(unquoted, 'context')} without the issue word for word: look whether they "
            "tell it in other words"
        )


def _chosen(first: Instance, second: Instance) -> tuple[Trajectory, Trajectory]:
    """Return one trajectory each: resolved ones first, then those of similar length.

    A context that is much longer than the other would give the answer away.
    """

    def rank(pair: tuple[Trajectory, Trajectory]) -> tuple[int, float, str]:
        a, b = pair
        ratio = max(a.size, b.size) / max(min(a.size, b.size), 1)
        return -(bool(a.resolved) + bool(b.resolved)), ratio, f"{a.id} {b.id}"

    return min(((a, b) for a in first.trajectories for b in second.trajectories), key=rank)


def _secret(pair: Candidate, chosen: Sequence[Trajectory]) -> Secret:
    """Return what neither context may show: both references and both agents' submissions."""
    submitted = (read_patch(trajectory.patch or "") for trajectory in chosen)
    patches = [pair.query.patch, pair.other.patch, *filter(None, submitted)]
    return Secret(
        frozenset().union(*(patch.paths for patch in patches)),
        frozenset().union(*(patch.added for patch in patches)),
    )


def _row(
    pair: Candidate,
    chosen: Sequence[Trajectory],
    contexts: tuple[str, str],
    counts: Mapping[str, list[int]],
) -> dict[str, Any]:
    return {
        "id": pair.id,
        "domain": DOMAIN,
        "query": pair.query.issue,
        "answer": pair.query.patch.text,
        "answer_negative": pair.other.patch.text,
        "context_positive": contexts[0],
        "context_negative": contexts[1],
        "source": SOURCE,
        "origin": {
            "repository": pair.query.base[0],
            "base_commit": pair.query.base[1],
            "instances": [pair.query.id, pair.other.id],
            "trajectories": [trajectory.id for trajectory in chosen],
            "shared": list(pair.shared),
            "issues_alike": pair.alike,
            **counts,
        },
    }


def question(row: Mapping[str, Any]) -> str:
    """Return the judge's question on a pair of trajectories.

    The grounds for rejection are those in the paper's notes: unequal length, formatting, leaking
    tokens, inconsistent masks, and contexts that both fit.
    """
    return (
        "You check an item of a test. A model sees an issue, a patch, and two work logs of coding "
        "agents (contexts). Exactly one log belongs to the work on this issue, and the model must "
        "say which. Code that agents wrote into files is replaced by [MASKED], the issue by "
        "[ISSUE].\n\n"
        f"# Issue\n{row['query']}\n\n# Patch\n{row['answer']}\n\n"
        f"# Context that supports the patch\n{row['context_positive']}\n\n"
        f"# Context that does not\n{row['context_negative']}\n\n"
        "Is the item sound? INVALID if it can be solved without understanding, or not at all: "
        "length (one log is much longer), formatting (they differ in form), leak (a log shows the "
        "patch or names its issue), masking (masks are inconsistent), both (both logs support the "
        "patch, or neither). UNCERTAIN if you cannot tell. Else VALID.\n" + ASK
    )
