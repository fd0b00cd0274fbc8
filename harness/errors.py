"""The two ways in which things go wrong that are not bugs.

Everything below the command line raises these; ``harness/cli/main.py`` turns a
`UsageError` into one line and exit code 2, the engine turns an `ItemError`
into an item whose status is ``error``.  Any other exception is a bug.
"""


class UsageError(Exception):
    """Input or environment is wrong: one sentence that says what, and what to do about it.

    Shown without a traceback; the process exits with code 2.
    """


class ItemError(Exception):
    """The machinery failed on one item (an image does not decode, a request failed for good).

    The item gets status ``error``: it is never scored 0, and it is tried again on the next run.
    """


class ContextOverflowError(ItemError):
    """The conversation is longer than what the model reads.

    Who asks once gets an error item; an agent's episode ends by it, as by any other limit.
    """


def first_failure(failures: BaseException) -> BaseException:
    """Return the first plain exception of a group of groups, or the exception itself."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures
