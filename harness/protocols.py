"""The interfaces between layers: what a benchmark and a model offer to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from harness.errors import ItemError, TooLongError
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

    Both methods raise `UsageError` if no tokenizer can be loaded.
    """

    async def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""


@dataclass(frozen=True, slots=True)
class PromptForm:
    """How a prompt is written where that is not left to the model.

    ``template`` (Jinja) replaces its chat template, ``variables`` go to either.  A prompt of more
    than ``longest`` tokens, those of images included, is refused.
    """

    template: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    longest: int | None = None

    def check(self, tokens: int | None) -> None:
        """Raise `TooLongError` if a prompt is too long, `ItemError` if its length is not known."""
        if self.longest is None:
            return
        if tokens is None:
            raise ItemError("the length of the prompt is not known: the server does not tell it")
        if tokens > self.longest:
            raise TooLongError(
                f"a prompt of {tokens} tokens, of which at most {self.longest} count"
            )


OWN_FORM = PromptForm()
"""The model's own chat template, and prompts of any length."""


class Model(Protocol):
    """A model that answers, whichever backend serves it."""

    @property
    def name(self) -> str:
        """The served name."""

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Answer one conversation.

        Raises `ItemError` if this request failed for good, `UsageError` if none can succeed.
        """

    async def logprobs(
        self, messages: Sequence[Message], tokens: Sequence[str], form: PromptForm = OWN_FORM
    ) -> Sequence[float | None] | None:
        """Return the natural log-probability that each token is the next one of an answer.

        A last message of the assistant is the beginning of the answer.  ``form`` is given only
        where it was asked for (``--set probe...``): a model may do without this argument.

        None if the backend gives no log-probabilities; None for a token that is not among the
        likeliest that it gives.  Raises as `chat` does.
        """

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; it is loaded, or looked for, when it is first used."""


@runtime_checkable
class Adapting(Protocol):
    """A model that leaves out what its server refuses.

    ``changes`` says so by parameter; ``on_change`` is called after each change.
    """

    changes: dict[str, str]
    on_change: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Judge:
    """An OpenAI-compatible endpoint that grades free text, and the model to ask there."""

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)


class Ask(Protocol):
    """Puts one question to the judge."""

    async def __call__(self, question: str, read: Callable[[str], T | None]) -> T:
        """Return what ``read`` makes of the judge's reply, asking again while that is None.

        The engine handles what this raises: no reply was a verdict, or the judge is gone.
        """


@dataclass(frozen=True, slots=True)
class Tools:
    """What solving and scoring may use besides the model; None where it was not given."""

    sandbox: Sandbox | None = None


class Progress(Protocol):
    """Where the engine reports progress."""

    def start(self, benchmark: str, total: int, done: int) -> None:
        """A benchmark has ``total`` answers to give, of which ``done`` are stored."""

    def advance(self, benchmark: str, score: Score) -> None:
        """One more answer is stored."""

    def note(self, text: str) -> None:
        """Something worth a line happened."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a benchmark declares of itself before any data is read.

    ``protocol``: what decides the prompts (task names, prompt variant, library version), a JSON
    mapping that is hashed into the run key.  ``max_tokens`` leaves room to reason;
    ``native_max_tokens`` is the wrapped task's limit.  ``scoring``: version of the strict scorer;
    a change rescores stored responses.  ``headline``: the parts whose mean is the score (empty: the
    mean over items).  ``clusters``: what a cluster is.  ``native_rules``: version of the native
    scoring, "" if there is none.  ``judged_rules``: version of the judge's prompt and of how its
    replies are read, "" if the official protocol needs no judge (else it is a `JudgedBenchmark`).
    ``image_conversion``: how its images become RGB, "" if it has none.
    ``needs_sandbox``: it runs programs, in `Tools.sandbox`.  ``note``: shown with every score if
    the data are not what the id says.
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
    headline: tuple[str, ...] = ()
    native_needs_judge: bool = False
    native_rules: str = ""
    judged_rules: str = ""
    image_conversion: str = ""
    needs_sandbox: bool = False
    note: str = ""


class Benchmark(Protocol):
    """One benchmark: where its items come from, how they are asked and how answers are scored."""

    @property
    def declaration(self) -> Declaration:
        """The declared protocol; reading it imports nothing heavy and touches no data."""

    def fingerprint(self) -> str:
        """Return the content hash of the local data; raises `UsageError` if it is missing."""

    def count(self) -> int:
        """Return the number of items in the local data; imports nothing heavy."""

    def ids(self) -> Sequence[str]:
        """Return the ids of all items in the data's order, building none.

        Raises `UsageError` if the data is missing or cannot be read.
        """

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one item with its prompt and its images decoded."""

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        """Ask the model: by default once.  Raises `ItemError` on a failure of infrastructure."""
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Score one response strictly.  Never raises on any text.

        Raises `ItemError` if the infrastructure failed for this item, not the model.
        """

    def native(self, answers: Mapping[str, str], judge: Judge | None) -> Mapping[str, Score]:
        """Score answers (item id -> text without thinking) by the wrapped library's own rules.

        By default there is no such library.  Runs in a limited child process.  A value is None if
        that scoring gave none (it crashed, ran out of time, or needs a judge that was not given).
        An answer that it did not reach is left out; the next call of the run scores it.  Without
        answers it starts to load that library and returns at once.
        """
        return {}


def build_items(benchmark: Benchmark, limit: int | None = None) -> Iterator[Item | FailedItem]:
    """Yield the items in the data's order, or the first ``limit``, each built when asked for."""
    return map(benchmark.build, benchmark.ids()[:limit])


class JudgedBenchmark(Benchmark, Protocol):
    """A benchmark whose official protocol asks a judge; its declaration names `judged_rules`."""

    async def judged(self, item_id: str, answer: str, ask: Ask) -> Score:
        """Score one answer (text without thinking) as the official protocol does, by a judge."""


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

    async def prepare(self, tools: Tools) -> None:
        """Raise `UsageError`, before anything is asked, if this machine cannot run or score it."""
