"""The two kinds of failure that are not bugs.

``harness/cli/main.py`` turns a `UsageError` into one line and exit code 2, the engine turns an
`ItemError` into an item with status ``error``.  Any other exception is a bug.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# What the hub's client raises where something else answers, such as a proxy's login page.
NOT_THE_HUB = (ValueError, LookupError, TypeError, AttributeError)


class UsageError(Exception):
    """Input or environment is wrong: one sentence that says what, and what to do about it.

    Shown without a traceback; the process exits with code 2.
    """


class UnfinishedError(UsageError):
    """Scoring stopped before it was through; ``scores`` are those that it came to, by item id."""

    def __init__(self, reason: str, scores: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.scores = scores


class ItemError(Exception):
    """Infrastructure failed on one item (an image does not decode, a request failed for good).

    The item gets status ``error``: it is never scored 0, and it is tried again on the next run.
    """


class TooLongError(ItemError):
    """The prompt is longer than its asker allows, who leaves the question out."""


class ContextOverflowError(ItemError):
    """The conversation exceeds the model's context: an error item, or the end of an episode."""


def first_line(error: object) -> str:
    """Return the first line of an exception's text, or the name of its class if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def described(error: BaseException) -> str:
    """Return an exception as "Class: first line"."""
    return f"{type(error).__name__}: {first_line(error)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a name that is not known: the nearest one, else all of them."""
    import difflib  # here: every command imports this file

    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"choose from {', '.join(names)}" if names else "there are none"


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error that there is no ``what`` of that name, with the nearest one."""
    return UsageError(f"no {what} named {name!r}: {nearest(name, known)}")


@contextmanager
def one_failure() -> Iterator[None]:
    """Raise, of a group of exceptions that tasks raised, the first alone."""
    try:
        yield
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None


def first_failure(failures: BaseException) -> BaseException:
    """Return the first plain exception of a group of groups, or the exception itself."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures
