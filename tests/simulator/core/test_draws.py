"""What draws random numbers, and what is tagged as if it did."""

from pathlib import Path

import pytest
import torch
from reference.experiments import results, simulate
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from simulator.core.draws import DrawnFrom, WatchedDraws
from simulator.core.errors import RunError

ROWS = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def attention(dropout):
    return scaled_dot_product_attention(ROWS, ROWS, ROWS, dropout_p=dropout)


def test_attention_draws_for_dropout_alone():
    with WatchedDraws() as watched:
        attention(0.0)
        assert not watched.any
        attention(0.5)
    assert watched.any

    expected = attention(0.0)
    with DrawnFrom(torch.Generator()):
        assert torch.equal(attention(0.0), expected)


def test_an_operation_without_a_form_for_generators_is_refused():
    with DrawnFrom(torch.Generator()), pytest.raises(RunError, match="takes no generator"):
        torch.randperm(3, out=torch.empty(3, dtype=torch.int64))


class Tokens(nn.Module):
    """A picture's rows as tokens, in an ordinary encoder; it may draw masks of dropout between its layers."""

    def __init__(self, classes, dropout=0.0):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(8, classes)

    def forward(self, x):
        return self.last(self.dropout(self.encoder(x[:, 0])).mean(dim=1))


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # PyTorch's, of attention under vmap
@pytest.mark.parametrize(("trainer", "dropout"), [("sequential", 0.0), ("sequential", 0.5), ("stacked", 0.0)])
def test_attention_without_dropout_is_trained_and_repeats(experiment, tmp_path, trainer, dropout):
    small = experiment(
        model={"name": f"{Path(__file__)}:Tokens", "dropout": dropout},
        rounds=2,
        training={"batch_size": 16, "precision": "fp64", "trainer": trainer},
    )
    first, again = (results(simulate(small, tmp_path / name, lambda _: None) and tmp_path / name) for name in "ab")
    assert first == again
