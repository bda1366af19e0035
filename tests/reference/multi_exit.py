"""A small network with exits, and what to train it on: random samples of three modalities, or tiny clips."""

from dataclasses import replace
from typing import Any

from simulator import load_experiment
from simulator.core.samples import NodeData
from simulator.data.compressed_video.views import Views
from simulator.experiment import Experiment
from simulator.models.multi_exit_video import MultiExitVideo

from .network import random_data, seeded

CHANNELS = Views(segments=2).channels
WIDTHS = (4, 6, 8)
NETWORK = seeded(lambda: MultiExitVideo(MultiExitVideo.Config(widths=WIDTHS)).build((8, 8, 16), 3, CHANNELS))
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
PKD = {"name": "pkd", "start_round": 2, "share": 0.25}


def samples(seed: int = 0) -> NodeData:
    """What a node holds: random samples that `NETWORK` takes."""
    return replace(random_data(shape=(8, 8, 16), seed=seed), channels=CHANNELS)


def clips(*overrides: str, **changes: Any) -> Experiment:
    """`CLIPS` with top-level blocks replaced by ``changes`` and single settings by ``overrides``."""
    return load_experiment({**CLIPS, **changes}, overrides)
