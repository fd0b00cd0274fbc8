"""Tables of responses with verdicts, one module for each of the twelve benchmarks.

Each module names the official rules from which it was written.  A row is (target, response,
verdict); the verdicts are RIGHT, WRONG (read, and not the answer) and UNREAD (no answer in it).
"""

from __future__ import annotations

from benchmarks.scoring import Target

RIGHT, WRONG, UNREAD = "right", "wrong", "unread"
Row = tuple[Target, str, str]
