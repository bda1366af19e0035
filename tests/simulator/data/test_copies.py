"""Exact copies are found, and told where they spoil a score."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from simulator.core.samples import Samples
from simulator.data.copies import AT_ONCE, copied, told_shared
from simulator.data.npz import Npz
from simulator.data.partition import BySite, Iid
from simulator.data.settings import DataSettings
from simulator.data.splits import prepare


def everything(arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return arrays, np.arange(len(arrays))


@pytest.mark.parametrize("shape", [(3,), (5, 7), (), (2, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_they_are_those_that_a_comparison_of_all_pairs_finds(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    these, those = (rng.integers(0, 2, (AT_ONCE + 9, *shape)).astype(dtype) for _ in range(2))
    these, those = these[:: AT_ONCE // 64], those[-300:]
    same = (these[:, None] == those[None]).reshape(len(these), len(those), -1).all(axis=2).any(axis=1)
    assert copied(everything(these), everything(those)).tolist() == same.tolist()


def test_all_blocks_are_looked_at_and_only_the_rows_asked_for() -> None:
    values = np.arange(3 * AT_ONCE, dtype=np.int64)
    one = np.array([AT_ONCE + 1, 5]), np.array([0, 1])
    assert copied(one, (values, np.arange(len(values)))).all()
    assert copied(one, (values, np.arange(10))).tolist() == [False, True]


def test_several_arrays_are_alike_if_all_are() -> None:
    first, second = np.zeros((4, 0), dtype=np.float32), np.array([[1], [2], [3], [4]], dtype=np.int16)
    one, other = {"a": first, "b": second}, {"a": first[:2], "b": second[2:]}
    assert copied((one, np.arange(4)), (other, np.arange(2))).tolist() == [False, False, True, True]


def test_sums_that_agree_by_chance_are_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.data.copies._sums", lambda inputs, rows: np.zeros(len(rows), dtype=np.uint64))
    assert copied(everything(np.arange(4)), everything(np.array([2, 9]))).tolist() == [False, False, True, False]


def test_a_site_that_has_a_sample_twice_shares_it_with_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.data.copies._sums", lambda inputs, rows: np.zeros(len(rows), dtype=np.uint64))
    arrays = torch.tensor([[1.0], [1.0], [2.0], [1.0]])
    nodes = {
        name: SimpleNamespace(train=Samples(arrays, None, torch.tensor(rows)))
        for name, rows in {"a": [0, 1], "b": [2], "c": [3]}.items()
    }
    (told,) = told_shared(nodes)  # type: ignore[arg-type]
    assert told.startswith("3 training samples of a and c are exact copies of each other's")
    assert not list(told_shared({name: nodes[name] for name in ("a", "b")}))  # type: ignore[misc]


@pytest.mark.parametrize(("test", "told"), [("common", "2 of 10 test samples"), ("own", "")])
def test_test_samples_that_are_trained_on_are_told(tmp_path: Path, test: str, told: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (58, 4, 4, 1), dtype=np.uint8)
    tested = np.concatenate([images[50:], images[[3, 7]]])
    np.savez(
        tmp_path / "a.npz", x_train=images[:50], y_train=np.arange(50) % 2, x_test=tested, y_test=np.arange(10) % 2
    )
    settings = {"dataset": Npz.Config(path=tmp_path / "a.npz"), "partition": Iid.Config(), "test": test}
    notes = prepare(DataSettings.model_validate({**settings, "validation": 0.0}), nodes=2, seed=0).notes
    assert [note.split(" are ")[0] for note in notes if "exact copies" in note] == ([told] if told else [])


def test_so_are_those_that_nodes_hold_back_themselves(tmp_path: Path) -> None:
    images = np.zeros((60, 4, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(60) % 2)
    settings = {"dataset": Npz.Config(path=tmp_path / "a.npz"), "partition": Iid.Config(), "test": "own"}
    notes = prepare(DataSettings.model_validate({**settings, "validation": 0.0}), nodes=2, seed=0).notes
    assert any("12 of 12 test samples are exact copies of training samples" in note for note in notes)


@pytest.mark.parametrize(
    ("count", "told"), [(2, "4 training samples of 0 and 1"), (6, "12 training samples of 6 sites")]
)
def test_so_are_those_that_sites_of_one_pool_train_on(tmp_path: Path, count: int, told: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12 * count, 4, 4, 1), dtype=np.uint8)
    images[: 2 * count] = np.repeat(images[:2], count, axis=0)
    own, tests = np.arange(10 * count), np.arange(2 * count)
    np.savez(
        tmp_path / "a.npz", x_train=images[: len(own)], y_train=own // count % 2, site_train=own % count,
        x_test=images[len(own) :], y_test=tests // count % 2, site_test=tests % count,
    )  # fmt: skip
    for partition, expected in ((BySite.Config(), [told]), (Iid.Config(), [])):
        settings = {"dataset": Npz.Config(path=tmp_path / "a.npz"), "partition": partition, "validation": 0.0}
        notes = prepare(DataSettings.model_validate({**settings, "test": "common"}), nodes=count, seed=0).notes
        assert [note.split(" are ")[0] for note in notes if "copies of each other's" in note] == expected


def test_so_are_images_that_stand_under_several_classes(tmp_path: Path) -> None:
    images = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)
    classes = np.array(["cat", "dog"])[np.arange(40) % 2]
    images[7], images[11], images[8] = images[2], images[2], images[4]  # the last two of one class
    np.savez(tmp_path / "a.npz", x_train=images, y_train=classes)
    settings = {"dataset": Npz.Config(path=tmp_path / "a.npz"), "partition": Iid.Config(), "test": "own"}
    notes = prepare(DataSettings.model_validate(settings), nodes=2, seed=0).notes
    (told,) = (note for note in notes if "under different classes" in note)
    assert told.startswith("1 training images are there several times, under different classes, such as cat and dog")
