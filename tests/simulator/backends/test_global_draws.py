"""Strangers' hooks that draw from global generators are refused, whichever it is and whenever they do."""

import random

import numpy as np
import pytest
import torch
from reference.experiments import small

from simulator import run
from simulator.core.errors import RunError
from simulator.core.method import Method
from simulator.core.registry import PartSettings
from simulator.mixers.gossip import Gossip
from simulator.tasks.classification import Classification

DRAWS = {
    "torch": lambda: torch.rand(1),
    "numpy": lambda: np.random.rand(),  # noqa: NPY002
    "random": random.random,
}


class Drawing(Method):
    """Draws at one hook of one round."""

    class Config(PartSettings):
        name: str = "drawing"
        hook: str = ""
        generator: str = "numpy"

    def called(self, node, hook):
        if hook == self.config.hook and node.round == 2:
            DRAWS[self.config.generator]()

    def before_step(self, node, batch):
        self.called(node, "before_step")

    def after_mixing(self, node):
        self.called(node, "after_mixing")

    def measure(self, node):
        self.called(node, "measure")
        return {}


def with_method(tmp_path, **settings):
    return run(small("rounds=3", methods=[{"name": "drawing", **settings}]), tmp_path)


@pytest.mark.parametrize("generator", DRAWS)
@pytest.mark.parametrize("hook", ["before_step", "after_mixing", "measure"])
def test_a_method_that_draws_from_a_global_generator_ends_the_run(register, tmp_path, hook, generator):
    register("methods", "drawing", Drawing)
    with pytest.raises(RunError, match=rf"Drawing draws from the global generator of {generator}, in round [23]"):
        with_method(tmp_path, hook=hook, generator=generator)


def test_one_that_draws_from_the_nodes_own_does_not(register, tmp_path):
    class Own(Drawing):
        def called(self, node, hook):
            node.rng(hook).random()

    register("methods", "drawing", Own)
    assert with_method(tmp_path).path.exists()


def test_what_draws_meanwhile_without_parts_of_strangers_is_none_of_ours(tmp_path, monkeypatch):
    mix = Gossip.mix
    monkeypatch.setattr(Gossip, "mix", lambda *given: (random.random(), mix(*given))[1])
    assert run(small("rounds=2", mixer="gossip"), tmp_path).path.exists()


class Restless(Gossip):
    """Draws where it mixes."""

    def mix(self, node, inbox):
        DRAWS["numpy"]()
        return super().mix(node, inbox)


class RestlessTask(Classification):
    """Draws where it judges."""

    def losses(self, outputs, targets):
        DRAWS["numpy"]()
        return super().losses(outputs, targets)


@pytest.mark.parametrize(("where", "kind", "part"), [("mixer", "mixers", Restless), ("task", "tasks", RestlessTask)])
def test_mixers_and_tasks_are_watched_too(register, tmp_path, where, kind, part):
    register(kind, "restless", part)
    with pytest.raises(RunError, match=rf"{part.__name__} draws from the global generator of numpy, in round [12]"):
        run(small("rounds=2", **{where: {"name": "restless"}}), tmp_path)
