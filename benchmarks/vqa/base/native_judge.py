"""Asks the judge for the native scorer's child, which has neither the network nor the key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from harness.backends.http.answers import Answer
from harness.backends.http.endpoint import LONGEST_WAIT, Limits
from harness.backends.http.receive import masked, receive
from harness.backends.http.urls import LOOPBACK, base_url, host_of
from harness.errors import ItemError, UsageError
from harness.protocols import Judge

_ATTEMPTS = 3  # of OpenAI's client, which lmms-eval uses
_LIMITS = Limits(timeout=600.0)


def ask(judge: Judge, body: Mapping[str, Any]) -> dict[str, Any]:
    """Send one chat request; return ``{"document": reply}``, or ``{"failed": why}``.

    Redirects are not followed, and the key is masked in replies, as of every server
    (`harness.backends.http.receive`).  Not to be called in an event loop.

    Args:
        judge: who is asked, whatever model the request names.
        body: the request, as lmms-eval's scorers wrote it.
    """
    data = orjson.dumps({**body, "model": judge.model})
    try:
        answer = asyncio.run(_post(judge, data))
    except (ItemError, UsageError, aiohttp.ClientError, TimeoutError, OSError) as error:
        return {"failed": masked(str(error), judge.api_key)}
    if answer.status != 200 or not isinstance(answer.document, dict):
        return {"failed": f"the judge answered {answer.status}: {answer.message}"}
    return {"document": answer.document}


async def _post(judge: Judge, data: bytes) -> Answer:
    """Send a request and return the answer, the first lasting one or else the last."""
    url = base_url(judge.url)
    key = {} if judge.api_key is None else {"Authorization": f"Bearer {judge.api_key}"}
    headers = {"Content-Type": "application/json", **key}
    timeout = aiohttp.ClientTimeout(total=_LIMITS.timeout)
    proxies = host_of(url) not in LOOPBACK  # those of the environment are for other machines
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=proxies) as http:
        for attempt in range(1, _ATTEMPTS + 1):
            async with http.post(
                f"{url}/chat/completions", data=data, allow_redirects=False
            ) as got:
                answer = await receive(got, _LIMITS.answer_bytes, judge.api_key)
            if not answer.is_passing or attempt == _ATTEMPTS:
                break
            wait = answer.retry_after or _LIMITS.first_wait * 2**attempt
            await asyncio.sleep(min(wait, LONGEST_WAIT))
    return answer
