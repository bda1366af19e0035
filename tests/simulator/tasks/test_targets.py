"""Targets that do not fit a task are refused before anything is trained, and it is said what they are."""

import pytest
import torch
from torch import Tensor

from simulator.core.errors import InputError
from simulator.tasks.binary import Binary
from simulator.tasks.classification import Classification
from simulator.tasks.multilabel import Multilabel
from simulator.tasks.next_token import NextToken
from simulator.tasks.regression import Regression

NAN = float("nan")
REFUSED = [
    (Classification(), [[0, 1, 0], [1, 0, 0]], "abc", ["one-hot", "argmax"]),
    (Classification(), [[0.0, 1.0], [1.0, 0.0]], "ab", ["one-hot", "argmax"]),
    (Classification(), [0.0, 2.0, 1.0], "abc", ["whole numbers", "int64", "regression"]),
    (Classification(), [0.5, 2.0], "abc", ["float32 of shape (2,)", "regression"]),
    (Classification(), [0, 3], "abc", ["from 0 to 3, of 3", "from 0 to 2"]),
    (Classification(), [1, 2], "", ["2 classes from 1 to 2, of 2", "from 0 to 1"]),
    (Classification(), [], "", ["there are none"]),
    (Binary(), [-1, 1, 1], "", ["targets are -1 and 1", "0 for -1"]),
    (Binary(), [1, 2], "", ["targets are 1 and 2", "0 for 1, and 1 for 2"]),
    (Binary(), [0, 1, 2], "", ["1 of 3 targets", "2 is the first", "classification"]),
    (Binary(), [0.0, 0.25, 1.0], "", ["0.25 is the first", "regression"]),
    (Binary(), [0.0, NAN, 1.0], "", ["1 of 3 targets are NaN"]),
    (Binary(), [[0, 1], [1, 0]], "", ["one-hot", "targets[:, 1]"]),
    (Binary(), [[0], [1]], "", ["targets[:, 0]"]),
    (Binary(), [[0, 1, 1], [1, 0, 0]], "", ["multilabel"]),
    (Binary(), [0, 1], "abc", ["3 classes, and not of two: a, b, c", "classification"]),
    (Binary(), [0, 1, 2], ("Yes", "no", "yes"), ["3 classes, and not of two: Yes, no, yes", "one spelling"]),
    (Multilabel(), [0, 1, 1], "", ["int64 of shape (3,)", "binary", "classification"]),
    (Multilabel(), [[0, 1], [1, 1]], "abc", ["2 labels", "name 3: a, b, c"]),
    (Multilabel(), [[-1, 1], [1, 1]], "ab", ["targets are -1 and 1", "0 for -1"]),
    (Multilabel(), [[0.0, NAN], [NAN, NAN]], "ab", ["3 of 4 targets", "1 of a, 2 of b"]),
    (Regression(), [0.5, NAN, float("inf")], "", ["2 of 3 targets are NaN or infinite."]),
    (Regression(), [[0.5, NAN], [1.0, 2.0]], "", ["1 of 4 targets", "1 of 1"]),
    (Regression(), [0, 1, 2], "abc", ["for 3 classes", "no quantity", "meaning: quantity", "classification"]),
    (Regression(), [True, False], "", ["bool", "binary"]),
    (Regression(loss="poisson"), [1.0, -2.0], "", ["1 of 2 targets are below 0", "mse"]),
    (NextToken(), [0, 1], "", ["int64 of shape (2,)", "classification"]),
    (NextToken(), [[0.0, 1.0]], "", ["float32 of shape (1, 2)"]),
    (NextToken(), [[0, 9, -1, -100]], "", ["2 of 3 target tokens are outside 0 to 8", "from -1 to 9", "-100"]),
    (NextToken(), [[-100, -100]], "", ["none of the 2 targets is a token"]),
]


@pytest.mark.parametrize(("task", "targets", "names", "said"), REFUSED)
def test_what_does_not_fit_is_told(task, targets, names, said):
    with pytest.raises(InputError) as raised:
        task.specify(torch.tensor(targets), list(names), 9)

    (problem,) = raised.value.problems
    assert problem.where == "task"
    assert problem.advice
    for part in said:
        assert part in str(problem)


def test_tokens_are_predicted_from_tokens_only():
    with pytest.raises(InputError, match="inputs are no tokens"):
        NextToken().specify(torch.tensor([[0, 1]]), (), 0)


ACCEPTED = [
    (Classification(), [0, 2, 1], "abc", 3),
    (Classification(), [0, 1, 0], "abc", 3),  # no sample has c
    (Classification(), [0, 2, 1], "", 3),
    (Binary(), [0.0, 1.0], "", 1),
    (Binary(), [True, False], ("no", "yes"), 1),
    (Multilabel(), [[0, 1], [1, 0]], "ab", 2),
    (Regression(), [1, 3], ("age",), 1),
    (Regression(), [[0.5, 1.5, 2.5]], "", 3),
    (NextToken(), [[0, 8, -100]], "", 9),
]


@pytest.mark.parametrize(("task", "targets", "names", "width"), ACCEPTED)
def test_what_fits_gives_the_width_and_names(task, targets: Tensor, names, width):
    spec = task.specify(torch.tensor(targets), list(names), 9)

    assert spec.width == width
    assert spec.names == tuple(names)
