"""Label smoothing against torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from methods.label_smoothing import LabelSmoothing
from simulator.core.samples import Batch
from simulator.core.seeding import generator


@pytest.mark.parametrize("soft", [False, True])
@given(strength=st.floats(0, 1), seed=st.integers(0, 100))
def test_losses_are_those_of_smoothed_targets(soft, strength, seed):
    rng = generator(seed, "smoothing")
    logits = torch.from_numpy(rng.normal(size=(7, 4)))
    targets = torch.from_numpy(rng.dirichlet(torch.ones(4), 7)) if soft else torch.from_numpy(rng.integers(0, 4, 7))
    batch = Batch(torch.zeros(7, 1, 1, 1), targets)
    method = LabelSmoothing(LabelSmoothing.Config(strength=strength))
    losses = method.per_sample_loss(None, batch, logits, cross_entropy(logits, targets, reduction="none"))

    expected = cross_entropy(logits, targets, reduction="none", label_smoothing=strength)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)
