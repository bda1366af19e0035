"""How long a folder of runs takes to be listed: for the first time, again, and after one of them has got on.

    python tests/benchmarks/list_runs.py [--runs 500] [--nodes 8]

Runs are written by hand, with as many files as a small run leaves. Times are wall clock and processor time of this
process, imports not counted, files in the system's cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.run_folders import add_folder, audit_by_hand, evaluate, write_run

from simulator.results.runs_folder.folder import RunsFolder, ordered

FILES = 30  # beside those that a listing reads


def main() -> None:
    """Write the runs, and list them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--nodes", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [_run(Path(folder) / f"run-{number:04}", given.nodes, number) for number in range(given.runs)]
        listing = RunsFolder(Path(folder))
        _timed("first listing", listing.runs)
        _timed("again", listing.runs)
        evaluate(paths[0], 210, 0.95, given.nodes)
        _timed("after one has got on", listing.runs)
        _timed("sorted by an audit's figure", lambda: ordered(listing.runs(), "audit/membership/auc"))


def _run(path: Path, nodes: int, number: int) -> Path:
    write_run(path, number / 1000, rounds=200, nodes=nodes, seed=number)
    add_folder(path / "checkpoints", 100_000)
    audit_by_hand(path, auc=0.5 + number / 10_000)
    (path / "artifacts").mkdir()
    for file in range(FILES):
        (path / "artifacts" / f"scores-{file}.npz").touch()
    return path


def _timed(what: str, act: Callable[[], object]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    act()
    print(f"{what}: {time.perf_counter() - wall:.3f} s, {time.process_time() - processor:.3f} s of the processor")


if __name__ == "__main__":
    main()
