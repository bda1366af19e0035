"""One task of each kind and setting, with outputs and targets of samples drawn for it."""

import torch

from simulator.tasks.binary import Binary
from simulator.tasks.classification import Classification
from simulator.tasks.multilabel import Multilabel
from simulator.tasks.next_token import NextToken
from simulator.tasks.regression import Regression

TASKS = {
    "classification": Classification,
    "binary": Binary,
    "multilabel": Multilabel,
    "regression": Regression,
    "next_token": NextToken,
    "regression mae": lambda: Regression(loss="mae"),
    "regression huber": lambda: Regression(loss="huber", delta=0.7),
    "regression poisson": lambda: Regression(loss="poisson"),
}
VOCABULARY = 7


def drawn(name, samples, seed=0):
    """Outputs, targets and the names of a task's classes, labels or quantities."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(samples, *shape, generator=random)

    if name == "classification":
        return normal(4), normal(4).argmax(dim=1), ("a", "b", "c", "d")
    if name == "binary":
        outputs = 2 * normal(1) - 1
        return outputs, (outputs[:, 0] + normal() > 0).long(), ("no", "yes")
    if name == "multilabel":
        outputs = 2 * normal(3) - 1
        return outputs, (outputs + normal(3) > 0).long(), ("cough", "fever", "rash")
    if name == "next_token":
        lengths = torch.randint(1, 6, (samples, 1), generator=random)
        tokens = torch.randint(0, VOCABULARY, (samples, 5), generator=random)
        return normal(5, VOCABULARY), tokens.where(torch.arange(5) < lengths, -100), ()
    outputs = normal(2)
    if name == "regression poisson":
        return outputs, torch.poisson(outputs.exp(), generator=random), ("visits", "days")
    return outputs, outputs + normal(2), ("height", "weight")
