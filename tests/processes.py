"""What runs, read while it may end: a process that is gone or a zombie is passed over."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def with_word(word: str, among: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that have an argument ``word``."""
    return [process for process in among if word in command_line(process)]


def command_line(process: psutil.Process) -> list[str]:
    """Return a process's arguments; none if it has ended (``psutil`` raises for a zombie)."""
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


def alive_after(seconds: float, family: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that have not ended within ``seconds``; a zombie has ended."""
    _, left = psutil.wait_procs(list(family), timeout=seconds)
    return [process for process in left if not ended(process)]


def ended(process: psutil.Process) -> bool:
    """Whether a process is gone or a zombie."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
