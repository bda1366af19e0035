"""Makes the traces beside it, of 50 made-up devices: ``python -m simulator.traces.synthetic [FOLDER]``.

All numbers are lognormal or exponential, with medians and spreads chosen by eye to look like phones and laptops at
home: two thirds of the speeds within a factor of 2, 10 Mbit/s up and 40 down, 20 ms at each end, 15 W; two thirds of
the time there. They are for trying things out, and no evidence about real devices.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
DEVICES = 50
COLUMNS = {  # median and sigma of the logarithm
    "speed": (1.0, 0.6),
    "uplink": (1.25e6, 0.8),
    "downlink": (5e6, 0.8),
    "latency": (0.02, 0.5),
    "watts": (15.0, 0.5),
}
DAY, THERE, AWAY = 86_400, 28_800, 14_400  # seconds: of the trace, and the means of being there and of being away
MADE_UP = "# made up, by python -m simulator.traces.synthetic: no measurement of anything"


def devices() -> list[str]:
    """The lines of ``devices.csv``."""
    rng = np.random.default_rng(0)
    columns = [median * rng.lognormal(0.0, sigma, DEVICES) for median, sigma in COLUMNS.values()]
    return _table(list(COLUMNS), zip(*columns, strict=True))


def absences() -> list[str]:
    """The lines of ``absences.csv``: one day."""
    rng, rows = np.random.default_rng(1), list[tuple[float, float, float]]()
    for device in range(DEVICES):
        second = rng.exponential(THERE)
        while second < DAY:
            back = second + max(1.0, rng.exponential(AWAY))
            rows.append((device, second, min(back, DAY)))
            second = back + rng.exponential(THERE)
    return _table(["device", "since", "until"], rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[float]]) -> list[str]:
    return [MADE_UP, ",".join(names), *(",".join(f"{float(f'{value:.3g}'):g}" for value in row) for row in rows)]


def write(folder: Path) -> None:
    """Write both files into ``folder``."""
    for name, lines in {"devices.csv": devices(), "absences.csv": absences()}.items():
        (folder / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
