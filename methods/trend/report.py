"""What TREND has to say in the report of a run: accuracy by quantizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.core.report import FinishedRun, Section, Table
from simulator.results.formatting import percent


def sections(quantizer: Callable[[int], str], record: FinishedRun) -> Sequence[Section]:
    """One section; none before the first evaluation. ``quantizer`` names that of a node."""
    metrics = [metric for metric in record.metrics() if metric.name == "test/accuracy" and metric.node is not None]
    found: dict[str, list[float]] = {}
    for metric in metrics:
        if metric.round == metrics[-1].round and metric.node is not None:
            found.setdefault(quantizer(metric.node), []).append(metric.value)
    if not found:
        return ()
    means = {name: sum(values) / len(values) for name, values in found.items()}
    rows = [(name, len(values), percent(means[name]), percent(min(values))) for name, values in found.items()]
    shown = ", ".join(f"{name}: {percent(mean)}" for name, mean in means.items())
    text = (
        "Each node sees its images through its own quantizer, in training and tests. The consensus model is tested "
        "on images as they are. What adversarial examples do is for `rumormill audit RUN --audit robustness`."
    )
    table = Table(("quantizer", "nodes", "mean accuracy", "worst"), rows)
    return [Section("Input quantizers", [text], f"Mean test accuracy by quantizer: {shown}.", [table])]
