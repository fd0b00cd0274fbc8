"""JSON lines that survive a kill, and folders that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.files.atomic import folder, write_json
from harness.files.jsonl import Appender, Line, read_lines, rewrite


def test_a_torn_last_line_is_dropped_by_reader_and_writer(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert list(read_lines(path)) == []
    path.write_bytes("1\n\u2028\n3".encode())
    assert list(read_lines(path)) == [Line(1, 0, "1\n"), Line(2, 2, "\u2028\n")]
    appender = Appender(path)
    appender.append("4\n5\n")
    appender.close()
    assert [line.text for line in read_lines(path)] == ["1\n", "\u2028\n", "4\n", "5\n"]
    rewrite(path, ["6", "7"])
    assert path.read_text() == "6\n7\n"


def test_a_folder_is_replaced_as_a_whole_or_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "made" / "folder"
    with folder(target) as beside:
        write_json(beside / "a.json", {"a": 1})
        assert not target.exists()
    with pytest.raises(FileExistsError), folder(target) as beside:
        [(beside / "b").touch(exist_ok=False) for _ in range(2)]
    assert [path.name for path in target.iterdir()] == ["a.json"]
    with folder(target) as beside:
        (beside / "c").touch()
    assert [path.name for path in target.iterdir()] == ["c"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
