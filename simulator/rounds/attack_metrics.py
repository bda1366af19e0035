"""What attacks have done to the honest nodes of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

import torch

from simulator.core.backend import Evaluation

OF_ATTACKS = ("attack/", "honest/")
LARGEST = "attack/largest_weight"


def attack_metrics(
    honest: Mapping[int, Evaluation], distances: Mapping[int, int], headline: str
) -> Iterator[tuple[str, float]]:
    """Means over honest nodes, by name; of ``attack/largest_weight`` the largest.

    ``honest/drift`` is ||mean_i (x_i - m_i)||, by how much the last mixing moved the mean of the honest nodes: from
    models m after training to models x. The headline score is given apart for nodes at each distance from the nearest
    attacker, too.

    Args:
        honest: the nodes, measured.
        distances: of each, how many links it is away from the nearest attacker.
        headline: the score that is given by distance.
    """
    moved = [each.moved for each in honest.values() if each.moved is not None]
    if moved:
        yield "honest/drift", torch.stack(moved).double().mean(dim=0).norm().item()
    names = dict.fromkeys(name for each in honest.values() for name in each.by_methods if name.startswith(OF_ATTACKS))
    for name in names:
        over_nodes = max if name == LARGEST else fmean
        yield name, over_nodes([each.by_methods[name] for each in honest.values() if name in each.by_methods])
    for links in sorted(set(distances.values())):
        near = [each.scores for node, each in honest.items() if distances[node] == links]
        if at := [scores[headline] for scores in near if headline in scores]:
            yield f"test/{headline}/at_distance_{links}", fmean(at)
