"""Networks that distil by hand, and random soft labels."""

import numpy as np
import torch
from hypothesis import strategies as st

from methods.idkd import IDKD
from methods.idkd.wire import LABELS
from simulator.core.message import Message
from simulator.core.soft_labels import SoftLabels
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images
from topologies import Topology

from .network import Network, random_data, seeded, sgd

MODELS = {
    "mlp": seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
    "cnn": seeded(lambda: CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 3))),
}


def rows(count, classes, seed):
    """float64 [count, classes], rows sum to 1."""
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(classes), count))


@st.composite
def label_tables(draw, min_size=1):
    """Soft labels of 1 to 5 nodes on 12 public samples, 3 classes."""
    tables = []
    for seed in range(draw(st.integers(min_size, 5))):
        positions = sorted(draw(st.sets(st.integers(0, 11))))
        tables.append(SoftLabels(torch.tensor(positions, dtype=torch.int64), rows(len(positions), 3, seed).float()))
    return tables


def network(model="mlp", public=20, topology=None, **config):
    """Four nodes on a ring with random data, one exchange in round 0 unless ``config`` says otherwise."""
    topology = topology or Topology.build("ring", 4)
    config = {"first_round": 1, "threshold": 0.5, **config}
    return Network(
        topology,
        MODELS[model],
        [random_data(seed=node, public=public) for node in range(topology.num_nodes)],
        sgd(0.5, batch_size=8),
        methods=lambda node: [IDKD(IDKD.Config(**config))],
    )


def labelled(network, node=0):
    """Public positions that ``node`` labelled in the only exchange so far."""
    (positions,) = [kept.arrays["labelled"] for name, kept in network.nodes[node].artifacts if name == "idkd"]
    return positions


def silenced(messages, senders):
    """The same messages, but those of ``senders`` without labels."""
    return [
        Message(m.sender, m.receiver, m.round, {"parameters": m.parts["parameters"]}) if m.sender in senders else m
        for m in messages
    ]


def labels_of(messages, sender):
    """float64 [M, classes] that ``sender`` sent."""
    return next(message.parts[LABELS] for message in messages if message.sender == sender).double()
