"""Identify a model: a checkpoint folder or a Hub id by content, an endpoint's model by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.backends.http.urls import base_url
from harness.backends.models.adapter import Adapter, is_adapter, read_adapter
from harness.errors import NOT_THE_HUB, UsageError, first_line
from harness.files.hashing import json_hash, model_fingerprint


@dataclasses.dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Identity of a run's model.

    ``fingerprint`` hashes a checkpoint's content; a model behind an ``endpoint`` (its base URL) has
    only its served name and the revision that the user states: ``verified`` is then false. With an
    ``adapter`` it is another model than its checkpoint.
    """

    name: str
    fingerprint: str
    verified: bool
    revision: str | None = None
    checkpoint: Path | None = None
    endpoint: str | None = None
    adapter: Adapter | None = None

    def to_train(self) -> Path:
        """Return the checkpoint folder to start training from; UsageError if there is none."""
        if self.adapter is not None:
            raise UsageError(
                f"{self.adapter.folder} is an adapter, and training starts from whole weights: "
                "merge it into its checkpoint"
            )
        if self.checkpoint is None:
            raise UsageError(f"{self.name} is not a checkpoint folder")
        return self.checkpoint


def identify(
    model: str,
    endpoint: str | None,
    revision: str | None,
    backend: str | None = None,
    adapter: Path | None = None,
) -> ModelIdentity:
    """Return the identity of a checkpoint folder, a Hub id, or a name that an endpoint serves.

    A custom ``backend``, given by its source's hash, may also serve names. ``model`` may also be an
    adapter's folder: its base model is then the one its files name. Raises `UsageError` if there is
    no such checkpoint or adapter, the Hub cannot be reached, a revision is given for a folder, or
    the endpoint is not a server URL.
    """
    if endpoint is None and adapter is None and is_adapter(Path(model)):
        adapter = Path(model)
        model = _base_of(adapter)
    if adapter is not None:
        base = identify(model, None, revision, backend)
        if base.adapter is not None:
            raise UsageError(
                f"{model} is an adapter itself, and only one is put on a model: merge it into its "
                "checkpoint"
            )
        return _adapted(base, read_adapter(adapter))
    if endpoint is not None:
        fingerprint = json_hash({"served": model, "revision": revision})
        return ModelIdentity(model, fingerprint, False, revision, endpoint=base_url(endpoint))
    folder = Path(model)
    if backend is not None and not folder.is_dir():
        fingerprint = json_hash({"served": model, "revision": revision, "backend": backend})
        return ModelIdentity(model, fingerprint, False, revision)
    if folder.is_dir() and revision is not None:
        raise UsageError(
            f"--revision is for a hub id or an endpoint, but {model} is a folder: omit it"
        )
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith(".") or model.count("/") != 1:
            raise UsageError(f"no checkpoint folder at {model}: give a folder or a hub id")
        folder = _from_hub(model, revision)
    local = folder.name == Path(model).name
    name = checkpoint_name(folder) if local else model.rpartition("/")[2]
    return ModelIdentity(name, model_fingerprint(folder), True, revision, folder)


def checkpoint_name(folder: Path) -> str:
    """Return a checkpoint's display name: its folder's name, or that of its training.

    Trainings write ``TRAINING/checkpoint``, those of a study ``STUDY/arms/ARM/seed-K/checkpoint``:
    "STUDY-ARM-seed-K".
    """
    folder = folder.resolve()
    training = folder.parent
    if folder.name != "checkpoint" or not training.name:
        return folder.name
    arm = training.parent
    if arm.parent.name == "arms" and training.name.startswith("seed-"):
        return f"{arm.parents[1].name}-{arm.name}-{training.name}"
    return training.name


def _base_of(folder: Path) -> str:
    """Return the folder or Hub id of an adapter's base model."""
    base = read_adapter(folder).base
    if base is None:
        raise UsageError(f"{folder} names no base model: give it with --model, this as --adapter")
    beside = folder / base  # a relative path may be meant from either folder
    return str(beside) if not Path(base).is_dir() and beside.is_dir() else base


def _adapted(base: ModelIdentity, adapter: Adapter) -> ModelIdentity:
    name = f"{base.name}+{adapter.folder.resolve().name}"
    fingerprint = json_hash({"base": base.fingerprint, "adapter": adapter.fingerprint})
    return dataclasses.replace(base, name=name, fingerprint=fingerprint, adapter=adapter)


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = first_line(error)
        raise UsageError(
            f"no checkpoint folder at {model}, and the Hub did not provide it ({reason}): "
            "check the path or, for a Hub id, its name and the network"
        ) from error
    except NOT_THE_HUB as error:
        raise UsageError(
            f"no checkpoint folder at {model}, and {constants.ENDPOINT} did not answer as the Hub "
            f"does ({first_line(error)}): check the path or, for a Hub id, "
            "HF_ENDPOINT and the network"
        ) from error
