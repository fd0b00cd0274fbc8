"""The image: what is copied into it is there, and its page names the options that doctor names."""

from __future__ import annotations

import re
import tomllib

from harness.sandbox.bubblewrap import CONTAINER
from tests.conftest import REPOSITORY


def test_the_image_has_every_package() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]["include"]
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY ([\w. ]+) \./$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    needed = {name.rstrip("*") for name in found}.union(*map(str.split, copied))
    assert {"harness", "constraints.txt"} < needed
    assert needed <= {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert [name for name in needed if not (REPOSITORY / name).exists()] == []


def test_the_page_has_the_options_that_doctor_names() -> None:
    page = (REPOSITORY / "docs/docker.md").read_text()
    options = re.findall(r"--security-opt \S+", CONTAINER)
    assert len(options) == 3
    assert " ".join(options) in page
