"""The content of a page: a headline, steps, and sections of text, figures, tables and items.

`reports.study_page`, `comparison_page` and `run_page` make a `Page`; `reports.html` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures import Figure
from reports.read.flips import Flips
from reports.tables import Table


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the verdict, at the top of a page: question, numbers, verdict."""

    title: str
    numbers: tuple[tuple[str, str], ...]
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class Collapsible:
    """Tables under a heading that expands."""

    title: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Pictured:
    """Flips with thumbnails (data URIs by benchmark and id) if the data is available."""

    flips: Flips
    images: dict[tuple[str, str], str]


Block = str | Figure | Table | Collapsible | Pictured


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its anchor, heading, and blocks in order; a ``str`` is a paragraph."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    ``label`` (what was measured) is above the headline, ``sentence`` the whole verdict to quote;
    ``warnings`` come first, ``notes`` below the steps.
    """

    kind: str
    name: str
    label: str
    headline: str
    sentence: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        blocks = [block for section in self.sections for block in section.blocks]
        return tuple(block for block in blocks if isinstance(block, Figure))

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        tables: list[Table] = []
        for block in (block for section in self.sections for block in section.blocks):
            if isinstance(block, Table):
                tables.append(block)
            elif isinstance(block, Collapsible):
                tables += block.tables
        return tuple(tables)
