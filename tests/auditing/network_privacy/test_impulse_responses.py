"""Whatever training is accounted does to messages what the account says, measured by impulses; the rest is refused."""

from dataclasses import replace

import numpy as np
import pytest
from reference.experiments import small
from reference.impulses import learnt, responses
from reference.marks import first
from threadpoolctl import threadpool_limits

from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.linear_training import NoisePlace, maps_of, undeclared
from auditing.network_privacy.not_linear import hears_sums
from methods.quasi_global_momentum import QuasiGlobalMomentum
from simulator.core.errors import InputError
from simulator.core.linear_memory import Memory
from simulator.core.method import METHODS, Method
from simulator.core.mixer import MIXERS
from simulator.core.traits import Traits
from simulator.mixers.gossip import Gossip
from simulator.mixers.robust.base import RobustMixer

ROUNDS, NODES = 5, 5
SIZE = (
    f"rounds={ROUNDS}", f"topology.nodes={NODES}", "model.hidden=[4]", "data.train_samples=100", "evaluate.every=5",
    "data.test_samples=20", "data.partition=iid", "data.verified.share=0.2", "training.batch_size=4",
)  # fmt: skip
ORDERS = ("adapt_then_combine", "combine_then_adapt")
UPDATE, STEP = NoisePlace(), NoisePlace(every_step=True)
QGM = {"name": "quasi_global_momentum"}
CLIP = {"clip": 1e9, "noise_multiplier": 0.0}

SETTINGS = {
    "clipped_gossip": [{"tau": 1.0}],
    "dp_sgd": [{"noise_multiplier": 0.0}],
    "node_dp": [CLIP],
    "zip_dl": [CLIP],
    "correlated_noise": [{**CLIP, "correlated_multiplier": 0.0}],
    "d2": [{}, {"strength": 0.3}],
    "global_update_tracking": [{}, {"mu": 0.3, "beta": 0.5}],
    "finetune_verified": [{}, {"use": "replace", "epochs": 1, "rates": [0.5]}],
    "idkd": [{"first_round": 2, "every": 2}, {"first_round": 2, "every": 2, "threshold": 1.1}],
    "ltc": [{}, {"share_means": False}, {"use": "coreset", "after": 4, "share": 0.5, "share_means": False}],
    "quasi_global_momentum": [{}, {"nesterov": False}, {"beta": 0.5, "mu": 0.0}],
    "verifix": [{}, *({"use": use, "every": 1, "alphas": [1.0]} for use in ("before_mixing", "after_mixing"))],
    "gossip": [{"order": order, "rate": rate} for order in ORDERS for rate in (1, 0.3)],
    "choco": [{}, {"compression": "none"}],
}  # fmt: skip
ROBUST = [name for name in MIXERS.names() if issubclass(MIXERS.load(name), RobustMixer)]
REFUSED = dict.fromkeys(ROBUST, True) | {  # settings that nobody can follow; True: all
    "gradient_tracking": True,
    "idkd": True,
    "ltc": [{}, {"use": "coreset", "after": 4, "share": 0.5, "share_means": False}],
    "verifix": [{"use": use, "every": 1, "alphas": [1.0]} for use in ("before_mixing", "after_mixing")],
    "choco": True,
    "ada_gossip": True,
    "neighbourhood_gradient_clustering": True,
    "cross_feature_contrastive_loss": True,
    "saddle": True,
    "pair_average": True,
    "push_sum": True,
    "relay_sum": True,
}


def training(*changes, **blocks):
    return small(*SIZE, *changes, **blocks)


def is_followed(experiment, path, places=(UPDATE, STEP)):
    """Compare what every node learns of every other, by the account and by impulses."""
    network = experiment.topology.build(experiment.seed)
    rows = responses(experiment, path, 0 if places[0].method is None else places[0].method + 1)
    for place in places:
        kept = {key: row[:, :-1] if place.every_step else row[:, -1:] for key, row in rows.items()}
        is_followed_from(kept, network, maps_of(experiment, place), hears_sums(experiment))


