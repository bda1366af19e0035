"""Nodes that hold one modality of every sample; the others' channels are not there at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby

import torch
from torch import Tensor

from simulator.core.channel import Channel
from simulator.core.errors import did_you_mean, wrong
from simulator.core.normalizer import Normalizer
from simulator.core.samples import NodeData, Samples, VerifiedData

WHERE = "data.modality_by_node"


def dealt(nodes: Sequence[NodeData], by_node: Sequence[str]) -> tuple[NodeData, ...]:
    """What is left where node i holds modality ``by_node[i mod len(by_node)]`` alone, of test and public samples too.

    Pictures of few channels get blank ones, always 0 at the network's input, up to the most channels that a picture of
    any modality in ``by_node`` has: so all networks have the same shape. Without ``by_node``, nothing changes.

    Raises:
        InputError: the samples have no such modality.
    """
    if not by_node:
        return tuple(nodes)
    channels = nodes[0].channels
    _check(channels, by_node)
    depth = max(Counter((channel.group, channel.picture) for channel in channels if channel.group in by_node).values())
    kept = {name: _Kept(list(_layout(channels, name, depth))) for name in by_node}
    held = tuple(by_node[number % len(by_node)] for number in range(len(nodes)))
    return tuple(replace(kept[name].of(node), modalities=held) for name, node in zip(held, nodes, strict=True))


class _Kept:
    """The channels of one modality. What nodes share, those of the modality share still."""

    def __init__(self, layout: Sequence[tuple[int, Channel]]) -> None:
        places, self._channels = zip(*layout, strict=True)
        self._places = torch.tensor(places)
        self._images = cache(self._of_images)
        self._samples = cache(self._of_samples)
        self._scale = cache(self._of_scale)

    def of(self, node: NodeData) -> NodeData:
        """What the node has of it."""
        verified = node.verified and VerifiedData(self._samples(node.verified.fit), self._samples(node.verified.select))
        return replace(
            node,
            train=self._samples(node.train),
            validation=self._samples(node.validation),
            held_out=self._samples(node.held_out),
            test=self._samples(node.test),
            public=node.public and self._samples(node.public),
            own_test=node.own_test and self._samples(node.own_test),
            verified=verified,
            preparation=self._scale(node.normalizer),
            inputs=replace(node.inputs, shape=(*node.inputs.shape[:2], len(self._places)), channels=self._channels),
        )

    def _of_samples(self, samples: Samples) -> Samples:
        return replace(samples, inputs=self._images(samples.inputs))

    def _of_images(self, images: Tensor) -> Tensor:
        return torch.cat([images, images.new_zeros(*images.shape[:-1], 1)], dim=-1)[..., self._places]

    def _of_scale(self, preparation: Normalizer) -> Normalizer:
        mean, std = (
            torch.cat([values, values.new_tensor([blank])])[self._places]
            for values, blank in ((preparation.mean, 0.0), (preparation.std, 1.0))
        )
        return replace(preparation, mean=mean, std=std)


def _layout(channels: Sequence[Channel], modality: str, depth: int) -> Iterator[tuple[int, Channel]]:
    """Each channel with its place; a blank one's is after the last."""
    own = [(place, channel) for place, channel in enumerate(channels) if channel.group == modality]
    for picture, members in groupby(own, key=lambda each: each[1].picture):
        found = list(members)
        yield from found
        yield from [(len(channels), Channel(modality, picture))] * (depth - len(found))


def _check(channels: Sequence[Channel], by_node: Sequence[str]) -> None:
    if not channels:
        what = "images are plain pictures, which have no modalities."
        raise wrong(WHERE, what, "Take compressed video, such as moving_shapes or video_folder, or leave it out.")
    known = [*dict.fromkeys(channel.group for channel in channels)]
    for name in by_node:
        if name not in known:
            raise wrong(WHERE, f"the samples have no modality '{name}'.", did_you_mean(name, known, "modalities"))
