"""What nodes train on after an exchange, and when exchanges happen."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.distillation import labelled, labels_of, network, silenced
from reference.twins import merged_labels

from methods.idkd.wire import LABELS, POSITIONS
from topologies import Topology


class TestExchange:
    @settings(max_examples=10)
    @given(st.sampled_from(["ring", "star", "chain", "complete"]), st.sampled_from([0.35, 0.42, 0.6]))
    def test_nodes_train_on_the_mean_of_their_own_and_their_neighbours_labels(self, graph, threshold):
        topology = Topology.build(graph, 5)
        nodes = network(topology=topology, threshold=threshold)
        sent = {
            m.sender: (m.parts[POSITIONS].numpy(), m.parts[LABELS].numpy()) for m in nodes.round() if LABELS in m.parts
        }
        for node in nodes.nodes:
            close_by = sorted((*topology.neighbours(node.id), node.id))
            expected = merged_labels([sent[j] for j in close_by if j in sent])
            assert node.training_set.public_positions.tolist() == list(expected)
            assert set(expected) == set().union(*(labelled(nodes, j).tolist() for j in close_by))
            for row, label in zip(node.training_set.public_targets.numpy(), expected.values(), strict=True):
                np.testing.assert_allclose(row, label, rtol=1e-12)

    def test_a_neighbour_without_labels_does_not_dilute_the_mean(self):
        nodes = network(threshold=0)
        messages = nodes.work()
        nodes.absorb(silenced(messages, (0, 2)))  # the neighbours of node 1

        assert torch.equal(nodes.nodes[1].training_set.public_targets, labels_of(messages, 1))

    def test_labels_of_an_earlier_exchange_are_forgotten(self):
        """Neighbours that label nothing the second time do not count with what they said the first time."""
        nodes = network(threshold=0, every=1)
        nodes.round()
        messages = nodes.work()
        nodes.absorb(silenced(messages, (0, 2)))

        assert torch.equal(nodes.nodes[1].training_set.public_targets, labels_of(messages, 1))

    def test_the_next_exchange_makes_labels_anew(self):
        nodes = network(threshold=0, every=2)
        first, *_ = nodes.round()
        nodes.round()
        second, *_ = nodes.round()

        assert POSITIONS in second.parts
        assert not torch.equal(first.parts[LABELS], second.parts[LABELS])
        with nodes.nodes[0].using(nodes.module):
            assert len(nodes.nodes[0].training_set.public_targets) == 20

    @pytest.mark.parametrize(("start", "every", "expected"), [(1, 1, [*range(1, 8)]), (3, 3, [3, 6]), (4, None, [4])])
    def test_exchanges_happen_in_their_rounds_only(self, start, every, expected):
        nodes = network(threshold=0, first_round=start, every=every)

        assert [r for r in range(1, 8) if any(LABELS in m.parts for m in nodes.round())] == expected

    def test_messages_between_exchanges_hold_parameters_only(self):
        nodes = network(threshold=0, every=2)
        nodes.round()

        assert {tuple(message.parts) for message in nodes.round()} == {("parameters",)}
