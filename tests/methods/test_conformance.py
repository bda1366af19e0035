"""Every installed method holds the laws of methods, under settings that make it do something."""

import pytest
import torch
from reference.conformance import names_its_paper
from reference.marks import first
from reference.pretended_gpu import ON_A_GPU

from simulator.config.parsing import load_experiment
from simulator.config.recipe_files import recipes
from simulator.core.method import METHODS, Method
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits
from simulator.testing import check_method
from simulator.testing.laws import ring

# Settings under which the method changes training within six rounds; a method not named here runs with its defaults.
ACTIVE = {
    "dp_sgd": [
        {"noise_multiplier": 1.0},
        {"target_epsilon": 8.0, "clip": 0.5, "clipping": "per_layer", "sampling": "shuffled"},
    ],
    "node_dp": [{"noise_multiplier": 1.0, "clip": 0.1}],
    "idkd": [
        {"first_round": 2, "every": 2, "hops": 2, "threshold": "tpr", "detector": "knn", "merge": "confidence"},
        {"first_round": 2, "every": 2, "threshold": 0.45},
        {"first_round": 1, "every": 1, "threshold": "youden", "temperature": 2.0},
        {"first_round": 1, "every": 4, "hops": 3, "threshold": "none", "merge": "official", "top_k": 2},
        {"first_round": 1, "every": 1, "threshold": 0, "merge": "official", "labels": "forwarded", "steps": "growing"},
    ],
    "finetune_verified": [{"use": "replace", "epochs": 2, "rates": [0.5]}],
    "verifix": [
        {"use": "before_mixing", "every": 2, "alphas": [1.0, 10.0, 100.0]},
        {"use": "after_mixing", "every": 3, "alphas": [1.0, 10.0, 100.0]},
    ],
    "ltc": [
        {"use": "coreset", "after": 3, "share": 0.5, "mode": "byproduct"},
        {"use": "coreset", "after": 4, "share": 0.3, "score": "ccs", "hardest": 0.1, "trajectory": "raw"},
        {"use": "drop", "after": 5},
        {"use": "coreset", "after": 3, "share": 0.2, "per_class": "equal", "prefer": "low", "share_means": False},
    ],
    "global_update_tracking": [{"mu": 0.1, "beta": 0.8}, {}],
    "cross_feature_contrastive_loss": [{}, {"lambda_d": 0.0}],
    "neighbourhood_gradient_clustering": [{}, {"rho": 0.5}],
    "quasi_global_momentum": [{"nesterov": True}, {"nesterov": False}],
    "trend": [{"bits": (None, 1, "halftone")}, {"share": "same_bits", "bits": (1, 1, 2)}, {"share": "nothing"}],
    "trajectories": [{"keep": True}, {"mode": "eval_pass", "every": 2, "validation": True}],
}
CASES = [case for name in METHODS.names() for case in first((name, settings) for settings in ACTIVE.get(name, [{}]))]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_method_conforms(name, settings):
    method = METHODS.load(name)

    check_method(method, method.Config.model_validate({"name": name, **settings}))


@ON_A_GPU
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_method_is_the_same_on_a_gpu(name, settings, check):
    method = METHODS.load(name)
    config = method.Config.model_validate({"name": name, **settings})

    check(lambda device: ring(device=device, methods=lambda node: [method(config)]))


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_names_its_paper(name):
    names_its_paper(METHODS.load(name))


@pytest.mark.parametrize("name", METHODS.names())
def test_the_name_in_the_config_is_the_registered_one(name):
    config = METHODS.load(name).Config

    assert config.model_fields["name"].default == name


@pytest.fixture(scope="module")
def shown():
    """The methods of all recipes."""
    return {settings.name for recipe in recipes() for settings in load_experiment(recipe).methods}


@pytest.mark.parametrize("name", METHODS.names())
def test_a_recipe_shows_the_method(shown, name):
    assert name in shown


class Sloppy(Method):
    """Breaks what it is told to break (arXiv:0000.00000)."""

    class Config(PartSettings):
        name: str = "sloppy"
        breaks: str = "nothing"

    neutral = {"breaks": "nothing"}  # noqa: RUF012

    @classmethod
    def traits(cls, config):
        return Traits(stackable=True, row_wise=True, losses="changes")

    def setup(self, node):
        self.steps = 0

    def before_step(self, node, batch):
        self.steps += 1
        if self.config.breaks == "generators":
            node.gradient.add_(torch.randn_like(node.gradient))
        if self.config.breaks == "state":
            node.gradient.mul_(self.steps)

    def per_sample_loss(self, node, batch, logits, losses):
        return losses.mean().expand(len(losses)) if self.config.breaks == "rows" else losses


class AlwaysOn(Sloppy):
    """Its neutral setting is not (arXiv:0000.00000)."""

    def before_step(self, node, batch):
        node.gradient.mul_(1.5)


@pytest.mark.parametrize(
    ("breaks", "complaint"),
    [("generators", "global random generator|two equal runs"), ("state", "lost state"), ("rows", "another sample")],
)
def test_the_suite_catches_a_broken_method(breaks, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_method(Sloppy, Sloppy.Config(breaks=breaks))


def test_the_suite_catches_a_neutral_setting_that_is_not():
    with pytest.raises(AssertionError, match="neutral settings change training"):
        check_method(AlwaysOn, AlwaysOn.Config())


class Sworn(Sloppy):
    """Looks at other samples, and says so (arXiv:0000.00000)."""

    @classmethod
    def traits(cls, config):
        return Traits(stackable=True)


def test_the_suite_accepts_a_loss_that_is_declared_to_look_at_other_samples():
    check_method(Sworn, Sworn.Config(breaks="rows"))


class Silent(Sloppy):
    """Cannot be switched off, and does not say why (arXiv:0000.00000)."""

    neutral = None


def test_the_suite_wants_to_know_why_a_method_cannot_be_switched_off():
    with pytest.raises(AssertionError, match="say in the docstring why"):
        check_method(Silent, Silent.Config())


def test_the_suite_accepts_a_method_that_does_nothing_wrong():
    check_method(Sloppy, Sloppy.Config())
    check_method(Sloppy(breaks="nothing"))
    check_method("label_smoothing")
