"""Find the reasoning tags in a checkpoint's own files: its tokens and chat templates."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files.typed_json import read_object
from harness.reasoning import Tags, closings, given_tags, is_known, known_tags

# Tags of turns, tools and answers: "<tool_call>", "<|im_start|>", "<answer>"; not "<plan>".
_OTHER = re.compile(
    r"tool|func|arg|param|doc|result|image|video|audio|box|answer|response|solution|output|inst"
    r"|im_|turn|user|assistant|system|header|message|role|context|code",
    re.IGNORECASE,
)
_TEMPLATES = ("chat_template.jinja", "additional_chat_templates/*.jinja")
_TOKEN_FILES = (
    "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json",
    "tekken.json", "chat_template.json",
)  # fmt: skip
# Matches "<ponder>", "</ponder>", "<|begin_of_plan|>", "[PONDER]", "◁muse▷"; not "<a b>", "[0]".
_TAG = re.compile(r"<[^<>\s'\"{}]{2,60}>|\[/?[A-Z][A-Z_:|]{2,40}\]|◁[^◁▷\s]{1,40}▷")
# Matches "<|ponder|>", "[REFLECT]"; not "<tool_call>".
_WORD = re.compile(
    r"think|thought|reason|ponder|reflect|deliberat|contemplat|scratch_?pad|rationale|monologue"
    r"|(?<![a-z])cot(?![a-z])",
    re.IGNORECASE,
)
# Matches "think_begin_token" and "think_end_token" of tokenizer_config.json, in two halves. A
# longer key is not a name, and trying a megabyte's halves would take hours.
_KEY = re.compile(
    r"(?!.{101})(?P<what>\w*(?:think|thought|reason)\w*?)_?(?:(?P<opens>begin|start|open)|end|stop|close)\w*"
)
# How templates drop earlier turns' reasoning: content.split('</think>')[-1].
_SPLIT = re.compile(r"split\(\s*(['\"])(?P<tag>[^'\"]+)\1\s*\)")


@dataclass(frozen=True, slots=True)
class NamedTags:
    """Reasoning tags named by a checkpoint's files.

    ``pairs`` are all of them, ``tags`` those that `harness.reasoning` does not know. ``notes`` say
    what could not be decided: nothing is guessed then.
    """

    pairs: Tags = ()
    notes: tuple[str, ...] = ()

    @property
    def tags(self) -> Tags:
        """The pairs to parse besides the known ones."""
        return tuple(pair for pair in self.pairs if not is_known(*pair))


def named_tags(folder: Path | None, template: str | None = None) -> NamedTags:
    """Return the reasoning tags named by the files of a checkpoint or tokenizer.

    A pair counts if the opening and the closing tag are tokens or in a template, and the tag has a
    word for reasoning, is where the template begins the answer, or is where the template cuts
    reasoning off. An unreadable file names nothing, nor does None for a folder. ``template`` is a
    chat template used instead of the folder's.
    """
    if folder is None or not folder.is_dir():
        return NamedTags()
    read = (read_object(folder / name) for name in _TOKEN_FILES)
    documents = [document for document in read if document is not None]
    tokens = {text for document in documents for text in _token_texts(document)}
    templates = "\n".join(_template_texts(folder, documents)) if template is None else template
    named = set(_keyed(documents)) | set(known_tags(templates + "\n".join(tokens)))
    tags = tokens | set(_TAG.findall(templates))
    notes = []
    for tag in sorted(_candidates(tokens, templates)):
        closing = [text for text in closings(tag) if text in tags and text != tag]
        is_part = any(tag in text for pair in named for text in pair)  # as gpt-oss's <|channel|>
        if len(closing) == 1:
            named.add((tag, closing[0]))
        elif not is_part and not any(tag in closings(other) for other in tags):
            found = " or ".join(closing) or "no closing tag"
            notes.append(
                f"{tag} may open the model's reasoning ({found} in its files) and is not read as "
                "a tag: pass --reasoning-tags OPEN,CLOSE if it is one"
            )
    return NamedTags(tuple(sorted(named)), tuple(notes))


def _candidates(tokens: Iterable[str], templates: str) -> set[str]:
    tags = set(_TAG.findall(templates))
    worded = {tag for tag in {*filter(_TAG.fullmatch, tokens), *tags} if _WORD.search(tag)}
    _, prompt, end = templates.rpartition("add_generation_prompt")
    begins = set(re.findall(rf"({_TAG.pattern})(?:\\n|\s)*['\"]", end)) if prompt else set()
    cut = {match["tag"].strip() for match in _SPLIT.finditer(templates)}
    opened = {tag for tag in tags if cut.intersection(closings(tag))}
    with_end = {tag for tag in begins if tags.intersection(closings(tag))}
    placed = {tag for tag in opened | with_end if not _OTHER.search(tag)}
    return {tag for tag in worded | placed if not is_known(tag)}


def _template_texts(folder: Path, documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    for form in _TEMPLATES:
        for path in sorted(folder.glob(form)):
            with suppress(OSError):
                yield path.read_text(errors="replace")
    for document in documents:
        template = document.get("chat_template")
        named = template if isinstance(template, list) else [{"template": template}]
        for entry in named:
            text = entry.get("template") if isinstance(entry, dict) else None
            if isinstance(text, str):
                yield text


def _token_texts(document: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of the tokens that a file adds or lists as special."""
    for name in ("added_tokens", "special_tokens", "additional_special_tokens"):
        listed = document.get(name)
        for entry in listed if isinstance(listed, list) else ():
            yield from _text(entry)
    decoder = document.get("added_tokens_decoder")
    for entry in decoder.values() if isinstance(decoder, dict) else ():
        yield from _text(entry)
    # added_tokens.json maps texts to numbers.
    yield from (text for text, number in document.items() if isinstance(number, int))


def _text(entry: Any) -> Iterator[str]:
    if isinstance(entry, dict):
        entry = entry.get("content", entry.get("token_str"))
    if isinstance(entry, str):
        yield entry


def _keyed(documents: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the pairs named by keys such as think_begin_token and think_end_token."""
    halves: dict[str, dict[bool, str]] = {}
    for document in documents:
        for values in (document, document.get("model_specific_special_tokens")):
            for key, value in values.items() if isinstance(values, dict) else ():
                match = _KEY.fullmatch(str(key))
                for text in _text(value) if match else ():
                    halves.setdefault(match["what"], {})[bool(match["opens"])] = text  # type: ignore[index]
    yield from ((half[True], half[False]) for half in halves.values() if len(half) == 2)


def dropped_ids(tokenizer: Any, pairs: Iterable[tuple[str, str]]) -> tuple[set[int], bool]:
    """Return the special tokens to drop from answers, and whether one of the tags is special.

    Dropping all special tokens would lose the reasoning tags (``pairs`` and the user's), and show
    the reasoning as the answer. The tokenizer is one of transformers.
    """
    tags = "\n".join(tag for pair in (*pairs, *given_tags()) for tag in pair)
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
    kept = {i for i in special if i in added and added[i].content in tags}
    return special - kept, bool(kept)


def decoded(tokenizer: Any, ids: Sequence[int], dropped: Collection[int]) -> str:
    """Return the text of an answer's tokens, without those of `dropped_ids`."""
    text: str = tokenizer.decode([i for i in ids if i not in dropped], skip_special_tokens=False)
    return text
