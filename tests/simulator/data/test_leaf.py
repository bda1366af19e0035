from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.leaf import Leaf

TRAIN = {"bob": ([[0.0, 1], [0.5, 0.25]], [3, 5]), "ann": ([[2.0, 2]], [3])}
TEST = {"ann": ([[7.0, 7]], [5]), "bob": ([[8.0, 8]], [3])}


def write(path: Path, users: dict[str, Any], **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    path.write_text(json.dumps(content | changes))


def read(folder: Path, **settings: Any) -> ArrayData:
    data = Leaf(path=folder, **settings).load(Path("/nowhere"))
    data.validate()
    return data


def test_users_are_sites_whatever_file_and_order_they_come_in(tmp_path: Path) -> None:
    write(tmp_path / "one" / "train" / "all.json", TRAIN)
    write(tmp_path / "one" / "test" / "all.json", TEST)
    for user in TRAIN:
        write(tmp_path / "two" / "train" / f"{user[::-1]}.json", {user: TRAIN[user]})
        write(tmp_path / "two" / "test" / f"{user}.json", {user: TEST[user]})
    for name in ("one", "two"):
        data = read(tmp_path / name)
        assert data.site_names == ("ann", "bob")
        assert data.sites is not None
        assert data.test_sites is not None
        assert (data.sites.tolist(), data.test_sites.tolist()) == ([0, 1, 1], [0, 1])
        assert np.array_equal(data.x_train, np.array([[2, 2], [0, 1], [0.5, 0.25]], dtype=np.float32))
        assert data.y_train is not None
        assert (data.y_train.tolist(), data.class_names) == ([0, 0, 1], ("3", "5"))


def test_rows_of_pixels_become_images_of_the_shape_given(tmp_path: Path) -> None:
    pixels = (np.arange(4) / 255).tolist()
    for split in ("train", "test"):
        write(tmp_path / split / "a.json", {"ann": ([pixels], [0])})
    data = read(tmp_path, shape=[2, 2, 1])
    assert data.kind == Images()
    assert isinstance(data.x_train, np.ndarray)
    assert data.x_train.ravel().tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="a sample has shape"):
        read(tmp_path, shape=[2, 3])


def test_text_becomes_characters_and_the_next_one_the_class(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.json", {"ann": (["abb", "b"], ["b", "a"])})
    write(tmp_path / "test" / "a.json", {"ann": (["ca"], ["b"])})
    data = read(tmp_path)
    assert not isinstance(data.x_train, np.ndarray)
    assert data.x_train["ids"].tolist() == [[3, 2, 2], [2, 0, 0]]
    assert data.x_train["lengths"].tolist() == [3, 1]
    assert data.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (TRAIN, {"ann": TEST["ann"]}, "1 users are in train and missing in test: bob"),
        ({"ann": TRAIN["ann"]}, TEST, "1 users are in test and missing in train: bob"),
        ({"ann": ([[1.0], [1.0, 2.0]], [0, 1])}, {"ann": ([[1.0]], [0])}, "lengths from 1 to 2: pad them"),
        ({"ann": ([[1.0]], [0, 1])}, {"ann": ([[1.0]], [0])}, "user ann in a.json has 1 x, 2 y, and num_samples 2"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, train: Any, test: Any, says: str) -> None:
    write(tmp_path / "train" / "a.json", train)
    write(tmp_path / "test" / "a.json", test)
    with pytest.raises(InputError, match=says):
        read(tmp_path)


def test_files_that_are_not_leafs_and_users_in_two_files_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.json", TRAIN)
    write(tmp_path / "test" / "a.json", TEST)
    write(tmp_path / "train" / "b.json", {"ann": TRAIN["ann"]})
    with pytest.raises(InputError, match="user ann is in two files"):
        read(tmp_path)
    (tmp_path / "train" / "b.json").write_text("{}")
    with pytest.raises(InputError, match=r"b\.json is no LEAF file"):
        read(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        read(tmp_path / "nothing")
