"""How long the pairwise accountant takes: epsilon of every node against every other, with fresh noise in each round.

    python tests/benchmarks/network_dp.py [--nodes 32] [--rounds 50] [--graphs ring torus random_regular complete]
        [--block B] [--noise-multiplier 1.0] [--delta 1e-5]

Prints a table of seconds and of the largest epsilon at each distance, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time

from auditing.network_privacy.network_dp import by_distance, network_epsilon
from topologies import Topology, distances

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--nodes", type=int, default=32)
parser.add_argument("--rounds", type=int, default=50)
parser.add_argument("--graphs", nargs="+", default=["ring", "torus", "random_regular", "complete"])
parser.add_argument("--block", type=int)
parser.add_argument("--noise-multiplier", type=float, default=1.0)
parser.add_argument("--delta", type=float, default=1e-5)
arguments = parser.parse_args()

measured = {}
print(f"{'graph':16} {'seconds':>8}  largest epsilon at distance 1, 2, ...")
for graph in arguments.graphs:
    topology, began = Topology.build(graph, arguments.nodes), time.perf_counter()
    epsilon = network_epsilon(
        topology, arguments.rounds, arguments.noise_multiplier, arguments.delta, block=arguments.block
    )
    seconds = time.perf_counter() - began
    largest = [float(found.max()) for found in by_distance(epsilon, distances(topology.graph).T).values()]
    measured[graph] = {"seconds": seconds, "epsilon": largest}
    print(f"{graph:16} {seconds:8.1f}  {'  '.join(f'{value:.3g}' for value in largest)}")
print(json.dumps(measured))
