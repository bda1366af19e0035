"""Noisy labels and duplicates: who is hit, with what, what stays as it was, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference.experiments import small
from scipy.stats import chisquare

from simulator import load_experiment
from simulator.core.errors import InputError
from simulator.core.samples import Samples
from simulator.data.label_noise import Given, LabelNoise, Pair, Symmetric
from simulator.data.npz import Npz
from simulator.data.partition import Iid
from simulator.data.splits import Corruption, DataSettings, NetworkData, PublicSource, prepare

Writer = Callable[..., Path]
Arrays = dict[str, NDArray[Any]]
SPLITS = ("train", "validation", "held_out")
SYMMETRIC = Symmetric.Config(rate=0.25)


def prepared(path: Path, nodes: int = 4, seed: int = 0, public: int = 0, **corruption: Any) -> NetworkData:
    dataset = Npz.Config(path=path)
    sources = (PublicSource(dataset=dataset, samples=public),) if public else ()
    settings = DataSettings(
        dataset=dataset,
        partition=Iid.Config(),
        validation=0.2,
        held_out=0.3,
        public=sources,
        corruption=Corruption(**corruption),
    )
    return prepare(settings, nodes, seed)


def recorded(data: NetworkData, folder: Path) -> Arrays:
    data.save_partition(folder / "partition.npz")
    with np.load(folder / "partition.npz") as arrays:
        return dict(arrays)


def labels(samples: Samples) -> list[int]:
    return samples.targets_at(torch.arange(len(samples))).tolist()


def refused(path: Path, **corruption: Any) -> tuple[str, str, str]:
    with pytest.raises(InputError) as caught:
        prepared(path, **corruption)
    (problem,) = caught.value.problems
    return problem.where, problem.what, problem.advice


def test_symmetric_noise_hits_its_share_of_each_node_with_any_other_class(write_npz: Writer, tmp_path: Path) -> None:
    saved = recorded(prepared(write_npz("a.npz", train=6000), labels=SYMMETRIC), tmp_path)
    true, given = saved["train_true_label"], saved["train_label"]
    assert (true == saved["train_index"] % 5).all()
    assert (saved["train_flipped"] == (true != given)).all()
    for node in range(4):
        mine = saved["train_flipped"][saved["train_node"] == node]
        assert mine.sum() == round(0.25 * len(mine))
    steps = np.bincount((given - true)[saved["train_flipped"]] % 5, minlength=5)
    assert steps[0] == 0
    assert chisquare(steps[1:]).pvalue > 0.001


def test_pair_noise_goes_to_the_next_class(write_npz: Writer, tmp_path: Path) -> None:
    saved = recorded(prepared(write_npz("a.npz"), labels=Pair.Config(rate=1.0)), tmp_path)
    assert (saved["train_label"] == (saved["train_true_label"] + 1) % 5).all()
    assert saved["train_flipped"].all()


def test_single_nodes_have_rates_of_their_own(write_npz: Writer, tmp_path: Path) -> None:
    noise = Symmetric.Config(rate=0.1, nodes={0: 0.5, 3: 0.0})
    saved = recorded(prepared(write_npz("a.npz", train=800), labels=noise), tmp_path)
    shares = [saved["train_flipped"][saved["train_node"] == node].mean() for node in range(4)]
    assert shares == [0.5, 0.1, 0.1, 0.0]


def test_a_higher_rate_hits_the_same_samples_and_more(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    low, high = (recorded(prepared(path, labels=Symmetric.Config(rate=r)), tmp_path) for r in (0.2, 0.4))
    assert (low["train_index"] == high["train_index"]).all()
    hit = low["train_flipped"]
    assert hit.sum() < high["train_flipped"].sum()
    assert (low["train_label"][hit] == high["train_label"][hit]).all()
    other = recorded(prepared(path, seed=1, labels=Symmetric.Config(rate=0.2)), tmp_path)
    assert set(other["train_index"][other["train_flipped"]]) != set(low["train_index"][hit])


def test_nodes_train_on_the_noisy_labels(write_npz: Writer, tmp_path: Path) -> None:
    data = prepared(write_npz("a.npz"), labels=SYMMETRIC)
    saved = recorded(data, tmp_path)
    for split in SPLITS:
        for i, node in enumerate(data.nodes):
            assert labels(getattr(node, split)) == saved[f"{split}_label"][saved[f"{split}_node"] == i].tolist()


def test_non_members_are_as_noisy_as_members_and_nothing_else_is(write_npz: Writer, tmp_path: Path) -> None:
    """Were held-out labels clean, an audit could tell non-members by their labels."""
    data = prepared(write_npz("a.npz"), public=60, labels=SYMMETRIC)
    saved = recorded(data, tmp_path)
    assert saved["held_out_flipped"].mean() == pytest.approx(0.25, abs=0.05)
    assert not saved["validation_flipped"].any()
    assert labels(data.nodes[0].test) == (saved["test_index"] % 5).tolist()
    assert (saved["public_labels"] == saved["public_index"] % 5).all()


def test_validation_samples_can_be_noisy_too(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    clean, noisy = (recorded(prepared(path, labels=SYMMETRIC, validation=v), tmp_path) for v in ("clean", "noisy"))
    assert noisy["validation_flipped"].mean() == pytest.approx(0.25, abs=0.05)
    assert (clean["train_label"] == noisy["train_label"]).all()


def test_given_labels_are_taken_as_they_are(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    worse = np.random.default_rng(0).integers(0, 5, 300).astype(np.uint8)
    with np.load(path) as arrays:
        np.savez(path, y_train_worse=worse, **arrays)
    saved = recorded(prepared(path, labels=Given.Config(key="worse")), tmp_path)
    assert (saved["train_label"] == worse[saved["train_index"]]).all()
    assert 0.6 < saved["train_flipped"].mean() < 0.95
    half = recorded(prepared(path, labels=Given.Config(key="worse", rate=0.0, nodes={1: 1.0})), tmp_path)
    assert set(half["train_node"][half["train_flipped"]]) == {1}


def test_given_labels_that_cannot_be_used_are_refused(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    with np.load(path) as arrays:
        more = {"worse": np.zeros(300, int), "short": np.zeros(7, int), "high": np.full(300, 5), "real": np.zeros(300)}
        np.savez(path, **arrays, **{f"y_train_{name}": values for name, values in more.items()})
    where, what, advice = refused(path, labels=Given.Config(key="wors"))
    assert (where, what) == ("data.corruption.labels.key", "the data set has no labels 'wors'.")
    assert advice == "Did you mean 'worse'? Known keys: high, real, short, worse."
    assert "shape (7,), but there are 300" in refused(path, labels=Given.Config(key="short"))[1]
    assert "from 0 to 4" in refused(path, labels=Given.Config(key="high"))[2]
    assert "from 0 to 4" in refused(path, labels=Given.Config(key="real"))[2]


def test_duplicates_are_one_image_with_two_labels(write_npz: Writer, tmp_path: Path) -> None:
    data = prepared(write_npz("a.npz"), duplicates=6)
    saved = recorded(data, tmp_path)
    index, copied = saved["train_index"], saved["train_duplicate_of"]
    assert [(copied[saved["train_node"] == node] >= 0).sum() for node in range(4)] == [6] * 4
    label_of = dict(zip(index.tolist(), saved["train_label"].tolist(), strict=True))
    for place in np.flatnonzero(copied >= 0):
        source = copied[place]
        assert saved["train_node"][index == source] == saved["train_node"][place]
        assert source not in index[copied >= 0]
        assert label_of[index[place]] != label_of[source]
        assert saved["train_true_label"][place] == source % 5
        assert torch.equal(*data.nodes[0].train.inputs[[source, index[place]]])
    assert (saved["train_flipped"] == (copied >= 0)).all()
    assert len(set(copied[copied >= 0])) == 24


def test_more_duplicates_than_samples_are_refused(write_npz: Writer) -> None:
    where, what, advice = refused(write_npz("a.npz"), duplicates=20)
    assert where == "data.corruption.duplicates"
    assert what == "node 0 has 38 training samples, and 20 pairs of duplicates need 40."
    assert "19 at most" in advice


def test_without_corruption_nothing_is_changed_nor_recorded(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    plain, zero = prepared(path), prepared(path, labels=Symmetric.Config(rate=0.0))
    before, after = recorded(plain, tmp_path), recorded(zero, tmp_path)
    assert not any("true" in name or "flipped" in name or "duplicate" in name for name in before)
    assert all(np.array_equal(values, after[name]) for name, values in before.items())
    assert not after["train_flipped"].any()


def test_noise_moves_neither_partition_nor_splits(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    plain, noisy = (recorded(prepared(path, **c), tmp_path) for c in ({}, {"labels": SYMMETRIC, "duplicates": 3}))
    for split in SPLITS:
        for what in ("index", "node"):
            assert (plain[f"{split}_{what}"] == noisy[f"{split}_{what}"]).all()


MISTAKES = {
    "data.corruption={labels: {name: symmetric, rate: 1.5}}": ("data.corruption.labels.rate", "Correct"),
    "data.corruption={labels: {name: symmetric, rate: 0.1, nodes: {1: -0.5}}}": (
        "data.corruption.labels.nodes.1",
        "Correct",
    ),
    "data.corruption={labels: {name: symetric, rate: 0.1}}": ("data.corruption.labels.name", "'symmetric'"),
    "data.corruption={labels: symmetric}": ("data.corruption.labels.rate", "Add it"),
    "data.corruption={labels: {name: pair, rate: 0.1, nodes: {4: 0.5}}}": ("data.corruption.labels.nodes.4", "0 to 3"),
    "data.corruption={duplicates: -1}": ("data.corruption.duplicates", "Correct"),
    "data.corruption={label: pair}": ("data.corruption.label", "'labels'"),
    "data.corruption.validation=dirty": ("data.corruption.validation", "Correct"),
}


@pytest.mark.parametrize("override", MISTAKES)
def test_each_mistake_in_the_block_is_named_where_it_stands(override: str) -> None:
    where, advice = MISTAKES[override]
    with pytest.raises(InputError) as caught:
        small(override)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert advice in problem.advice


def test_the_block_survives_being_written_and_read() -> None:
    for override in ("duplicates=3", "labels={name: pair, rate: 0.1, nodes: {2: 0.5}}", "labels=null"):
        experiment = small(f"data.corruption.{override}")
        again = load_experiment(experiment.to_dict())
        assert again == experiment
        assert isinstance(again.data.corruption.labels, LabelNoise.Config) == override.startswith("labels={")


@pytest.mark.parametrize("duplicates", [1, 2])
def test_a_single_pair_of_duplicates_is_corruption(write_npz: Writer, tmp_path: Path, duplicates: int) -> None:
    assert Corruption(duplicates=duplicates).is_on
    saved = recorded(prepared(write_npz("a.npz"), duplicates=duplicates), tmp_path)
    assert [(saved["train_duplicate_of"][saved["train_node"] == node] >= 0).sum() for node in range(4)] == [
        duplicates
    ] * 4
