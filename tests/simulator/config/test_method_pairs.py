"""Methods of which one undoes what another does are refused together, and others are not."""

import numpy as np
import pytest
from reference.experiments import small
from reference.network import quadratics, sgd

from methods.d2 import D2
from methods.gradient_tracking import GradientTracking
from simulator.core.errors import InputError
from simulator.core.input_transform import InputTransform
from simulator.core.method import METHODS, Method
from simulator.core.promise import Promise
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits
from topologies import Topology

SETTINGS = {"idkd": {"first_round": 3}, "dp_sgd": {"noise_multiplier": 1.0}, "node_dp": {"noise_multiplier": 1.0}}


def listed(*methods):
    return [method if isinstance(method, dict) else {"name": method, **SETTINGS.get(method, {})} for method in methods]


def problems(*methods):
    with pytest.raises(InputError) as caught:
        small(methods=listed(*methods))
    return [(problem.where, problem.what) for problem in caught.value.problems]


@pytest.mark.parametrize("name", sorted(METHODS.names()))
def test_no_method_goes_with_itself(name):
    (where, what), *more = [found for found in problems(name, name) if "is named twice" in found[1]]

    assert where == "methods[1]"
    assert what.startswith(name)
    assert not more


def settled(rounds, *methods):
    """How far nodes on a ring are, at last, from the minimum of their mean loss."""
    topology, rng, curvature = Topology.build("ring", 6, "lazy"), np.random.default_rng(0), np.linspace(0.5, 2, 6)
    targets, start = rng.normal(size=(2, 6, 3))
    network = quadratics(
        topology, targets, start, sgd(0.1), curvature=curvature,
        methods=lambda node: [method(method.Config()) for method in methods],
    )  # fmt: skip
    return np.abs(network.run(rounds)[-1] - np.average(targets, axis=0, weights=curvature)).max()


@pytest.mark.slow
def test_two_corrections_of_one_kind_diverge_and_two_of_different_kinds_do_not():
    assert settled(120, D2, D2) > 100
    assert settled(80, GradientTracking, D2) < 0.1
    lazy = {"graph": "ring", "nodes": 4, "weights": "lazy"}
    small(topology=lazy, methods=[{"name": "gradient_tracking"}, {"name": "d2"}])


def test_losses_that_a_later_method_would_throw_away_are_refused():
    ((where, what),) = problems("label_smoothing", "mixup")
    assert where == "methods[1]"
    assert what == "mixup puts losses of its own in the place of those that label_smoothing has made."

    small(methods=[{"name": "mixup"}, {"name": "label_smoothing"}])
    small(methods=[{"name": "trajectories"}, {"name": "mixup"}])
    small(methods=[{"name": "label_smoothing"}, {"name": "mixup", "alpha": 0.0}])


def test_what_rests_under_distillation_is_not_moved_by_a_later_method():
    pkd = {"name": "pkd", "first_round": 3, "teachers": []}
    found = [what for _, what in problems(pkd, "gradient_tracking")]
    assert "gradient_tracking after it changes the gradient, and would move what is to rest." in found
    assert not any("is to rest" in what for _, what in problems("gradient_tracking", pkd))


def test_noise_that_another_method_would_clip_is_refused():
    ((where, what),) = problems("correlated_noise", "node_dp")
    assert where == "methods[0]"
    assert "clips the update with its noise" in what
    small(methods=listed({"name": "correlated_noise", "correlated_multiplier": 0.0}, "node_dp"))


class Sees(Method):
    """Changes what nodes see."""

    class Config(PartSettings):
        name: str = "sees"

    def input_transform(self, number):
        return InputTransform()


class Paces(Method):
    """Changes how many steps nodes take."""

    class Config(PartSettings):
        name: str = "paces"

    @classmethod
    def traits(cls, config):
        return Traits(changes_steps=True)


def test_only_one_method_may_say_what_nodes_see_and_how_many_steps_they_take(register):
    for name, base, first in (("sees", Sees, "trend"), ("paces", Paces, "paces_first")):
        register("methods", name, base)
        register("methods", "paces_first", type("First", (Paces,), {}))
        ((where, what),) = problems(first, name)
        assert where == "methods[1]"
        assert what.endswith(f"and {first} does so already.")


class Noisy(Method):
    """Adds noise that it draws from what everybody knows."""

    class Config(PartSettings):
        name: str = "noisy"
        secret: bool = False
        noise: bool = True

    @classmethod
    def traits(cls, config):
        return Traits(noise="gradients" if config.noise else None, secret_randomness=config.secret)


class Promising(Noisy):
    """Promises what its noise cannot hold."""

    def promise(self, node):
        return Promise("sample", 1e-5, lambda rounds: 1.0 * rounds)


def test_noise_that_all_nodes_can_draw_again_is_refused(register):
    register("methods", "noisy", Noisy)
    register("methods", "promising", Promising)
    for name, does in (("noisy", "adds noise"), ("promising", "promises privacy")):
        ((where, what),) = problems({"name": name, "noise": name == "noisy"})
        assert (where, what.split(",")[0]) == ("methods[0]", f"{name} {does}")
        small(methods=[{"name": name, "secret": True}])
    small(methods=[{"name": "noisy", "noise": False}])
