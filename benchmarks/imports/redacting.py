"""Redact a tool's configuration: no secrets, no long texts."""

from __future__ import annotations

import re
from typing import Any

from harness.files.text import abridged

# Matches "api_key", "hf_token", "Authorization"; not "max_tokens", "keys", "tokenizer".
_SECRET = re.compile(
    r"(^|[_-])(api_?key|key|token|secret|password|passwd|authorization|credentials?|bearer)$", re.I
)
# Matches "api_key=x", "token=hf_x", as in command-line arguments.
_GIVEN = re.compile(r"((?:key|token|secret|password|authorization)=)[^,\s]+", re.I)
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_LONGEST = 4000
_HIDDEN = "[redacted]"


def redacted(value: Any, name: str = "") -> Any:
    """Return a JSON value with secrets, recognised by field name, replaced."""
    if isinstance(value, dict):
        return {key: redacted(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each, name) for each in value]
    if isinstance(value, str):
        if value and _SECRET.search(name):
            return _HIDDEN
        text = _PASSWORD.sub(rf"\1{_HIDDEN}@", _GIVEN.sub(rf"\1{_HIDDEN}", value))
        return abridged(text, _LONGEST)
    return value
