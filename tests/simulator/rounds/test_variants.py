"""Changed copies of the models, which a method offers whenever the network is evaluated."""

import pytest
import torch
from reference.experiments import small

from simulator import run
from simulator.core.errors import InputError, Problem
from simulator.core.method import Method
from simulator.core.registry import PartSettings

NAMES = ("test/accuracy/mean", "test/accuracy/worst", "test/accuracy/best", "consensus/test/accuracy")


class Halved(Method):
    """Half of every parameter, at nodes from ``first`` on."""

    class Config(PartSettings):
        name: str = "halved"
        first: int = 0

    def variant(self, node):
        node.log("halved/round", node.round)
        return node.parameters / 2 if node.id >= self.config.first else None


class Same(Halved):
    """The model as it is."""

    def variant(self, node):
        return node.parameters.clone()


@pytest.fixture
def lines(register, tmp_path):
    """``lines(method, **settings)``: the metrics of a run with it, by round, node and name."""

    def made(method=None, **settings):
        methods = []
        if method:
            register("methods", "halved", method)
            methods = [{"name": "halved", **settings}]
        done = run(small(methods=methods), tmp_path / f"{method}")
        return {(m.round, m.node, m.name): m.value for m in done.metrics()}

    return made


def test_they_are_measured_at_every_evaluation_and_change_nothing(lines):
    with_, without = lines(Halved), lines()
    rounds = {round for round, _, name in with_ if name == "halved/consensus/test/accuracy"}

    assert rounds == {0, 2, 4, 6}
    assert {key: value for key, value in with_.items() if not key[2].startswith("halved/")} == without


def test_what_is_logged_then_has_the_round_of_the_evaluation(lines):
    found = {(round, value) for (round, _, name), value in lines(Halved).items() if name == "halved/round"}

    assert found == {(0, 0), (2, 2), (4, 4), (6, 6)}


def test_a_copy_of_the_model_as_it_is_measures_the_same(lines):
    found = lines(Same)
    copies = {key: value for key, value in found.items() if key[2].startswith("halved/")}

    assert len(copies) == 4 * (4 * 2 + 6)
    for (round, node, name), value in copies.items():
        assert value == found[round, node, name.removeprefix("halved/")]


def test_the_network_is_those_nodes_that_have_one(lines):
    found = lines(Halved, first=2)
    by_node = [found[6, node, "halved/test/accuracy"] for node in (2, 3)]

    assert (6, 1, "halved/test/accuracy") not in found
    assert found[6, None, "halved/test/accuracy/mean"] == sum(by_node) / 2
    assert found[6, None, "halved/test/accuracy/worst"] == min(by_node)


def test_a_network_that_a_method_cannot_work_with_is_refused_before_the_run(register, tmp_path):
    class Picky(Halved):
        @classmethod
        def check_network(cls, config, network):
            if any(isinstance(module, torch.nn.Conv2d) for module in network.modules()):
                yield Problem("first", "does not like convolutions.", "Take mlp.")

    register("methods", "halved", Picky)
    run(small("rounds=1", methods=[{"name": "halved"}]), tmp_path / "mlp")
    with pytest.raises(InputError, match=r"methods\[0\].first: does not like convolutions"):
        run(small("rounds=1", model={"name": "cnn", "width": 2}, methods=[{"name": "halved"}]), tmp_path / "cnn")
    assert not (tmp_path / "cnn").exists()
