"""``harness pairs``: the commands that build, read and check contrastive pairs."""

from __future__ import annotations

import click

from harness.cli.groups import LateGroup

# Command -> (module:attribute, one line of help).
COMMANDS = {
    "trajectories": ("ablations.cli.pairs.trajectories:trajectories",
        "Build pairs from trajectories of coding agents."),
    "images": ("ablations.cli.pairs.images:images", "Build pairs of similar images."),
    "edit": ("ablations.cli.pairs.edit:edit", "Build pairs by editing images."),
    "filter": ("ablations.cli.pairs.filter:filter_",
        "Keep pairs of the right difficulty for a model."),
    "review": ("ablations.cli.pairs.review:review",
        "Accept or reject the pairs that the judge was unsure of."),
    "check": ("ablations.cli.pairs.check:check", "Check every pair of a source."),
    "template": ("ablations.cli.pairs.check:template",
        "Propose how to split selection prompts given as text."),
}  # fmt: skip


@click.group(cls=LateGroup, commands_by_name=COMMANDS)
def pairs() -> None:
    """Build, read and check contrastive pairs."""
