"""Files by name, and file names made from names that others chose: benchmarks, models, tasks."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote

# Matches "mmmu_pro", "a.b-c"; not "", "a/b", "a b".
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST = 200  # bytes; file systems allow 255, and endings are added


def is_file_name(name: str) -> bool:
    """Whether a name is a file's as it is: ``[A-Za-z0-9_.-]+``, and neither ``.`` nor ``..``."""
    return bool(_PLAIN.fullmatch(name)) and name not in (".", "..") and len(name) <= _LONGEST


def is_own_name(name: str) -> bool:
    """Whether a name that a user gives a run or an arm makes a folder and reads as no option."""
    return is_file_name(name) and not name.startswith((".", "-"))


def is_file(path: Path) -> bool:
    """Whether a file is there; no text is too long to ask for."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def is_folder(name: str) -> bool:
    """Whether a text names a folder that is there; no text is too long to ask for."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def is_title(name: str) -> bool:
    """Whether a name is a line of up to 200 characters that can be printed."""
    return bool(name.strip()) and name.isprintable() and len(name) <= _LONGEST


def file_name(name: str) -> str:
    """Return a file name for any name: the same where `is_file_name`, else percent-encoded.

    Different names have different file names; a long one ends in a hash.
    """
    if is_file_name(name):
        return name
    if set(name) <= {"."}:
        return "%2E" * len(name) or "%"
    encoded = quote(name, safe="", errors="surrogatepass").replace("~", "%7E")
    if len(encoded) <= _LONGEST:
        return encoded
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{encoded[:100]}%-{digest}"
