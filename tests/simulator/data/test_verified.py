"""Verified samples: nobody trains on them, and setting them aside moves nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from simulator.core.errors import InputError
from simulator.core.samples import Samples
from simulator.data.label_noise import Symmetric
from simulator.data.npz import Npz
from simulator.data.partition import Dirichlet, Iid
from simulator.data.splits import Corruption, DataSettings, NetworkData, VerifiedSettings, prepare

Writer = Callable[..., Path]
SHARE = 0.2


@pytest.fixture
def prepared(write_npz: Writer) -> Callable[..., NetworkData]:
    """``prepared(nodes=5, **verified)``: 300 samples of skewed classes; ``verified`` are the block's settings."""
    path = write_npz("a.npz")

    def build(nodes: int = 5, **verified: Any) -> NetworkData:
        settings = DataSettings(
            dataset=Npz.Config(path=path),
            partition=Dirichlet.Config(alpha=0.5),
            validation=0.1,
            held_out=0.2,
            verified=VerifiedSettings(**verified) if verified else None,
        )
        return prepare(settings, nodes, seed=0)

    return build


def rows(samples: Samples) -> set[int]:
    return set(samples.index.tolist())


def test_the_halves_and_what_is_trained_on_are_disjoint_and_cover_what_was_trained_on(
    prepared: Callable[..., NetworkData],
) -> None:
    for before, node in zip(prepared().nodes, prepared(share=SHARE).nodes, strict=True):
        assert before.verified is None
        assert node.verified is not None
        parts = [rows(node.train), rows(node.verified.fit), rows(node.verified.select)]
        assert sorted(row for part in parts for row in part) == sorted(rows(before.train))
        assert len(parts[1]) + len(parts[2]) == round(SHARE * len(before.train))
        assert 0 <= len(parts[1]) - len(parts[2]) <= 1
        assert rows(node.validation) == rows(before.validation)
        assert rows(node.held_out) == rows(before.held_out)


def test_shared_samples_are_those_of_all_nodes_and_change_nothing_else(prepared: Callable[..., NetworkData]) -> None:
    own, shared = prepared(share=SHARE), prepared(share=SHARE, shared=True)
    for half in ("fit", "select"):
        everyone = set().union(*(rows(getattr(node.verified, half)) for node in own.nodes))
        assert all(rows(getattr(node.verified, half)) == everyone for node in shared.nodes)
    for a, b in zip(own.nodes, shared.nodes, strict=True):
        assert rows(a.train) == rows(b.train)


def test_the_saved_partition_tells_them_and_is_as_before_without(
    prepared: Callable[..., NetworkData], tmp_path: Path
) -> None:
    data = prepared(share=SHARE)
    data.save_partition(tmp_path / "with.npz")
    prepared().save_partition(tmp_path / "without.npz")
    with np.load(tmp_path / "with.npz") as saved, np.load(tmp_path / "without.npz") as plain:
        added = {f"verified_{half}_{what}" for half in ("fit", "select") for what in ("index", "node", "label")}
        assert set(saved) - set(plain) == added
        for number, node in enumerate(data.nodes):
            assert node.verified is not None
            mine = saved["verified_fit_node"] == number
            assert set(saved["verified_fit_index"][mine].tolist()) == rows(node.verified.fit)
        assert (saved["verified_select_label"] == saved["verified_select_index"] % 5).all()


def test_no_label_of_theirs_is_ever_wrong(write_npz: Writer) -> None:
    """Where all labels of training samples are, and canaries are planted among these too."""
    path = write_npz("a.npz")
    settings = DataSettings(
        dataset=Npz.Config(path=path),
        partition=Iid.Config(),
        canaries=3,
        verified=VerifiedSettings(share=SHARE),
        corruption=Corruption(labels=Symmetric.Config(rate=1.0)),
    )
    for node in prepare(settings, 4, seed=0).nodes:
        assert node.verified is not None
        for samples, wrong in ((node.verified.fit, False), (node.verified.select, False), (node.train, True)):
            assert samples.targets is not None
            flipped = (samples.targets[samples.index] != samples.index % 5).float().mean()
            assert (flipped > 0.9) if wrong else (flipped == 0)


def test_a_small_share_still_gives_one_sample_to_fit_by_and_one_to_select_by(
    prepared: Callable[..., NetworkData],
) -> None:
    for node in prepared(share=0.001).nodes:
        assert node.verified is not None
        assert (len(node.verified.fit), len(node.verified.select)) == (1, 1)


def test_a_node_with_nothing_left_to_train_on_is_named(prepared: Callable[..., NetworkData]) -> None:
    with pytest.raises(InputError, match=r"data.verified.share: node 0 has 2 samples: none is left"):
        prepared(nodes=75, share=0.5)


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_shares_must_leave_both_sides_something(share: float) -> None:
    with pytest.raises(ValidationError):
        VerifiedSettings(share=share)
