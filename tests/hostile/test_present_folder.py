"""The present folder may be data of others: settings that libraries look for there do not count."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pytest

from harness.errors import UsageError
from harness.install.wandb_settings import refuse_foreign
from harness.runs.trackers import Tracker
from reports import draw
from reports.figures import ChartRow, Figure, RowChart

LATEX = {"text.usetex": True, "text.latex.preamble": r"\immediate\write18{id}\stop"}


def test_a_matplotlibrc_has_no_say_in_drawings() -> None:
    """matplotlib reads it when it is imported; LaTeX would run its preamble, and stop."""
    row = ChartRow("label", "text", "gain", mark=1.0)
    figure = Figure("f", "title", "words", "source", (RowChart((row,), "axis"),))
    drawn = draw.file(figure)
    with mpl.rc_context({**LATEX, "axes.facecolor": "#123456", "svg.image_inline": False}):
        assert draw.file(figure) == drawn
        assert mpl.rcParams["text.usetex"]  # whoever draws beside us keeps his


@pytest.mark.parametrize("name", ["wandb", ".wandb"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]\nbase_url = http://192.0.2.1", "sets base_url"),
        ("[default]\nproject = p\nHTTPS_Proxy = http://192.0.2.1", "sets https_proxy"),
        ("[DEFAULT]\nbase_url = http://192.0.2.1\n[default]\nentity = e", "sets base_url"),
        ("base_url = http://192.0.2.1", "cannot be read"),
    ],
)
def test_wandb_gets_no_address_from_it(
    name: str, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "settings").write_text(text)
    library = SimpleNamespace(__name__="wandb")  # nothing of it is called
    with pytest.raises(UsageError, match=message), Tracker(library, {}).run("name", {}):
        pass


def test_what_wandb_init_writes_is_taken(tmp_path: Path) -> None:
    refuse_foreign(tmp_path)
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nentity = me\nproject = mine\n")
    refuse_foreign(tmp_path)
