"""Networks chosen by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import nn

from simulator.core.errors import wrong
from simulator.core.registry import Part
from simulator.core.specification import InputSpec, OutputSpec


class Model(Part, ABC):
    """Builds a network; override `build`.

    Attributes:
        has_exits: whether its networks are `simulator.core.multi_exit.MultiExit`.
        takes: the kinds of inputs that its networks take, as `InputSpec.kind` has them; none: it takes any.
    """

    has_exits: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """A freshly initialised network.

        Args:
            inputs: what it is given. One array is its only argument, several are given by name.
            outputs: the size of the last dimension that it puts out, and what for.

        Raises:
            InputError: it is no network for such inputs or outputs.
        """

    def notes(self, network: nn.Module) -> Iterable[str]:
        """What whoever starts a run should know of ``network``, which `build` has made."""
        return ()

    def check(self, inputs: InputSpec) -> None:
        """Refuse inputs of a kind that its networks do not take.

        Raises:
            InputError: they are such.
        """
        if self.takes and inputs.kind not in self.takes:
            what = f"{self.config.name} takes {' or '.join(sorted(self.takes))}, and these samples are {inputs.kind}."
            raise wrong("model", what, "Choose another model, or bring a network of your own: model: my_file.py:Net.")
