"""Addresses as users give them, and those that are refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.backends.http.urls import base_url, key_for, without_keys
from harness.cli.options import check_judge, judge_of
from harness.errors import UsageError
from harness.protocols import Judge
from tests.servers import ScriptedServer
from tests.sums import Sums


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


OPENAI, TUNNEL, LAN = "https://api.openai.com/v1", "http://localhost:8000/v1", "http://gpu:8000/v1"
SAFE = "https://gpu.example/v1"
KEYS = {"OPENAI_API_KEY": "of openai", "JUDGE_API_KEY": "of the judge", "MINE": "of mine"}


@pytest.mark.parametrize(
    ("url", "named", "default", "key"),
    [
        (OPENAI, None, None, "of openai"),
        (OPENAI, None, "JUDGE_API_KEY", "of the judge"),
        (OPENAI, "MINE", None, "of mine"),
        ("https://API.OpenAI.com/v1", None, None, "of openai"),
        *((url, None, None, None) for url in (SAFE, TUNNEL, LAN)),
        # Names that only look like OpenAI's.
        ("https://api.openai.com.evil.example/v1", None, None, None),
        ("https://evil.example/api.openai.com/v1", None, None, None),
        (SAFE, "MINE", "JUDGE_API_KEY", "of mine"),
        (SAFE, None, "JUDGE_API_KEY", "of the judge"),
        *((f"http://{host}:8000/v1", "MINE", None, "of mine") for host in ("[::1]", "127.0.0.1")),
        (TUNNEL, None, "JUDGE_API_KEY", "of the judge"),
        (SAFE, None, "UNSET", None),
    ],
)
def test_a_key_goes_only_to_the_server_that_it_is_for(
    url: str,
    named: str | None,
    default: str | None,
    key: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)
    assert key_for(url, named, default) == key


@pytest.mark.parametrize(
    ("url", "named", "default"),
    [(LAN, "MINE", None), (LAN, None, "MINE"), ("http://api.openai.com/v1", None, "MINE")],
)
def test_no_key_crosses_a_network_unencrypted(
    url: str, named: str | None, default: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "secret")
    with pytest.raises(UsageError, match=r"^the key in MINE would go to .* unencrypted") as refused:
        key_for(url, named, default)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        *((host, True) for host in ("10.1.2.3", "192.168.0.7", "172.20.0.1", "[fd00::1]")),
        *((host, True) for host in ("169.254.1.1", "[fe80::1]", "localhost")),
        *((host, False) for host in ("8.8.8.8", "172.32.0.1", "[2606:4700::1111]")),
        ("no-such-host.invalid", False),
    ],
)
def test_the_user_may_send_a_key_over_http_to_a_private_network(
    host: str, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 1918, 4193, 3927 and 4291 say which addresses are private or of one link."""
    monkeypatch.setenv("MINE", "secret")
    url = f"http://{host}:8000/v1"
    if host != "localhost":
        with pytest.raises(UsageError, match="--key-over-http if the network is private"):
            key_for(url, "MINE")
    if sent:
        assert key_for(url, "MINE", over_http=True) == "secret"
    else:
        with pytest.raises(UsageError, match="not in a private network") as refused:
            key_for(url, "MINE", over_http=True)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["EMPTY", "none", "sk-real-key-of-length"])
def test_whatever_key_the_user_gives_is_sent_to_the_judge(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's own examples start servers with ``--api-key EMPTY``."""
    monkeypatch.setenv("MINE", key)
    with ScriptedServer(lambda _: "1", api_key=key) as server:
        given = SimpleNamespace(judge_url=server.url, judge_model="scripted", key_over_http=False)
        given.judge_key_env = "MINE"
        check_judge(judge_of(given, [Sums(needs_judge=True)]))
        given.judge_key_env = None
        with pytest.raises(UsageError, match="wants another API key"):
            check_judge(judge_of(given, [Sums(needs_judge=True)]))


def test_a_named_key_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "")
    with pytest.raises(UsageError, match="MINE is not set"):
        key_for(SAFE, "MINE")


def test_children_get_no_keys() -> None:
    kept = {"PATH": "p", "TOKENIZERS_PARALLELISM": "false", "KEYBOARD": "k", "MONKEY": "m"}
    secret = (
        "OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS", "DB_PASSWORD_FILE", "DB_PASSWORD", "Deepseek_API",
        "VLLM_API_KEY",
    )  # fmt: skip
    assert without_keys(kept | dict.fromkeys(secret, "s")) == kept
