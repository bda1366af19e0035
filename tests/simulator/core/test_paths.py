"""Where what a person names is looked for, and that it is told."""

from pathlib import Path

import pytest

from simulator.core.errors import InputError
from simulator.core.paths import folder_at, place


def test_the_whole_path_is_told_where_nothing_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path / "below" / "clinics")):
        place(Path("clinics"), Path("below"))


def test_what_lies_in_the_current_folder_and_not_below_the_root_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clinics").mkdir()
    with pytest.raises(InputError, match=f"relative to data.root.*{tmp_path / 'clinics'}"):
        place(Path("clinics"), Path("below"))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "images").touch()
    with pytest.raises(InputError, match="is a file, and a folder is asked for"):
        folder_at(Path("images"), tmp_path)
