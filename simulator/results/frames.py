"""Metrics as a pandas table and as a figure, for people at a prompt or in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.core.errors import did_you_mean, wrong
from simulator.core.report import Metric
from simulator.results.run_directory import RunDirectory

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Metrics(list[Metric]):
    """Metrics in the order written."""

    def to_dataframe(self) -> pd.DataFrame:
        """One row a metric: ``round``, ``node`` (missing for the whole network), ``name`` and ``value``.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise wrong("", "pandas is not installed.", "Install it: pip install 'rumormill[table]'.") from error
        columns = {name: [getattr(metric, name) for metric in self] for name in Metric._fields}
        return pd.DataFrame(columns).astype({"node": "Int64"})


def plot(run: RunDirectory, name: str | None = None) -> Figure:
    """A metric over rounds: of nodes, their mean between the lowest and the highest; of the network, as it is.

    Args:
        run: whose.
        name: of the metric; by default the score of the run's task on the nodes' test set.

    Raises:
        InputError: the run has no such metric.
    """
    import matplotlib as mpl  # takes half a second, and a run starts without it
    from matplotlib.figure import Figure

    from simulator.results.report.figures import HEIGHT, STYLE, WIDTH

    headline = run.headline
    name = name or headline.of_node
    label, scale = (f"test {headline.label}", headline.scale) if name == headline.of_node else (name, 1)
    rounds, values = run.series(name)
    of_network = run.network_series(name)
    if not (len(rounds) or len(of_network[0])):
        known = sorted({metric.name for metric in run.metrics()})
        raise wrong("", f"the run has no metric '{name}'.", did_you_mean(name, known, "metrics"))
    with mpl.rc_context({**STYLE, "figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes: Axes = figure.add_subplot()
        if len(rounds):
            values = scale * values
            axes.fill_between(rounds, values.min(axis=1), values.max(axis=1), alpha=0.15, linewidth=0)
            axes.plot(rounds, values.mean(axis=1))
        else:
            axes.plot(of_network[0], scale * of_network[1])
        axes.set(xlabel="round", ylabel=label)
    return figure
