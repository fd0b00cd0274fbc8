"""What `harness ablate --json` prints of a study of external runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import harness
from tests.reports.studies import EFFECTS, Planted, write


def test_every_verdict_follows_from_the_numbers_beside_it(tmp_path: Path) -> None:
    """Of data contrasts p after Holm decides: of three p below 0.05 not all need be significant."""
    benchmarks = {"vstar": 0.5, "mmstar": 0.5}
    effects = {**EFFECTS, "contextrl": 0.25, "da-qa": 0.06, "da-rl": 0.05}
    made = write(tmp_path / "planted", Planted(effects, 3, 60, benchmarks, training=False))
    runs = {arm: sorted(map(str, (made / "runs").glob(f"{arm}-seed-?/*"))) for arm in effects}
    options = [word for arm in runs for word in ("--runs", f"{arm}={','.join(runs[arm])}")]
    options += ["--suite", "vqa12", "--benchmarks", ",".join(benchmarks)]
    done = harness("ablate", "objective-vs-data", "--studies", tmp_path / "s", *options, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    tested = [line for line in (*document["contrasts"], *document["checks"]) if line["tested"]]
    for line in tested:
        decides = line["p"] if line["p_holm"] is None else line["p_holm"]
        assert (decides < 0.05) == (line["verdict"].split()[0] in ("better", "worse")), line["name"]
    data = [line for line in tested if line["kind"] == "data"]
    assert len(data) == 3
    assert all(line["p_holm"] >= line["p"] for line in data)
    assert {line["p_holm"] for line in tested if line["kind"] != "data"} == {None}
