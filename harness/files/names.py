"""File names, including those made from benchmark, model and task names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote

# Matches "mmmu_pro", "a.b-c"; not "", "a/b", "a b".
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST = 200  # bytes; file systems allow 255, and suffixes are added


def is_file_name(name: str) -> bool:
    """Whether a name is a valid file name: ``[A-Za-z0-9_.-]+``, and neither ``.`` nor ``..``."""
    return bool(_PLAIN.fullmatch(name)) and name not in (".", "..") and len(name) <= _LONGEST


def is_own_name(name: str) -> bool:
    """Whether a user's run or arm name can name a folder and is not read as an option."""
    return is_file_name(name) and not name.startswith((".", "-"))


def is_file(path: Path) -> bool:
    """Whether a file exists; any text may be passed, however long."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def is_folder(name: str) -> bool:
    """Whether a text names an existing folder; it may be of any length."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def is_title(name: str) -> bool:
    """Whether a name is one printable line of up to 200 characters."""
    return bool(name.strip()) and name.isprintable() and len(name) <= _LONGEST


def file_name(name: str) -> str:
    """Return a file name for any name: unchanged if `is_file_name`, else percent-encoded.

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
