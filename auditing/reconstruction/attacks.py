"""The attacks by name, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from auditing.reconstruction.first_layer import first_layer, sample_layer
from auditing.reconstruction.gradient_matching import MatchingSettings, gradient_matching
from auditing.reconstruction.label_counts import telling_bias
from auditing.reconstruction.scene import Recovered, Scene
from auditing.reconstruction.token_sets import token_embedding
from auditing.reconstruction.victims import Victims
from simulator.data.kinds.table import TablePreparation


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
    "table": Inversion(gradient_matching, long=True),
}
ATTACKS = ("labels", "tokens", *INVERSIONS)
NEEDS = {
    "labels": "a last layer with a bias, and classes, or yes and no, to predict",
    "tokens": "tokens, and a trained embedding that no other layer shares",
    "first_layer": "a first fully connected layer with a bias that is given the sample itself",
    "gradient_matching": "inputs that are numbers and one array, no table, and such labels",
    "table": "rows of a table, and such labels",
}


def fits(attack: str, victims: Victims) -> bool:
    """Whether the run has what ``attack`` needs; see `NEEDS`."""
    data, network = victims.run.nodes[0].data, victims.network
    public = victims.public(0)
    numbers = isinstance(public, Tensor) and public.is_floating_point()
    told, rows = telling_bias(network, data) is not None, isinstance(data.preparation, TablePreparation)
    return {
        "labels": told,
        "tokens": token_embedding(network, data.inputs.vocabulary) is not None,
        "first_layer": sample_layer(network, public) is not None,
        "gradient_matching": numbers and told and not rows,
        "table": rows and told,
    }[attack]
