from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.dataset import ArrayData
from simulator.data.kinds.plain import Plain
from simulator.data.kinds.tokens import Tokens
from simulator.data.npz import Npz


def npz_data(root: Path, **arrays: Any) -> ArrayData:
    np.savez(root / "data.npz", **arrays)
    return Npz(Npz.Config(path=Path("data.npz"))).load(root)


def test_npz_arrays(tmp_path: Path) -> None:
    gray = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    labels = np.array([0, 2, 1], dtype=np.int32)
    data = npz_data(tmp_path, x_train=gray, y_train=labels, x_test=gray[:1], y_test=labels[:1], extra=np.zeros(9))
    data.validate()
    assert np.array_equal(data.x_train[..., 0], gray)
    assert data.y_train is not None
    assert (data.y_train == labels).all()
    assert data.class_names == ("0", "1", "2")


def test_arrays_that_mean_nothing_are_told(tmp_path: Path) -> None:
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    data = npz_data(tmp_path, x_train=images, groups_train=np.arange(3), note=np.zeros(9))
    assert data.groups is None
    assert data.notes == ("data.npz: arrays that mean nothing here are ignored: groups_train, note",)


def test_numbers_in_another_order_of_bytes_are_the_same_numbers(tmp_path: Path) -> None:
    values, labels = np.linspace(0, 1, 12).reshape(3, 4), np.array([0, 1, 1])
    plain, swapped = (
        npz_data(tmp_path, x_train=values.astype(f"{order}f4"), y_train=labels.astype(f"{order}i8")) for order in "<>"
    )
    assert swapped.x_train.dtype.isnative
    assert np.array_equal(swapped.x_train, plain.x_train)
    assert np.array_equal(swapped.y_train, plain.y_train)


def test_npz_for_a_public_set_needs_images_only(tmp_path: Path) -> None:
    data = npz_data(tmp_path, x_train=np.zeros((3, 4, 4, 3), dtype=np.uint8))
    data.validate()
    assert data.y_train is data.x_test is data.y_test is None
    assert data.num_classes == 0


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x_train": np.zeros((2, 4, 4), dtype=np.complex64)}, "x_train has type complex64"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.zeros(3, dtype=int)}, "y_train has shape"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.array([np.nan, 1])}, "y_train has 1 values"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.array([-1, 1])}, "runs from -1 to 1"),
    ],
)
def test_npz_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        npz_data(tmp_path, **arrays).validate()


def test_npz_without_images_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no array x_train; it holds data, y_train\.") as caught:
        npz_data(tmp_path, data=np.zeros(3), y_train=np.zeros(3))
    assert caught.value.problems[0].where == "path"


