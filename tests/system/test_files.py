"""Files that take their place whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempfit.errors import SettingsError
from tempfit.system.files import replaced, whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "told.csv"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["told.csv"]


def test_what_was_there_stays_where_anything_fails(tmp_path: Path) -> None:
    path = tmp_path / "told.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replaced(path) as part:
        part.write_text("half of it, and \udcff", encoding="utf-8")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["told.csv"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here.csv").symlink_to(tmp_path / "there" / "told.csv")
    with replaced(tmp_path / "here.csv") as part:
        assert part.parent == tmp_path / "there"  # on the same disk
        part.write_text("new")
    assert (tmp_path / "here.csv").is_symlink()
    assert (tmp_path / "there" / "told.csv").read_text() == "new"


def test_what_a_killed_process_of_the_same_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".told.csv.{os.getpid()}.part").write_text("half")
    with whole_file(tmp_path / "told.csv") as file:
        file.write(b"new")
    assert (tmp_path / "told.csv").read_text() == "new"
    assert names(tmp_path) == ["told.csv"]


def test_what_cannot_be_written_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^`output`: .*: this is no file; name one"), whole_file(tmp_path):
        pass
    missing = tmp_path / "missing" / "told.csv"
    with pytest.raises(SettingsError, match=r"^`output`: .*cannot be written \(No such file"), whole_file(missing):
        pass
