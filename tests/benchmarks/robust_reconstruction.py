"""What robust mixing does to reconstruction: whose updates are computed, and what of them is rebuilt, rule by rule.

    python tests/benchmarks/robust_reconstruction.py OUT [--seeds 0 1 2] [--rules gossip ...]

16 nodes on a random regular graph of degree 6 train one step a round on batches of 4 digits. Two of them, not linked,
lie or do not. Each run is audited: which updates are computed for sure, and how many samples `first_layer` identifies
in the updates of round 1, in those of round 20 as who sees all messages has them, and as a neighbour has them that
takes its own model for that of the node. Runs and audits that are in OUT already are read. Prints a Markdown table of
means and standard deviations over seeds.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

from simulator import load_experiment, run
from simulator.runs.audit import audited

BYZANTINE = {"byzantine": 2}
RULES = {
    "gossip": {"name": "gossip"},
    "clipped_gossip": {"name": "clipped_gossip", "radius": "node", "delta": 2 / 7},
    **{name: {"name": name, **BYZANTINE} for name in ("cs_plus", "nna", "trimmed_mean", "ios", "krum")},
    "median": {"name": "median"},
}
ATTACKS = {
    "nobody": [],
    "dissensus": [{"count": 2, "place": "apart", "knowledge": "omniscient", "attack": "dissensus"}],
}
LAST = 20

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", type=Path)
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
arguments = parser.parse_args()


def measured(rule: str, attack: str, seed: int) -> list[float]:
    """Shares: of updates that are computed, in round 1 and later; of samples, in round 1, in the last, and guessed."""
    file = arguments.out / f"{rule}-{attack}-{seed}.json"
    if not file.exists():
        settings = {
            "name": f"{rule}-{attack}",
            "seed": seed,
            "rounds": LAST,
            "topology": {"graph": "random_regular", "nodes": 16, "degree": 6},
            "data": {"dataset": "digits", "partition": {"name": "dirichlet", "alpha": 0.5}},
            "model": {"name": "mlp", "hidden": [64]},
            "training": {"local_steps": 1, "batch_size": 4, "optimizer": {"lr": 0.1}},
            "mixer": RULES[rule],
            "adversaries": ATTACKS[attack],
            "record": {"rounds": [1, LAST]},
            "backend": {"name": "local", "workers": 1},
        }
        done = run(load_experiment(settings), out=arguments.out / "runs")
        result = audited(done, "reconstruction", attacks=["first_layer"]).result()
        near, made = result["plan"]["by_distance"], sum(at["updates"] for at in result["plan"]["by_distance"]) / LAST
        first, later = (sum(sum(at["solved_by_round"][rounds]) for at in near) for rounds in (slice(1), slice(1, None)))
        found = result["attacked"]["together"]["first_layer"]
        rebuilt = [found["exact"]["1"], found["exact"][str(LAST)], found["guessed"][str(LAST)]]
        shares = [first / made, later / made / (LAST - 1), *(each["share"] for each in rebuilt)]
        file.write_text(json.dumps(shares))
    content: list[float] = json.loads(file.read_text())
    return content


def spread(values: list[float]) -> str:
    text = f"{100 * fmean(values):.1f}"
    return text if len(values) < 2 else f"{text} ± {100 * stdev(values):.1f}"


arguments.out.mkdir(parents=True, exist_ok=True)
print("| rule | attack | computed, round 1, % | later | identified, round 1, % | round 20 | round 20, guessed |")
print("|---|---|---|---|---|---|---|")
for attack, rule in product(ATTACKS, arguments.rules):
    columns = zip(*(measured(rule, attack, seed) for seed in arguments.seeds), strict=True)
    print(f"| {rule} | {attack} | {' | '.join(spread(list(column)) for column in columns)} |", flush=True)
