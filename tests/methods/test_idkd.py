"""In-distribution knowledge distillation: its formulas, and its laws in whole runs on digits."""

import hashlib
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.experiments import Messages, nodes_of, simulate, small
from reference.network import Network, random_data, seeded, sgd
from reference.twins import best_threshold, merged_labels, youden
from torch.nn.functional import cross_entropy, one_hot

from methods.idkd import IDKD, LABELS, POSITIONS, SoftLabels, average, soft_labels, youden_threshold
from simulator import run
from simulator.core.errors import InputError
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.models.small import CNN, MLP
from topologies import Topology

CLASSES = 10
MODELS = {
    "mlp": seeded(lambda: MLP(MLP.Config(hidden=(7,))).build((8, 8, 1), 3)),
    "cnn": seeded(lambda: CNN(CNN.Config(width=3)).build((8, 8, 1), 3)),
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


scores = st.lists(st.sampled_from(np.linspace(0, 1, 12).tolist()), min_size=1, max_size=15).map(np.array)


class TestSoftLabels:
    def test_are_the_softmax_of_the_logits_over_the_temperature(self):
        logits = np.random.default_rng(0).normal(size=(5, 3)) * 4
        for temperature in (0.5, 1.0, 3.0):
            expected = np.exp(logits / temperature)
            expected /= expected.sum(1, keepdims=True)

            np.testing.assert_allclose(soft_labels(torch.from_numpy(logits), temperature), expected, rtol=1e-12)

    def test_tell_confidences_apart_that_single_precision_rounds_to_1(self):
        confidence = soft_labels(torch.tensor([[20.0, 0, 0], [25.0, 0, 0]]), 1.0).amax(1)

        assert confidence[0] < confidence[1] < 1

    @given(st.integers(0, 1000))
    def test_cross_entropy_with_one_hot_labels_is_that_of_the_classes(self, seed):
        rng = np.random.default_rng(seed)
        logits, labels = torch.from_numpy(rng.normal(size=(6, 4))), torch.from_numpy(rng.integers(0, 4, 6))
        soft = cross_entropy(logits, one_hot(labels, 4).double(), reduction="none")

        torch.testing.assert_close(soft, cross_entropy(logits, labels, reduction="none"), rtol=1e-12, atol=1e-12)

    @given(st.integers(0, 1000))
    def test_cross_entropy_is_least_and_equals_the_entropy_where_the_model_says_the_label(self, seed):
        label = rows(1, 4, seed)
        entropy = -(label * label.log()).sum().item()
        elsewhere = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 4)))

        assert cross_entropy(label.log(), label).item() == pytest.approx(entropy, rel=1e-12)
        assert cross_entropy(elsewhere, label).item() >= entropy - 1e-12


class TestThreshold:
    @settings(max_examples=200)
    @given(scores, scores)
    def test_no_threshold_separates_better(self, inside, outside):
        threshold = youden_threshold(inside, outside)

        assert youden(inside, outside, threshold) == pytest.approx(max(best_threshold(inside, outside), 0), abs=1e-12)

    def test_separates_two_beta_distributions_where_their_densities_cross(self):
        """Beta(8, 2) against Beta(2, 8) cross at 1/2; J there is 2 F(1/2; 2, 8) - 1 = 0.961."""
        rng = np.random.default_rng(0)
        inside, outside = rng.beta(8, 2, 4000), rng.beta(2, 8, 4000)
        threshold = youden_threshold(inside, outside)

        assert threshold == pytest.approx(0.5, abs=0.06)
        assert youden(inside, outside, threshold) == pytest.approx(0.961, abs=0.02)

    def test_swapped_inputs_give_no_useful_threshold(self):
        """Guards against scoring out-of-distribution samples as positives: then nothing may be labelled."""
        rng = np.random.default_rng(0)
        inside, outside = rng.uniform(0.6, 1, 200), rng.uniform(0, 0.5, 200)

        assert youden(inside, outside, youden_threshold(inside, outside)) == 1
        assert youden_threshold(outside, inside) == np.inf

    def test_is_exclusive_of_the_outside_and_inclusive_of_the_inside(self):
        threshold = youden_threshold(np.array([0.7, 0.9]), np.array([0.2, 0.4]))

        assert 0.4 <= threshold < 0.7

    def test_equal_scores_everywhere_give_none(self):
        assert youden_threshold(np.full(4, 0.5), np.full(4, 0.5)) == np.inf


