"""What the audit of reconstruction finds over batch size, local steps, network, round, distance and privacy.

    python tests/benchmarks/reconstruction.py [--only digits] [--batches 4 16] [--seeds 0 1 2] [--out DIR]

Each line is a run of `rumormill` and its audit: the share of the samples of exact updates that are identified, in the
first and in the last round, with intervals over victims; and the skill over the best public image. Of several seeds,
another line has the mean share and its standard deviation over them. Runs that are in DIR already are not run again.
Prints Markdown, and writes all figures to DIR/table.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import NamedTuple

from simulator import load_experiment, run
from simulator.runs.audit import audited
from simulator.runs.run import Run


class Case(NamedTuple):
    """A line of the table: images and network, and what is set otherwise."""

    images: str
    network: str
    batch: int
    steps: int
    privacy: str = "none"
    graph: str = "ring"


IMAGES = {
    "digits": ({"dataset": "digits", "partition": "iid", "held_out": 0.0}, 0.1),
    "fashion": ({"dataset": "fashion_mnist", "train_samples": 8000, "test_samples": 1000, "partition": "iid"}, 0.1),
    "cifar10": ({"dataset": {"name": "npz", "path": "cifar10_20k.npz"}, "root": "~/data", "train_samples": 4000,
                 "test_samples": 1000, "partition": "iid"}, 0.05),
}  # fmt: skip
NETWORKS = {
    "mlp": {"name": "mlp", "hidden": [128]},
    "cnn": {"name": "cnn", "width": 8},
    "resnet20": {"name": "resnet20"},
}
GRAPHS = {"ring": {"graph": "ring", "nodes": 8}, "torus": {"graph": "torus", "nodes": 16, "rows": 4}}
PRIVACY = {
    "none": [],
    "clipped": [{"name": "dp_sgd", "noise_multiplier": 1e-6, "clip": 1.0}],
    "epsilon 8": [{"name": "dp_sgd", "target_epsilon": 8.0, "clip": 1.0, "accountant": "rdp"}],
}
CASES = [
    *(Case("digits", "mlp", batch, steps) for batch in (1, 4, 16, 32) for steps in (1, 4, 19)),
    *(Case("fashion", "mlp", batch, 1) for batch in (1, 4, 16, 32)),
    *(Case("cifar10", "mlp", batch, 1) for batch in (1, 4, 16, 32)),
    *(Case("fashion", "mlp", batch, 1, privacy) for batch in (1, 16) for privacy in ("clipped", "epsilon 8")),
    Case("fashion", "mlp", 4, 1, graph="torus"),
    *(
        Case(images, "cnn", batch, steps)
        for images in ("digits", "fashion")
        for batch, steps in ((1, 1), (4, 1), (1, 4))
    ),
    Case("cifar10", "cnn", 1, 1),
    Case("cifar10", "resnet20", 1, 1),
]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=[*IMAGES])
parser.add_argument("--networks", nargs="+", default=[*NETWORKS])
parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16, 32])
parser.add_argument("--steps", nargs="+", type=int, default=[1, 4, 19])
parser.add_argument("--seeds", nargs="+", type=int, default=[0])
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--iterations", type=int, default=500)
parser.add_argument("--victims", type=int, default=4, help="of networks that only gradient matching inverts")
parser.add_argument("--out", type=Path, default=Path("reconstruction-runs"))
arguments = parser.parse_args()
FIRST, LAST = "1", str(arguments.rounds)


def finished(case: Case, seed: int) -> Run:
    """The run of ``case``, made unless it is there."""
    data, lr = IMAGES[case.images]
    name = "-".join(str(part).replace(" ", "") for part in (*case, arguments.rounds))
    there = sorted(arguments.out.glob(f"*-{name}-s{seed}"))
    if there:
        return Run.open(there[-1])
    experiment = {
        "name": name,
        "seed": seed,
        "rounds": arguments.rounds,
        "topology": GRAPHS[case.graph],
        "data": data,
        "model": NETWORKS[case.network],
        "training": {"batch_size": case.batch, "local_steps": case.steps, "optimizer": {"lr": lr}},
        "methods": PRIVACY[case.privacy],
        "evaluate": {"every": arguments.rounds},
        "record": {"rounds": sorted({1, arguments.rounds})},
    }
    return run(load_experiment(experiment), arguments.out)


def row(case: Case, seed: int | str, cells: list[str]) -> str:
    """A line of the table."""
    return "| " + " | ".join([*map(str, case), str(seed), *cells]) + " |"


def shown(figures: dict | None) -> str:
    """The share that is identified, its interval over victims, skill and verdict."""
    if figures is None:
        return "-"
    low, high = figures["interval"] or (figures["share"],) * 2
    skill = "" if figures["skill"] is None else f", skill {figures['skill']:.2f}"
    return f"{figures['share']:.0%} [{low:.0%}, {high:.0%}]{skill}: {figures['verdict']}"


def spread(figures: list[dict | None]) -> str:
    """The mean share over seeds, and its standard deviation."""
    shares = [each["share"] for each in figures if each]
    return f"{statistics.mean(shares):.1%} ± {statistics.stdev(shares):.1%}" if len(shares) > 1 else "-"


COLUMNS = [("exact", FIRST), ("exact", LAST), ("guessed", LAST)]
measured = []
header = [*Case._fields, "seed", "round 1, exact", "last, exact", "last, guessed"]
print("| " + " | ".join(header) + " |\n|" + "---|" * len(header), flush=True)
for case in dict.fromkeys(CASES):
    if case.images not in arguments.only or case.network not in arguments.networks:
        continue
    if case.batch not in arguments.batches or case.steps not in arguments.steps:
        continue
    attack = "first_layer" if case.network == "mlp" else "gradient_matching"
    victims = 8 if attack == "first_layer" else arguments.victims
    matching = {"iterations": arguments.iterations, "restarts": 1}
    of_seeds = []
    for seed in arguments.seeds:
        done = finished(case, seed)
        found = audited(done, "reconstruction", attacks=["labels", attack], victims=victims, matching=matching).result()
        together = found["attacked"]["together"][attack]
        labels = [each for each in found["attacked"]["attacks"]["labels"] if each]
        wrong = sum(each["wrong"] for each in labels) / max(1, sum(each["samples"] for each in labels))
        measured.append({**case._asdict(), "seed": seed, "attack": attack, "found": together, "labels wrong": wrong})
        of_seeds.append([together.get(how, {}).get(when) for how, when in COLUMNS])
        print(row(case, seed, [shown(figures) for figures in of_seeds[-1]]), flush=True)
    if len(of_seeds) > 1:
        print(row(case, "all", [spread(list(figures)) for figures in zip(*of_seeds, strict=True)]), flush=True)
(arguments.out / "table.json").write_text(json.dumps(measured))
