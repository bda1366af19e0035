"""Scores that the samples to test with do not have, such as the AUROC of one class: told before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from simulator.core.samples import NodeData


def undefined_scores(nodes: Sequence[NodeData], whose: Sequence[str]) -> Iterator[str]:
    """Which scores a node's test samples do not have, whatever the outputs: the common ones, and its own.

    Args:
        nodes: with their data.
        whose: what to call each.
    """
    common = {id(node.test): (node, node.test, "") for node in nodes if node.test is not node.own_test}
    own = [(node, node.own_test, f" at {name}, and left out of means") for node, name in zip(nodes, whose, strict=True)]
    for node, tested, where in (*common.values(), *own):
        if tested is None:
            continue
        targets = tested.targets_at(torch.arange(len(tested)))
        best = node.task.baseline(targets, node.outputs.width)
        if best is None or (node.inputs.vocabulary and targets.dim() > 1):  # of a token in a text, scores always are
            continue
        sums = node.task.statistics(best.expand(*targets.shape[:1], -1), targets)
        for score, why in node.task.undefined(sums, node.outputs.names).items():
            yield f"the score {score} is not defined{where}: {why}"
