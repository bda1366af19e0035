from __future__ import annotations

import pytest
import torch
from reference.tokens import batch, check_vectorises, tokens
from torch import nn

from simulator.core.errors import InputError
from simulator.core.samples import NodeData
from simulator.core.task import Task
from simulator.models.transformer_text import TransformerText
from simulator.tasks.binary import Binary
from simulator.tasks.classification import Classification
from simulator.tasks.next_token import NextToken
from simulator.tasks.regression import Regression
from simulator.testing.network import seeded

CLASSES, NEXT = Classification(Classification.Config()), NextToken(NextToken.Config())
LENGTH, VOCABULARY = 7, 11
both = pytest.mark.parametrize(("task", "outputs"), [(CLASSES, 3), (NEXT, VOCABULARY)], ids=["classes", "next"])


def made(task: Task, outputs: int) -> tuple[nn.Module, NodeData]:
    data = tokens(task, LENGTH, VOCABULARY, outputs)
    model = TransformerText(TransformerText.Config(width=8, heads=2))
    return seeded(lambda: model.build(data.inputs, data.outputs))().double(), data


def test_its_size_is_what_is_said() -> None:
    data = tokens(NEXT, 128, 257, 257)
    network = TransformerText(TransformerText.Config()).build(data.inputs, data.outputs)
    # embeddings (257 + 128) 64; a layer has 12 64^2 weights and 13 64 of biases and norms; the last norm; the head
    expected = 385 * 64 + 2 * (12 * 64**2 + 13 * 64) + 2 * 64 + 65 * 257
    assert sum(each.numel() for each in network.parameters()) == expected == 141_441


@both
def test_what_stands_at_padding_changes_nothing(task: Task, outputs: int) -> None:
    network, data = made(task, outputs)
    ids, mask = batch(data)
    other = torch.where(mask, ids, (ids + 5) % VOCABULARY)
    one, two = network(ids, mask), network(other, mask)
    if task.by_token:
        one, two = one[mask], two[mask]
    assert not torch.equal(ids, other)
    assert torch.equal(one, two)


def test_of_next_tokens_changing_one_changes_no_output_before_it() -> None:
    network, data = made(NEXT, VOCABULARY)
    ids, mask = batch(data)
    changed = ids.clone()
    changed[:, 4] = (ids[:, 4] + 1) % VOCABULARY
    before, after = network(ids, mask), network(changed, mask)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[5, 4:], after[5, 4:]).all(dim=-1).any()


@pytest.mark.parametrize("task", [CLASSES, Binary(Binary.Config()), Regression(Regression.Config())])
def test_of_other_tasks_every_token_counts(task: Task) -> None:
    network, data = made(task, 2)
    ids, mask = batch(data)
    whole = network(ids, mask)
    assert whole.shape == (6, 2)
    for place in range(LENGTH):
        changed = ids.clone()
        changed[5, place] = (ids[5, place] + 1) % VOCABULARY
        assert not torch.isclose(network(changed, mask)[5], whole[5]).all()


@both
def test_models_and_samples_vectorise(task: Task, outputs: int) -> None:
    check_vectorises(*made(task, outputs))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    data = tokens(CLASSES, LENGTH, VOCABULARY, 3)
    with pytest.raises(InputError, match="3 heads cannot share a width of 8"):
        TransformerText(TransformerText.Config(width=8, heads=3)).build(data.inputs, data.outputs)