class TestAverage:
    @given(label_tables())
    def test_is_the_mean_over_those_who_labelled_the_sample(self, tables):
        merged = average(tables, 12, 3)
        expected = merged_labels([(table.positions.numpy(), table.labels.numpy()) for table in tables])

        assert merged.positions.tolist() == list(expected)
        for row, label in zip(merged.labels.numpy(), expected.values(), strict=True):
            np.testing.assert_allclose(row, label, rtol=1e-12)

    @given(label_tables())
    def test_rows_sum_to_one(self, tables):
        merged = average(tables, 12, 3)

        np.testing.assert_allclose(merged.labels.sum(1), np.ones(len(merged.positions)), atol=1e-6)

    @given(label_tables(), st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order_of_senders(self, tables, random):
        shuffled = random.sample(tables, len(tables))
        one, other = average(tables, 12, 3), average(shuffled, 12, 3)

        assert torch.equal(one.positions, other.positions)
        torch.testing.assert_close(one.labels, other.labels, rtol=1e-12, atol=1e-12)

    @given(label_tables())
    def test_of_one_sender_is_what_it_sent(self, tables):
        merged = average(tables[:1], 12, 3)

        assert torch.equal(merged.positions, tables[0].positions)
        assert torch.equal(merged.labels.float(), tables[0].labels)

    @given(label_tables())
    def test_covers_the_union(self, tables):
        union = set().union(*(table.positions.tolist() for table in tables))

        assert set(average(tables, 12, 3).positions.tolist()) == union


def network(model="mlp", public=20, topology=None, **config):
    """Four nodes on a ring with random data, one exchange in round 0 unless ``config`` says otherwise."""
    topology = topology or Topology.build("ring", 4)
    config = {"start_round": 0, "threshold": 0.5, **config}
    return Network(
        topology,
        MODELS[model],
        [random_data(seed=node, public=public) for node in range(topology.num_nodes)],
        sgd(0.5, batch_size=8),
        methods=lambda node: [IDKD(IDKD.Config(**config))],
    )


def labelled(network, node=0):
    """Public positions that ``node`` labelled in the only exchange so far."""
    ((_, artifact),) = network.nodes[node].artifacts
    return artifact.arrays["labelled"]


class TestLabelling:
    def test_labels_exactly_the_samples_above_the_threshold(self):
        nodes = network(threshold=0.42)
        messages = {message.sender: message for message in nodes.work()}
        for node in nodes.nodes:
            with node.using(nodes.module):
                confidence = node.logits(node.data.public).softmax(1).amax(1)
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
            together = node.logits(public)
            torch.testing.assert_close(node.logits(public.subset(reverse)), together[reverse], rtol=0, atol=1e-12)
            for place in range(20):
                alone = node.logits(public.subset(torch.tensor([place])))
                torch.testing.assert_close(alone[0], together[place], rtol=0, atol=1e-12)

    def test_labels_are_made_in_evaluation_mode(self):
        """With dropout, training mode would give other labels each time."""
        build = seeded(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 3)))
        nodes = Network(
            Topology.build("ring", 4),
            build,
            random_data(public=20),
            sgd(0.1),
            methods=lambda node: [IDKD(IDKD.Config(start_round=0, threshold=0))],
        )
        message, *_ = nodes.work()
        nodes.module.bind(nodes.nodes[0].parameters)
        expected = nodes.module.logits(nodes.nodes[0].data.public, nodes.nodes[0].data.normalizer).softmax(1)

        torch.testing.assert_close(message.parts[LABELS], expected.float())

    def test_calibration_takes_as_many_public_as_validation_samples(self, monkeypatch):
        sizes = []
        monkeypatch.setattr("methods.idkd.youden_threshold", lambda a, b: sizes.append((len(a), len(b))) or 0.5)
        network(threshold="youden").work()
        network(threshold="youden", public=5).work()

        assert sizes == [(12, 12)] * 4 + [(5, 5)] * 4


