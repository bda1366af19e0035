"""Whole runs on digits: traffic, what messages hold, what settings need, and what changes nothing."""

import hashlib
import json

import pytest
import torch
from reference.experiments import Posted, nodes_of, simulate, small

from methods.idkd.wire import CLASSES as TOP_CLASSES
from methods.idkd.wire import HISTOGRAM, LABELS, ORIGINS, POSITIONS, SIZES, split
from simulator import run
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.results.run_directory import RunDirectory

CLASSES = 10


class Received(Method):
    """Counts the bytes that arrive at a node; last in the list, so it sees messages as they came."""

    def setup(self, node):
        self.bytes = 0

    def incoming(self, node, message):
        self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in message.parts.values())
        return message


IDKD_RUN = [{"name": "idkd", "first_round": 2, "every": 2, "threshold": 0.35}]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run with exchanges in rounds 1 and 3 of 5, all messages kept and received bytes counted."""
    path, seen = tmp_path_factory.mktemp("idkd"), Posted()

    def add_counter(node):
        node.methods.append(Received(None))
        node.methods[-1].setup(node)
        seen.watch(node)

    experiment = small(rounds=5, methods=IDKD_RUN, evaluate={"every": 1})
    nodes = simulate(experiment, path, add_counter)
    return path, seen.all, nodes


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestTraffic:
    def test_labels_cost_four_bytes_a_position_and_four_a_class(self, watched):
        path, messages, _ = watched
        count = {
            (line["round"], line["node"]): int(line["value"])
            for line in lines(path / "metrics.jsonl")
            if line["name"] == "idkd/labelled"
        }
        assert {round for round, _ in count} == {2, 4}
        assert max(count.values()) > 0
        for message in messages:
            sent = dict(message.envelope.bytes_by_part)
            labels = sent.pop("idkd.positions", 0) + sent.pop("idkd.labels", 0)
            assert labels == count.get((message.round, message.sender), 0) * (4 + 4 * CLASSES)
            assert list(sent) == ["parameters"]

    def test_the_log_of_messages_is_what_was_sent(self, watched):
        path, messages, _ = watched
        in_order = sorted(messages, key=lambda m: (m.round, m.sender, m.receiver))  # nodes may work side by side
        expected = [(m.round, m.sender, m.receiver, m.envelope.bytes_by_part, len(m.encode())) for m in in_order]

        written = RunDirectory(path).messages()
        assert [(e["round"], e["sender"], e["receiver"], e["parts"], e["wire"]) for e in written] == expected

    def test_what_is_sent_is_received_and_counted(self, watched):
        path, messages, nodes = watched
        sent = sum(sum(message.envelope.bytes_by_part.values()) for message in messages)
        metrics = {(e["node"], e["name"]): e["value"] for e in lines(path / "metrics.jsonl") if e["round"] == 5}

        assert sum(node.methods[-2].bytes for node in nodes) == sent
        assert metrics[None, "bytes/sent"] == sent == sum(metrics[node, "bytes/sent"] for node in range(4))
        assert metrics[None, "bytes/wire"] == sum(len(message.encode()) for message in messages)

    def test_no_message_holds_anything_but_parameters_and_labels_of_public_samples(self, watched):
        """No image, no private label, no class histogram: the parts are known, and their shapes leave no room."""
        _, messages, nodes = watched
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
    assert (with_method.path / "messages.arrow").read_bytes() == (base.path / "messages.arrow").read_bytes()
    for node, other in zip(base.nodes, with_method.nodes, strict=True):
        assert torch.equal(node.parameters, other.parameters)


def test_training_before_the_first_exchange_is_as_without_it(tmp_path):
    base = run(small(), tmp_path / "base")
    with_method = run(small(methods=[{"name": "idkd", "first_round": 4, "threshold": 0}]), tmp_path / "idkd")

    before = [m for m in base.metrics() if m.round < 4]
    assert [m for m in metrics_without_idkd(with_method) if m.round < 4] == before
    assert not torch.equal(base.nodes[0].parameters, with_method.nodes[0].parameters)


def test_every_node_has_the_public_set_in_the_same_order():
    nodes = nodes_of(small())
    order = {
        hashlib.sha256(node.data.public.inputs_at(torch.arange(len(node.data.public))).numpy().tobytes()).hexdigest()
        for node in nodes
    }

    assert len(order) == 1


def test_the_public_set_has_no_labels():
    assert all(node.data.public.targets is None for node in nodes_of(small()))


@pytest.mark.parametrize(
    ("data", "threshold", "missing"),
    [({"public": []}, 0.5, "public data"), ({"validation": 0}, "youden", "validation data")],
)
def test_data_that_the_method_needs_are_asked_for_before_the_run(data, threshold, missing):
    overrides = [f"data.{key}={json.dumps(value)}" for key, value in data.items()]

    with pytest.raises(InputError, match=f"idkd needs {missing}"):
        small(*overrides, methods=[{"name": "idkd", "first_round": 2, "threshold": threshold}])


def test_a_fixed_threshold_needs_no_validation_data():
    small("data.validation=0", methods=[{"name": "idkd", "first_round": 2, "threshold": 0.5}])


def test_a_first_exchange_after_the_end_is_refused():
    with pytest.raises(InputError, match=r"methods\[0\]\.first_round.*round 7, and the run has 6"):
        small(methods=[{"name": "idkd", "first_round": 7}])


def exchange(path, **config):
    """All messages, and the nodes, of a run with one exchange from round 1 on."""
    seen = Posted()
    method = {"name": "idkd", "first_round": 2, "threshold": 0.3, **config}
    nodes = simulate(small(rounds=4, methods=[method]), path, seen.watch)
    return seen.all, nodes


@pytest.mark.parametrize("merge", ["average", "confidence", "official"])
@pytest.mark.parametrize("hops", [1, 3])
def test_only_the_official_rule_sends_class_histograms_and_they_are_true(tmp_path, merge, hops):
    messages, nodes = exchange(tmp_path, merge=merge, hops=hops)
    allowed = {"parameters", POSITIONS, LABELS} | ({ORIGINS, SIZES} if hops > 1 else set())
    parts = set().union(*(message.parts for message in messages))

    assert parts == allowed | ({HISTOGRAM} if merge == "official" else set())
    for message in messages:
        for origin, table in split(message.parts, message.sender).items():
            if merge == "official":
                train = nodes[origin].data.train
                expected = torch.bincount(train.targets_at(torch.arange(len(train))), minlength=CLASSES)
                assert torch.equal(table[HISTOGRAM][0].long(), expected)


@pytest.mark.parametrize(
    ("form", "each"),
    [({}, 44), ({"label_dtype": "float16"}, 24), ({"top_k": 3}, 19), ({"top_k": 3, "label_dtype": "float16"}, 13)],
)
def test_bytes_over_several_hops_are_those_of_the_labels_and_their_makers(tmp_path, form, each):
    messages, _ = exchange(tmp_path, hops=3, **form)
    for message in messages:
        sent = dict(message.envelope.bytes_by_part)
        del sent["parameters"]
        tables = split(message.parts, message.sender)
        makers = 0 if set(tables) <= {message.sender} else 8 * len(tables)
        assert sum(sent.values()) == each * sum(len(table[POSITIONS]) for table in tables.values()) + makers
    assert any(ORIGINS in message.parts for message in messages)
    assert any(TOP_CLASSES in message.parts for message in messages) == ("top_k" in form)


def test_a_cap_keeps_the_samples_of_highest_score(tmp_path):
    capped, _ = exchange(tmp_path / "capped", threshold="none", cap=5)
    free, _ = exchange(tmp_path / "free", threshold="none")
    whole = {message.sender: message.parts[LABELS].amax(1) for message in free if LABELS in message.parts}
    kept = [message for message in capped if POSITIONS in message.parts]

    assert kept
    for message in kept:
        positions = message.parts[POSITIONS].long()
        best = set(whole[message.sender].argsort(descending=True)[:5].tolist())
        assert set(positions.tolist()) == best
        assert (positions.diff() > 0).all()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"temperature": 0}, r"temperature.*greater than 0"),
        ({"temperature": -1}, r"temperature.*greater than 0"),
        ({"hops": 0}, r"hops.*greater than 0"),
        ({"top_k": 0}, r"top_k.*greater than 0"),
        ({"cap": 0}, r"cap.*greater than 0"),
        ({"nearest": 0}, r"nearest.*greater than 0"),
        ({"threshold": "tpr", "tpr": 0}, r"tpr.*greater than 0"),
        ({"threshold": "tpr", "tpr": 1.1}, r"tpr.*less than or equal to 1"),
        ({"threshold": "best"}, r"threshold"),
        ({"detector": "mahalanobis"}, r"detector.*'msp'"),
        ({"merge": "median"}, r"merge.*'average'"),
        ({"label_dtype": "int8"}, r"label_dtype.*'float32'"),
        ({"hops": 3, "every": 2}, r"methods\[0\]\.hops: an exchange takes 3 rounds.*\n.*at most 2 hops"),
        ({"hops": 3, "every": 4}, r"methods\[0\]\.hops: the exchange that begins in round 6.*\n.*Choose 8 rounds"),
        ({"hops": 6}, r"methods\[0\]\.hops: the exchange that begins in round 2.*\n.*Choose 7 rounds"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, shown):
    with pytest.raises(InputError, match=shown):
        small(methods=[{"name": "idkd", "first_round": 2, **settings}])


def test_an_exchange_may_fill_the_run_and_the_next_may_follow_at_once():
    small(methods=[{"name": "idkd", "first_round": 2, "hops": 5}])
    small(methods=[{"name": "idkd", "first_round": 1, "hops": 3, "every": 3}])


def test_more_probabilities_than_classes_are_refused_before_the_first_round():
    with pytest.raises(InputError, match=r"idkd\.top_k: 11 probabilities of 10 classes.*\n.*10 at most"):
        nodes_of(small(methods=[{"name": "idkd", "first_round": 2, "top_k": 11}]))
