"""One node's mixing step by itself: models by hand, weights by hand, and messages in an order of one's choice."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from reference.network import random_data, sgd

from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node, SharedSettings
from simulator.core.place import Place

DATA = random_data(samples=2, shape=(1, 1, 1), classes=2)


def about_to_mix(mixer: Callable[[], Mixer], x: np.ndarray, own: int = 0, w: np.ndarray | None = None) -> Node:
    """A node linked to all others, which has trained in vain.

    Args:
        mixer: gives its mixer.
        x: float [nodes, d], the models.
        own: its row in ``x``.
        w: float [nodes], its row of W; uniform by default.
    """
    row = dict(enumerate([1 / len(x)] * len(x) if w is None else np.asarray(w).tolist()))
    place = Place(own, row, tuple(j for j in row if j != own))
    node = Node(place, SharedSettings(0, len(x), 10, sgd(0.1)), DATA, torch.tensor(x[own]), mixer(), [])
    node.under_way = True
    node.mixer.before_round(node)
    node.mixer.after_local_training(node)
    return node


def inbox(node: Node, x: np.ndarray, order: Sequence[int] | None = None) -> list[Message]:
    """A message with the model of every other node, from the nodes in ``order``."""
    senders = [j for j in (range(len(x)) if order is None else order) if j != node.id]
    return [Message(j, node.id, 1, {"parameters": torch.tensor(x[j])}) for j in senders]


def mixed(
    mixer: Callable[[], Mixer],
    x: np.ndarray,
    own: int = 0,
    w: np.ndarray | None = None,
    order: Sequence[int] | None = None,
) -> np.ndarray:
    """float [d], what the node ``own`` makes of the models ``x``; arguments as above."""
    node = about_to_mix(mixer, x, own, w)
    node.mixer.mix(node, inbox(node, x, order))
    return node.parameters.numpy().copy()
