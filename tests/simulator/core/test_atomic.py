"""Files are flushed to the disk before they count as written."""

import os

import pytest

from simulator.core.atomic import MANY, sync_all


@pytest.mark.parametrize(("count", "one_by_one", "at_once"), [(3, 3, 0), (MANY, MANY, 0), (MANY + 1, 0, 1)])
def test_each_file_is_flushed_whatever_their_number(count, one_by_one, at_once, tmp_path, monkeypatch):
    flushed, everything = [], []
    monkeypatch.setattr(os, "fsync", flushed.append)
    monkeypatch.setattr(os, "sync", lambda: everything.append(1))
    files = [tmp_path / str(number) for number in range(count)]
    for file in files:
        file.touch()
    sync_all(files)

    assert (len(flushed), len(everything)) == (one_by_one, at_once)
