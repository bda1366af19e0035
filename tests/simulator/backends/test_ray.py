"""The ray backend: the same bytes as local, whatever is run, on however many actors, wherever the nodes are."""

import copy
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, results, small
from reference.made_up import divided_as, in_place_of, needs
from reference.marks import MANY

from simulator import load_experiment, run
from simulator.backends.local import Local
from simulator.backends.ray import Ray
from simulator.config.recipe_files import recipes
from simulator.core.backend import Order, Workers
from simulator.core.errors import InputError, RunError, wrong
from simulator.core.place import Place
from simulator.core.samples import Samples
from simulator.runs.build import Simulation

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

EXPONENTIAL = {"graph": "exponential", "nodes": 5, "weights": "push", "schedule": "one_peer_exponential"}
CLOCK = {"step_seconds": 0.01, "speed_spread": 0.6, "latency": 0.002, "bandwidth": 1e6}
FAILURES = {"links": 0.3, "nodes": 0.2, "absences": [[1, 3, 4]]}
MOMENTUM = {"batch_size": 16, "optimizer": {"lr": 0.1, "momentum": 0.9, "nesterov": True}}
CASES = {
    "methods": {"methods": METHODS},
    "methods, failures, matchings": {
        "topology": {"graph": "complete", "nodes": 5, "schedule": "random_matching", "failures": FAILURES},
        "methods": METHODS,
        "record": {"every": 2},
    },
    "push-sum": {"topology": EXPONENTIAL, "mixer": "push_sum", "clock": CLOCK},
    "relay-sum": {
        "topology": {"graph": "chain", "nodes": 5},
        "mixer": "relay_sum",
        "training": MOMENTUM,
        "record": {"rounds": [3]},
    },
    "choco": {
        "mixer": {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}},
        "methods": [{"name": "gradient_tracking"}],
        "record": {"every": 4},
    },
    "private": {
        "rounds": 30,
        "methods": [{"name": "dp_sgd", "noise_multiplier": 1.0, "max_epsilon": 3.2}],
        "evaluate": {"every": 10},
    },
    "omniscient attackers": {
        "topology": {"graph": "complete", "nodes": 6},
        "adversaries": [
            {"nodes": [1], "knowledge": "omniscient", "attack": "ipm"},
            {"nodes": [4], "knowledge": "omniscient", "from_round": 3, "attack": {"name": "dissensus", "strength": 0}},
        ],
        "record": {"rounds": [2]},
    },
    "attackers that have heard": {
        "topology": {"graph": "ring", "nodes": 6, "failures": {"links": 0.2}},
        "adversaries": [{"nodes": [1], "attack": "mimic"}, {"nodes": [2], "attack": "non_finite"}],
    },
    "adaptive consensus steps": {"mixer": {"name": "ada_gossip", "gamma": 0.01, "beta": 0.9, "compression": "sign"}},
    "quantized": {"mixer": {"name": "choco", "compression": {"name": "qsgd", "bits": 4}}},
    "d2": {"topology": {"graph": "ring", "nodes": 4, "weights": "lazy"}, "methods": [{"name": "d2"}]},
    "cross-features": {
        "topology": {"graph": "complete", "nodes": 5, "failures": FAILURES},
        "mixer": {"name": "gossip", "order": "combine_then_adapt"},
        "methods": [{"name": "cross_feature_contrastive_loss"}, {"name": "quasi_global_momentum"}],
        "record": {"every": 2},
    },
    "saddle": {"methods": [{"name": "saddle", "rho": 0.5}, {"name": "quasi_global_momentum"}]},
    "global update tracking": {"methods": [{"name": "global_update_tracking", "mu": 0.1, "beta": 0.8}]},
    "verified": {
        "data": {"dataset": "digits", "partition": "iid", "verified": {"share": 0.3, "shared": True}},
        "methods": [{"name": "verifix", "use": "before_mixing", "every": 2}, {"name": "finetune_verified"}],
    },
    "exchanges before training": {
        "topology": {"graph": "complete", "nodes": 5, "failures": FAILURES},
        "mixer": {"name": "gossip", "order": "combine_then_adapt"},
        "methods": [{"name": "quasi_global_momentum"}, {"name": "neighbourhood_gradient_clustering", "alpha": 0.5}],
        "record": {"every": 2},
    },
    "running statistics": {
        "model": {"name": "reference.stateful:BatchNet", "dropout": 0.5},
        "buffers": {"policy": "mixed", "recompute": 2},
        "topology": {"graph": "ring", "nodes": 5, "failures": FAILURES},
        "record": {"every": 2},
    },
    "input quantizers": {"methods": [{"name": "trend", "bits": [None, 1, 1, "halftone"], "share": "same_bits"}]},
    "eight bits": {"methods": [{"name": "trend", "bits": [8]}]},
    "masked sums": {"mixer": "masked_sums", "topology": {"graph": "torus", "nodes": 9}, "record": {"every": 2}},
    "asynchronous": {"mode": "asynchronous", "clock": CLOCK, "topology": {"graph": "ring", "nodes": 5}},
}
EVERY = [{"workers": workers, "placement": place} for workers in (1, 2, 3) for place in ("fewest_cuts", "round_robin")]


