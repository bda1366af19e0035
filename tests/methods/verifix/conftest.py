"""A run in which corrections are found worth while."""

import numpy as np
import pytest
from reference.experiments import small


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """``noted(use=..., alphas=..., ...)``: random labels, of which any change of a model may guess a few more."""
    path, rng = tmp_path_factory.mktemp("data") / "random.npz", np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 8, 8), dtype=np.uint8), rng.integers(0, 3, 300)
    np.savez(path, x_train=images[:240], y_train=labels[:240], x_test=images[240:], y_test=labels[240:])
    dataset = {"name": "npz", "path": str(path)}
    data = {"dataset": dataset, "partition": "iid", "validation": 0, "verified": {"share": 0.5}}
    training = {"batch_size": 16, "precision": "fp64", "local_steps": 10, "optimizer": {"lr": 0.1}}

    def build(*overrides, every=None, methods=None, **changes):
        own = {key: changes.pop(key) for key in ("use", "alphas") if key in changes}
        chosen = [{"name": "verifix", "every": every, **own}] if methods is None else methods
        return small(*overrides, **{"data": data, "training": training, "methods": chosen, **changes})

    return build
