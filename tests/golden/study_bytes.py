"""Everything that the built-in study says of the stored runs, as texts that are compared by bytes.

``expected/studies/`` was written once, by ``python -m tests.golden.study_bytes`` with the code of
commit e03cad7: plan, analysis, printed verdict and page of three studies.  Only what no two calls
share is cut: times, hashes of our source, the folder, the version, and the page's style and script.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
from pathlib import Path

from tests.golden import cases
from tests.golden.corrected import corrected

EXPECTED = cases.EXPECTED / "studies"
# Study -> the command that makes it; the stored one of trained arms is only shown.
STUDIES = {
    "relabelled": "ablate-relabelled",
    "worse": "ablate-worse",
    "trained": None,
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_STYLE = re.compile(r"<(style|script)[^>]*>.*?</\1>", re.DOTALL)
_SCRIPT_HASH = re.compile(r"sha256-[A-Za-z0-9+/=]{44}")
_VERSION = re.compile(r"(ContextRL harness |contextrl-harness )\d[\w.+]*")


def said(study: str) -> dict[str, str]:
    """Return by file name what a study says, in a working folder that `cases.world` made."""
    from click.testing import CliRunner

    from harness.cli.main import cli

    texts, command = {}, STUDIES[study]
    folder = Path(cases.WORSE if study == "worse" else f"studies/{study}")
    if command is not None:
        (folder / "analysis.json").unlink(missing_ok=True)
        words = [word for word in cases.words(command) if word != "--json"]
        done = CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
        assert done.return_value == 0, done.stderr
        texts["verdict.txt"] = done.stdout
    words = ["report", str(folder), "--out", "page.html", "--data-root", "data"]
    CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
    texts["page.html"] = Path("page.html").read_text()
    texts["plan.json"] = (folder / "plan.json").read_text()
    analysis = json.loads((folder / "analysis.json").read_text())
    analysis.pop("read")  # of our source
    assert not analysis.pop("left_out", None)  # added since: every item was compared
    texts["analysis.json"] = json.dumps(analysis, indent=2, ensure_ascii=False) + "\n"
    return {name: _lasting(text) for name, text in texts.items()}


def _lasting(text: str) -> str:
    """Return a text without what no two calls share."""
    text = text.replace(f"{Path.cwd()}/", "").replace(os.path.relpath("/", "."), "")
    for pattern, instead in (
        (_STYLE, ""),
        (_SCRIPT_HASH, "HASH"),
        (_VERSION, r"\1VERSION"),
        (_TIME, "TIME"),
    ):
        text = pattern.sub(instead, text)
    return text


def expected(study: str) -> dict[str, str]:
    """Return by file name what a study said at commit e03cad7, with the intervals of `corrected`.

    Pages are compressed.
    """
    return {
        path.name.removesuffix(".gz"): corrected(
            study,
            gzip.decompress(path.read_bytes()).decode()
            if path.suffix == ".gz"
            else path.read_text(),
        )
        for path in (EXPECTED / study).iterdir()
    }


def main() -> None:
    """Record what the studies say."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data-root"
        cases.write_data(data)
        for study in STUDIES:
            folder = Path(place).resolve() / study
            folder.mkdir()
            cases.world(folder, data)
            os.chdir(folder)
            for name, text in said(study).items():
                path = EXPECTED / study / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == ".html":
                    path = path.with_name(f"{name}.gz")
                    path.write_bytes(gzip.compress(text.encode(), mtime=0))
                else:
                    path.write_text(text)
            print(study)


if __name__ == "__main__":
    main()
