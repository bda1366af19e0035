"""The network of a run for an audit to compute with, if the audit can be made of such a network, and its layers."""

from __future__ import annotations

from torch import nn

from simulator.core.errors import wrong
from simulator.core.flat_module import EVALUATION_BATCH, FlatModule, Precision
from simulator.core.samples import NodeData
from simulator.runs.run import Run
from simulator.training.chunks import CACHED_BYTES, FEWEST, bytes_kept, form
from simulator.training.stackable import obstacle
from simulator.training.stacked_module import StackedModule

STACK = 16  # models that are asked as one program: with more, hardly anything is gained
ACTIVATION_BYTES = 2**26  # of these, in one batch


def network_of(run: Run, precision: Precision, *, with_state: bool = False) -> FlatModule:
    """The network of ``run``.

    Args:
        run: that is audited.
        precision: to compute in.
        with_state: whether the audit binds a model's running statistics together with its parameters.

    Raises:
        InputError: the network keeps running statistics, and the audit does not know them.
    """
    network = run.blueprint.module()
    if network.layout is not None and not with_state:
        what = "nodes keep running statistics beside their parameters, and this audit knows of parameters only."
        advice = "Audit membership or memorization, or a run whose network normalises without state, by nn.GroupNorm."
        raise wrong("buffers", what, advice)
    return network.in_precision(precision)


def runs_stacked(network: FlatModule, data: NodeData) -> bool:
    """Whether many models of ``network`` are run as one program: if that can be, and pays.

    It does where the work on one is so little that calls take longer than it. Convolutions of many models at once are
    slower on a CPU than one after the other, and models of which a few do not fit into its cache are no faster.
    """
    convolves = any(isinstance(layer, nn.modules.conv._ConvNd) for layer in network.module.modules())
    small = FEWEST * network.initial.nbytes <= CACHED_BYTES
    return small and not convolves and obstacle(network, data) is None


def models_at_once(network: FlatModule, data: NodeData) -> int:
    """How many models of ``network`` are asked about a batch of samples as one program; 1 where none are stacked.

    At most `STACK`, and no more than those whose activations take `ACTIVATION_BYTES`.
    """
    if not runs_stacked(network, data):
        return 1
    activations = EVALUATION_BATCH * bytes_kept(StackedModule(network), form(data, network.dtype))
    return max(1, min(STACK, ACTIVATION_BYTES // activations))


def last_bias(network: FlatModule, classes: int) -> str | None:
    """The name of the bias of the last fully connected layer; None where that has none, or other outputs."""
    layers = [(name, layer) for name, layer in network.module.named_modules() if isinstance(layer, nn.Linear)]
    name, layer = layers[-1] if layers else ("", None)
    return f"{name}.bias" if layer is not None and layer.bias is not None and layer.out_features == classes else None
