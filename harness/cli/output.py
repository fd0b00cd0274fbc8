"""The result of a command on standard output, whatever else libraries and children print there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from harness.files.text import visible

_results: list[TextIO] = []  # where results go while everything else is led to standard error


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, its control characters shown and not obeyed; the only way to print here."""
    click.echo(visible(text), err=err, nl=nl)


def print_result(text: str) -> None:
    """Print a table or a JSON document."""
    click.echo(visible(text), file=_results[-1] if _results else None)


def json_text(document: Any) -> str:
    """Return a document, which may hold dataclasses, as indented JSON."""
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


@contextmanager
def results_only() -> Iterator[None]:
    """Lead what is printed to standard output, but for results, to standard error."""
    stream, out = sys.stdout, sys.stdout.fileno()
    stream.flush()
    kept = os.dup(out)
    with open(os.dup(out), "w", encoding="utf-8", errors="backslashreplace") as results:  # noqa: PTH123
        os.dup2(sys.stderr.fileno(), out)
        sys.stdout = sys.stderr
        _results.append(results)
        try:
            yield
        finally:
            _results.pop()
            sys.stdout = stream
            os.dup2(kept, out)
            os.close(kept)
