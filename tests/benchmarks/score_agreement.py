"""How far coreset scores of the same samples agree between runs that differ by their seed.

    python tests/benchmarks/score_agreement.py RUN RUN ...

Of runs whose method ltc has scored (`artifacts/scores-round-*.npz`): for each score, Spearman's rank correlation over
the samples that both of two runs have scored, at any of their nodes, the last time that they did; the least and the
greatest of all pairs of runs. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

SCORES = "score/"
Scored = dict[str, dict[int, float]]  # by score and sample


def scored(run: Path) -> Scored:
    """What ``run`` gave each sample by each of its scores; later rounds stand for earlier ones."""
    files = sorted((run / "artifacts").glob("scores-round-*.npz"))
    if not files:
        raise SystemExit(f"{run}: it has no artifacts/scores-round-*.npz; is ltc among its methods, and did it score?")
    found: Scored = {}
    for file in files:
        with np.load(file) as kept:
            samples = kept["index"].tolist()
            for name in (name for name in kept.files if name.startswith(SCORES)):
                found.setdefault(name.removeprefix(SCORES), {}).update(zip(samples, kept[name].tolist(), strict=True))
    return found


def agreement(one: dict[int, float], other: dict[int, float]) -> tuple[float, int]:
    """Spearman's rank correlation over the samples in both, and how many those are."""
    both = sorted(one.keys() & other.keys())
    values: list[NDArray[np.float64]] = [np.array([each[sample] for sample in both]) for each in (one, other)]
    return float(spearmanr(*values).statistic), len(both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    runs = parser.parse_args().runs
    if len(runs) < 2:
        parser.error("agreement takes two runs at least")
    found = [scored(run) for run in runs]
    print("| score | least | greatest | samples in both, at least |\n|---|---|---|---|")
    for name in sorted(set.intersection(*(set(each) for each in found)) - {"random"}):
        pairs = [agreement(one[name], other[name]) for one, other in combinations(found, 2)]
        values, counts = zip(*pairs, strict=True)
        print(f"| {name} | {min(values):.2f} | {max(values):.2f} | {min(counts):,} |")


if __name__ == "__main__":
    main()
