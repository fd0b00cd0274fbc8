"""Trajectories with planted pairs and decoys, in the layouts in which they are published.

Each decoy differs from a planted pair in one condition of the cascade.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import unified_diff
from random import Random
from typing import Any

FUNCTIONS = ("get", "put", "evict", "refresh", "merge", "resize", "flush", "load")
NOUNS = ("timeout", "header", "session", "token", "index", "payload", "window", "digest")


def module(classes: tuple[str, str] = ("Cache", "Store")) -> list[str]:
    """Return the lines of a module with two classes that have the same methods."""
    lines = ['"""A module."""', "", "import time", ""]
    for name in classes:
        lines += ["", f"class {name}:", f'    """A {name.lower()}."""', ""]
        for function in FUNCTIONS:
            lines += [f"    def {function}(self, key, limit=3):"]
            lines += [f"        step_{number} = self.values[key] + {number}" for number in range(9)]
            lines += ["        return step_8", ""]
    return lines


def patch(path: str, anchor: str, step: int, code: list[str], name: str = "Cache") -> str:
    """Return a git diff that replaces one line of a method, with git's heading of the class."""
    old = module()
    start = next(i for i, line in enumerate(old) if line.startswith(f"class {name}"))
    method = next(i for i in range(start, len(old)) if f"def {anchor}(" in old[i])
    new = old[: method + step] + code + old[method + step + 1 :]
    lines = list(unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""))
    lines = [f"{line} class {name}:" if line.startswith("@@") else line for line in lines]
    return f"diff --git a/{path} b/{path}\n" + "\n".join(lines) + "\n"


@dataclass
class Case:
    """One instance: where it is, its issue, its patch, and the code that the patch adds."""

    instance: str
    issue: str
    patch: str
    code: list[str]
    path: str
    extra: dict[str, Any] = field(default_factory=dict)

    def messages(self) -> list[dict[str, str]]:
        """Return a trajectory that views, edits, tests and submits."""
        body = "\n".join(self.code)
        steps = [
            (f"cat {self.path}", "\n".join(module()[:30])),
            (f"cat <<'EOF' > /testbed/{self.path}\n{body}\nEOF", ""),
            ("pytest -q", f"1 passed: {self.instance}"),
            ("git add -A && git diff --cached", self.patch),
        ]
        turns = [
            {"role": "system", "content": "You fix issues."},
            {"role": "user", "content": f"<pr_description>\n{self.issue}\n</pr_description>"},
        ]
        for command, output in steps:
            turns += [
                {"role": "assistant", "content": f"THOUGHT: next.\n\n```bash\n{command}\n```"},
                {"role": "user", "content": f"<output>\n{output}\n</output>"},
            ]
        return turns

    def row(self) -> dict[str, Any]:
        """Return a row of SWE-smith's trajectories."""
        return {
            "messages": json.dumps(self.messages()),
            "instance_id": self.instance,
            "resolved": True,
            "model": "m",
            "traj_id": f"{self.instance}.run1",
            "patch": self.patch,
            **self.extra,
        }


@dataclass
class World:
    """Cases with the ids of the pairs that are planted, and decoys by kind."""

    cases: list[Case]
    planted: set[frozenset[str]]
    decoys: dict[str, frozenset[str]]


def world(seed: int, groups: int = 4) -> World:
    """Return a world: in each group one planted pair and one decoy of every kind."""
    random = Random(seed)
    cases: list[Case] = []
    planted: set[frozenset[str]] = set()
    decoys: dict[str, frozenset[str]] = {}
    numbers = iter(range(10**6))

    def case(group: int, function: str, issue: str, **where: str) -> Case:
        number = next(numbers)
        commit = where.get("commit", f"{group:07x}a")
        path = where.get("path", f"src/pkg{group}/cache.py")
        noun = random.choice(NOUNS)
        code = [f"        if {noun}_{number} is None:", f"            {noun}_{number} = {number}"]
        diff = patch(path, function, random.randint(2, 8), code, where.get("name", "Cache"))
        made = Case(f"org__repo{group}.{commit}.kind__{number:06x}", issue, diff, code, path)
        cases.append(made)
        return made

    for group in range(groups):
        function, other = random.sample(FUNCTIONS, 2)
        nouns = random.sample(NOUNS, 4)
        about = f"`Cache.{function}` of pkg{group}"
        issue = f"{about} loses the {nouns[0]} when the {nouns[1]} is empty. A traceback follows."
        first = case(group, function, issue)
        second = case(
            group, function, f"The {nouns[0]} of {about} is wrong for a negative {nouns[2]} limit."
        )
        planted.add(frozenset({first.instance, second.instance}))
        # Each against `first`, of which it differs in one condition.
        again = f"{about} drops the {nouns[0]} if the {nouns[1]} has no {nouns[3]}."
        variants = {
            "other commit": case(group, function, again, commit=f"{group:07x}b"),
            "other file": case(group, function, again, path=f"src/pkg{group}/store.py"),
            "other function": case(group, other, again, name="Store"),
            "unrelated issue": case(
                group, function, "Please translate our documentation pages into French."
            ),
        }
        for kind, variant in variants.items():
            decoys[f"{kind} {group}"] = frozenset({first.instance, variant.instance})
        path = f"src/pkg{group}/twice.py"
        twins = [case(group, function, text, path=path) for text in (again, f"{again}\n")]
        decoys[f"same issue {group}"] = frozenset(twin.instance for twin in twins)
    random.shuffle(cases)
    return World(cases, planted, decoys)
