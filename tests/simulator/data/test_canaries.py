"""Canaries: wrong labels, coins, and nothing else touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binom

from simulator.core.errors import InputError
from simulator.core.samples import Samples
from simulator.data.canaries import plant
from simulator.data.npz import Npz
from simulator.data.partition import Iid
from simulator.data.settings import CanarySettings
from simulator.data.splits import DataSettings, NetworkData, prepare

Writer = Callable[..., Path]


def prepared(path: Path, canaries: int, seed: int = 0, nodes: int = 5) -> NetworkData:
    settings = DataSettings(
        dataset=Npz.Config(path=path), partition=Iid.Config(), validation=0.2, held_out=0.2, canaries=canaries
    )
    return prepare(settings, nodes, seed)


def saved(data: NetworkData, path: Path) -> dict[str, np.ndarray]:
    data.save_partition(path)
    with np.load(path) as arrays:
        return dict(arrays)


def test_each_node_trains_on_those_of_its_canaries_that_are_in(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    without, with_ = (saved(prepared(path, count), tmp_path / "p.npz") for count in (0, 12))
    truth = np.arange(300) % 5
    assert np.bincount(with_["canary_node"]).tolist() == [12] * 5
    for node in range(5):
        before, after = (set(each["train_index"][each["train_node"] == node]) for each in (without, with_))
        mine = with_["canary_node"] == node
        index, included = with_["canary_index"][mine], with_["canary_included"][mine]
        assert set(index) <= before
        assert after == before - set(index[~included])
    assert (with_["canary_label"] != truth[with_["canary_index"]]).all()
    labels = dict(zip(with_["canary_index"], with_["canary_label"], strict=True))
    assert with_["train_label"].tolist() == [labels.get(row, truth[row]) for row in with_["train_index"]]
    for split in ("validation", "held_out"):
        for part in ("index", "node", "label"):
            assert (without[f"{split}_{part}"] == with_[f"{split}_{part}"]).all()


def test_without_canaries_nothing_is_written_of_them(write_npz: Writer, tmp_path: Path) -> None:
    assert not [name for name in saved(prepared(write_npz("a.npz"), 0), tmp_path / "p.npz") if "canary" in name]


def test_coins_are_fair_and_labels_uniform_among_the_wrong_ones(write_npz: Writer) -> None:
    path = write_npz("a.npz", train=2_000)
    canaries = prepared(path, 200).canaries
    heads, flips = canaries.included.sum(), len(canaries.included)
    assert 1e-6 < binom.cdf(heads, flips, 0.5) < 1 - 1e-6
    shifts = np.bincount((canaries.label - canaries.index % 5) % 5, minlength=5)
    assert shifts[0] == 0
    assert (binom.cdf(shifts[1:], flips, 0.25) > 1e-6).all()
    assert (binom.cdf(shifts[1:], flips, 0.25) < 1 - 1e-6).all()


def test_blank_canaries_are_zeros_of_a_class_each(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    settings = DataSettings(
        dataset=Npz.Config(path=path), partition=Iid.Config(), canaries=CanarySettings(kind="blank", number=4)
    )
    data = prepare(settings, 5, 0)
    for node, mine in enumerate(data.nodes):
        whose = data.canaries.node == node
        assert len(set(data.canaries.label[whose])) == 4
        index = torch.from_numpy(data.canaries.index[whose])
        assert not mine.train.inputs[index].any()
        assert mine.train.targets[index].tolist() == data.canaries.label[whose].tolist()
    others = np.setdiff1d(np.arange(len(data.nodes[0].train.inputs)), data.canaries.index)
    plain = prepared(path, 0).nodes[0].train
    assert torch.equal(data.nodes[0].train.inputs[others], plain.inputs[others])


@pytest.mark.parametrize(
    ("inputs", "number", "told"),
    [(torch.zeros(8, 2), 4, "of one class are one sample"), (torch.zeros(8, 2, dtype=torch.int32), 2, "tokens")],
)
def test_blank_canaries_that_would_be_alike_or_tokens_are_refused(inputs: torch.Tensor, number: int, told: str) -> None:
    train = Samples(inputs, torch.zeros(8, dtype=torch.int64), torch.arange(8))
    with pytest.raises(InputError, match=told):
        plant(CanarySettings(kind="blank", number=number), train, [np.arange(8)], 3, seed=0)


def test_the_seed_decides(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    first, again, other = (prepared(path, 10, seed).canaries for seed in (3, 3, 4))
    assert (first.included == again.included).all()
    assert (first.index == again.index).all()
    assert (first.index != other.index).any()


def test_too_many_are_refused(write_npz: Writer) -> None:
    with pytest.raises(InputError, match=r"data.canaries: node 0 has 36 samples to train on: too few for 36 canaries"):
        prepared(write_npz("a.npz"), 36)


@pytest.mark.parametrize("targets", [torch.zeros(8, 3, dtype=torch.int64), torch.zeros(8)])
def test_targets_that_are_no_classes_have_no_wrong_ones(targets: torch.Tensor) -> None:
    train = Samples(torch.zeros(8, 2), targets, torch.arange(8))
    assert not plant(CanarySettings(), train, [np.arange(8)], 3, seed=0).arrays()
    with pytest.raises(InputError, match=r"data\.canaries: .*these samples have no classes"):
        plant(CanarySettings(number=2), train, [np.arange(8)], 3, seed=0)
