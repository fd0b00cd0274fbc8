"""Addresses as users give them, and those that are refused."""

from __future__ import annotations

import pytest

from harness.backends.urls import base_url
from harness.errors import UsageError
from harness.protocols import Judge


@pytest.mark.parametrize(
    "url",
    [
        "http://h:8000",
        "http://h:8000/",
        "http://h:8000/v1",
        " http://h:8000/v1/ ",
        "http://h:8000/v1/chat/completions",
    ],
)
def test_all_forms_of_the_address_mean_the_same(url: str) -> None:
    assert base_url(url) == "http://h:8000/v1"


@pytest.mark.parametrize("url", ["http://[::1]:80", "https://my_host.example./x"])
def test_unusual_addresses_are_kept(url: str) -> None:
    assert base_url(url) == f"{url}/v1"


@pytest.mark.parametrize(
    "url",
    [
        "h:8000",
        "localhost",
        "",
        "ftp://h/v1",
        "http://",
        "http://[::1",
        "http://a..b",
        "http://h:port",
        "http://h:99999",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not a server address"):
        base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@h",
        "http://:secret@h/v1",
        "http://secret@h",
        "ftp://me:secret@h",
        "http://me:secret@[::1",
        "me:secret@h",
        "http://me:sec/secret@h",
    ],
)
def test_a_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        base_url(url)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_judges_key_is_not_shown() -> None:
    assert "secret" not in repr(Judge("http://h", "judge", "secret"))
