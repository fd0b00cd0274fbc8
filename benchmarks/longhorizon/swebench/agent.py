"""One episode: mini-swe-agent's own loop over our model and one of the environments."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.longhorizon.swebench import mini_swe_agent
from harness.errors import ContextOverflowError
from harness.records import Message, Response, TextPart

Ask = Callable[[Sequence[Message]], Response]
Record = dict[str, Any]

SUBMITTED = "Submitted"
# How an episode ends that submits nothing: by a content filter, or at one of its limits.
FILTERED = "ContentFiltered"
LIMITS = ("LimitsExceeded", "TimeExceeded", "ContextWindowExceeded")


@dataclass(frozen=True, slots=True)
class Episode:
    """How an episode ended: the status, the patch ("" where none was submitted), the messages."""

    status: str
    patch: str
    messages: list[Record]


def play(task: str, ask: Ask, environment: Any, *, steps: int, seconds: int) -> Episode:
    """Play one episode; blocks until it has ended.

    ``task`` is the issue's text, ``ask`` answers a conversation, ``environment`` runs commands (in
    mini-swe-agent's ``Environment`` protocol).  The episode ends after ``steps`` answers or
    ``seconds`` of wall time (0: no limit).  Raises what ``ask`` and ``environment`` raise.
    """
    mini_swe_agent.load()
    from minisweagent.agents.default import DefaultAgent

    # Nobody bills a local model.
    limits = {"step_limit": steps, "wall_time_limit_seconds": seconds, "cost_limit": 0.0}
    settings = mini_swe_agent.config()["agent"] | limits
    agent = DefaultAgent(_Model(ask), environment, **settings)
    info = agent.run(task)
    patch = info.get("submission") or ""
    return Episode(str(info["exit_status"]), patch, [_kept(message) for message in agent.messages])


def _kept(message: Mapping[str, Any]) -> Record:
    """Return a message as it is stored: an observation's raw output is in its content, cut."""
    extra = {
        name: value for name, value in message.get("extra", {}).items() if name != "raw_output"
    }
    return {"role": message["role"], "content": message["content"], "extra": extra}


def said(text: str) -> str:
    """Return a message without the thinking that it begins with; "" where that never closes.

    A template may have opened it in the prompt.  Further on the tags are text: a command may write
    them to a file.
    """
    if text.lstrip().startswith("<think>"):
        return text.partition("</think>")[2].strip()
    before, closed, after = text.partition("</think>")
    begun = before.rpartition(mini_swe_agent.FENCE)[1:]
    in_command = begun[0] and "\n```" not in begun[1]
    opened_before = closed and "<think>" not in before and not in_command
    return (after if opened_before else text).strip()


@dataclass
class _Model(mini_swe_agent.Unused):
    """Our model in mini-swe-agent's ``Model`` protocol.

    Thinking is not part of the conversation: commands are read from the text without it, and only
    that text goes back to the model, as behind a server that returns thinking separately.
    """

    ask: Ask
    config: Mapping[str, Any] = field(default_factory=lambda: mini_swe_agent.config()["model"])

    def query(self, messages: Sequence[Mapping[str, Any]], **_: Any) -> Record:
        """Return the model's next message, with the commands that stand in it."""
        from minisweagent.exceptions import FormatError, LimitsExceeded
        from minisweagent.models.utils.actions_text import parse_regex_actions

        began = time.perf_counter()

        def ended(status: str, why: str) -> LimitsExceeded:
            end = {"exit_status": status, "submission": ""}
            return LimitsExceeded({"role": "exit", "content": why, "extra": end})

        try:
            response = self.ask([Message(m["role"], (TextPart(m["content"]),)) for m in messages])
        except ContextOverflowError as error:
            raise ended("ContextWindowExceeded", str(error)) from error
        if response.finish_reason == "content_filter":
            raise ended(FILTERED, "the server's content filter withheld the response")
        seconds = time.perf_counter() - began
        answer = said(response.text)
        extra = {**_facts(response), "seconds": seconds, "timestamp": time.time()}
        try:
            actions = parse_regex_actions(
                answer,
                action_regex=mini_swe_agent.ACTION,
                format_error_template=self.config["format_error_template"],
                template_kwargs={"finish_reason": response.finish_reason},
            )
        except FormatError as error:
            error.messages[0]["extra"] |= extra
            raise
        extra["actions"] = actions
        return {"role": "assistant", "content": answer, "extra": extra}

    def format_message(self, **message: Any) -> Record:
        """Return a message as it is."""
        return message

    def format_observation_messages(
        self, message: Mapping[str, Any], outputs: list[Record], template_vars: Record | None = None
    ) -> list[Record]:
        """Return what the commands gave, as messages."""
        from minisweagent.models.utils.actions_text import format_observation_messages

        observed: list[Record] = format_observation_messages(
            outputs,
            observation_template=self.config["observation_template"],
            template_vars=template_vars,
        )
        return observed


def _facts(response: Response) -> Record:
    """Return what is worth keeping of an answer beside its text without thinking."""
    names = ("prompt_tokens", "completion_tokens", "finish_reason")
    facts: Record = {name: getattr(response, name) for name in names}
    if response.text.strip() != said(response.text):
        facts["text"] = response.text
    if response.reasoning:
        facts["reasoning"] = response.reasoning
    return facts
