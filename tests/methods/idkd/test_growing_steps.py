"""Rounds that grow with the labelled set, as epochs do in the released code."""

import json
from math import ceil

import pytest
from reference.experiments import nodes_of, simulate, small

from simulator import run
from simulator.core.errors import InputError
from simulator.core.method import Method

STEPS = 3
TRAINING = {"local_steps": STEPS, "batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.3}}


class CountedSteps(Method):
    """By round, how many steps the node took and how large its training set was; last in the list."""

    def setup(self, node):
        self.steps, self.sizes = {}, {}

    def before_round(self, node):
        self.sizes[node.round] = len(node.training_set)

    def before_step(self, node, batch):
        self.steps[node.round] = self.steps.get(node.round, 0) + 1


def idkd(**settings):
    return [{"name": "idkd", "first_round": 2, "every": 2, "threshold": 0.2, **settings}]


def counted(path, trainer, **settings):
    def add_counter(node):
        node.methods.append(CountedSteps(None))
        node.methods[-1].setup(node)

    return simulate(small(methods=idkd(**settings), training={**TRAINING, "trainer": trainer}), path, add_counter)


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_a_growing_round_passes_over_the_same_share_of_all_samples(tmp_path, trainer):
    grown = False
    for node in counted(tmp_path, trainer, steps="growing"):
        private, counter = len(node.data.train), node.methods[-1]
        expected = {round: ceil(STEPS * size / private) for round, size in counter.sizes.items()}
        grown = grown or max(expected.values()) > STEPS
        assert counter.steps == expected
    assert grown


def test_a_fixed_round_does_not(tmp_path):
    nodes = counted(tmp_path, "sequential")

    assert {steps for node in nodes for steps in node.methods[-1].steps.values()} == {STEPS}
    assert any(size > len(node.data.train) for node in nodes for size in node.methods[-1].sizes.values())


@pytest.mark.slow
def test_the_steps_really_taken_are_counted_and_take_their_time(tmp_path):
    """With one node a hundred times slower than the others, a round lasts as long as that node's steps."""
    clock = {"step_seconds": 1.0, "speeds": {0: 0.01}}
    settings = {"training": TRAINING, "clock": clock, "evaluate": {"every": 1}}
    nodes = counted(tmp_path / "watched", "sequential", steps="growing")
    result = run(small(methods=idkd(steps="growing"), **settings), tmp_path)

    timing = [json.loads(line) for line in (result.path / "timing.jsonl").read_text().splitlines()]
    by_round = [sum(node.methods[-1].steps[round] for node in nodes) for round in range(1, 7)]
    assert [line["node_steps"] for line in timing if line["node_steps"]] == by_round
    seconds = [metric.value for metric in result.metrics() if metric.name == "clock/seconds"]
    slowest = [100.0 * nodes[0].methods[-1].steps[round] for round in range(1, 7)]
    assert [after - before for before, after in zip([0.0, *seconds[-6:]], seconds[-6:], strict=False)] == slowest


@pytest.mark.slow
def test_a_threshold_that_labels_nothing_keeps_the_number_of_steps(tmp_path):
    base = run(small(training=TRAINING), tmp_path / "base")
    grown = run(small(training=TRAINING, methods=idkd(threshold=1.0, steps="growing")), tmp_path / "grown")

    assert [m for m in grown.metrics() if not m.name.startswith("idkd/")] == base.metrics()


@pytest.mark.parametrize("method", ["gradient_tracking", "d2"])
def test_methods_that_need_equal_steps_refuse_growing_ones(method):
    topology = {"graph": "ring", "nodes": 4, "weights": "lazy"}
    nodes_of(small(methods=[{"name": method}, *idkd()], topology=topology))

    with pytest.raises(InputError, match="let no method change the number of steps"):
        small(methods=[{"name": method}, *idkd(steps="growing")], topology=topology)
