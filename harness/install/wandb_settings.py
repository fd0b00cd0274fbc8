"""wandb's settings in the present folder, which may be somebody's data: no address, no proxy."""

from __future__ import annotations

from configparser import ConfigParser, Error
from pathlib import Path

from harness.errors import UsageError, first_line
from harness.files.plain import read_given

# What `wandb init` writes; others name the server that gets the key, or a proxy before it.
_HARMLESS = frozenset({"entity", "project"})


def refuse_foreign(folder: Path = Path()) -> None:
    """Refuse settings of a folder by which wandb would send key and answers to another server.

    Raises `UsageError` if there are such settings, or they cannot be read.
    """
    for file in (folder / "wandb" / "settings", folder / ".wandb" / "settings"):
        settings = ConfigParser(interpolation=None)
        try:
            settings.read_string(read_given(file).decode())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, Error) as error:
            raise UsageError(f"{file} cannot be read: {first_line(error)}; remove it") from error
        names = {name for section in settings.values() for name in section}
        if others := sorted(names - _HARMLESS):
            raise UsageError(
                f"{file} sets {others[0]:.60}, which can send your key and answers elsewhere: "
                "remove it, and set what you need in WANDB_BASE_URL or by `wandb login`"
            )