def silenced(messages, senders):
    """The same messages, but those of ``senders`` without labels."""
    return [
        Message(m.sender, m.receiver, m.round, {"parameters": m.parts["parameters"]}) if m.sender in senders else m
        for m in messages
    ]


def labels_of(messages, sender):
    """float64 [M, classes] that ``sender`` sent."""
    return next(message.parts[LABELS] for message in messages if message.sender == sender).double()


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

    @pytest.mark.parametrize(("start", "every", "expected"), [(0, 1, [*range(7)]), (2, 3, [2, 5]), (3, None, [3])])
    def test_exchanges_happen_in_their_rounds_only(self, start, every, expected):
        nodes = network(threshold=0, start_round=start, every=every)

        assert [r for r in range(7) if any(LABELS in m.parts for m in nodes.round())] == expected

    def test_messages_between_exchanges_hold_parameters_only(self):
        nodes = network(threshold=0, every=2)
        nodes.round()

        assert {tuple(message.parts) for message in nodes.round()} == {("parameters",)}


class Received(Method):
    """Counts the bytes that arrive at a node; last in the list, so it sees messages as they came."""

    def setup(self, node):
        self.bytes = self.wire = 0
        self.messages = []

    def incoming(self, node, message):
        self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in message.parts.values())
        self.wire += len(message.encode())
        self.messages.append(message)
        return message


