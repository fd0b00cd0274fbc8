"""The micro world's own editor: redraws the scene with one change."""

from __future__ import annotations

import random

from ablations.pairs.editing.edits import Edited, Source
from ablations.pairs.editing.proposals import Proposal
from ablations.pairs.similarity.candidates import Question
from benchmarks.micro.data.pairs import scene_pair


def micro_edits(number: int, seed: int) -> list[Edited]:
    """Return edited scenes of the micro world, from the pairs' split."""
    rng = random.Random(f"edits/{seed}")
    made = []
    for index in range(number):
        pair = scene_pair(rng, "pairs")
        question = Question(f"micro-{seed}-{index}", pair.query, pair.answer, "text")
        instruction = f"Change {pair.query[5:-1]} from {pair.answer} to {pair.answer_negative}."
        proposal = Proposal(instruction, pair.answer_negative)
        made.append(Edited(Source(question, pair.positive.draw), proposal, pair.negative.draw))
    return made
