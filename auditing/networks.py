"""The network of a run for an audit to compute with, if the audit can be made of such a network."""

from __future__ import annotations

from simulator.core.errors import wrong
from simulator.core.flat_module import FlatModule, Precision
from simulator.runs.run import Run


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
