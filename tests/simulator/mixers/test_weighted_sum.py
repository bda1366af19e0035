"""A row of the mixing matrix and what arrived must belong together."""

import numpy as np
import pytest
from reference.network import quadratics, sgd

from simulator.mixers.choco import Choco
from simulator.mixers.gossip import Gossip
from simulator.mixers.push_sum import PushSum
from simulator.mixers.relay_sum import RelaySum
from topologies import Topology

ALL = pytest.mark.parametrize("mixer", [Gossip, PushSum, RelaySum, Choco])


def build(mixer):
    topology = Topology.build("chain", 3)
    return quadratics(topology, np.eye(3), np.eye(3), sgd(0.1), mixer=lambda: mixer(mixer.Config()))


@ALL
def test_a_message_that_is_missing_is_named(mixer):
    network = build(mixer)
    messages = [message for message in network.work() if (message.sender, message.receiver) != (2, 1)]

    with pytest.raises(RuntimeError, match=r"node 1 has terms of nodes \[0, 1\] in round 1.*weights.*\[0, 1, 2\]"):
        network.absorb(messages)


@ALL
def test_a_message_without_a_weight_is_named(mixer):
    network = build(mixer)
    network.nodes[1].weights = {0: 0.5, 1: 0.5}

    with pytest.raises(RuntimeError, match=r"node 1 has terms of nodes \[0, 1, 2\] in round 1.*weights.*\[0, 1\]"):
        network.round()


@ALL
def test_a_lost_message_is_fine_where_its_weight_is_gone_too(mixer):
    network = build(mixer)
    network.nodes[1].weights = {0: 0.5, 1: 0.5}
    network.absorb([message for message in network.work() if (message.sender, message.receiver) != (2, 1)])

    assert np.isfinite(network.parameters).all()