def is_followed_from(rows, network, maps, sums=False):
    steps = next(iter(rows.values())).shape[1]
    played = rounds_of(network, ROUNDS, maps=maps)
    for node in range(NODES):
        with threadpool_limits(1, "blas"):  # the matrices are small, and threads would wait for each other
            expected = learnt(rows, network, node, sums)
        if maps[0].injections < steps:  # steps that go the same way are one, of the same signal in each
            expected = expected.reshape(NODES, ROUNDS, steps, ROUNDS, steps).sum((2, 4))
        with threadpool_limits(1, "blas"):
            found = steps * exposure(played, Noise(1.0), replace(Adversary.node(node), sums=sums)).blocks
        others = np.arange(NODES) != node
        np.testing.assert_allclose(found[others], expected[others], rtol=1e-6, atol=1e-8)
        assert expected[others].max() > 0.1


def cases(registry, **always):
    return [(name, settings) for name in registry.names() for settings in always.get(name, SETTINGS.get(name, [{}]))]


def is_refused(name, settings):
    return REFUSED.get(name) is True or settings in REFUSED.get(name, [])


@pytest.mark.parametrize(("name", "settings"), cases(METHODS), ids=str)
def test_every_installed_method_is_followed_or_refused(name, settings, tmp_path):
    early = ["mixer.order=combine_then_adapt", "training.local_steps=1"]
    one_step = dict.fromkeys(["neighbourhood_gradient_clustering", "cross_feature_contrastive_loss"], early)
    experiment = training("topology.weights=lazy", *one_step.get(name, []), methods=[{"name": name, **settings}])
    assert bool(list(undeclared(experiment))) == is_refused(name, settings)
    if not is_refused(name, settings):
        is_followed(experiment, tmp_path, [NoisePlace(method=0)] if settings.get("clip") == 1e9 else [UPDATE, STEP])


@pytest.mark.parametrize(("name", "settings"), cases(MIXERS), ids=str)
def test_every_installed_mixer_is_followed_or_refused(name, settings, tmp_path):
    timed = ["mode=asynchronous", "clock={step_seconds: 1}"] if name == "pair_average" else []
    graph = {"masked_sums": "ring"}.get(name, "complete" if name in ROBUST else "chain")  # where some hear one alone
    experiment = training(f"topology.graph={graph}", *timed, mixer={"name": name, **settings})
    assert bool(list(undeclared(experiment))) == is_refused(name, settings)
    if not is_refused(name, settings):
        is_followed(experiment, tmp_path)


OPTIMIZERS = {
    "weight_decay": ["training.optimizer.weight_decay=0.5"],
    "momentum": ["training.optimizer.momentum=0.9"],
    "nesterov": ["training.optimizer.momentum=0.6", "training.optimizer.nesterov=true"],
    "momentum_and_decay": ["training.optimizer.momentum=0.9", "training.optimizer.weight_decay=0.5"],
    "schedule": ["training.schedule.milestones=[0.3,0.7]", "training.schedule.gamma=0.3"],
    "decay_and_schedule": ["training.optimizer.weight_decay=0.5", "training.schedule.warmup=3"],
}
FAILURES = {"links": 0.3, "nodes": 0.2, "symmetric": True}
MORE = {
    "plain": {},
    "early_and_failing": {
        "mixer": {"name": "gossip", "order": "combine_then_adapt", "rate": 0.7},
        "topology": {"graph": "complete", "failures": FAILURES},
    },
}


@pytest.mark.parametrize("more", first(["early_and_failing", "plain"]))
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_steps_remember_is_followed(optimizer, more, tmp_path):
    is_followed(training(*OPTIMIZERS[optimizer], "training.local_steps=3", **MORE[more]), tmp_path)


@pytest.mark.parametrize("more", first(["early_and_failing", "plain"]))
@pytest.mark.parametrize("optimizer", ["weight_decay", "decay_and_schedule"])
def test_quasi_global_momentum_is_followed_under_all_of_them(optimizer, more, tmp_path):
    changes = [*OPTIMIZERS[optimizer], "training.local_steps=2"]
    is_followed(training(*changes, methods=[QGM], **MORE[more]), tmp_path)


