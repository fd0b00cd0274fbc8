"""Every pair looked at once: is it whole, do its contexts differ, is a letter one token?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.pairfile import PairError, check
from harness.records import Pair


def survey(pairs: Sequence[Pair], model: Path | None = None) -> dict[str, Any]:
    """Return counts of a sequence of pairs that are all good.

    Args:
        pairs: what to look at; each pair's images are opened.
        model: a checkpoint whose option letters are to be single tokens; None leaves that out.

    Raises:
        UsageError: a pair is wrong, two have one id, or a letter is more than one token.
    """
    domains: Counter[str] = Counter()
    seen: set[str] = set()
    known = 0
    for pair in pairs:
        check(pair)
        if pair.id in seen:
            raise PairError(f"two pairs have the id {pair.id}")
        seen.add(pair.id)
        domains[pair.domain] += 1
        known += pair.answer_negative is not None
    if model is not None:
        _check_letters(pairs[0], model)
    return {"pairs": len(seen), "domains": dict(domains), "answers_negative": known}


def _check_letters(pair: Pair, model: Path) -> None:
    from ablations.loading import prompter
    from ablations.settings import Settings
    from benchmarks.selection import selection

    prompter(model, Settings()).letters(selection(pair, "A").messages)