def bytes_of(experiment, path):
    return results(run(experiment, path).path)


def on_ray(experiment, **settings):
    return load_experiment(experiment.to_dict() | {"backend": {"name": "ray", **settings}})


@pytest.fixture(scope="module")
def ring(shared_ray):
    """A backend with the four nodes of a ring, every other one on the same of two actors, and their first states."""
    backend = Ray(Ray.Config(workers=2, placement="round_robin"))
    backend.start(Simulation.of(small()).blueprint)
    yield backend, states(backend)
    backend.close()


@pytest.fixture
def backend(ring):
    """The same with its nodes at their beginning."""
    backend, beginning = ring
    backend.load(beginning)
    return backend


def states(backend):
    return {node: reply.state for node, reply in backend.superstep(Order(snapshot=True))().items()}


@pytest.mark.parametrize(
    ("case", "workers"),
    [
        pytest.param("exchanges before training", 3, marks=MANY),
        ("running statistics", 2),
        pytest.param("methods, failures, matchings", 2, marks=pytest.mark.slow),
        pytest.param("masked sums", 3, marks=MANY),
        pytest.param("omniscient attackers", 3, marks=pytest.mark.slow),
        pytest.param("asynchronous", 2, marks=MANY),
        pytest.param("choco", 2, marks=MANY),
        pytest.param("private", 2, marks=MANY),
    ],
)
def test_actors_give_the_bytes_of_local(case, workers, tmp_path):
    """Neighbours apart, so that most messages travel, and many rounds under way."""
    experiment = small(**copy.deepcopy(CASES[case]))
    found = bytes_of(on_ray(experiment, workers=workers, placement="round_robin", window=4), tmp_path / "ray")

    assert found == bytes_of(experiment, tmp_path / "local")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("settings", EVERY, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_every_part_gives_the_bytes_of_local(case, settings, tmp_path):
    experiment = small(**copy.deepcopy(CASES[case]))

    assert bytes_of(on_ray(experiment, **settings), tmp_path / "ray") == bytes_of(experiment, tmp_path / "local")


SHAPES = {"digits": (8, 8), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}


def made_up(name, folder):
    """The recipe, four rounds of it, with random images in place of those that have to be downloaded."""
    content = load_experiment(name).to_dict()
    needs(content)
    content |= {"rounds": 4, "evaluate": {"every": 2}, "checkpoint": {}}
    if dataset := in_place_of(content, folder):
        content["data"] |= {"dataset": dataset, "partition": divided_as(content)}
        return load_experiment(content | {"backend": "local"})
    rng, shape = np.random.default_rng(0), SHAPES[content["data"]["dataset"]["name"]]
    images, labels = rng.integers(0, 256, (1200, *shape), dtype=np.uint8), np.arange(1200) % 10
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    content["data"] |= {"dataset": {"name": "npz", "path": str(folder / "images.npz")}, "partition": "iid"}
    if content["data"]["public"]:
        content["data"]["public"] = [{"dataset": "photo_patches", "samples": 20}]
    for method in content["methods"]:
        method |= {"first_round": 2, "every": 1} if "first_round" in method else {}
    return load_experiment(content | {"backend": "local"})


ALL = itertools.product(recipes(), (1, 2, 3))
RECIPES = [pytest.param(*each, marks=pytest.mark.exhaustive) for each in ALL]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "workers"), RECIPES)
def test_every_recipe_gives_the_bytes_of_local(name, workers, tmp_path):
    experiment = made_up(name, tmp_path)

    assert bytes_of(on_ray(experiment, workers=workers), tmp_path / "ray") == bytes_of(experiment, tmp_path / "local")


@pytest.mark.slow
def test_orders_for_some_nodes_leave_the_mail_of_the_others_where_it_is(backend):
    """Nodes 1 and 3 mix last: what 0 and 2 sent them waits for them."""
    local = Local(Local.Config())
    local.start(Simulation.of(small()).blueprint)
    orders = [Order(begin=True, train=True, send=1, nodes=nodes) for nodes in ((1, 3), (0,))] + [
        Order(absorb=True, nodes=(0,))
    ]
    orders += [
        Order(begin=True, train=True, send=1, nodes=(2,)),
        Order(absorb=True, nodes=(2,)),
        Order(absorb=True, nodes=(1, 3)),
    ]
    orders += [Order(snapshot=True)]
    found, expected = ([one.superstep(order)() for order in orders] for one in (backend, local))
    local.close()

    assert [list(replies) for replies in found] == [[1, 3], [0], [0], [2], [2], [1, 3], [0, 1, 2, 3]]
    for theirs, ours in zip(found, expected, strict=True):
        assert [reply.sent for reply in theirs.values()] == [reply.sent for reply in ours.values()]
    for node, reply in expected[-1].items():
        assert torch.equal(found[-1][node].state["parameters"], reply.state["parameters"])


