"""Slurm resources for the jobs of a study: one YAML file (``--executor-settings``)."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.errors import UsageError
from harness.files.names import is_file_name
from harness.files.typed_yaml import read_typed

Step = Literal["train", "run"]
"""The command of a job's step: ``harness train`` or ``harness run``."""
Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
Hours = Annotated[float, Meta(gt=0, le=8784)]  # a year
# Options that the study or another setting passes to sbatch, or that would hide the tasks.
_OWN = frozenset(
    "account array chdir clusters cpus-per-task dependency error gpus-per-node hold job-name "
    "kill-on-invalid-dep mem no-requeue nodes ntasks ntasks-per-node open-mode output partition "
    "qos requeue signal test-only time wait wrap".split()
)


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one job requests; None: the cluster's default.

    ``cpus`` and ``gpus`` are counts, ``memory`` is in GB, ``hours`` the time limit of one start.
    ``modules`` are loaded before the command; ``options`` are further options of ``sbatch``.
    """

    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    gpus: Annotated[int, Meta(ge=0)] | None = None
    cpus: Count | None = None
    memory: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    hours: Hours | None = None
    modules: tuple[Text, ...] | None = None
    options: dict[str, bool | int | float | str] = {}


class SlurmSettings(Resources, frozen=True, forbid_unknown_fields=True):
    """The settings file: requests of all jobs, and overrides for trainings or evaluations.

    ``at_once`` limits concurrent jobs. ``save_seconds`` before its time limit a job is asked to
    save, and is requeued, at most ``restarts`` times.
    """

    training: Resources = Resources()
    evaluation: Resources = Resources()
    at_once: Count = 256
    save_seconds: Annotated[int, Meta(ge=1, le=65535)] = 300
    restarts: Annotated[int, Meta(ge=0)] = 20

    def of(self, step: Step) -> Resources:
        """Return what the jobs of a step request."""
        own = self.training if step == "train" else self.evaluation
        values = {
            name: getattr(self if getattr(own, name) is None else own, name)
            for name in Resources.__struct_fields__
        }
        return Resources(**{**values, "options": {**self.options, **own.options}})

    def parameters(self, step: Step) -> dict[str, Any]:
        """Return the parameters of submitit's Slurm executor for the jobs of a step."""
        asked = self.of(step)
        assert asked.hours is not None  # checked by `read_settings`
        known = {
            "partition": asked.partition,
            "account": asked.account,
            "qos": asked.qos,
            "gpus_per_node": asked.gpus or None,
            "cpus_per_task": asked.cpus,
            "mem": None if asked.memory is None else f"{math.ceil(1024 * asked.memory)}MB",
        }
        return {
            **{name: value for name, value in known.items() if value is not None},
            "nodes": 1,
            "ntasks_per_node": 1,
            "time": math.ceil(60 * asked.hours),
            "signal_delay_s": self.save_seconds,
            "array_parallelism": self.at_once,
            "setup": [f"module load {shlex.quote(name)} || exit 1" for name in asked.modules or ()],
            "additional_parameters": {
                "requeue": True,
                "kill-on-invalid-dep": "yes",
                **asked.options,
            },
        }


def read_settings(path: Path) -> SlurmSettings:
    """Return the settings in a file.

    Raises `UsageError` if it cannot be read, has an unknown name, or lacks a time limit.
    """
    settings = read_typed(path, SlurmSettings)
    steps: tuple[Step, ...] = ("train", "run")
    for asked in map(settings.of, steps):
        if asked.hours is None:
            raise UsageError(f"{path}: give hours, the time limit of a job")
        if settings.save_seconds >= 3600 * asked.hours:
            raise UsageError(
                f"{path}: save_seconds ({settings.save_seconds}) must be below the time limit "
                f"(hours: {asked.hours:g})"
            )
        for name, value in asked.options.items():
            if name.replace("_", "-") in _OWN:
                raise UsageError(f"{path}: options.{name} cannot be given: the study sets it")
            if not is_file_name(name) or name.startswith("-") or value is False:
                raise UsageError(
                    f"{path}: options.{name} is no option of sbatch: give its long name without "
                    "leading dashes, and true where it takes no value"
                )
        texts = (asked.partition, asked.account, asked.qos, *(asked.modules or ()))
        for text in (*texts, *asked.options.values()):
            if not str(text).isprintable():
                raise UsageError(f"{path}: {str(text)!r} is not one line of text")
    return settings
