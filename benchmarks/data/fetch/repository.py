"""A data set's repository: on the Hub, or a local folder with the same layout."""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from benchmarks.data.local.receipt import Origin
from harness.errors import UsageError, first_line
from harness.files.hashing import file_hash

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Repository(Protocol):
    """What `pull` needs of a repository."""

    @property
    def origin(self) -> Origin:
        """The kind of place, for the receipt."""
        ...

    @property
    def commit(self) -> str | None:
        """The commit whose files these are, None where a local copy does not tell."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The paths of all files, relative to the repository's root."""
        ...

    def card(self) -> str | None:
        """The text of README.md, if there is one."""
        ...

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Bring files into a folder; what an earlier, interrupted call brought is kept."""
        ...


@dataclass
class Hub:
    """A data set repository on the Hugging Face hub at one commit.

    ``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured by huggingface_hub.

    Args:
        repository: ``owner/name``.
        revision: a commit, branch or tag; the branch's head is resolved to its commit at once.
    """

    repository: str
    revision: str = "main"
    origin: Origin = field(default="hub", init=False)

    @property
    def commit(self) -> str:
        """The commit that ``revision`` stands for."""
        return str(self._info.sha)

    @property
    def names(self) -> Sequence[str]:
        """The paths of all files at that commit."""
        return [entry.rfilename for entry in self._info.siblings]

    def card(self) -> str | None:
        """The text of README.md, if there is one."""
        from huggingface_hub import hf_hub_download

        if "README.md" not in self.names:
            return None
        with _errors(self.repository, self.revision):
            path = hf_hub_download(
                self.repository, "README.md", repo_type="dataset", revision=self.commit
            )
        return Path(path).read_text(encoding="utf-8", errors="replace")

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Download files into a folder and compare them with the hub's checksums.

        Raises:
            UsageError: the hub does not give them, or what came is not what the hub has.
        """
        from huggingface_hub import snapshot_download

        with _errors(self.repository, self.revision):
            snapshot_download(
                self.repository,
                repo_type="dataset",
                revision=self.commit,
                local_dir=into,
                allow_patterns=[glob.escape(name) for name in names],
            )
        for name in names:
            self._check(name, into / name)

    def _check(self, name: str, path: Path) -> None:
        entry = next(entry for entry in self._info.siblings if entry.rfilename == name)
        whole = path.is_file() and entry.size in (None, path.stat().st_size)
        if whole and entry.lfs is not None:
            whole = file_hash(path) == entry.lfs.sha256
        if not whole:
            path.unlink(missing_ok=True)
            raise UsageError(f"{name} of {self.repository} arrived damaged: run the command again")

    @cached_property
    def _info(self) -> Any:
        from huggingface_hub import HfApi

        with _errors(self.repository, self.revision):
            return HfApi().dataset_info(
                self.repository, revision=self.revision, files_metadata=True
            )


@contextmanager
def _errors(repository: str, revision: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one sentence each."""
    import httpx
    from huggingface_hub import constants, errors

    local = "or give a local copy with --from DIR"
    try:
        yield
    except errors.GatedRepoError as error:
        raise UsageError(
            f"{repository} is gated: accept its terms on its hub page and set HF_TOKEN, {local}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"the hub has no data set {repository}, or it is private: set HF_TOKEN, {local}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(
            f"{repository} has no revision {revision}: choose one with --revision, {local}"
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, httpx.HTTPError) as error:
        raise UsageError(
            f"the hub did not give {repository} ({first_line(error)}): check the network, {local}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot store {repository} ({error.strerror or error})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a proxy's login page
        raise UsageError(
            f"{constants.ENDPOINT} did not answer as the hub does ({first_line(error)}): "
            f"check HF_ENDPOINT and the network, {local}"
        ) from error


@dataclass(frozen=True)
class Mirror:
    """A local folder laid out like a hub repository.

    Its commit is told by the folder's name (a snapshot in the hub's cache) or by what ``hf
    download --local-dir`` left in it.
    """

    folder: Path
    origin: Origin = field(default="mirror", init=False)

    @property
    def commit(self) -> str | None:
        """The commit, where the folder tells it."""
        if _COMMIT.fullmatch(self.folder.name):
            return self.folder.name
        notes = (self.folder / ".cache" / "huggingface" / "download").rglob("*.metadata")
        commits = {note.read_text(encoding="utf-8").split("\n", 1)[0] for note in notes}
        told = commits.pop() if len(commits) == 1 else ""
        return told if _COMMIT.fullmatch(told) else None

    @property
    def names(self) -> Sequence[str]:
        """The paths of all files but hidden ones."""
        files = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in files if not path.parts[0].startswith("."))

    def card(self) -> str | None:
        """The text of README.md, if there is one."""
        path = self.folder / "README.md"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Copy files into a folder.

        Raises:
            UsageError: the file system refuses.
        """
        try:
            for name in names:
                _copy(self.folder / name, into / name)
        except OSError as error:
            raise UsageError(f"cannot copy {self.folder} ({error.strerror or error})") from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times, unless an earlier call did."""
    if target.is_file() and _age(target) == _age(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.copy2(source, part)
    part.replace(target)


def _age(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def mirror(
    local: Path, benchmark_id: str, repository: str, wanted: str | None, *, alone: bool
) -> Mirror:
    """Find a repository's copy in a folder of copies.

    Looked for, in this order: ``LOCAL/<owner>/<name>``, ``LOCAL/<benchmark id>``, the hub cache's
    ``LOCAL/datasets--<owner>--<name>/snapshots/<commit>``, and, for a benchmark that is asked for
    ``alone``, LOCAL itself.

    Raises:
        UsageError: none of these is there.
    """
    for place in (local / repository, local / benchmark_id):
        if place.is_dir():
            return Mirror(place)
    cached = local / f"datasets--{repository.replace('/', '--')}" / "snapshots"
    if cached.is_dir():
        return Mirror(_snapshot(cached, repository, wanted))
    if alone and local.is_dir():
        return Mirror(local)
    raise UsageError(f"{local} holds no copy of {repository}: put one in {local / repository}")


def _snapshot(cached: Path, repository: str, wanted: str | None) -> Path:
    """Return the wanted commit's folder in the hub's cache; the only one where none is wanted."""
    there = sorted(path for path in cached.iterdir() if path.is_dir())
    for path in there:
        if path.name == wanted or (wanted is None and len(there) == 1):
            return path
    commits = ", ".join(path.name for path in there) or "no commit"
    raise UsageError(
        f"the copy of {repository} has {commits}, wanted is {wanted or 'one of them'}: "
        "choose with --revision"
    )