@pytest.mark.slow
def test_supersteps_can_be_ordered_ahead_and_collected_later(backend):
    collects = [backend.superstep(Order(absorb=round > 0, begin=True, train=True, send=1)) for round in range(5)]
    sent = [[message.round for reply in collect().values() for message in reply.sent] for collect in collects]

    assert backend.window == 2
    assert backend.workers() == Workers(2, 2)
    assert sent == [[round] * 8 for round in range(1, 6)]


@pytest.mark.slow
def test_loading_forgets_messages_under_way_and_gives_nodes_memory_of_their_own(backend):
    beginning, found = states(backend), []
    for _ in range(2):
        backend.load(beginning)
        backend.superstep(Order(begin=True, train=True, send=1))()
        backend.superstep(Order(absorb=True))()
        found.append(states(backend))
        backend.superstep(Order(begin=True, train=True, send=1))()  # under way when the states are loaded again

    for node in range(4):
        assert torch.equal(found[0][node]["parameters"], found[1][node]["parameters"])
        assert not torch.equal(found[0][node]["parameters"], beginning[node]["parameters"])


@pytest.mark.slow
@pytest.mark.parametrize("again", ["load", "revive"])
def test_messages_under_way_are_forgotten(ring, again):
    """A node that now hears from nobody would refuse to mix what was sent to it before."""
    backend, beginning = ring
    backend.load(beginning)
    backend.superstep(Order(begin=True, train=True, send=1))()
    backend.load(beginning) if again == "load" else backend.revive()
    try:
        backend.superstep(Order(begin=True, train=True, send=1, nodes=(0,), places={0: Place(0, {0: 1.0}, ())}))()
        backend.superstep(Order(absorb=True, nodes=(0,)))()
    finally:
        backend.revive()  # puts the node's place back too


@pytest.mark.slow
def test_training_that_diverges_is_told_as_local_tells_it(backend):
    """Also when the next rounds, which depend on the failed one, are under way."""
    broken = states(backend)
    broken[1]["parameters"] = torch.full_like(broken[1]["parameters"], torch.nan)
    backend.load(broken)
    collect = backend.superstep(Order(begin=True, train=True, send=1))
    backend.superstep(Order(absorb=True, begin=True, train=True, send=1))

    with pytest.raises(RunError, match=r"^training diverged: in round 1 node 1 has parameters that are not finite\.\n"):
        collect()


@pytest.mark.slow
def test_a_node_that_cannot_be_made_is_an_input_error_at_its_place(actors):
    blueprint = Simulation.of(small()).blueprint

    class Refusing:
        topology, module, overhearing = blueprint.topology, blueprint.module, ()

        def for_workers(self, ids):
            return self

        def nodes(self, ids):
            raise wrong("methods[0]", "cannot work here.", "Leave it out.").under(f"node {ids[0]}")

    with pytest.raises(InputError, match="cannot work here") as caught:
        Ray(Ray.Config(workers=1)).start(Refusing())

    (problem,) = caught.value.problems
    assert (problem.where, problem.advice) == ("node 0.methods[0]", "Leave it out.")


def private_mib(pid):
    """Memory that the process shares with no other, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def own_memory(blueprint, actors):
    """MiB that an actor which holds all nodes shares with nobody, after a round of training."""
    others, backend = set(actors()), Ray(Ray.Config(workers=1))
    backend.start(blueprint)
    backend.superstep(Order(begin=True, train=True, send=1))()
    (pid,) = set(actors()) - others
    found = private_mib(pid)
    backend.close()
    return found


@pytest.mark.slow
def test_actors_map_the_data_instead_of_copying_it(actors):
    """256 MiB of images cost an actor's own memory nothing."""
    plain = Simulation.of(small()).blueprint
    images, labels = torch.zeros(2**22, 8, 8, 1, dtype=torch.uint8), torch.zeros(2**22, dtype=torch.int64)
    nodes = [replace(node, train=Samples(images, labels, node.train.index)) for node in plain.data.nodes]
    large = replace(plain, data=replace(plain.data, nodes=tuple(nodes)))

    assert own_memory(large, actors) - own_memory(plain, actors) < 32
