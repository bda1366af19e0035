"""Hosts that shall have the same data: another file on one of them is refused by name, before it starts."""

from dataclasses import replace

import numpy as np
import pytest
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError


def write(file, seed):
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (90, 6, 6), dtype=np.uint8), np.arange(90) % 3
    np.savez(file, x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])


@pytest.fixture
def deployment(tmp_path):
    for name in ("private", "public"):
        write(tmp_path / f"{name}.npz", seed=len(name))
    write(tmp_path / "public.npz", seed=99)
    public = [{"dataset": {"name": "npz", "path": str(tmp_path / "public.npz")}, "samples": 20}]
    data = {"dataset": {"name": "npz", "path": str(tmp_path / "private.npz")}, "public": public}
    return Deployment(small(data=data), tmp_path)


@pytest.mark.parametrize("which", ["private", "public"])
def test_other_data_on_a_host_are_refused_by_its_name(deployment, tmp_path, which):
    assert deployment.node_folder(1).peer(deployment.manifest, deployment.gate(1)).round == 0
    write(tmp_path / f"{which}.npz", seed=1)
    with pytest.raises(InputError, match=r"node 1: its data are not those that the run was planned with: npz, npz"):
        deployment.node_folder(1).peer(deployment.manifest, deployment.gate(1))


def test_labels_alone_make_other_data(deployment, tmp_path):
    file = tmp_path / "private.npz"
    with np.load(file) as arrays:
        changed = dict(arrays) | {"y_train": (arrays["y_train"] + 1) % 3}
    np.savez(file, **changed)
    with pytest.raises(InputError, match="node 2: its data are not those"):
        deployment.node_folder(2).peer(deployment.manifest, deployment.gate(2))


def test_a_run_that_says_nothing_of_its_data_is_no_run_of_any(deployment):
    with pytest.raises(InputError, match="node 0: its data are not those"):
        deployment.node_folder(0).peer(replace(deployment.manifest, shared=""), deployment.gate(0))
