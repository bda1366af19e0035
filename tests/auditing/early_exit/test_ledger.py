"""Operations counted by hand, and by leaving early for real."""

import numpy as np
import pytest
import torch
from reference.multi_exit import NETWORK
from scipy.special import softmax
from torch import nn

from auditing.early_exit.cascade import combined, leave
from auditing.early_exit.ledger import MacCounter, costs
from auditing.early_exit.weights import equal
from simulator.core.errors import InputError

STREAMS = ("mv", "residual", "iframe")


def images(count=1):
    return torch.randn(count, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def by_hand(depth):
    """Of two pictures of 8x8, halved by each stage of widths 4, 6, 8; classifiers pool to 4x4, three classes."""
    stages = [4 * 4 * depth * 9 * 4, 2 * 2 * 4 * 9 * 6, 1 * 1 * 6 * 9 * 8 + 8 * 3]
    classifiers = [4 * 4 * 4 * 9 * 4 + 4 * 16 * 3, 2 * 2 * 6 * 9 * 6 + 6 * 16 * 3, 0]
    return 2 * np.array(stages), 2 * np.array(classifiers)


def test_the_ledger_is_the_count_by_hand():
    network = NETWORK()
    found = costs(network, images(), ["residual", "mv"])
    (residual, classifiers), (mv, _) = by_hand(3), by_hand(2)
    assert found.backbone.tolist() == [*residual, *mv]
    assert found.classifier.tolist() == [*classifiers, *classifiers]
    assert found.passed.tolist() == np.cumsum([*(residual + classifiers), *(mv + classifiers)]).tolist()
    assert found.alone[4] == mv[0] + mv[1] + classifiers[1]
    assert found.alone[5] == mv.sum()
    assert not [layer for layer in network.modules() if layer._forward_hooks]


def test_leaving_early_for_real_costs_and_says_what_the_table_says():
    """Sample by sample, nothing after the exit is run."""
    network, batch = NETWORK().eval(), images(8)
    priced = costs(network, batch[:1], STREAMS)
    with torch.no_grad():
        logits = np.stack([z.double().numpy() for name in STREAMS for z in network.walk(batch, name)])
    weights = 3 * equal(len(logits))
    table = combined(weights, logits)
    threshold = float(np.quantile(softmax(table, axis=2).max(axis=2).max(axis=0), 0.3))
    exits = leave(table, threshold)
    assert len(set(exits.tolist())) > 2
    for sample, exit in enumerate(exits):
        answer, macs = infer(network, batch[sample : sample + 1], weights, threshold)
        assert macs == priced.passed[exit]
        assert answer == table[exit, sample].argmax()


@torch.no_grad()
def infer(network, image, weights, threshold):
    """The answer for one image, and the operations until it is sure."""
    ledger, seen = MacCounter(frozenset()), []
    handles = [
        layer.register_forward_hook(lambda layer, _, output: ledger.note("", layer, output))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    for number, logits in enumerate(z for name in STREAMS for z in network.walk(image, name)):
        seen.append(logits[0].double().numpy())
        said = np.tensordot(weights[number, : number + 1], np.stack(seen), 1)
        if softmax(said).max() >= threshold:
            break
    for handle in handles:
        handle.remove()
    return said.argmax(), sum(ledger.take())


def test_layers_that_cannot_be_counted_are_refused():
    network = NETWORK()
    network.streams["mv"].head[2] = nn.Bilinear(2, 3, 4)
    with pytest.raises(InputError, match=r"streams\.mv\.head\.2, Bilinear"):
        costs(network, images(), STREAMS)
