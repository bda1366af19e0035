"""The attacks by name, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from auditing.networks import last_bias
from auditing.reconstruction.first_layer import first_layer, sample_layer
from auditing.reconstruction.gradient_matching import MatchingSettings, gradient_matching
from auditing.reconstruction.scene import Recovered, Scene
from auditing.reconstruction.token_sets import token_embedding
from auditing.reconstruction.victims import Victims


class Inversion(NamedTuple):
    """An attack that recovers samples.

    Attributes:
        recover: does it.
        long: whether it takes so long that it must be asked for, and is kept victim by victim.
    """

    recover: Callable[[Scene, MatchingSettings], Recovered]
    long: bool


INVERSIONS: Mapping[str, Inversion] = {
    "first_layer": Inversion(lambda scene, settings: first_layer(scene), long=False),
    "gradient_matching": Inversion(gradient_matching, long=True),
}
ATTACKS = ("labels", "tokens", *INVERSIONS)
NEEDS = {
    "labels": "a last layer with a bias, and classes to predict",
    "tokens": "tokens, and a trained embedding that no other layer shares",
    "first_layer": "a first fully connected layer with a bias that is given the sample itself",
    "gradient_matching": "inputs that are numbers and one array, and classes to predict",
}


def fits(attack: str, victims: Victims) -> bool:
    """Whether the run has what ``attack`` needs; see `NEEDS`."""
    data, network = victims.run.nodes[0].data, victims.network
    numbers = isinstance(victims.public, Tensor) and victims.public.is_floating_point()
    return {
        "labels": bool(data.classes) and last_bias(network, data.classes) is not None,
        "tokens": token_embedding(network, data.inputs.vocabulary) is not None,
        "first_layer": sample_layer(network, victims.public) is not None,
        "gradient_matching": numbers and bool(data.classes),
    }[attack]
