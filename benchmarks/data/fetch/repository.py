"""A data set's repository: on the Hub, or a local folder with the same layout."""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.data.local.images import inside
from benchmarks.data.local.receipt import Origin
from harness.errors import NOT_THE_HUB, UsageError, first_line
from harness.files.hashing import file_hash

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass
class Hub:
    """A data set repository (``owner/name``) on the Hub, at a commit, branch or tag.

    ``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured by huggingface_hub.
    """

    repository: str
    revision: str
    origin: ClassVar[Origin] = "hub"

    @property
    def commit(self) -> str:
        """The commit for ``revision``."""
        return str(self._info.sha)

    @property
    def names(self) -> Sequence[str]:
        """The paths of all files at that commit."""
        return [entry.rfilename for entry in self._info.siblings]

    def card(self) -> str | None:
        """Return the text of README.md, if there is one."""
        from huggingface_hub import hf_hub_download

        if "README.md" not in self.names:
            return None
        with _errors(self.repository, self.revision):
            path = hf_hub_download(
                self.repository, "README.md", repo_type="dataset", revision=self.commit
            )
        return Path(path).read_text(encoding="utf-8", errors="replace")

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Download files into a folder and compare them with the Hub's checksums.

        Files downloaded by an earlier, interrupted call are kept. Raises `UsageError` if the
        download fails, or the files differ from the Hub's.
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
        (entry,) = (entry for entry in self._info.siblings if entry.rfilename == name)
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
    """Turn the Hub's failures into one sentence each."""
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
            f"the Hub did not provide {repository} ({first_line(error)}): "
            f"check the network, {local}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot store {repository} ({error.strerror or error})") from error
    except NOT_THE_HUB as error:
        raise UsageError(
            f"{constants.ENDPOINT} did not answer as the hub does ({first_line(error)}): "
            f"check HF_ENDPOINT and the network, {local}"
        ) from error


@dataclass(frozen=True)
class Mirror:
    """A local folder laid out like a Hub repository, with the members of `Hub`."""

    folder: Path
    origin: ClassVar[Origin] = "mirror"

    @property
    def commit(self) -> str | None:
        """The commit from the folder's name or the metadata of ``hf download --local-dir``."""
        if _COMMIT.fullmatch(self.folder.name):
            return self.folder.name
        notes = (self.folder / ".cache" / "huggingface" / "download").rglob("*.metadata")
        commits = {note.read_text(encoding="utf-8").split("\n", 1)[0] for note in notes}
        commit = commits.pop() if len(commits) == 1 else ""
        return commit if _COMMIT.fullmatch(commit) else None

    @property
    def names(self) -> Sequence[str]:
        """The paths of all non-hidden files."""
        files = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in files if not path.parts[0].startswith("."))

    def card(self) -> str | None:
        """Return the text of README.md, if there is one."""
        path = self.folder / "README.md"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def fetch(self, names: Sequence[str], into: Path) -> None:
        """Copy files into a folder; UsageError if the file system fails, or a link leads out."""
        try:
            for name in names:
                _copy(inside(self.folder, name), into / name)
        except ValueError as error:
            raise UsageError(f"cannot copy {self.folder}: {error}") from error
        except OSError as error:
            raise UsageError(f"cannot copy {self.folder} ({error.strerror or error})") from error


Repository = Hub | Mirror


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times, unless an earlier call did."""
    if target.is_file():
        old, new = target.stat(), source.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.copy2(source, part)
    part.replace(target)


def mirror(
    local: Path, benchmark_id: str, repository: str, wanted: str | None, *, alone: bool
) -> Mirror:
    """Find a repository's copy in a folder of copies.

    That is ``LOCAL/<owner>/<name>``, else ``LOCAL/<benchmark id>``, else the Hub client's cache
    ``LOCAL/datasets--<owner>--<name>/snapshots/<commit>``, else LOCAL itself if asked ``alone``.
    Raises `UsageError` if none of these exists, or the cache lacks the wanted commit.
    """
    for folder in (local / repository, local / benchmark_id):
        if folder.is_dir():
            return Mirror(folder)
    cached = local / f"datasets--{repository.replace('/', '--')}" / "snapshots"
    if not cached.is_dir():
        if alone and local.is_dir():
            return Mirror(local)
        raise UsageError(f"{local} holds no copy of {repository}: put one in {local / repository}")
    commits = sorted(path.name for path in cached.iterdir() if path.is_dir())
    commit = wanted or (commits[0] if len(commits) == 1 else None)
    if commit in commits:
        return Mirror(cached / commit)
    raise UsageError(
        f"the copy of {repository} has {', '.join(commits) or 'no commit'}, wanted is "
        f"{wanted or 'one of them'}: choose with --revision"
    )
