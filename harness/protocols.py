"""The shapes that the layers agree on: what a benchmark offers and what a model offers.

`harness/runs/engine.py` knows these and nothing else of a benchmark or a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from harness.records import Item, Message, Response, Sampling, Score

if TYPE_CHECKING:
    from harness.sandbox.protocol import Sandbox

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item that could not be built (its image does not decode): stored as ``error``."""

    id: str
    reason: str


class Tokenizer(Protocol):
    """A model's tokenizer; it adds no special tokens (no BOS) and drops none.

    Both methods raise `UsageError` where no tokenizer can be had, and say what to give.
    """

    async def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        ...


class Model(Protocol):
    """A model that answers, whichever backend serves it."""

    @property
    def name(self) -> str:
        """The served name."""
        ...

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation.

        Raises:
            ItemError: this request failed for good (the others may go on).
            UsageError: no request can succeed (the server is gone).
        """
        ...

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str]
    ) -> Sequence[float | None] | None:
        """Return the natural log-probability that each token is the first one of an answer.

        None where the backend tells no log-probabilities; of a token, None where it tells those of
        the likeliest only and the token is not among them.

        Raises:
            ItemError, UsageError: as of `chat`.
        """
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; it is loaded, or looked for, when it is first used."""
        ...


@dataclass(frozen=True, slots=True)
class Judge:
    """An OpenAI-compatible endpoint that grades free text, and the model to ask there."""

    url: str
    model: str
    api_key: str = field(default="EMPTY", repr=False)


class Ask(Protocol):
    """Puts one question to the judge."""

    async def __call__(self, question: str, read: Callable[[str], T | None]) -> T:
        """Return what ``read`` makes of the judge's reply; None: ask again.

        The engine handles what this raises: that no reply was a verdict, that the judge is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What solving and scoring may use besides the model; None where it was not given."""

    sandbox: Sandbox | None = None


class Progress(Protocol):
    """Where the engine tells how far it is."""

    def start(self, benchmark: str, total: int, done: int) -> None:
        """A benchmark has ``total`` answers to give, of which ``done`` are stored."""
        ...

    def advance(self, benchmark: str, score: Score) -> None:
        """One more answer is stored."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line happened."""
        ...


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a benchmark declares of itself before any data is read.

    ``protocol`` decides what is asked (task names, prompt variant, library version): a JSON
    mapping, hashed into the run key.  ``max_tokens`` leaves room to reason; ``native_max_tokens``
    is the limit that the wrapped task sets.  ``scoring`` names the version of the strict scorer:
    when it changes, stored responses are scored again.  ``headline`` names the parts whose mean is
    the score; empty: the mean over items.  ``clusters`` says what a cluster is.  ``native_rules``
    names the version of the native scoring, as ``scoring`` does of the strict one; "" where there
    is none.  ``judged_rules`` names the version of the judge's prompt and of what is made of its
    replies; "" where the official protocol needs no judge, else the benchmark is a
    `JudgedBenchmark`.  ``needs_sandbox``: it runs programs, in `Tools.sandbox`.  ``revision`` is
    the commit of the data set that is meant, None where none is pinned.  ``note`` stands beside
    every score where the data are not what the id promises.
    """

    id: str
    title: str
    protocol: Mapping[str, Any]
    scoring: str
    max_tokens: int
    native_max_tokens: int
    n_items: int
    metric: str
    clusters: str
    revision: str | None = None
    headline: tuple[str, ...] = ()
    native_needs_judge: bool = False
    native_rules: str = ""
    judged_rules: str = ""
    needs_sandbox: bool = False
    note: str = ""


class Benchmark(Protocol):
    """One benchmark: where its items come from, how they are asked and how answers are scored."""

    @property
    def declaration(self) -> Declaration:
        """The declared protocol; reading it imports nothing heavy and touches no data."""
        ...

    def fingerprint(self) -> str:
        """Return the content hash of the local data.

        Raises:
            UsageError: the data is missing; says the command that gets it.
        """
        ...

    def count(self) -> int:
        """Return the number of items in the local data; imports nothing heavy."""
        ...

    def ids(self) -> Sequence[str]:
        """Return the ids of all items in the data's order; no item is built.

        Raises:
            UsageError: the data is missing or not readable.
        """
        ...

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one item with its prompt and its images decoded."""
        ...

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask the model; one chat call unless the benchmark says otherwise.

        Raises:
            ItemError: the machinery failed for this item.
        """
        ...

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score one response strictly.  Never raises on any text.

        Raises:
            ItemError: the machinery failed for this item (its sandbox died), not the model.
        """
        ...

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Score answers (item id -> text without thinking) by the wrapped library's own rules.

        Runs in a limited child process.  A value is None where that scoring gave none (it
        crashed, ran out of time, or needs a judge that was not given); an answer that it did not
        come to is left out, and is scored by the next call of the same run.  Without answers it
        starts to load that library and returns at once.
        """
        ...


def build_items(benchmark: Benchmark, limit: int | None = None) -> Iterator[Item | FailedItem]:
    """Yield the items in the data's order, or the first ``limit``, each built when asked for."""
    return map(benchmark.build, benchmark.ids()[:limit])


class JudgedBenchmark(Benchmark, Protocol):
    """A benchmark whose official protocol asks a judge; its declaration names `judged_rules`."""

    async def judged(self, item_id: str, answer: str, ask: Ask) -> Score:
        """Score one answer (text without thinking) as the official protocol does, by a judge."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``ok``, ``note`` (works, but know this) or ``missing`` (will not work)."""

    name: str
    status: Literal["ok", "note", "missing"]
    text: str


@runtime_checkable
class Demanding(Protocol):
    """A benchmark that needs more of the machine than a model and data (an engine, images)."""

    def checks(self) -> Iterator[Check]:
        """Yield what of it is there and what to do about the rest."""
        ...

    async def prepare(self, tools: Tools) -> None:
        """See, before anything is asked, that answers can be given and scored here.

        Raises:
            UsageError: they cannot; says what to do.
        """
        ...
