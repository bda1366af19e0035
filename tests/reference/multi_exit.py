"""A small network with exits, and what to train it on: random samples of three modalities, or tiny clips."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from simulator import load_experiment
from simulator.config.experiment import Experiment
from simulator.core.method import Method
from simulator.core.samples import NodeData
from simulator.data.compressed_video.views import VideoViews
from simulator.data.modalities import dealt
from simulator.models.multi_exit_video import MultiExitVideo
from simulator.testing.network import of_images
from topologies import Topology

from .network import Network, random_data, seeded, sgd

CHANNELS = VideoViews(segments=2).channels
WIDTHS = (4, 6, 8)
NETWORK = seeded(
    lambda: MultiExitVideo(MultiExitVideo.Config(widths=WIDTHS)).build(*of_images((8, 8, 16), 3, CHANNELS))
)
CLIPS = {
    "name": "clips",
    "rounds": 6,
    "topology": {"graph": "ring", "nodes": 3},
    "data": {
        "dataset": {
            "name": "moving_shapes",
            **{"train": 42, "test": 14, "side": 16, "frames": 2, "cache": None},
            "views": {"size": 8, "segments": 1},
        },
        "partition": "iid",
        "validation": 0.3,
    },
    "model": {"name": "multi_exit_video", "widths": [4, 4]},
    "training": {"batch_size": 8, "precision": "fp64", "optimizer": {"lr": 0.1, "momentum": 0.9}},
}
ONE_EACH = CLIPS["data"] | {
    "dataset": CLIPS["data"]["dataset"] | {"train": 63},
    "modality_by_node": ["mv", "residual", "iframe"],
    "public": [{"dataset": CLIPS["data"]["dataset"] | {"train": 63}, "samples": 21}],
}
PKD = {"name": "pkd", "first_round": 3, "share": 0.25}


def one_stream(widths: tuple[int, ...] = WIDTHS) -> nn.Module:
    """What a node trains that holds one modality of `CHANNELS`."""
    own = [replace(channel, group="own") for channel in CHANNELS if channel.group == "iframe"]
    return seeded(lambda: MultiExitVideo(MultiExitVideo.Config(widths=widths)).build(*of_images((8, 8, 6), 3, own)))()


def samples(seed: int = 0, public: int = 0) -> NodeData:
    """What a node holds: random samples that `NETWORK` takes."""
    data = random_data(shape=(8, 8, 16), seed=seed, public=public)
    return replace(data, inputs=replace(data.inputs, channels=CHANNELS))


def one_modality(topology: Topology, by_node: Sequence[str], methods: Callable[[int], list[Method]]) -> Network:
    """Nodes of one modality each, on random samples; all have the same 10 public ones."""
    data = dealt([samples(seed, public=10) for seed in range(topology.num_nodes)], by_node)
    training = sgd(0.1, batch_size=8, momentum=0.9, weight_decay=0.01)
    return Network(topology, one_stream, data, training, methods=methods, rounds=6)


def clips(*overrides: str, **changes: Any) -> Experiment:
    """`CLIPS` with top-level blocks replaced by ``changes`` and single settings by ``overrides``."""
    return load_experiment({**CLIPS, **changes}, overrides)
