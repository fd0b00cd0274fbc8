"""The design of a study: arms by role, and contrasts in the order of tests.

Statistics go by role; arm names are the user's.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ablations.arms import ARMS, Arm, Role

Kind = Literal[
    "total", "objective", "placebo", "data", "form", "start", "control",
    "contrast", "trend", "regression",
]  # fmt: skip
"""Which question a contrast answers; those from ``contrast`` on are a user's own."""
GATE: tuple[Kind, ...] = ("total", "objective", "placebo", "data")
Rule = Literal["all", "holm", "estimate"]
# The kind of a contrast by the roles of its arms, if there is one method.
_ASKED: Mapping[tuple[Role | None, Role | None], Kind] = {
    ("method", "baseline"): "total",
    ("method", "data_control"): "objective",
    ("method", "placebo"): "placebo",
    ("data_control", "baseline"): "data",
    ("method", "loss_form"): "form",
}
_RULES: Mapping[Kind, Rule] = {"data": "holm", "form": "estimate"}


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of two arms, ``plus`` - ``minus``, and the question it answers.

    A trend has the ``levels`` of a knob by arm, the highest in ``plus``, the lowest in ``minus``:
    its difference is along the straight line through the arms' means, from lowest to highest.
    """

    kind: Kind
    plus: str
    minus: str
    knob: str = ""
    levels: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """The name in tables and JSON."""
        over = f"trend over {self.knob}: " if self.levels else ""
        return f"{over}{self.plus} - {self.minus}"

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each arm's mean in the difference; they sum to 0."""
        if not self.levels:
            return {self.plus: 1.0, self.minus: -1.0}
        values = [level for _, level in self.levels]
        mean = sum(values) / len(values)
        scale = (max(values) - min(values)) / sum((value - mean) ** 2 for value in values)
        return {arm: (level - mean) * scale for arm, level in self.levels}

    def within(self, arms: Container[str]) -> bool:
        """Whether all of its arms are among these."""
        return all(arm in arms for arm in self.weights)


@dataclass(frozen=True, slots=True)
class Step:
    """Contrasts tested together, once all steps before them have passed.

    ``all``: each at alpha, one claim for the step (an intersection-union test). ``holm``: one claim
    per contrast, Holm-adjusted. ``estimate``: outside the order.
    """

    contrasts: tuple[Contrast, ...]
    rule: Rule = "all"


@dataclass(frozen=True, slots=True)
class Design:
    """The arms of a study by role, and its steps in the order of tests."""

    roles: Mapping[str, Role | None]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, roles: Mapping[str, Role | None]) -> Design:
        """Return the design implied by the roles.

        With one method: the total, the objective against every data control, the placebos, what the
        data adds, and the forms of the loss. With several: each method against the baseline, the
        controls and the placebos, and the methods with each other, as one family (Holm).
        """
        methods = _with(roles, "method")
        if len(methods) == 1:
            steps = [
                tuple(Contrast(kind, a, b) for a in _with(roles, plus) for b in _with(roles, minus))
                for (plus, minus), kind in _ASKED.items()
            ]
            made = (Step(step, _RULES.get(step[0].kind, "all")) for step in steps if step)
            return cls(roles, tuple(made))
        against = (*_with(roles, "baseline"), *_with(roles, "data_control", "placebo"))
        pairs = [(method, other) for method in methods for other in against]
        pairs += [(a, b) for n, a in enumerate(methods) for b in methods[n + 1 :]]
        family = tuple(Contrast("contrast", *pair) for pair in pairs)
        return cls(roles, (Step(family, "holm"),) if family else ())

    def named(self, *roles: Role) -> tuple[str, ...]:
        """Return the arms with any of these roles, role by role."""
        return tuple(arm for role in roles for arm in _with(self.roles, role))

    def stand_ins(self) -> dict[str, str]:
        """Return the name that seeds each custom arm's draws: renaming it changes no interval."""
        mine: dict[str, str] = {}
        for role in set(self.roles.values()):
            own = [arm for arm in _with(self.roles, role) if arm not in STANDARD.roles]
            free = [arm for arm in _with(STANDARD.roles, role) if arm not in self.roles]
            places = (f"{role} {place}" for place in range(len(free), len(own)))
            mine |= zip(own, (*free, *places), strict=False)
        return mine

    def _only(self, role: Role) -> str | None:
        names = _with(self.roles, role)
        return names[0] if len(names) == 1 else None

    @property
    def start(self) -> str | None:
        """The model before training; None if absent."""
        return self._only("start")

    @property
    def baseline(self) -> str | None:
        """The arm that methods are compared with; None if absent."""
        return self._only("baseline")

    @property
    def method(self) -> str | None:
        """The arm under study; None if there is none or several."""
        return self._only("method")

    @property
    def locates_gain(self) -> bool:
        """Whether it tests for a gain and then for its source: the questions of `GATE` in order."""
        tested = [step for step in self.steps if step.rule != "estimate"]
        asked = [kind for step in tested for kind in {each.kind for each in step.contrasts}]
        as_usual = all(step.rule == _RULES.get(step.contrasts[0].kind, "all") for step in tested)
        in_order = asked == [kind for kind in GATE if kind in asked]
        return asked[:1] == ["total"] and len(asked) == len(tested) and in_order and as_usual

    def among(self, arms: Container[str]) -> tuple[Step, ...]:
        """Return the steps that can be tested with these arms."""
        kept = (
            Step(tuple(each for each in step.contrasts if each.within(arms)), step.rule)
            for step in self.steps
        )
        return tuple(step for step in kept if step.contrasts)

    def contrasts(self, arms: Container[str]) -> tuple[Contrast, ...]:
        """Return the contrasts possible with these arms, in the order of tests."""
        return tuple(each for step in self.among(arms) for each in step.contrasts)

    def checks(self, arms: Sequence[str]) -> tuple[Contrast, ...]:
        """Return the contrasts outside the order of tests: they can only withhold a claim.

        Every arm against the model before training (kind start), and every data control and placebo
        against the baseline (kind control): anything beats an arm that training broke.
        """
        start, baseline = self.start, self.baseline
        asked = {(each.plus, each.minus) for each in self.contrasts(arms) if each.kind not in GATE}
        made = []
        if start is not None and start in arms:
            over = [arm for arm in arms if arm != start and (arm, start) not in asked]
            made += [Contrast("start", arm, start) for arm in over]
        if baseline is not None and baseline in arms:
            controls = [arm for arm in arms if arm in self.named("data_control", "placebo")]
            made += [Contrast("control", arm, baseline) for arm in controls]
        return tuple(made)

    def differences(self, arms: Sequence[str]) -> tuple[Contrast, ...]:
        """Return `contrasts`, then `checks`, without duplicates."""
        return tuple({e.name: e for e in (*self.contrasts(arms), *self.checks(arms))}.values())

    def kind_of(self, plus: str, minus: str) -> Kind:
        """Return the kind of a difference of two arms, by their roles."""
        if self.method is None:
            return "contrast"
        return _ASKED.get((self.roles.get(plus), self.roles.get(minus)), "contrast")


def _with(roles: Mapping[str, Role | None], *wanted: Role | None) -> list[str]:
    return [arm for arm, role in roles.items() if role in wanted]


def standard(table: Iterable[Arm] = ARMS.values()) -> Design:
    """Return the design of the built-in study: arms by role, ordered by rank."""
    ranked = sorted(table, key=lambda arm: arm.rank)
    return Design.of({arm.name: arm.role for arm in ranked})


STANDARD = standard()
