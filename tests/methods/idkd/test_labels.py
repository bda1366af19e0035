"""Soft labels, and the loss they are trained with."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.distillation import rows
from torch.nn.functional import cross_entropy, one_hot

from methods.idkd.labels import soft_labels


class TestSoftLabels:
    def test_are_the_softmax_of_the_logits_over_the_temperature(self):
        logits = np.random.default_rng(0).normal(size=(5, 3)) * 4
        for temperature in (0.5, 1.0, 3.0):
            expected = np.exp(logits / temperature)
            expected /= expected.sum(1, keepdims=True)

            np.testing.assert_allclose(soft_labels(torch.from_numpy(logits), temperature), expected, rtol=1e-12)

    def test_tell_confidences_apart_that_single_precision_rounds_to_1(self):
        confidence = soft_labels(torch.tensor([[20.0, 0, 0], [25.0, 0, 0]]), 1.0).amax(1)

        assert confidence[0] < confidence[1] < 1

    @given(st.integers(0, 1000))
    def test_cross_entropy_with_one_hot_labels_is_that_of_the_classes(self, seed):
        rng = np.random.default_rng(seed)
        logits, labels = torch.from_numpy(rng.normal(size=(6, 4))), torch.from_numpy(rng.integers(0, 4, 6))
        soft = cross_entropy(logits, one_hot(labels, 4).double(), reduction="none")

        torch.testing.assert_close(soft, cross_entropy(logits, labels, reduction="none"), rtol=1e-12, atol=1e-12)

    @given(st.integers(0, 1000))
    def test_cross_entropy_is_least_and_equals_the_entropy_where_the_model_says_the_label(self, seed):
        label = rows(1, 4, seed)
        entropy = -(label * label.log()).sum().item()
        elsewhere = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 4)))

        assert cross_entropy(label.log(), label).item() == pytest.approx(entropy, rel=1e-12)
        assert cross_entropy(elsewhere, label).item() >= entropy - 1e-12
