"""The built-in experiments, shrunk to a second and to data that are made up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from reference.made_up import divided_as, in_place_of, needs

from simulator import load_experiment
from simulator.config.experiment import Experiment

VARIANTS = (  # of recipes that are run: another graph, or another data set that is made up here in any case
    *("audit-cifar10-small-torus", "dp-ring-fashion", "idkd-cifar10", "idkd-cifar10-small-davis"),
    *("idkd-cifar10-small-florentine", "idkd-cifar10-small-torus", "ltc-cifar10-small-central"),
    *("ltc-cifar10-small-torus", "ring-idkd-cifar10", "ring-idkd-fashion", "verifix-cifar10-small-torus"),
)
SHAPES = {"digits": (8, 8), "fashion_mnist": (16, 16), "cifar10": (16, 16, 3), "cifar100": (16, 16, 3)}
FEW_CLIPS = {"train": 60, "test": 7, "side": 16, "frames": 4, "cache": None, "views": {"size": 8, "segments": 1}}


def made_up(folder: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (640, *shape), dtype=np.uint8), np.arange(640) % 10
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    return {"name": "npz", "path": str(folder / "images.npz")}


def made_up_data(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    name = content["data"]["dataset"]["name"]
    if name in ("moving_shapes", "video_folder"):
        return {"name": "moving_shapes", **FEW_CLIPS}
    return in_place_of(content, folder) or made_up(folder, SHAPES[name])


def few_canaries(asked: Any) -> Any:
    return {**asked, "number": min(asked["number"], 5)} if isinstance(asked, dict) else min(asked, 5)


def shrunk(name: str, folder: Path) -> Experiment:
    """The recipe ``name``, with what it needs of data in ``folder``; the test is skipped where a package is missing."""
    content = load_experiment(name).to_dict()
    needs(content)
    content |= {"rounds": 2, "backend": {"name": "local"}}  # where it runs is tested elsewhere
    images, canaries = made_up_data(content, folder), few_canaries(content["data"]["canaries"])
    content["data"] |= {"dataset": images, "partition": divided_as(content), "canaries": canaries}
    if content["model"].get("small_images"):  # these networks are large, and made elsewhere
        content |= {"model": {"name": "cnn", "width": 4}, "buffers": None}
    elif content["model"].get("resnets"):
        content["model"]["resnets"] = {}
    elif "network" in content["model"]:
        content["model"]["network"] = "shufflenet_v2_x0_5"  # small, and with batch normalisation too
    training = content["training"]
    training |= {"local_steps": min(training["local_steps"], 2), "batch_size": min(training["batch_size"], 8)}
    if content["data"]["public"]:
        source = images if images["name"] == "moving_shapes" else "photo_patches"
        content["data"]["public"] = [{"dataset": source, "samples": 20}]
    for method in content["methods"]:
        method |= {"first_round": 2} if "first_round" in method else {}
        method |= {"teachers": ["mv"]} if "teachers" in method else {}
        if "after" in method:  # it chooses by trajectories, which take a few rounds
            content["rounds"] = 4 if method["after"] else 3
            method |= {"every": 1, "after": method["after"] and 3}
    return load_experiment(content)
