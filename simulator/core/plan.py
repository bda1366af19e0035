"""What mixers and methods may look at to refuse a setting they cannot work in, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.core.registry import PartSettings
from simulator.core.training import TrainingSettings
from topologies import Laws, Network, Topology


@dataclass(frozen=True)
class Plan:
    """The run as it is about to be.

    Attributes:
        rounds: how many.
        training: the local steps.
        network: the links of every round, after schedule and failures.
        mixer: settings of the mixer.
        steps_differ: whether nodes may take steps of different number or size.
        methods: settings of all methods, in order.
        apart: whether some neighbours may exchange no parameters (`Method.mixes_with`, or their samples are
            of different modalities).
    """

    rounds: int
    training: TrainingSettings
    network: Network
    mixer: PartSettings
    steps_differ: bool = False
    methods: Sequence[PartSettings] = ()
    apart: bool = False

    @property
    def topology(self) -> Topology:
        """All links that there can be. Of W, ask `laws`: rounds need not have what this one's has, their mean."""
        return self.network.base

    @property
    def varies(self) -> bool:
        """Whether the links change from round to round."""
        return self.network.varies

    @property
    def laws(self) -> Laws:
        """What holds for the W of every round by which parameters mix, whatever fails and whoever is kept apart."""
        laws = self.network.laws
        return laws.after_losses(to_sender=False, together=True) if self.apart else laws
