"""What robust mixing does to leakage: membership inference against accuracy, rule by rule, under attack and not.

    python tests/benchmarks/robust_leakage.py OUT [--seeds 0 1 2] [--replicas 4] [--noise 0 .5] [--rules gossip ...]

16 nodes on a random regular graph of degree 6 learn skewed digits by heart; half of each pool is held out. Two of them,
not linked, lie or do not. Each run is audited: who can tell members of an honest node's training set by the message
that it sends in the last round, and by its final model. Runs and audits that are in OUT already are read. Prints a
Markdown table of means and standard deviations over seeds, and writes OUT/robust_leakage.svg.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

from simulator import audit, load_experiment, run

RULES = {
    "gossip": {"name": "gossip"},
    "clipped_gossip": {"name": "clipped_gossip", "radius": "node", "delta": 2 / 7},
    "cs_plus": {"name": "cs_plus", "byzantine": 2},
    "nna": {"name": "nna", "byzantine": 2},
    "trimmed_mean": {"name": "trimmed_mean", "byzantine": 2},
    "median": {"name": "median"},
    "ios": {"name": "ios", "byzantine": 2},
    "krum": {"name": "krum", "byzantine": 2},
}
ATTACKS = {"nobody lies": {"name": "sign_flip", "strength": 0}, "dissensus": {"name": "dissensus"}}
VIEWS = ("message", "final_model")
ATTACKED_BY = "rmia"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", type=Path)
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
parser.add_argument("--replicas", type=int, default=4)
parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.5], help="noise multipliers of DP-SGD; 0: none")
parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
arguments = parser.parse_args()


def experiment(rule: str, attack: str, noise: float, seed: int) -> dict[str, object]:
    private = {"name": "dp_sgd", "noise_multiplier": noise, "clip": 1.0}
    return {
        "name": f"{rule}-{attack.replace(' ', '-')}-{noise}",
        "seed": seed,
        "rounds": 20,
        "topology": {"graph": "random_regular", "nodes": 16, "degree": 6},
        "data": {
            "dataset": "digits",
            "partition": {"name": "dirichlet", "alpha": 0.5},
            "held_out": 0.5,
        },
        "model": {"name": "mlp", "hidden": [64]},
        "training": {"local_steps": 30, "batch_size": 16, "optimizer": {"lr": 0.2}, "trainer": "stacked"},
        "mixer": RULES[rule],
        "methods": [private] if noise else [],
        "adversaries": [{"count": 2, "place": "apart", "knowledge": "omniscient", "attack": ATTACKS[attack]}],
        "record": {"rounds": [20]},
        "backend": {"name": "local", "workers": 1},
    }


def measured(rule: str, attack: str, noise: float, seed: int) -> dict[str, float]:
    """Accuracy of honest nodes, and AUC by view."""
    file = arguments.out / f"{rule}-{attack}-{noise}-{seed}.json"
    if not file.exists():
        done = run(load_experiment(experiment(rule, attack, noise, seed)), out=arguments.out / "runs")
        last = {m.name: m.value for m in done.metrics() if m.node is None and m.round == 20}
        found = audit(
            done, "membership", attacks=[ATTACKED_BY], signals=["loss"], views=VIEWS, replicas=arguments.replicas
        ).metrics()
        kept = {name: value for name, value in last.items() if name.startswith(("test/accuracy", "attack", "honest"))}
        file.write_text(json.dumps({**kept, **found}, indent=1))
    content: dict[str, float] = json.loads(file.read_text())
    return content


def spread(values: list[float], digits: int = 3) -> str:
    text = f"{fmean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {stdev(values):.{digits}f}"


arguments.out.mkdir(parents=True, exist_ok=True)
names = ["test/accuracy/mean", "test/accuracy/worst", *(f"{view}/loss/{ATTACKED_BY}/auc" for view in VIEWS)]
print("| rule | attack | DP noise | accuracy | worst node | " + " | ".join(f"AUC, {view}" for view in VIEWS) + " |")
print("|---|---|---|---|---|" + "---|" * len(VIEWS))
points: dict[tuple[str, float], list[tuple[str, float, float]]] = {}
for noise, attack, rule in product(arguments.noise, arguments.attacks, arguments.rules):
    found = [measured(rule, attack, noise, seed) for seed in arguments.seeds]
    cells = [spread([each[name] for each in found]) for name in names]
    print(f"| {rule} | {attack} | {noise or '-'} | {' | '.join(cells)} |", flush=True)
    point = (rule, fmean(each[names[0]] for each in found), fmean(each[names[-1]] for each in found))
    points.setdefault((attack, noise), []).append(point)

from matplotlib import rc_context  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

with rc_context({"svg.hashsalt": "rumormill", "svg.fonttype": "none"}):
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="accuracy of honest nodes", ylabel="AUC against an honest node's final model")
    for number, ((attack, noise), group) in enumerate(points.items()):
        label = f"{attack}{f', DP noise {noise}' if noise else ''}"
        axes.scatter(
            [x for _, x, _ in group],
            [y for _, _, y in group],
            label=label,
            marker="os^D"[number % 4],
            color=f"C{number}",
        )
        for rule, *place in group:
            axes.annotate(rule, place, fontsize=7, xytext=(3, 3), textcoords="offset points")
    axes.legend(frameon=False)
    figure.savefig(arguments.out / "robust_leakage.svg", metadata={"Date": None})
