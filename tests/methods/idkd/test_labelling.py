"""Which samples a node labels, and how."""

from itertools import pairwise

import pytest
import torch
from reference.distillation import MODELS, labelled, network
from reference.network import Network, random_data, seeded, sgd

from methods.idkd import IDKD, thresholds
from methods.idkd.wire import LABELS, POSITIONS
from topologies import Topology


class TestLabelling:
    def test_labels_exactly_the_samples_above_the_threshold(self):
        nodes = network(threshold=0.42)
        messages = {message.sender: message for message in nodes.work()}
        for node in nodes.nodes:
            with node.using(nodes.module):
                confidence = node.outputs(node.data.public).softmax(1).amax(1)
            expected = (confidence > 0.42).nonzero().flatten().tolist()
            assert messages[node.id].parts[POSITIONS].tolist() == expected
            assert 0 < len(expected) < 20

    @pytest.mark.parametrize("model", MODELS)
    def test_fewer_samples_pass_a_higher_threshold(self, model):
        found = []
        for threshold in (0.0, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8, 1.0):
            nodes = network(model, threshold=threshold)
            nodes.round()
            found.append([set(labelled(nodes, node).tolist()) for node in range(4)])

        for more, fewer in pairwise(found):
            assert all(few <= many for many, few in zip(more, fewer, strict=True))
        assert sum(map(len, found[0])) > sum(map(len, found[3])) > 0

    def test_threshold_0_labels_the_whole_public_set(self):
        """Plain distillation: all nodes label everything."""
        nodes = network(threshold=0)
        nodes.round()

        for node in nodes.nodes:
            assert labelled(nodes, node.id).tolist() == list(range(20))
            assert node.training_set.public_positions.tolist() == list(range(20))

    def test_threshold_1_labels_nothing(self):
        nodes = network(threshold=1)
        messages = nodes.round()

        assert {tuple(message.parts) for message in messages} == {("parameters",)}
        assert all(len(node.training_set.public_positions) == 0 for node in nodes.nodes)

    @pytest.mark.parametrize(("threshold", "passed"), [(1.0, 0), (0.999, 20)])
    def test_a_confidence_equal_to_the_threshold_does_not_pass(self, threshold, passed):
        """A model of huge weights is certain: its confidence rounds to 1 exactly."""
        nodes = network(threshold=threshold)
        for node in nodes.nodes:
            node.parameters.mul_(1e6)
        nodes.round()

        assert len(labelled(nodes)) == passed

    def test_a_higher_temperature_makes_softer_labels(self):
        confidence = []
        for temperature in (1.0, 4.0):
            message, *_ = network(threshold=0, temperature=temperature).work()
            confidence.append(message.parts[LABELS].amax(1))

        assert (confidence[0] > confidence[1]).all()

    @pytest.mark.parametrize("model", MODELS)
    def test_a_samples_confidence_does_not_depend_on_the_other_public_samples(self, model):
        nodes = network(model)
        node = nodes.nodes[0]
        public = node.data.public
        reverse = torch.arange(19, -1, -1)
        with node.using(nodes.module):
            together = node.outputs(public)
            torch.testing.assert_close(node.outputs(public.subset(reverse)), together[reverse], rtol=0, atol=1e-12)
            for place in range(20):
                alone = node.outputs(public.subset(torch.tensor([place])))
                torch.testing.assert_close(alone[0], together[place], rtol=0, atol=1e-12)

    def test_labels_are_made_in_evaluation_mode(self):
        """With dropout, training mode would give other labels each time."""
        build = seeded(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 3)))
        nodes = Network(
            Topology.build("ring", 4),
            build,
            random_data(public=20),
            sgd(0.1),
            methods=lambda node: [IDKD(IDKD.Config(first_round=1, threshold=0))],
        )
        message, *_ = nodes.work()
        nodes.module.bind(nodes.nodes[0].parameters)
        expected = nodes.module.outputs(nodes.nodes[0].data.public, nodes.nodes[0].data.preparation).softmax(1)

        torch.testing.assert_close(message.parts[LABELS], expected.float())

    def test_calibration_takes_as_many_public_as_validation_samples(self, monkeypatch):
        sizes = []
        monkeypatch.setattr(thresholds, "youden_threshold", lambda a, b: sizes.append((len(a), len(b))) or 0.5)
        network(threshold="youden").work()
        network(threshold="youden", public=5).work()

        assert sizes == [(12, 12)] * 4 + [(5, 5)] * 4
