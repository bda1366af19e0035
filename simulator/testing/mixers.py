"""The laws of mixers."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.core.method import Method
from simulator.core.mixer import MIXERS, Mixer
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.testing import laws
from simulator.testing.given import class_and_settings
from simulator.testing.network import SteppedNetwork


def check_mixer(mixer: Any, config: PartSettings | None = None) -> None:
    """All laws of a mixer, on four nodes that are stepped by hand; on two, where it averages in pairs.

    Args:
        mixer: its class, a name as in an experiment file, settings with a name, or an object: ``Mine(rate=0.1)``.
        config: the settings, where the class or a name is given; its defaults unless given.

    Raises:
        AssertionError: a law is broken; the text says which.
        RunError: it does what ends a run, such as to send what it goes on to write to.
        InputError: there is no such mixer.
    """
    part, config = class_and_settings(MIXERS, mixer, config)
    laws.keeps_only_its_config(part, config)
    laws.settings_can_be_written_out(config)

    nodes = 2 if part.traits(config).pairwise else 4

    def build() -> SteppedNetwork:
        return laws.ring(nodes, mixer=lambda: part(config))

    laws.hold_alike(build)
    laws.survives_pickling(lambda node: node.mixer, build)
    laws.sends_are_never_written_to(build)
    agreement_is_kept(part, config, nodes)


def agreement_is_kept(mixer: type[Mixer], config: PartSettings, nodes: int = 4) -> None:
    """Nodes that start alike and learn nothing stay where they are."""
    network = laws.ring(nodes, mixer=lambda: mixer(config), methods=lambda node: [Nothing(None)])
    path = network.run(laws.ROUNDS)
    np.testing.assert_allclose(path[-1], path[0], rtol=1e-12, atol=1e-12)


class Nothing(Method):
    """No gradient at all."""

    def before_step(self, node: Node, batch: Batch) -> None:  # noqa: D102
        node.gradient.zero_()
