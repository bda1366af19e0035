"""The local backend: the number of workers never shows in the results, and orders are carried out as given."""

import pytest
import torch
from reference.experiments import METHODS, results, small
from reference.network import Existing, random_data, sgd

from simulator import run
from simulator.backends.local import Local
from simulator.core.backend import Order
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node, SharedSettings
from simulator.core.place import Place
from simulator.mixers.gossip import Gossip
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology


def start(workers=1, nodes=3, touch=lambda members: None):
    """A backend with nodes on a chain; close it."""
    topology, data, training = Topology.build("chain", nodes), random_data(), sgd(0.1, batch_size=4)

    def build():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return FlatModule(MLP(MLP.Config(hidden=(5,))).build(*of_images((8, 8, 1), 3)), "fp64")

    rows, schedule = build().initial.repeat(nodes, 1), SharedSettings(0, nodes, 10, training)
    backend = Local(Local.Config(workers=workers))
    places = [Place(i, topology.row(i), topology.out_neighbours(i)) for i in range(nodes)]
    members = [Node(p, schedule, data, rows[p.id], Gossip(Gossip.Config()), []) for p in places]
    touch(members)
    backend.start(Existing(topology, build, members))
    return backend


@pytest.fixture
def backend():
    backend = start()
    yield backend
    backend.close()


def test_the_number_of_workers_does_not_change_a_bit(tmp_path):
    found = []
    for workers in (1, 2, 3):
        done = run(small(methods=METHODS, backend={"name": "local", "workers": workers}), tmp_path / str(workers))
        found.append(results(done.path))

    assert found[0] == found[1] == found[2]


def test_replies_come_in_order_of_node_id():
    backend = start(workers=2, nodes=5)
    try:
        assert list(backend.superstep(Order(begin=True, train=True, send=1))()) == [0, 1, 2, 3, 4]
    finally:
        backend.close()


def test_work_returns_messages_and_nothing_else(backend):
    replies = backend.superstep(Order(begin=True, train=True, send=1))()

    assert [(m.sender, m.receiver) for r in replies.values() for m in r.sent] == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert all(reply.evaluation is None and reply.state is None for reply in replies.values())


def test_absorbing_mixes_and_ends_the_round(backend):
    backend.superstep(Order(begin=True, train=True, send=1))()
    trained = {n: r.state["parameters"] for n, r in backend.superstep(Order(snapshot=True))().items()}
    states = {n: r.state for n, r in backend.superstep(Order(absorb=True, snapshot=True))().items()}
    expected = (trained[0] + trained[1]) / 3 + trained[2] / 3  # node 1 has two neighbours, so each weighs 1/3

    assert [int(state["round"]) for state in states.values()] == [1, 1, 1]
    torch.testing.assert_close(states[1]["parameters"], expected, rtol=1e-12, atol=1e-12)


def test_an_evaluation_comes_before_the_next_rounds_training(backend):
    before = backend.superstep(Order(evaluate=True))()[0].evaluation
    together = backend.superstep(Order(evaluate=True, begin=True, train=True, send=1))()[0]

    assert together.evaluation.scores == before.scores
    assert together.sent


def test_a_snapshot_is_a_copy(backend):
    state = backend.superstep(Order(snapshot=True))()[0].state
    kept = state["parameters"].clone()
    backend.superstep(Order(begin=True, train=True, send=1))()

    assert torch.equal(state["parameters"], kept)


def test_loading_a_snapshot_brings_the_nodes_back(backend):
    states = {node: reply.state for node, reply in backend.superstep(Order(snapshot=True))().items()}
    backend.superstep(Order(begin=True, train=True, send=1))()
    first = backend.superstep(Order(absorb=True, snapshot=True))()
    backend.superstep(Order(begin=True, train=True, send=1))()  # its messages are forgotten
    backend.load(states)
    backend.superstep(Order(begin=True, train=True, send=1))()
    second = backend.superstep(Order(absorb=True, snapshot=True))()

    for node in range(3):
        assert torch.equal(first[node].state["parameters"], second[node].state["parameters"])


def test_a_failing_node_fails_the_superstep():
    def break_one(members):
        members[1].mixer.outgoing = None

    backend = start(workers=2, touch=break_one)
    try:
        with pytest.raises(TypeError):
            backend.superstep(Order(begin=True, train=True, send=1))()
    finally:
        backend.close()


def test_more_workers_than_nodes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"backend\.workers: 5 workers for 4 nodes.*\n.*at most 4"):
        run(small(backend={"name": "local", "workers": 5}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        backend = start()
        assert torch.get_num_threads() == 1
        backend.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
