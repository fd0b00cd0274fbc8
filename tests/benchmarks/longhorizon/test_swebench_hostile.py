"""Tasks and patches made by others: nothing runs outside the sandbox or wins by a trick."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.longhorizon.swebench.benchmark import FLAG, SweBenchLite
from benchmarks.longhorizon.swebench.container_worker import failure
from benchmarks.longhorizon.swebench.environments import CUT_HISTORY
from benchmarks.longhorizon.swebench.grading import Verdict, grade
from benchmarks.longhorizon.swebench.protected import to_restore, touched
from benchmarks.longhorizon.swebench.tasks import TaskSet
from benchmarks.longhorizon.swebench.workspace import workspace
from benchmarks.micro.data import repositories
from harness.errors import UsageError
from harness.runs.summary import read_summaries
from harness.sandbox import Sandbox, choose
from tests.benchmarks.longhorizon.test_swebench import git, real_row, table
from tests.commands import harness

TASK = "micro__pages-1"
sandboxed = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repositories.write(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()[0]


def files(root: Path) -> Path:
    return root / "swebench_lite" / "tasks" / TASK / "repository"


def graded(root: Path, sandbox: Sandbox, patch: str) -> Verdict:
    task = TaskSet("swebench_lite", root).tasks[TASK]
    return asyncio.run(grade(task, patch, sandbox, 60))


# Files of a task that git on the host would run


def run_by_hooks(place: Path, mark: str) -> None:
    for name in ("pre-commit", "post-index-change", "post-checkout", "reference-transaction"):
        (place / ".git" / "hooks" / name).write_text(f"#!/bin/sh\n{mark}\n")
        (place / ".git" / "hooks" / name).chmod(0o755)


def run_by_fsmonitor(place: Path, mark: str) -> None:
    git(place, "config", "core.fsmonitor", mark)


def run_by_a_filter(place: Path, mark: str) -> None:
    git(place, "config", "filter.evil.clean", f"{mark}; cat")
    (place / ".gitattributes").write_text("* filter=evil\n")


def run_by_an_included_file(place: Path, mark: str) -> None:
    (place / "settings").write_text(f"[core]\n\tfsmonitor = {mark}\n")
    git(place, "config", "include.path", "../settings")


def run_by_a_git_file(place: Path, mark: str) -> None:
    run_by_fsmonitor(place, mark)
    (place / ".git").rename(place / "elsewhere")
    (place / ".git").write_text("gitdir: elsewhere\n")


def run_below(place: Path, mark: str) -> None:
    inner = place / "vendored"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "a").write_text("a")
    git(inner, "add", "a")
    git(inner, "commit", "-qm", "a")
    run_by_fsmonitor(inner, mark)


@sandboxed
@pytest.mark.parametrize(
    "prepare",
    [
        run_by_hooks, run_by_fsmonitor, run_by_a_filter, run_by_an_included_file,
        run_by_a_git_file, run_below,
    ],
)  # fmt: skip
def test_a_tasks_git_folder_runs_nothing_outside(
    root: Path, tmp_path: Path, sandbox: Sandbox, prepare: Callable[[Path, str], None]
) -> None:
    place, ran = files(root), tmp_path / "ran"
    git(place, "init", "-q")
    prepare(place, f"touch {ran}")
    with workspace(sandbox, place) as folder:
        log = asyncio.run(folder.run(("git", "log", "--format=%s"), seconds=20.0))
        kept = list(folder.repository.rglob(".git"))
    assert log.stdout == b"base\n"
    assert kept == [folder.repository / ".git"]
    assert not ran.exists()


# Links, ids and images


def leave(target: str, place: str) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        path = files(root) / place
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return prepare


def leave_by_steps(root: Path) -> None:
    (files(root) / "here").symlink_to(".")
    (files(root) / "out").symlink_to("here/../../../../x")


def leave_by_the_folder(root: Path) -> None:
    place = files(root)
    shutil.move(place, root / "moved")
    place.symlink_to(root / "moved")


def leave_by_the_folder_of_tasks(root: Path) -> None:
    tasks = root / "swebench_lite" / "tasks"
    shutil.move(tasks, root / "moved")
    tasks.symlink_to(root / "moved")


def leave_by_a_pipe(root: Path) -> None:
    os.mkfifo(files(root) / "pipe")


@pytest.mark.parametrize(
    "prepare",
    [
        leave("/etc/passwd", "link"), leave("../gold.patch", "link"), leave("../../..", "link"),
        leave("/etc/passwd", "../problem_statement.md"), leave("../other/gold.patch", "../eval.sh"),
        leave("/etc/hostname", "../../../sweb.yaml"),
        leave_by_steps, leave_by_the_folder, leave_by_the_folder_of_tasks, leave_by_a_pipe,
    ],
)  # fmt: skip
def test_what_leads_out_of_a_task_is_refused(root: Path, prepare: Callable[[Path], None]) -> None:
    prepare(root)
    with pytest.raises(UsageError, match=r"link|neither a file nor a folder"):
        SweBenchLite(root).ids()


@sandboxed
def test_links_inside_a_task_stay_links(root: Path, sandbox: Sandbox) -> None:
    (files(root) / "link").symlink_to("pages/__init__.py")
    (files(root) / "dangling").symlink_to("nothing")
    SweBenchLite(root).ids()
    with workspace(sandbox, files(root)) as folder:
        assert str((folder.repository / "link").readlink()) == "pages/__init__.py"
        assert str((folder.repository / "dangling").readlink()) == "nothing"


@pytest.mark.parametrize("name", ["../../x", "..", ".", "a/b", "", "a b", "a\n", "\u202ea"])
def test_an_id_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    table([real_row(instance_id=name)], tmp_path / "swebench_lite")
    with pytest.raises(UsageError, match="ids are letters, digits"):
        SweBenchLite(tmp_path).ids()


@pytest.mark.parametrize(
    "image", ["--volume=/:/host", "-v", "", "a b", "a;b", "/etc", "a:b:c", "a\n--privileged"]
)
def test_an_image_that_is_no_name_is_refused(tmp_path: Path, image: str) -> None:
    table([real_row(image=image)], tmp_path / "swebench_lite")
    with pytest.raises(UsageError, match="no image name"):
        SweBenchLite(tmp_path).ids()


@pytest.mark.parametrize(
    "image",
    [
        "ubuntu", "docker.io/swebench/two:latest", "host:5000/a/b_1.2-x:v1.0",
        "a/b@sha256:0123456789abcdef",
    ],
)  # fmt: skip
def test_the_names_of_images_are_taken(tmp_path: Path, image: str) -> None:
    table([real_row(image=image)], tmp_path / "swebench_lite")
    assert len(SweBenchLite(tmp_path).ids()) == 1


def test_later_commits_of_submodules_are_cut(tmp_path: Path) -> None:
    """Two levels of submodules with later commits, and one whose checkout was taken away."""
    allow = ("-c", "protocol.file.allow=always")
    inner, middle, gone, place = (
        tmp_path / name for name in ("inner", "middle", "gone", "testbed")
    )
    for folder, modules in ((inner, ()), (gone, ()), (middle, (inner,)), (place, (middle, gone))):
        folder.mkdir()
        git(folder, "init", "-q")
        (folder / "code.py").write_text("bug\n")
        for module in modules:
            git(folder, *allow, "submodule", "--quiet", "add", str(module), module.name)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "base")
    git(place, *allow, "submodule", "--quiet", "update", "--init", "--recursive")
    checkouts = [place / "middle", place / "middle" / "inner", place / "gone"]
    for folder in checkouts:
        before = git(folder, "rev-parse", "HEAD").strip()
        (folder / "code.py").write_text("THE FIX\n")
        git(folder, "commit", "-qam", "THE FIX")
        git(folder, "tag", "later")
        git(folder, "checkout", "-q", before)
    git(place, "submodule", "--quiet", "deinit", "--force", "gone")
    subprocess.run(
        ["bash", "-c", CUT_HISTORY.format(testbed=place)], check=True, capture_output=True
    )
    for folder in (place, *checkouts[:2]):
        assert git(folder, "log", "--all", "--format=%s").split() == ["base"]
        assert git(folder, "status", "--short") == ""
        objects = git(folder, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
        contents = [git(folder, "cat-file", "-p", line.split()[0]) for line in objects]
        assert not any("THE FIX" in content for content in contents)
    assert not list((place / ".git" / "modules").glob("gone"))


# Patches


def adding(path: str, text: str) -> str:
    lines = text.splitlines()
    added = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{added}"
    )


PASSES = """import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return True
"""
HOOK = "#!/bin/sh\ncat > tests/conftest.py <<'END'\n" + PASSES + "END\n"
TRICKS = {
    "conftest.py": PASSES,
    "tests/conftest.py": PASSES,
    "pytest.ini": "[pytest]\naddopts = -p trick\n",
    ".git/hooks/post-checkout": HOOK,
    "pytest.py": "import subprocess, sys\n",
    "decimal.py": "import builtins\n",
}


@sandboxed
@pytest.mark.parametrize("path", ["conftest.py", "tests/conftest.py", ".git/hooks/post-checkout"])
def test_a_trick_alone_resolves_nothing(root: Path, sandbox: Sandbox, path: str) -> None:
    verdict = graded(root, sandbox, adding(path, TRICKS[path]))
    assert not verdict.resolved
    if not path.startswith(".git"):
        assert f"restored first: {path}" in verdict.why


@sandboxed
def test_the_right_patch_with_a_trick_is_still_right(root: Path, sandbox: Sandbox) -> None:
    gold = str(TaskSet("swebench_lite", root).tasks[TASK].row["patch"])
    verdict = graded(
        root,
        sandbox,
        gold
        + "".join(adding(*trick) for trick in TRICKS.items() if not trick[0].startswith(".git")),
    )
    assert verdict.resolved
    assert all(path in verdict.why for path in TRICKS if not path.startswith(".git"))


def test_what_decides_the_tests_is_restored_and_no_other_file() -> None:
    decide = [
        "conftest.py", "src/deep/conftest.py", "pyproject.toml", "setup.cfg", "tox.ini",
        "evil.pth", "sitecustomize.py", "tests/new.py", "tests/data/x.txt", "check_me.py",
        "pytest.py", "_pytest/main.py", "json/__init__.py", "src/__pycache__/a.cpython-311.pyc",
    ]  # fmt: skip
    other = ["src/a.py", "types/a.py", "docs/conftest.md", "src/json.py", "testing/a.py"]
    tests = ["tests/test_a.py::test_a[x::y]", "check_me.py::test_b"]
    assert to_restore([*decide, *other], tests, ["types", "src", "tests"]) == decide


def test_official_patches_that_touch_the_configuration_are_named() -> None:
    patch = adding("a/conftest.py", "x\n") + adding("src/code.py", "+++ b/conftest\n")
    patch += "diff --git a/x.ini b/pytest.ini\nrename from x.ini\nrename to pytest.ini\n"
    patch += "diff --git a/bin/x.pyc b/bin/x.pyc\nnew file mode 100644\nGIT binary patch\n"
    patch += "--- a/setup.cfg\n+++ /dev/null\n"
    assert touched(patch) == ["a/conftest.py", "pytest.ini", "bin/x.pyc", "setup.cfg"]


@sandboxed
def test_a_patch_that_is_not_utf_8_is_unresolved(root: Path, sandbox: Sandbox) -> None:
    code = files(root) / "pages" / "latin.py"
    code.write_bytes("name = 'caf\xe9'\nx = 1\n".encode("latin-1"))
    patch = (
        "--- a/pages/latin.py\n+++ b/pages/latin.py\n@@ -1,2 +1,2 @@\n"
        " name = 'caf\ufffd'\n-x = 1\n+x = 2\n"
    )
    assert not graded(root, sandbox, patch).resolved
    elsewhere = patch.replace("-x = 1", "-y = 1")
    assert graded(root, sandbox, elsewhere) == Verdict(False, False, "the patch does not apply")


@pytest.mark.parametrize("kind", ["UnicodeDecodeError", "UnicodeEncodeError"])
def test_what_swebench_cannot_decode_counts_as_unresolved(kind: str) -> None:
    log = f"Error in evaluating model for x: '{kind}: 'utf-8' codec can't decode byte 0xe9"
    assert failure(log)["applied"] is False


@sandboxed
def test_a_task_can_be_committed_to(root: Path, sandbox: Sandbox) -> None:
    with workspace(sandbox, files(root)) as folder:
        command = ("bash", "-c", "touch new && git add new && git commit -qm mine && git log -1")
        result = asyncio.run(folder.run(command, seconds=20.0))
    assert b"SWE-bench <setup@swebench.config>" in result.stdout


@sandboxed
def test_a_patch_that_configures_the_tests_is_flagged(root: Path) -> None:
    tasks = list(TaskSet("swebench_lite", root).tasks.values())[:2]
    golds = [str(task.row["patch"]) for task in tasks]
    golds[0] += adding("conftest.py", PASSES)
    rows = [{"id": task.id, "response": patch} for task, patch in zip(tasks, golds, strict=True)]
    patches, out = root / "patches.jsonl", root / "out"
    patches.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = harness("score", "swebench_lite", patches, "--data-root", root, "--out", out)
    assert f"swebench_lite: 1 of 2 responses {FLAG}" in done.stdout, done.stderr
    (run,) = out.iterdir()
    assert read_summaries(run)["swebench_lite"].strict == 1.0