def test_several_methods_are_followed_together(tmp_path):
    methods = [{"name": "label_smoothing"}, {"name": "d2", "strength": 0.4}, QGM]
    experiment = training(*OPTIMIZERS["weight_decay"], "topology.weights=lazy", methods=methods)
    is_followed(experiment, tmp_path)


def test_what_a_method_makes_of_a_clipped_update_is_followed(tmp_path):
    methods = [{"name": "correlated_noise", **CLIP, "correlated_multiplier": 0.0}, {"name": "d2"}]
    is_followed(training("topology.weights=lazy", methods=methods), tmp_path, [NoisePlace(method=0)])


@pytest.mark.parametrize(
    ("changes", "methods"),
    [
        (OPTIMIZERS["weight_decay"], ["node_dp"]),
        ([], ["quasi_global_momentum", "node_dp"]),
        ([], ["quasi_global_momentum", "correlated_noise"]),
        ([], ["correlated_noise", "quasi_global_momentum"]),
        (["topology.weights=lazy"], ["d2", "node_dp"]),
    ],
)
def test_a_clip_around_what_is_remembered_is_refused(changes, methods):
    noisy = next(name for name in methods if name in ("node_dp", "correlated_noise"))
    experiment = training(*changes, methods=[{"name": name} | (CLIP if name == noisy else {}) for name in methods])
    with pytest.raises(InputError, match=f"{noisy} clips updates"):
        maps_of(experiment, NoisePlace(method=methods.index(noisy)))


@pytest.mark.parametrize("optimizer", ["momentum", "schedule"])
def test_a_clip_around_gradients_of_earlier_steps_is_plain_gossip(optimizer):
    """They are the node's own, and so part of its signal."""
    experiment = training(*OPTIMIZERS[optimizer], methods=[{"name": "node_dp", **CLIP}])
    assert all(maps.is_plain for maps in maps_of(experiment, NoisePlace(method=0)))


class Forgetful(QuasiGlobalMomentum):
    """Says that it remembers nothing."""

    @classmethod
    def traits(cls, config):
        return Traits(memory=Memory())


class Silent(Method):
    """Does nothing, and says nothing."""


class Inheriting(Gossip):
    """Mixes in a way of its own, and lets its base class speak for it."""

    def mix(self, node, inbox):
        node.parameters.copy_(self._sent)


class Improving(QuasiGlobalMomentum):
    """Uses the buffer otherwise than its base class says."""

    def before_step(self, node, batch):
        node.gradient.add_(self.buffer)


def test_a_method_that_forgets_to_say_what_it_remembers_is_found_out(register, tmp_path):
    register("methods", "forgetful", Forgetful)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        is_followed(training(methods=[{**QGM, "name": "forgetful"}]), tmp_path)


@pytest.mark.parametrize(
    ("kind", "name", "part", "match"),
    [
        ("methods", "quiet", Silent, "quiet, with these settings, declares no linear memory"),
        ("methods", "improving", Improving, "has a before_step of its own"),
        ("mixers", "inheriting", Inheriting, "has a mix of its own"),
    ],
)  # fmt: skip
def test_silence_is_refused_by_name(kind, name, part, match, register):
    register(kind, name, part)
    experiment = training(**({"methods": [name]} if kind == "methods" else {"methods": [], "mixer": name}))
    with pytest.raises(InputError, match=match):
        maps_of(experiment, STEP)


def test_nodes_that_remember_unlike_each_other_are_refused():
    slower = "training.nodes={1: {lr: 0.01}}"
    assert all(maps.is_plain for maps in maps_of(training(slower), UPDATE))
    with pytest.raises(InputError, match="do not remember alike"):
        maps_of(training(slower, *OPTIMIZERS["weight_decay"]), UPDATE)


def test_distillation_of_what_rests_has_no_account():
    pkd = METHODS.load("pkd")
    assert pkd.traits(pkd.Config()).memory == Memory()
    assert pkd.traits(pkd.Config(first_round=4)).memory is None
