"""Q-SADDLe against vectorised oracles, with several local steps, weight decay and compression, and what it refuses."""

import numpy as np
import pytest
from reference.experiments import small
from reference.network import Network, random_data, sgd
from reference.softmax import Softmax, arrays, sharp_gradients
from reference.twins import choco, largest, quasi_global

from methods.quasi_global_momentum import QuasiGlobalMomentum
from methods.saddle import SADDLe
from simulator.core.errors import InputError
from simulator.mixers.choco import Choco
from topologies import Topology

SADDLE, QGM = {"name": "saddle"}, {"name": "quasi_global_momentum"}
EARLY = {"name": "gossip", "order": "combine_then_adapt"}
TOPOLOGY = Topology.build("ring", 5)
DATA = [random_data(samples=7, shape=(3, 4, 1), classes=3, seed=node) for node in range(5)]
START = np.random.default_rng(0).normal(size=(5, 39))


def sharp(rho):
    held = [arrays(each) for each in DATA]
    return lambda x: np.stack([sharp_gradients(row, *own, rho) for row, own in zip(x, held, strict=True)])


def saddle(rho):
    return SADDLe(SADDLe.Config(rho=rho))


@pytest.mark.parametrize("rho", [0.05, 0.5])
@pytest.mark.parametrize("steps", [1, 3])
def test_followed_by_quasi_global_momentum_it_is_q_saddle(rho, steps):
    momentum = QuasiGlobalMomentum.Config(beta=0.9, mu=0.8, nesterov=False)
    network = Network(
        TOPOLOGY,
        Softmax,
        DATA,
        sgd(0.2, weight_decay=0.01, batch_size=7, local_steps=steps),
        methods=lambda node: [saddle(rho), QuasiGlobalMomentum(momentum)],
        start=START,
    )
    settings = {"beta": 0.9, "mu": 0.8, "nesterov": False, "local_steps": steps, "weight_decay": 0.01}
    path, _ = quasi_global(TOPOLOGY.weights, sharp(rho), START, [0.2] * 6, **settings)

    np.testing.assert_allclose(network.run(6), path, rtol=0, atol=1e-12)


def test_with_choco_it_is_the_compressed_form():
    mixer = Choco.Config(gamma=0.3, compression={"name": "top_k", "keep": 0.25})
    network = Network(
        TOPOLOGY,
        Softmax,
        DATA,
        sgd(0.2, batch_size=7),
        methods=lambda node: [saddle(0.3)],
        mixer=lambda: Choco(mixer),
        start=START,
    )
    code = {"gamma": 0.3, "code": lambda v, i, t: largest(v, 10)}
    path, _ = choco(TOPOLOGY.weights, sharp(0.3), START, [0.2] * 6, **code)

    np.testing.assert_allclose(network.run(6), path, rtol=0, atol=1e-12)


REFUSED = {
    "label_smoothing changes the loss": {"methods": [SADDLE, {"name": "label_smoothing"}]},
    "List saddle before quasi_global_momentum": {"methods": [QGM, SADDLE]},
    "Remove saddle, and set rho of": {
        "methods": [SADDLE, {"name": "neighbourhood_gradient_clustering"}],
        "mixer": EARLY,
    },
    "saddle takes a second gradient": {"methods": [SADDLE, {"name": "dp_sgd", "noise_multiplier": 1.0}]},
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_it_cannot_work_it_is_refused(what):
    with pytest.raises(InputError) as caught:
        small(**REFUSED[what])
    assert what in str(caught.value)
