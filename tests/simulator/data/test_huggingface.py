from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.dataset import ArrayData
from simulator.data.huggingface import HuggingFace
from simulator.data.kinds.images import Images

datasets = pytest.importorskip("datasets")

ROWS = {
    "x": [[1.5, 2], [3, 4], [5, 6], [7, 8]],
    "y": [1, 0, 1, 1],
    "who": ["a", "a", "b", "c"],
    "long": [[1], [1, 2]] * 2,
}


def read(path: Path, **settings: Any) -> ArrayData:
    data = HuggingFace(**{"path": path, "inputs": "x", "target": "y", "test": None, **settings}).load(Path("/nowhere"))
    data.validate()
    return data


def test_what_was_saved_to_disk_is_the_same_arrays_and_so_is_parquet(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "x": datasets.List(datasets.Value("float32")),
            "y": datasets.ClassLabel(names=["no", "yes"]),
            "who": datasets.Value("string"),
            "long": datasets.List(datasets.Value("int64")),
        }
    )
    saved = datasets.Dataset.from_dict(ROWS, features=features)
    saved.save_to_disk(tmp_path / "saved")
    data = read(tmp_path / "saved", group="who", site="who")
    assert np.array_equal(data.x_train, np.array(ROWS["x"], dtype=np.float32))
    assert (data.y_train.tolist(), data.class_names) == (ROWS["y"], ("no", "yes"))
    assert (data.groups.tolist(), data.site_names) == ([0, 0, 1, 2], ("a", "b", "c"))
    saved.to_parquet(tmp_path / "saved.parquet")
    assert np.array_equal(read(tmp_path / "saved.parquet").x_train, data.x_train)
    with pytest.raises(InputError, match=r"'long' is an array of Python objects.*\n.*lengths from 1 to 2: pad"):
        read(tmp_path / "saved", inputs="long")
    with pytest.raises(InputError, match="'who' is text"):
        read(tmp_path / "saved", inputs="who")
    with pytest.raises(InputError, match="no column 'z'"):
        read(tmp_path / "saved", target="z")


def test_a_folder_of_partitions_has_a_site_in_each_and_splits_are_chosen(tmp_path: Path) -> None:
    for number in (0, 1):
        part = datasets.Dataset.from_dict({"x": [[number, 2.0]] * 3, "y": [0, 1, 0]})
        datasets.DatasetDict({"train": part, "test": part.select([0])}).save_to_disk(tmp_path / f"partition_{number}")
    data = read(tmp_path, test_split="test")
    assert data.site_names == ("partition_0", "partition_1")
    assert (data.sites.tolist(), data.test_sites.tolist()) == ([0] * 3 + [1] * 3, [0, 1])
    with pytest.raises(InputError, match=r"no split 'val'.*\n.*Known splits: test, train"):
        read(tmp_path, test_split="val")


def test_pictures_become_images(tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    features = datasets.Features({"x": datasets.Image(), "y": datasets.Value("int64")})
    datasets.Dataset.from_dict({"x": list(pixels), "y": [0, 1]}, features=features).save_to_disk(tmp_path / "saved")
    data = read(tmp_path / "saved")
    assert data.kind == Images()
    assert np.array_equal(data.x_train, pixels)


def test_pictures_of_several_sizes_need_one_and_gaps_are_refused(tmp_path: Path) -> None:
    features = datasets.Features({"x": datasets.Image(), "y": datasets.Value("int64")})
    pictures = [np.zeros((size, 4, 3), dtype=np.uint8) for size in (4, 8)]
    datasets.Dataset.from_dict({"x": pictures, "y": [0, None]}, features=features).save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=r"pictures of different shapes, such as \(4, 4, 3\) and \(8, 4, 3\)"):
        read(tmp_path / "saved")
    with pytest.raises(InputError, match="1 of 2 samples lack 'y'"):
        read(tmp_path / "saved", size=2)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds nothing that save_to_disk has written"):
        read(tmp_path)
