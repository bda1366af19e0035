from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.core.torchvision_import import import_torchvision
from simulator.data import downloads
from simulator.data.downloads import CIFAR10, CIFAR100, FashionMNIST
from simulator.data.idx import read_idx


def idx_bytes(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


def write_fashion_mnist(folder: Path, *, zipped: bool, value: int) -> None:
    folder.mkdir(parents=True)
    for split, count in (("train", 5), ("t10k", 3)):
        arrays = {"images-idx3": np.full((count, 28, 28), value), "labels-idx1": np.arange(count)}
        for kind, array in arrays.items():
            content = idx_bytes(array.astype(np.uint8))
            name = f"{split}-{kind}-ubyte"
            (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "debian"
    monkeypatch.setattr(downloads, "DEBIAN_FASHION_MNIST", folder)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    datasets = import_torchvision().datasets
    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", fail)
    monkeypatch.setattr(datasets.cifar, "download_and_extract_archive", fail)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5)])
def test_idx_files_come_back(tmp_path: Path, shape: tuple[int, ...], zipped: bool) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if zipped else content)
    assert np.array_equal(read_idx(tmp_path / "file"), array)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (idx_bytes(np.zeros((3, 4), dtype=np.uint8))[:-1], "does not hold"),
        (idx_bytes(np.zeros((3, 4), dtype=np.uint8))[:9], "does not hold"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "not an IDX file of unsigned bytes"),
        (b"", "not an IDX file"),
        (b"<html>not found</html>", "not an IDX file"),
        (gzip.compress(idx_bytes(np.zeros((3, 400), dtype=np.uint8)), mtime=0)[:-9], "cannot be read"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "which says that it holds"),
        (b"\x1f\x8bnonsense", "cannot be read"),
    ],
    ids=["short", "shorter", "other type", "empty", "page", "broken gzip", "bomb", "no gzip"],
)
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


def test_fashion_mnist_prefers_the_data_root_and_falls_back_to_debian(tmp_path: Path, debian: Path) -> None:
    write_fashion_mnist(debian, zipped=True, value=1)
    part = FashionMNIST(FashionMNIST.Config(download=False))
    data = part.load(tmp_path)
    data.validate()
    assert data.x_train.shape == (5, 28, 28, 1)
    assert data.y_test is not None
    assert data.y_test.tolist() == [0, 1, 2]
    assert data.x_train.max() == 1
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", zipped=False, value=2)
    assert part.load(tmp_path).x_train.max() == 2


def test_fashion_mnist_is_not_read_from_a_folder_that_misses_a_file(tmp_path: Path, debian: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    write_fashion_mnist(debian, zipped=True, value=1)
    write_fashion_mnist(raw, zipped=True, value=2)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert FashionMNIST(FashionMNIST.Config(download=False)).load(tmp_path).x_train.max() == 1


@pytest.mark.usefixtures("offline")
def test_missing_fashion_mnist_names_every_place_and_the_way_out(tmp_path: Path, debian: Path) -> None:
    for download, says in ((True, "no route to host"), (False, "switched off")):
        with pytest.raises(InputError, match=says) as caught:
            FashionMNIST(FashionMNIST.Config(download=download)).load(tmp_path)
        text = str(caught.value)
        assert str(tmp_path / "FashionMNIST" / "raw") in text
        assert str(debian) in text
        assert "dataset-fashion-mnist" in text


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("part", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("download", [True, False])
def test_missing_cifar_names_the_folder_and_the_archive(tmp_path: Path, part: type[CIFAR10], download: bool) -> None:
    with pytest.raises(InputError, match="no route to host" if download else "switched off") as caught:
        part(part.Config(download=download)).load(tmp_path)
    assert str(tmp_path / "cifar-10") in str(caught.value)
    assert "python.tar.gz" in str(caught.value)


def test_cifar_is_read_from_torchvisions_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(source, "train_list", [["data_batch_1", None]])
    monkeypatch.setattr(source, "test_list", [["test_batch", None]])
    monkeypatch.setattr(source, "meta", source.meta | {"md5": None})
    folder = tmp_path / source.base_folder
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": [0, 1, 1, 0]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["plane", "car"]}))
    data = CIFAR10(CIFAR10.Config(download=False)).load(tmp_path)
    data.validate()
    assert data.class_names == ("plane", "car")
    assert np.array_equal(data.x_train[2, 5, 7], pixels[2].reshape(3, 32, 32)[:, 5, 7])
