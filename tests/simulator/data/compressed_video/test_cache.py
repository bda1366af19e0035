from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.compressed_video import cache as module
from simulator.data.compressed_video.cache import Arrays, Cache

ARRAYS = {"sample": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "reencoded": np.array(1)}


class Computing:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return ARRAYS


def assert_same(arrays: Arrays) -> None:
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape


def test_a_hit_equals_a_miss(tmp_path: Path) -> None:
    compute = Computing()
    for _ in range(3):
        assert_same(Cache(tmp_path / "new" / "folder").arrays((b"clip", b"settings"), compute))
    assert compute.calls == 1


def test_every_part_of_the_key_counts_and_so_does_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute, cache = Computing(), Cache(tmp_path)
    for key in ((b"clip", b"a"), (b"clip", b"b"), (b"other", b"a"), (b"clipa", b""), (b"", b"clipa")):
        cache.arrays(key, compute)
    assert compute.calls == 5
    monkeypatch.setattr(module, "_program", lambda: b"changed")
    cache.arrays((b"clip", b"a"), compute)
    assert compute.calls == 6


def test_without_a_folder_nothing_is_kept() -> None:
    compute = Computing()
    assert_same(Cache(None).arrays((b"",), compute))
    assert_same(Cache(None).arrays((b"",), compute))
    assert compute.calls == 2


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1], lambda content: b"x" + content])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    compute, cache = Computing(), Cache(tmp_path)
    cache.arrays((b"",), compute)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert_same(cache.arrays((b"",), compute))
    assert_same(cache.arrays((b"",), compute))
    assert compute.calls == 2


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Arrays:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Cache(tmp_path).arrays((b"",), fail)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match="cannot be written to: No space left on device") as caught:
        Cache(tmp_path).arrays((b"",), Computing())
    assert "cache: null" in caught.value.problems[0].advice
    assert list(tmp_path.iterdir()) == []
