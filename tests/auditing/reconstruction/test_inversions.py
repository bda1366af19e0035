"""Labels, matched gradients, token sets and momentum: what the other attacks make of an update."""

import numpy as np
import pytest
import torch
from reference.inverted import batch, mlp, scene
from torch import nn

from auditing.reconstruction.gradient_matching import MatchingSettings, gradient_matching, total_variation
from auditing.reconstruction.gradients import observed_gradient
from auditing.reconstruction.label_counts import counted, label_counts
from auditing.reconstruction.token_sets import token_set
from auditing.reconstruction.updates import ObservedUpdate
from simulator.core.flat_module import FlatModule
from simulator.core.training import OptimizerSettings, TrainingSettings


def softmax_gradient(labels, classes, seed=0):
    answers = torch.randn(len(labels), classes, generator=torch.Generator().manual_seed(seed)).double().softmax(1)
    return (answers - nn.functional.one_hot(labels, classes)).mean(0).numpy(), answers.mean(0).numpy()


@pytest.mark.parametrize("labels", [[4], [1, 1, 3, 3, 3, 0, 7, 1], list(range(10)) * 3])
def test_labels_are_counted_exactly_where_the_mean_answer_is_known(labels):
    moved, answers = softmax_gradient(torch.tensor(labels), 10)
    assert counted(moved, answers, len(labels)).tolist() == np.bincount(labels, minlength=10).tolist()


def test_at_the_beginning_public_answers_stand_for_the_mean_one():
    inputs, labels = batch(0, 8)
    there = scene(mlp(0), [(inputs, labels)], public=torch.randn(200, 64, dtype=torch.float64))
    assert label_counts(there).tolist() == np.bincount(labels, minlength=10).tolist()


def test_labels_of_several_steps_are_counted_together():
    batches = [batch(seed, 4) for seed in range(3)]
    there = scene(mlp(1), batches, public=torch.randn(200, 64, dtype=torch.float64), lr=0.01)
    counts = label_counts(there)
    assert counts.sum() == 12
    true = np.bincount(torch.cat([labels for _, labels in batches]), minlength=10)
    assert np.abs(counts - true).sum() <= 4


def test_a_last_layer_without_bias_tells_no_labels():
    network = FlatModule(nn.Sequential(nn.Linear(64, 10, bias=False)), "fp64")
    assert label_counts(scene(network, [batch(2, 4)])) is None


@pytest.mark.slow
def test_a_sample_of_a_linear_network_is_found_by_its_gradient():
    torch.manual_seed(3)
    network = FlatModule(nn.Sequential(nn.Linear(64, 10)), "fp64")
    image, label = torch.rand(1, 64, dtype=torch.float64), torch.tensor([3])
    there = scene(network, [(image, label)], labels=label)
    found = gradient_matching(there, MatchingSettings(iterations=500, restarts=2, tv=0.0))
    assert -10 * torch.log10((found.inputs - image).square().mean()) > 40
    assert not found.certified.any()


def test_the_same_seed_finds_the_same_sample():
    there = [scene(mlp(4), [batch(4, 1)]) for _ in range(2)]
    settings = MatchingSettings(iterations=5, restarts=1)
    one, other = (gradient_matching(each, settings).inputs for each in there)
    assert torch.equal(one, other)


def test_matching_the_end_of_several_steps_moves_the_point_that_the_gradient_is_taken_at():
    batches = [batch(5, 1)] * 4
    close = {
        steps: gradient_matching(
            scene(mlp(5), batches, lr=0.3), MatchingSettings(iterations=60, restarts=1, steps=steps)
        ).inputs
        for steps in ("one", "surrogate")
    }
    assert not torch.equal(close["one"], close["surrogate"])


def test_a_gradient_of_zero_has_nothing_to_match():
    there = scene(mlp(6), [batch(6, 1)])
    there.gradient.total.zero_()
    found = gradient_matching(there, MatchingSettings(iterations=1))
    assert found.limit == "the gradient is 0"


def test_a_search_that_ends_far_from_the_gradient_says_so():
    there, noise = scene(mlp(6), [batch(6, 1)]), torch.Generator().manual_seed(0)
    settings = MatchingSettings(iterations=20, restarts=1)
    there.gradient.total[:] = torch.randn(there.gradient.total.shape, generator=noise)
    assert "20 iterations" in gradient_matching(there, settings).limit


def test_total_variation_is_that_of_neighbouring_pixels():
    images = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert total_variation(images) == 2
    assert total_variation(torch.ones(3, 8)) == 0


def embedding(tied=False):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(50, 8), nn.Linear(8, 50 if tied else 2)
            if tied:
                self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.embedding(tokens).mean(1))

    torch.manual_seed(7)
    return FlatModule(Net(), "fp64")


TOKENS = (torch.tensor([[3, 7, 7, 9]]), torch.tensor([1]))


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 1e-3}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_tokens_of_a_batch_are_those_whose_rows_have_moved(settings, dtype):
    there = scene(embedding(), [TOKENS], vocabulary=50, dtype=dtype, **settings)
    assert token_set(there) == {3, 7, 9}


def test_tied_embeddings_tell_no_tokens():
    assert token_set(scene(embedding(tied=True), [TOKENS], vocabulary=50)) is None


def test_momentum_of_the_round_before_is_taken_out():
    optimizer = OptimizerSettings(lr=0.1, momentum=0.9)
    training = TrainingSettings(local_steps=1, batch_size=1, optimizer=optimizer)
    zero, gradients = torch.zeros(5, dtype=torch.float64), [torch.randn(5, dtype=torch.float64) for _ in range(2)]
    buffers = [gradients[0], 0.9 * gradients[0] + gradients[1]]
    rates = [0.1, 0.05]
    updates = [
        ObservedUpdate(0, round, "exact", None, zero, -rate * buffer, zero)
        for round, rate, buffer in zip((1, 2), rates, buffers, strict=True)
    ]
    first = observed_gradient(updates[0], training, rates[0])
    undone = observed_gradient(updates[1], training, rates[1], (updates[0], rates[0]))
    mixed = observed_gradient(updates[1], training, rates[1])
    assert torch.allclose(first.total, gradients[0], atol=1e-12)
    assert torch.allclose(undone.total, gradients[1], atol=1e-12)
    assert not torch.allclose(mixed.total, gradients[1], atol=1e-2)
    assert (first.mixture, undone.mixture) == ("", "")
    assert "momentum" in mixed.mixture


def test_how_far_rounded_models_are_off_is_predicted():
    batches = [batch(9, 4)]
    exact, rounded = (scene(mlp(9), batches, dtype=dtype) for dtype in (torch.float64, torch.float32))
    error = (rounded.gradient.total - exact.gradient.total).abs()
    assert (error <= rounded.gradient.rounding + 1e-12).all()
    assert error.norm() > 0.1 * rounded.gradient.rounding.norm()


def test_weight_decay_that_nobody_takes_out_spoils_the_ratio():
    one, network = batch(10, 1, inputs=20), mlp(10, 20, 64)
    taken, left = (scene(network, [one], weight_decay=decay) for decay in (5e-4, 0.0))
    views = network.named_views(taken.gradient.total + 5e-4 * taken.gradient.start)
    best = views["1.weight"] / views["1.bias"][:, None]
    assert (best - one[0]).abs().max(1).values.min() > 1e-4
    assert torch.allclose(taken.gradient.total, left.gradient.total, atol=1e-9)
