"""What wandb wrote without a server, read by its own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def wandb_records(path: Path) -> list[Any]:
    """Return the records of an offline run, read by wandb's own reader."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(path))
    found = []
    while data := store.scan_data():
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        found.append(record)
    return found
