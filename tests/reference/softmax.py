"""Softmax regression, and its gradients by hand, of the loss plain or up the slope."""

import numpy as np
import torch
from torch import nn


class Softmax(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, images):
        return self.layer(images.flatten(1))


def gradients(parameters, images, labels):
    """float [parameters] of softmax regression's mean cross-entropy, by hand."""
    weights, bias = parameters[:36].reshape(3, 12), parameters[36:]
    logits = images @ weights.T + bias
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    errors = (probabilities - np.eye(3)[labels]) / len(labels)
    return np.concatenate([(errors.T @ images).ravel(), errors.sum(0)])


def sharp_gradients(parameters, images, labels, rho):
    """The same at the parameters that are ``rho`` up the slope; 0: at the parameters."""
    slope = gradients(parameters, images, labels)
    return gradients(parameters + rho * slope / np.linalg.norm(slope), images, labels)


def arrays(data):
    """All training samples of a node as its network sees them: float [N, 12] and their labels."""
    rows = torch.arange(len(data.train))
    images = data.preparation(data.train.inputs_at(rows), torch.float64).flatten(1).numpy()
    return images, data.train.targets_at(rows).numpy()
