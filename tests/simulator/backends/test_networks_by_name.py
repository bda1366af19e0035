"""Tables, text, image files and networks by name give the same bytes wherever the nodes are."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference.experiments import results, small
from reference.made_up import divided_as, in_place_of, needs

from simulator import load_experiment, run
from simulator.config.experiment import Experiment
from simulator.deployment.plan import deployable

pytestmark = pytest.mark.slow
RECIPES = ("table-sites", "text-authors", "next-token", "lora-text", "resnet18-folder")
each = pytest.mark.parametrize("recipe", RECIPES)


def tiny(recipe: str, folder: Path) -> Experiment:
    """Two rounds of the recipe by four nodes on a few samples, on this machine and on one thread."""
    content = load_experiment(recipe).to_dict()
    needs(content)
    partition = divided_as(content)
    if partition["name"] == "by_site":
        partition["sites"] = "sample" if partition["sites"] == "all" else partition["sites"][:4]
    content |= {"rounds": 2, "topology": {"graph": "ring", "nodes": 4}, "evaluate": {"every": 1}, "checkpoint": {}}
    content["data"] |= {"dataset": in_place_of(content, folder), "partition": partition}
    if "network" in content["model"]:
        content["model"]["network"] = "shufflenet_v2_x0_5"
    content["training"] |= {"local_steps": 1, "batch_size": 4, "trainer": "sequential"}
    return load_experiment(content | {"backend": small().to_dict()["backend"]})


@each
@pytest.mark.exhaustive
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_ray_gives_the_bytes_of_local(recipe: str, tmp_path: Path) -> None:
    experiment = tiny(recipe, tmp_path)
    on_ray = load_experiment(experiment.to_dict() | {"backend": {"name": "ray", "workers": 2}})
    ray, local = run(on_ray, tmp_path / "ray"), run(experiment, tmp_path / "local")
    assert results(ray.path) == results(local.path)


@each
@pytest.mark.flower
def test_flower_gives_the_bytes_of_local(recipe: str, tmp_path: Path) -> None:
    experiment = tiny(recipe, tmp_path)
    flower, local = run(deployable(experiment), tmp_path / "flower"), run(experiment, tmp_path / "local")
    assert results(flower.path) == results(local.path)
