"""Laws of every task: sums add up, losses are those that scores tell of, and nothing depends on what a batch is."""

from functools import reduce

import pytest
import torch
from reference.tasks import TASKS as CASES
from reference.tasks import VOCABULARY, drawn

from simulator.core.task import TASKS, added_up

each_case = pytest.mark.parametrize("name", CASES)


def specified(name, samples=60):
    task = CASES[name]()
    outputs, targets, names = drawn(name, samples)
    vocabulary = VOCABULARY if name == "next_token" else 0
    return task, outputs, targets, task.specify(targets, names, vocabulary)


def test_every_registered_task_is_tried_here():
    assert {type(build()) for build in CASES.values()} == {TASKS.load(name) for name in TASKS.names()}


@each_case
def test_the_outputs_are_as_wide_as_specified(name):
    task, outputs, _, spec = specified(name)

    assert spec.task is task
    assert spec.width == outputs.shape[-1]
    assert spec.classes == (4 if name == "classification" else 0)


@each_case
def test_statistics_of_pieces_added_up_are_those_of_the_whole(name):
    task, outputs, targets, spec = specified(name)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    pieces = [order[start:end] for start, end in ((0, 1), (1, 1), (1, 20), (20, 55), (55, 60))]

    whole = task.statistics(outputs, targets)
    parts = reduce(added_up, (task.statistics(outputs[piece], targets[piece]) for piece in pieces))

    for key, value in whole.items():
        assert value.dtype == parts[key].dtype
        assert value.dtype in (torch.int64, torch.float64)
        torch.testing.assert_close(parts[key], value, rtol=1e-12, atol=1e-9)
    assert task.metrics(parts) == pytest.approx(task.metrics(whole), rel=1e-9)
    assert task.undefined(parts, spec.names) == {}


@each_case
def test_the_scores_are_those_declared_and_the_loss_is_what_training_minimises(name):
    task, outputs, targets, _ = specified(name)
    found = task.metrics(task.statistics(outputs, targets))

    assert set(found) == set(task.scores)
    assert next(iter(task.scores)) == task.headline
    assert task.higher_is_better is task.scores[task.headline]
    assert found["loss"] == pytest.approx(task.losses(outputs, targets).mean().item(), rel=1e-5)


@each_case
def test_losses_and_margins_are_those_of_single_samples(name):
    task, outputs, targets, _ = specified(name)
    for found in (task.losses, task.margins):
        if (together := found(outputs, targets)) is not None:
            alone = torch.cat([found(outputs[i : i + 1], targets[i : i + 1]) for i in range(60)])
            assert together.shape == (60,)
            torch.testing.assert_close(together, alone)


@each_case
def test_losses_of_stacked_nodes_are_those_of_each_node(name):
    task, outputs, targets, _ = specified(name)
    stacked = outputs.unflatten(0, (3, 20)), targets.unflatten(0, (3, 20))

    def cost(outputs, targets):
        return task.losses(outputs, targets).mean()

    gradients = torch.func.vmap(torch.func.grad(cost))(*stacked)

    torch.testing.assert_close(torch.func.vmap(task.losses)(*stacked).flatten(), task.losses(outputs, targets))
    for node in range(3):
        torch.testing.assert_close(gradients[node], torch.func.grad(cost)(stacked[0][node], stacked[1][node]))


@each_case
def test_margins_rise_with_the_outputs_that_lower_the_loss(name):
    task, outputs, targets, _ = specified(name)
    if task.margins(outputs, targets) is None:
        assert name.startswith("regression")
        return
    slope = torch.func.grad(lambda outputs: task.losses(outputs, targets).sum())(outputs)

    assert (task.margins(outputs - 0.01 * slope, targets) > task.margins(outputs, targets)).all()


@each_case
def test_a_network_that_knows_more_than_the_baseline_beats_it(name):
    task, outputs, targets, spec = specified(name, 60)
    constant = task.baseline(targets, spec.width).float().expand(outputs.shape)
    other = constant + 0.5 * torch.randn(spec.width, generator=torch.Generator().manual_seed(2))

    if name not in ("regression mae", "regression huber"):  # the mean is not what those are lowest at
        assert task.losses(constant, targets).mean() < task.losses(other, targets).mean()
    if name in ("classification", "next_token"):  # outputs drawn for them know nothing
        return
    best, known = (task.metrics(task.statistics(given, targets)) for given in (outputs, constant))
    assert (best[task.headline] > known[task.headline]) is task.higher_is_better


@pytest.mark.parametrize(
    "name", sorted(set(CASES) - {"classification"})
)  # its scores are NaN then, as they always were
def test_no_samples_and_outputs_that_are_no_numbers_make_no_scores(name):
    task, outputs, targets, _ = specified(name)
    for given, wanted, why in ((outputs[:0], targets[:0], "no samples"), (outputs * torch.nan, targets, "not finite")):
        sums = task.statistics(given, wanted)
        assert task.metrics(sums) == {}
        assert set(task.undefined(sums)) == set(task.scores)
        assert all(why in reason for reason in task.undefined(sums).values())
