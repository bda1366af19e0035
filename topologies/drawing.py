"""Drawings of topologies as SVG."""

from collections.abc import Collection, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from topologies.errors import require
from topologies.layout import positions
from topologies.topology import Topology

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 6.0  # inches
_POINTS_PER_UNIT = 72 * _SIDE / 2.3
_MANY = 400  # nodes, above which there is no room for their numbers, and the drawing is a picture within the SVG
_DOTS = 120  # of such a picture, an inch
_PLAIN, _EDGE, _DARK, _ATTACKER = "#33658a", "#9aa5b1", "#1f2933", "#b3261e"

Points = NDArray[np.float64]


def draw(
    topology: Topology,
    path: str | Path | None = None,
    values: Sequence[float] | None = None,
    label: str = "",
    attackers: Collection[int] = (),
) -> str:
    """Draw a topology; the same arguments give the same text.

    Args:
        topology: what to draw; a directed graph gets arrows. Of more than 400 nodes only the picture is left, without
            numbers and arrows.
        path: file to write the SVG to as well, if given.
        values: one finite number a node, shown as its colour with a colour bar beside.
        label: what the values are, written along the colour bar.
        attackers: nodes drawn as squares with a red rim, and red where there are no values, as a legend says.

    Returns:
        The drawing, as the text of an SVG file.

    Raises:
        TopologyError: `values` has the wrong length or holds a number that is not finite, or an attacker is no node.
    """
    # Imported here, for matplotlib is slow to load and most users of this package never draw.
    import matplotlib as mpl

    text = StringIO()
    with mpl.rc_context({"svg.hashsalt": "rumormill", "svg.fonttype": "none"}):
        figure = _figure(topology, values, label, attackers)
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None}, dpi=_DOTS)
    if path is not None:
        _write(Path(path).expanduser(), text.getvalue())
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, so that a full disk leaves no half of a picture in the place of an older one."""
    if path.exists() and not path.is_file():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()
    draft = target.with_name(f".{uuid4().hex[:12]}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _figure(topology: Topology, values: Sequence[float] | None, label: str, attackers: Collection[int]) -> "Figure":
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure

    nodes, lying = topology.num_nodes, np.isin(np.arange(topology.num_nodes), list(attackers))
    wrong = f"There are {nodes} nodes, and an attacker is none of them."
    require(lying.sum() == len({*attackers}), wrong, f"Count from 0 to {nodes - 1}.", "attackers")
    figure = Figure(figsize=(_SIDE, _SIDE))
    axes = figure.add_axes((0, 0, 1, 1), aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    axes.set_axis_off()
    points = positions(topology)
    size = _node_size(points)
    _draw_edges(axes, topology, points, size)
    colours = _colours(axes, nodes, values, label)
    if values is None:
        colours[lying] = to_rgba(_ATTACKER)
    _draw_nodes(axes, points, size, colours, lying)
    return figure


def _node_size(points: Points) -> float:
    """Diameter of a node in points, so that hardly any two overlap, within what looks good."""
    from scipy.spatial import KDTree

    nearest = np.sort(KDTree(points).query(points, k=min(2, len(points)))[0].reshape(len(points), -1)[:, -1])
    smallest = 6 if len(points) <= _MANY else 1
    return float(np.clip(0.75 * nearest[len(nearest) // 5] * _POINTS_PER_UNIT, smallest, 30))


def _colours(axes: "Axes", nodes: int, values: Sequence[float] | None, label: str) -> NDArray[np.float64]:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgba

    if values is None:
        return np.tile(to_rgba(_PLAIN), (nodes, 1))
    wrong = f"There are {len(values)} values for {nodes} nodes, or one is not finite."
    require(len(values) == nodes and bool(np.isfinite(values).all()), wrong, "Give a number for each node.", "values")
    scale = ScalarMappable(Normalize(min(values), max(values)), "viridis")
    bar = axes.figure.colorbar(scale, ax=axes, label=label, shrink=0.7, pad=0.03, aspect=28)
    bar.outline.set_visible(False)
    return np.asarray(scale.to_rgba(np.asarray(values, dtype=np.float64)))


def _draw_nodes(
    axes: "Axes", points: Points, size: float, colours: NDArray[np.float64], lying: NDArray[np.bool_]
) -> None:
    many = len(points) > _MANY
    kinds = ("honest", ~lying, "o", "white", 0 if many else 1.2), ("attacker", lying, "s", _ATTACKER, 2.5)
    for label, these, marker, rim, width in kinds:
        if these.any():
            x, y = points[these].T
            drawn = axes.scatter(
                x, y, s=size**2, c=colours[these], marker=marker, label=label, zorder=2, rasterized=many
            )
            drawn.set(edgecolors=rim, linewidths=width)
    if lying.any():
        axes.legend(loc="upper left", bbox_to_anchor=(0, 0), ncols=2, frameon=False, markerscale=0.6)
    for node, ((x, y), color) in enumerate(zip(points, colours, strict=True) if not many else ()):
        ink = "white" if color[:3] @ (0.299, 0.587, 0.114) < 0.55 else _DARK
        axes.text(x, y, str(node), color=ink, size=0.42 * size, ha="center", va="center_baseline", zorder=3)


def _draw_edges(axes: "Axes", topology: Topology, points: Points, size: float) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyArrowPatch

    if topology.num_nodes > _MANY:
        ends = points[np.array(topology.graph.edges(), dtype=np.int64)]
        axes.add_collection(LineCollection([*ends], colors=_EDGE, linewidths=0.3, zorder=1, rasterized=True))
        return
    directed = topology.graph.is_directed()
    style, shrink = ("-|>", size / 2 + 1) if directed else ("-", 0.0)
    for u, v in sorted(topology.graph.edges()):
        link = FancyArrowPatch(points[u], points[v], arrowstyle=style, shrinkA=shrink, shrinkB=shrink)
        link.set_connectionstyle(f"arc3,rad={_bend(points, u, v, size):.4f}")
        link.set(color=_EDGE, linewidth=1.1, mutation_scale=9, zorder=1)
        axes.add_patch(link)


def _bend(points: Points, u: int, v: int, size: float) -> float:
    """Curvature of an edge: 0, unless the straight line would run under another node; then it bulges outward."""
    along = points[v] - points[u]
    length = float(np.linalg.norm(along))
    offsets = np.delete(points, [u, v], axis=0) - points[u]
    share = np.clip(offsets @ along / length**2, 0, 1)
    gaps = np.linalg.norm(offsets - share[:, None] * along, axis=1)
    radius = size / 2 / _POINTS_PER_UNIT
    outward = np.sign(np.round((points[u] + points[v]) @ (along[1], -along[0]), 6)) or 1.0
    return float(outward * 3.5 * radius / length) if (gaps < radius / 2).any() else 0.0
