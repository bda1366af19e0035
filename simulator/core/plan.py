"""What mixers and methods may look at to refuse a setting they cannot work in, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.core.registry import PartSettings
from simulator.core.training import TrainingSettings
from topologies import Topology


@dataclass(frozen=True)
class Plan:
    """The run as it is about to be.

    Attributes:
        rounds: how many.
        training: the local steps.
        topology: all links that there can be, with their (mean) mixing matrix.
        varies: whether the links change from round to round.
        mixer: settings of the mixer.
        steps_differ: whether nodes may take steps of different number or size.
        one_way_losses: whether a link may fail in one direction alone, after which columns of W no longer sum to 1.
        methods: settings of all methods, in order.
        apart: whether some neighbours may exchange no parameters (`Method.mixes_with`, or their samples are
            of different modalities).
    """

    rounds: int
    training: TrainingSettings
    topology: Topology
    varies: bool
    mixer: PartSettings
    steps_differ: bool = False
    one_way_losses: bool = False
    methods: Sequence[PartSettings] = ()
    apart: bool = False
