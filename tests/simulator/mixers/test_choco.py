"""Laws of CHOCO-SGD, through the real node program in double precision."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import twins
from reference.experiments import small
from reference.graphs import DOUBLY_STOCHASTIC, over_time, topologies
from reference.marks import MANY, first
from reference.network import quadratics, sgd
from reference.twins import choco, gossip

from simulator.core.errors import InputError
from simulator.core.plan import Plan
from simulator.core.seeding import generator
from simulator.core.training import TrainingSettings
from simulator.mixers.choco import Choco
from simulator.mixers.gossip import Gossip
from simulator.testing import check_mixer
from simulator.testing import laws as conformance
from topologies import Topology

laws = settings(max_examples=15)
close = {"rtol": 1e-12, "atol": 1e-12}
SIZE = 20
CODES = {
    "top_k": lambda v, random: twins.largest(v, 2),
    "random_k": lambda v, random: twins.chosen(v, 2, random),
    "sign": lambda v, random: twins.mean_signs(v),
    "qsgd": lambda v, random: twins.damped_qsgd(v, 8, random),
    "none": lambda v, random: v,
}
each_code = pytest.mark.parametrize("name", sorted(CODES))


def points(topology, seed=0, size=SIZE):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, size))


def coded(compression, gamma=0.1):
    return lambda: Choco(Choco.Config(compression=compression, gamma=gamma))


def build(topology, training, mixer, **options):
    size = options.pop("size", SIZE)
    return quadratics(topology, points(topology, 0, size), points(topology, 1, size), training, mixer=mixer, **options)


def saved(network, name):
    return np.stack([state[f"mixer/{name}"].numpy() for state in network.states()])


@laws
@given(
    topologies(weights=("metropolis_hastings", "row_stochastic")), st.sampled_from(sorted(CODES)), st.floats(0.05, 1)
)
def test_the_trajectory_and_the_replicas_are_those_of_the_matrix_formula(topology, name, gamma):
    curvature = np.random.default_rng(2).uniform(0.2, 2, topology.num_nodes)
    network = build(topology, sgd(0.2), coded(name, gamma), curvature=curvature)
    path, replicas = choco(
        topology.weights,
        lambda x: curvature[:, None] * (x - points(topology)),
        points(topology, 1),
        [0.2] * 6,
        gamma=gamma,
        code=lambda v, i, t: CODES[name](v, generator(0, "choco.compression", node=i, round=t)),
    )

    np.testing.assert_allclose(network.run(6), path, **close)
    np.testing.assert_allclose(saved(network, "replica"), replicas, **close)


@laws
@given(topologies(weights=DOUBLY_STOCHASTIC), st.sampled_from(sorted(CODES)))
def test_the_mean_moves_by_the_mean_gradient_whatever_is_lost(topology, name):
    path = build(topology, sgd(0.3), coded(name, 0.3)).run(5)
    gradients = path - points(topology)

    np.testing.assert_allclose(path[1:].mean(1), path[:-1].mean(1) - 0.3 * gradients[:-1].mean(1), **close)


@laws
@given(topologies(), st.sampled_from(sorted(CODES)))
def test_the_sums_are_those_of_the_replicas_around(topology, name):
    network = build(topology, sgd(0.3), coded(name))
    for _ in range(5):
        network.round()
        np.testing.assert_allclose(saved(network, "around"), topology.weights @ saved(network, "replica"), **close)


@pytest.mark.slow
@laws
@given(topologies(weights=DOUBLY_STOCHASTIC), st.sampled_from([0.2, 0.7, 1.0]))
def test_without_compression_it_is_gossip_adapt_then_combine_from_the_first_round(topology, gamma):
    """Replicas are then what was sent: r = y, so x = y + gamma (W y - y); at gamma 1, W y. Rounding apart."""
    lazier = (1 - gamma) * np.eye(topology.num_nodes) + gamma * topology.weights
    path = build(topology, sgd(0.3), coded("none", gamma)).run(6)
    twin = gossip(lazier, lambda x: x - points(topology), points(topology, 1), [0.3] * 6)
    real = build(topology, sgd(0.3), lambda: Gossip(Gossip.Config(rate=gamma))).run(6)

    np.testing.assert_allclose(path, twin, rtol=0, atol=1e-14)
    np.testing.assert_allclose(path, real, rtol=0, atol=1e-14)


def test_it_is_not_combine_then_adapt():
    """The order of some code, which steps towards the average before it sends, would be that."""
    topology = Topology.build("ring", 5)
    path = build(topology, sgd(0.3), coded("none", 1.0)).run(4)
    other = build(topology, sgd(0.3), lambda: Gossip(Gossip.Config(order="combine_then_adapt"))).run(4)

    assert np.abs(path - other).max() > 0.05


@pytest.mark.parametrize(
    ("gamma", "after"), [pytest.param(0.05, 0.5, marks=MANY), (0.1, 0.4), pytest.param(0.3, 0.2, marks=MANY)]
)
@pytest.mark.slow
def test_a_ring_of_16_agrees_when_the_largest_tenth_is_sent_and_steps_are_small(gamma, after):
    path = spread(gamma)

    assert path[-1] < after * path[0]


@pytest.mark.slow
def test_it_diverges_at_gamma_1():
    path = spread(1.0)

    assert path[-1] > 2 * path[0]
    assert path[-1] > 1.5 * path[-20]


def spread(gamma):
    """Distance from the mean on a ring of 16 that learns nothing, round by round."""
    topology = Topology.build("ring", 16)
    path = build(topology, sgd(0.1), coded("top_k", gamma), curvature=np.zeros(16), size=50).run(60)
    return np.linalg.norm(path - path.mean(1, keepdims=True), axis=(1, 2))


def test_what_was_left_out_is_sent_later_so_replicas_become_the_models():
    topology = Topology.build("ring", 4)
    mixer = coded({"name": "top_k", "keep": 0.25}, 0.4)
    network = build(topology, sgd(0.1), mixer, curvature=np.zeros(4))
    network.run(5)
    early = np.abs(saved(network, "replica") - network.parameters).max()
    network.run(145)

    assert early > 0.01
    assert np.abs(saved(network, "replica") - network.parameters).max() < 1e-7
    np.testing.assert_allclose(network.parameters, np.tile(points(topology, 1).mean(0), (4, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("compression", "size"),
    [
        ({"name": "top_k", "keep": 0.25}, 25 * (4 + 4)),
        ({"name": "random_k", "keep": 0.25}, 25 * 4 + 8),
        ({"name": "sign"}, ceil(101 / 8) + 4),
        ({"name": "qsgd", "bits": 4}, ceil(101 * 4 / 8) + 4),
        ({"name": "none"}, 101 * 4),
    ],
    ids=str,
)
def test_a_message_holds_the_compressed_update_only(compression, size):
    topology = Topology.build("star", 4)
    training = TrainingSettings(precision="fp32", optimizer={"lr": 0.1})
    messages = build(topology, training, coded(compression), size=101).round()

    assert {sum(message.envelope.bytes_by_part.values()) for message in messages} == {size}
    assert all(name.startswith("choco.") for message in messages for name in message.parts)
    assert len({id(message.parts[name]) for message in messages if message.sender == 0 for name in message.parts}) < 3


@each_code
def test_random_codes_differ_between_nodes_and_rounds(name):
    """And the others do not: the same vector gives the same update."""
    topology = Topology.build("ring", 4)
    same = np.tile(points(topology, 1)[0], (4, 1))
    network = quadratics(topology, same, same, sgd(0.1), mixer=coded(name))
    network.round()
    replicas = saved(network, "replica")

    assert (np.abs(replicas - replicas[0]).max() > 0) == (name in ("random_k", "qsgd"))


def test_it_conforms():
    check_mixer(Choco, Choco.Config())


@pytest.mark.parametrize("name", first(["random_k", "qsgd"]))
def test_random_codes_conform(name):
    """But for agreement: nodes that know different parts of the same model move until they know all of it."""
    topology = Topology.build("ring", 4)
    for law in (
        conformance.is_deterministic,
        conformance.leaves_global_generators_alone,
        conformance.does_not_depend_on_the_order_of_arrival,
        conformance.survives_saving_and_loading,
        conformance.sends_are_never_written_to,
    ):
        law(lambda: build(topology, sgd(0.3, momentum=0.5), coded(name)))


def plan(failures=None, **options):
    return Plan(5, sgd(0.1), over_time(Topology.build("star", 5, **options), failures=failures), Choco.Config())


def problems(**options):
    return list(Choco.check(Choco.Config(), plan(**options)))


def test_what_it_can_work_with_is_accepted():
    assert not problems()
    assert not problems(weights="row_stochastic")


@pytest.mark.parametrize(("weights", "kept"), [("metropolis_hastings", True), ("row_stochastic", False)])
def test_the_mean_is_kept_where_columns_of_w_sum_to_1_and_a_note_says_where_not(weights, kept):
    topology = Topology.build("star", 5, weights)
    start = points(topology, 1)
    path = quadratics(
        topology, start, start, sgd(0.1), mixer=lambda: Choco(Choco.Config(gamma=0.3)), curvature=np.zeros(5)
    ).run(12)

    assert (np.abs(path.mean(axis=1) - start.mean(0)).max() < 1e-13) == kept
    assert Choco.keeps_sum(Choco.Config(), plan(weights=weights)) == kept
    assert bool(list(Choco.notes(Choco.Config(), plan(weights=weights)))) != kept


def test_push_weights_and_changing_links_are_refused():
    (push,), (changing,) = problems(weights="push"), problems(failures={"links": 0.1})

    assert "'push'" in push.what
    assert "one mixing matrix" in changing.what
    assert "gossip" in changing.advice


@pytest.mark.parametrize(
    ("mixer", "complaint"),
    [
        ({"gamma": 2}, r"mixer\.gamma: .*less than or equal to 1"),
        ({"compression": {"keep": 7}}, r"mixer\.compression\.keep: .*less than or equal to 1 \(got 7\)"),
        ({"compression": {"kep": 0.1}}, r"mixer\.compression\.kep: .*Did you mean 'keep'"),
        ({"compression": {"name": "sign", "keep": 0.1}}, r"mixer\.compression: sign has no setting 'keep'"),
        ({"compression": "gzip"}, r"mixer\.compression\.name: .*'top_k'.*got 'gzip'"),
    ],
)
def test_mistakes_are_named_where_they_stand(register, mixer, complaint):
    register("mixers", "choco", Choco)
    with pytest.raises(InputError, match=f"(?s){complaint}"):
        small(mixer={"name": "choco", **mixer})


def test_an_experiment_survives_being_written_out(register):
    register("mixers", "choco", Choco)
    experiment = small("mixer.compression.bits=4", mixer={"name": "choco", "compression": "qsgd"})

    assert experiment.mixer.compression.bits == 4
    assert small(mixer=experiment.mixer.model_dump()).mixer == experiment.mixer


def test_both_halves_of_the_memory_are_restored():
    """After one more round, a restored node is where it would have been; with either half forgotten it is not."""

    def network():
        return build(Topology.build("ring", 4), sgd(0.2), coded("top_k", 0.3))

    straight = network()
    straight.run(3)
    saved_states = straight.states()
    resumed = network()
    resumed.load(saved_states)

    np.testing.assert_array_equal(resumed.run(2)[-1], straight.run(2)[-1])
    assert saved(straight, "replica").any()
    assert saved(straight, "around").any()
