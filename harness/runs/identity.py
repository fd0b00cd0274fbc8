"""Identifies a model by its content: a checkpoint folder, a hub id or a served name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.backends.urls import base_url
from harness.errors import UsageError, first_line
from harness.files.hashing import json_hash, model_fingerprint


@dataclasses.dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model a run is of.

    ``fingerprint`` hashes a checkpoint's content; a model behind an ``endpoint`` (its base URL) has
    only its served name and the revision that the user states: ``verified`` is then false.
    """

    name: str
    fingerprint: str
    verified: bool
    revision: str | None = None
    checkpoint: Path | None = None
    endpoint: str | None = None


def identify(model: str, endpoint: str | None, revision: str | None) -> ModelIdentity:
    """Return the identity of a checkpoint folder, a hub id, or a name served by an endpoint.

    Raises:
        UsageError: there is no such checkpoint, the hub cannot be reached, a revision is given of a
            folder, or the endpoint is not a server's address.
    """
    if endpoint is not None:
        fingerprint = json_hash({"served": model, "revision": revision})
        return ModelIdentity(model, fingerprint, False, revision, endpoint=base_url(endpoint))
    folder = Path(model)
    if folder.is_dir() and revision is not None:
        raise UsageError(
            f"--revision is for a hub id or an endpoint, but {model} is a folder: omit it"
        )
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith(".") or model.count("/") != 1:
            raise UsageError(f"no checkpoint folder at {model}: give a folder or a hub id")
        folder = _from_hub(model, revision)
    name = model.rpartition("/")[2] if folder.name != Path(model).name else folder.resolve().name
    return ModelIdentity(name, model_fingerprint(folder), True, revision, folder)


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = first_line(error)
        raise UsageError(
            f"no checkpoint folder at {model}, and the hub did not provide it: {reason}"
        ) from error
