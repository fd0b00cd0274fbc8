"""What an attacker, or bad luck, puts into a file: kinds of files and kinds of values."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

DEEP = 400
SECRET = "s3cret-of-the-user"


class _Foreign:
    """Unpickling this makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def _nested(pair: str) -> str:
    return pair[0] * DEEP + pair[1] * DEEP


# Field values that no type of ours allows, or that a careless reader obeys.
VALUES: Mapping[str, Any] = {
    "null": None,
    "bool": True,
    "number": 42,
    "negative": -1,
    "huge float": 1e308,
    "huge integer": 10**400,
    "nan": float("nan"),
    "infinity": float("inf"),
    "list": ["x"],
    "empty list": [],
    "object": {"x": 1},
    "empty": "",
    "traversal": "../../outside/secret.txt",
    "absolute": "/etc/hostname",
    "dots": "..",
    "option": "-v",
    "formula": "=cmd|' /C calc'!A0",
    "latex": "$\\frac{$",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "reversed": "\u202egnp.exe",
    "surrogate": "\ud800",
    "nul": "a\x00b",
    "script": "</script><script>alert(1)</script>",
    "template": "{{ 7*7 }}{% for i in range(10**9) %}{% endfor %}",
    "long": "x" * 200_000,
    "deep": [json.loads(_nested("[]")[:90] + _nested("[]")[-90:])],
}

Write = Callable[[Path, Path], None]


def _content(data: bytes) -> Write:
    return lambda path, _: path.write_bytes(data) and None


def _replace(path: Path, make: Callable[[], object]) -> None:
    path.unlink()
    make()


def _yaml_bomb(path: Path, _: Path) -> None:
    """Under the names that are there: a list of a list of a list, of a billion entries in all."""
    names = [line.partition(b":")[0].decode() for line in path.read_bytes().splitlines()[:3]]
    names += ["a", "b", "c"][len(names) :]
    lists = [", ".join([f"*b{n - 1}" if n else "x"] * 1000) for n in range(3)]
    lines = [f"{names[n]}: &b{n} [{entries}]\n" for n, entries in enumerate(lists)]
    path.write_text("".join(lines), errors="replace")


# Whole files: how to put one in the place of a good one; ``outside`` is a folder of the user.
FILES: Mapping[str, Write] = {
    "empty": _content(b""),
    "nul bytes": _content(b"\0" * 4096),
    "not utf-8": _content(b"\xff\xfe\xff{}\n"),
    "deep list": _content(_nested("[]").encode() + b"\n"),
    "deep object": _content(('{"a":' * DEEP + "1" + "}" * DEEP + "\n").encode()),
    "deep enough to end a C parser": _content(b"[" * 200_000 + b"\n"),
    "number": _content(b"42\n"),
    "string": _content(b'"text"\n'),
    "list": _content(b"[1]\n"),
    "cut": _content(b'{"id": "1", "a'),
    "enormous line": _content(b'{"id": "' + b"x" * 5_000_000 + b'"}\n'),
    "huge integer": _content(b'{"id": 1' + b"0" * 5000 + b"}\n"),
    "nan": _content(b'{"id": NaN, "value": Infinity}\n'),
    "gzip": _content(gzip.compress(bytes(10_000_000))),
    "yaml bomb": _yaml_bomb,
    "yaml object": _content(b"a: !!python/object/apply:os.system ['touch outside/ran']\n"),
    "pickle": lambda path, outside: path.write_bytes(
        pickle.dumps(_Foreign(str(outside / "ran")))) and None,
    "link": lambda path, outside: _replace(path, lambda: path.symlink_to(outside / "secret.txt")),
    "link to a device": lambda path, _: _replace(path, lambda: path.symlink_to("/dev/zero")),
    "loop": lambda path, _: _replace(path, lambda: path.symlink_to(path.name)),
    "pipe": lambda path, _: _replace(path, lambda: os.mkfifo(path)),
    "folder": lambda path, _: _replace(path, path.mkdir),
}  # fmt: skip


def fields(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON document, with the first entry of a list only."""
    if at:
        yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, (*at, name))
    elif isinstance(value, list) and value:
        yield from fields(value[0], (*at, 0))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON document with another value at a path."""
    if not at:
        return new
    name, *rest = at
    if isinstance(value, dict):
        return {**value, name: changed(value[name], tuple(rest), new)}
    return [changed(each, tuple(rest), new) if i == name else each for i, each in enumerate(value)]