IDKD_RUN = [{"name": "idkd", "start_round": 1, "every": 2, "threshold": 0.35}]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run with exchanges in rounds 1 and 3 of 5, all messages kept and received bytes counted."""
    path, seen = tmp_path_factory.mktemp("idkd"), Messages()

    def add_counter(node):
        node.methods.append(Received(None))
        node.methods[-1].setup(node)

    experiment = small(rounds=5, methods=IDKD_RUN, evaluate={"every": 1})
    nodes = simulate(experiment, path, add_counter, [seen])
    return path, seen.all, nodes


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestTraffic:
    def test_labels_cost_four_bytes_a_position_and_four_a_class(self, watched):
        path, messages, _ = watched
        count = {
            (line["round"] - 1, line["node"]): int(line["value"])
            for line in lines(path / "metrics.jsonl")
            if line["name"] == "idkd/labelled"
        }
        assert {round for round, _ in count} == {1, 3}
        assert max(count.values()) > 0
        for message in messages:
            sent = dict(message.bytes_by_part)
            labels = sent.pop("idkd.positions", 0) + sent.pop("idkd.labels", 0)
            assert labels == count.get((message.round, message.sender), 0) * (4 + 4 * CLASSES)
            assert list(sent) == ["parameters"]

    def test_the_log_of_messages_is_what_was_sent(self, watched):
        path, messages, _ = watched
        expected = [(m.round, m.sender, m.receiver, m.bytes_by_part, m.wire_bytes) for m in messages]

        written = lines(path / "messages.jsonl")
        assert [(e["round"], e["sender"], e["receiver"], e["parts"], e["wire"]) for e in written] == expected

    def test_what_is_sent_is_received_and_counted(self, watched):
        path, messages, nodes = watched
        sent = sum(sum(message.bytes_by_part.values()) for message in messages)
        metrics = {(e["node"], e["name"]): e["value"] for e in lines(path / "metrics.jsonl") if e["round"] == 5}

        assert sum(node.methods[-1].bytes for node in nodes) == sent
        assert metrics[None, "bytes/sent"] == sent == sum(metrics[node, "bytes/sent"] for node in range(4))
        assert metrics[None, "bytes/wire"] == sum(node.methods[-1].wire for node in nodes)

    def test_no_message_holds_anything_but_parameters_and_labels_of_public_samples(self, watched):
        """No image, no private label, no class histogram: the parts are known, and their shapes leave no room."""
        _, _, nodes = watched
        messages = [message for node in nodes for message in node.methods[-1].messages]
        assert len(messages) == 5 * 8  # rounds and links
        size, public = len(nodes[0].parameters), len(nodes[0].data.public)
        for message in messages:
            assert set(message.parts) in ({"parameters"}, {"parameters", POSITIONS, LABELS})
            assert message.parts["parameters"].shape == (size,)
            if POSITIONS in message.parts:
                positions, labels = message.parts[POSITIONS], message.parts[LABELS]
                assert (positions.dtype, labels.dtype) == (torch.int32, torch.float32)
                assert labels.shape == (len(positions), CLASSES)
                assert len(set(positions.tolist())) == len(positions)
                assert set(positions.tolist()) <= set(range(public))
                torch.testing.assert_close(labels.sum(1), torch.ones(len(labels)))


def metrics_without_idkd(result):
    return [metric for metric in result.metrics() if not metric.name.startswith("idkd/")]


def test_threshold_1_leaves_the_run_as_it_was_to_the_bit(tmp_path):
    base = run(small(), tmp_path / "base")
    with_method = run(small(methods=[{**IDKD_RUN[0], "threshold": 1.0}]), tmp_path / "idkd")

    assert metrics_without_idkd(with_method) == base.metrics()
    assert (with_method.path / "messages.jsonl").read_bytes() == (base.path / "messages.jsonl").read_bytes()
    for node, other in zip(base.nodes, with_method.nodes, strict=True):
        assert torch.equal(node.parameters, other.parameters)


def test_training_before_the_first_exchange_is_as_without_it(tmp_path):
    base = run(small(), tmp_path / "base")
    with_method = run(small(methods=[{"name": "idkd", "start_round": 3, "threshold": 0}]), tmp_path / "idkd")

    before = [m for m in base.metrics() if m.round < 4]
    assert [m for m in metrics_without_idkd(with_method) if m.round < 4] == before
    assert not torch.equal(base.nodes[0].parameters, with_method.nodes[0].parameters)


def test_every_node_has_the_public_set_in_the_same_order():
    nodes = nodes_of(small())
    order = {
        hashlib.sha256(node.data.public.images_at(torch.arange(len(node.data.public))).numpy().tobytes()).hexdigest()
        for node in nodes
    }

    assert len(order) == 1


def test_the_public_set_has_no_labels():
    assert all(node.data.public.labels is None for node in nodes_of(small()))


@pytest.mark.parametrize(
    ("data", "threshold", "missing"),
    [({"public": []}, 0.5, "public data"), ({"validation": 0}, "youden", "validation data")],
)
def test_data_that_the_method_needs_are_asked_for_before_the_run(data, threshold, missing):
    overrides = [f"data.{key}={json.dumps(value)}" for key, value in data.items()]

    with pytest.raises(InputError, match=f"idkd needs {missing}"):
        small(*overrides, methods=[{"name": "idkd", "start_round": 1, "threshold": threshold}])


def test_a_fixed_threshold_needs_no_validation_data():
    small("data.validation=0", methods=[{"name": "idkd", "start_round": 1, "threshold": 0.5}])


def test_a_first_exchange_after_the_end_is_refused():
    with pytest.raises(InputError, match=r"methods\[0\]\.start_round.*round 6 \(from 0\), and the run has 6"):
        small(methods=[{"name": "idkd", "start_round": 6}])
