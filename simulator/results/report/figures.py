"""Figures as SVG text: the same data gives the same bytes, and colours follow the page's light or dark theme."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from io import BytesIO, StringIO
from typing import Any

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#20262e", "#69727d", "#dfe3e8"
# The palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
WIDTH, HEIGHT = 5.3, 2.9  # inches

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS, linestyle=DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "image.composite_image": False,  # images of one figure stay as many
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
THEME = {colour: f"var(--colour-{number}, {colour})" for number, colour in enumerate(COLOURS)} | {
    INK: f"var(--ink, {INK})",
    "#000000": "var(--ink, #000000)",
    MUTED: f"var(--muted, {MUTED})",
    GRID: f"var(--grid, {GRID})",
    "stroke: #ffffff": "stroke: var(--surface, #ffffff)",
}


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        name: of its file, unique in a report.
        svg: the text of the file.
        data: of which scripts draw it anew; None where it stays as it is.
        figure: that was painted, where one was.
    """

    name: str
    caption: str
    svg: str
    data: Mapping[str, Any] | None = None
    figure: Figure | None = field(default=None, repr=False, compare=False)

    def file(self, kind: str) -> bytes:
        """What was painted, as a file for a paper: "pdf", "svg", or "png" with 300 dots an inch."""
        assert self.figure is not None  # it comes from `paint`
        out, dates = BytesIO(), {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with mpl.rc_context({**STYLE, "svg.hashsalt": self.name, "pdf.fonttype": 42}):
            self.figure.savefig(out, format=kind, dpi=300, bbox_inches="tight", metadata=dates.get(kind))
        return out.getvalue()

    @property
    def inline(self) -> Markup:
        """The drawing for use inside the page: colours of the page's theme, its font, and ids that no other has."""
        svg = self.svg[self.svg.index("<svg") :].replace('"fill: #ffffff"', '"fill: none"')
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(?<=\bid=")|(?<=url\(#)|(?<=href="#)', f"{self.name}-", svg)
        svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
        svg = re.sub("|".join(THEME), lambda match: THEME[match[0]], svg)
        return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(self.caption)}"', 1))


def paint(
    name: str, caption: str, draw: Callable[[Axes], None], width: float = WIDTH, height: float = HEIGHT
) -> Picture:
    """The picture that ``draw`` makes on empty axes."""
    text = StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height))
        draw(figure.add_subplot())
        figure.savefig(text, format="svg", metadata={"Date": None})
    return Picture(name, caption, text.getvalue(), figure=figure)
