"""Regular expressions that a user gives, on texts of others: a match has a limit of time."""

from __future__ import annotations

import re

import regex

# A brace that Python reads as itself, and regex as its fuzzy matching: "{s}", "x{i}".
_BRACE = re.compile(r"(?s)(\\.)|\{(?!\d*,?\d*\})")
SECONDS = 5.0  # of one match; usual ones take microseconds, a few bad ones would never end


class Pattern:
    """A regular expression as Python reads it, ``.`` matching line ends too.

    Raises `ValueError` if it is none.
    """

    def __init__(self, text: str, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        try:
            self.groups = re.compile(text, re.DOTALL).groupindex
            plain = _BRACE.sub(lambda match: match[1] or r"\{", text)
            self._compiled = regex.compile(plain, regex.DOTALL)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise ValueError(str(error)) from error

    def fullmatch(self, text: str) -> regex.Match[str] | None:
        """Return the match of a whole text, None if there is none.

        Raises `TimeoutError` if it takes longer than ``seconds``.
        """
        return self._compiled.fullmatch(text, timeout=self.seconds)