def test_npz_files_that_cannot_be_read(tmp_path: Path) -> None:
    part = Npz(Npz.Config(path=Path("data.npz")))
    with pytest.raises(InputError, match=r"no file .*data\.npz"):
        part.load(tmp_path)
    (tmp_path / "data.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        part.load(tmp_path)
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        part.load(tmp_path)
    with pytest.raises(InputError, match="cannot be read: Object arrays"):
        npz_data(tmp_path, x_train=np.array([None, 1], dtype=object))


def test_labels_that_are_not_counted_through_are_mapped_and_told(tmp_path: Path) -> None:
    images = np.zeros((4, 2, 2), dtype=np.uint8)
    labels, others = np.array([3, 7, 3, 10**12]), np.array([7, 5, 3, 3])
    data = npz_data(
        tmp_path, x_train=images, y_train=labels, y_train_worse=others, x_test=images[:1], y_test=labels[:1]
    )
    data.validate()
    assert data.class_names == ("3", "7", "1000000000000")
    assert data.y_train is not None
    assert data.y_train.tolist() == [0, 1, 0, 2]
    assert data.other_labels["worse"].tolist() == [1, -1, 0, 0]  # 5 is no class, which is refused where it is used
    assert data.notes == ("data.npz: labels 3, 7, 1000000000000 are classes 0 to 2, in this order",)


def test_labels_that_are_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    images = np.zeros((50_001, 1, 1), dtype=np.uint8)
    with pytest.raises(InputError, match="50,001 different labels"):
        npz_data(tmp_path, x_train=images, y_train=np.arange(50_001))


def test_unsigned_labels_do_not_turn_negative(tmp_path: Path) -> None:
    labels = np.array([0, 2**63 + 5], dtype=np.uint64)
    data = npz_data(tmp_path, x_train=np.zeros((2, 1, 1), dtype=np.uint8), y_train=labels)
    assert data.class_names == ("0", str(2**63 + 5))


def test_an_archive_larger_than_memory_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("simulator.core.capacity.physical_memory", lambda: 10**6)
    np.savez_compressed(tmp_path / "data.npz", x_train=np.zeros((2000, 32, 32), dtype=np.uint8))
    with pytest.raises(InputError, match=r"data\.npz, unpacked, would take"):
        Npz(Npz.Config(path=Path("data.npz"))).load(tmp_path)


def test_several_files_are_sites_and_so_is_a_folder_of_them(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    for number, name in enumerate(("north", "south")):
        rows = np.full((number + 2, 3), number, dtype=np.float64)
        labels = np.array(["ill", "well", "well"])[: number + 2]
        np.savez(tmp_path / "sites" / f"{name}.npz", x_train=rows, y_train=labels, x_test=rows[:1], y_test=labels[:1])
    paths = (Path("sites/north.npz"), Path("sites/south.npz"))
    for path in (Path("sites"), paths):
        data = Npz(Npz.Config(path=path)).load(tmp_path)
        data.validate()
        assert (data.site_names, data.class_names) == (("north", "south"), ("ill", "well"))
        assert data.sites is not None
        assert data.test_sites is not None
        assert (data.sites.tolist(), data.test_sites.tolist()) == ([0, 0, 1, 1, 1], [0, 1])
        assert data.kind == Plain()
    np.savez(tmp_path / "sites" / "west.npz", x_train=np.zeros((2, 4)), y_train=labels[:2])
    with pytest.raises(InputError, match="north and west do not hold the same arrays: x_test, y_test"):
        Npz(Npz.Config(path=Path("sites"))).load(tmp_path)


def test_sites_and_groups_by_array(tmp_path: Path) -> None:
    arrays = {"x_train": np.zeros((3, 2)), "y_train": np.array([0.5, 1, 2]), "group_train": np.array([7, 7, 5])}
    data = npz_data(tmp_path, **arrays, site_train=np.array(["b", "a", "b"]))
    data.validate()
    assert (data.sites.tolist(), data.site_names, data.groups.tolist()) == ([1, 0, 1], ("a", "b"), [1, 1, 0])
    assert (data.y_train.dtype, data.class_names) == (np.float32, ("y_train",))
    with pytest.raises(InputError, match="1 groups have samples to train on and to test with, such as 5"):
        npz_data(tmp_path, **arrays, x_test=np.zeros((1, 2)), group_test=np.array([5]))


def test_several_inputs_by_name_and_one_hot_labels(tmp_path: Path) -> None:
    series, static = np.zeros((2, 5, 3), dtype=np.float32), np.ones((2, 4), dtype=np.int64)
    data = npz_data(tmp_path, x_train_series=series, x_train_static=static, y_train=np.eye(2))
    data.validate()
    assert not isinstance(data.x_train, np.ndarray)
    assert {name: array.shape for name, array in data.x_train.items()} == {"series": (2, 5, 3), "static": (2, 4)}
    assert data.y_train is not None
    assert data.y_train.tolist() == [0, 1]
    assert data.notes == ("data.npz: y_train is one-hot: taken as 2 classes",)


def test_tokens_have_a_vocabulary_and_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=np.array([[1, 2], [3, 0]]), lengths_train=np.array([2, 1]))
    data = Npz(path=Path("data.npz"), vocabulary=4).load(tmp_path)
    data.validate()
    assert data.kind == Tokens(4)
    assert not isinstance(data.x_train, np.ndarray)
    assert data.x_train["lengths"].tolist() == [2, 1]
    with pytest.raises(InputError, match="1 tokens outside of the vocabulary of 3, such as 3"):
        Npz(path=Path("data.npz"), vocabulary=3).load(tmp_path).validate()
