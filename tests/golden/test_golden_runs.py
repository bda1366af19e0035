"""Short runs whose numbers must not move unnoticed.

How the numbers came to be: the program computed them, in double precision, when its laws held: gossip and all of these
followed their formulas, one node equalled a plain PyTorch loop, labels were merged as their formula says (all tested
elsewhere). They carry no meaning of their own. If a change is meant to move them
(another order of batches, another initialisation), say so in the commit and write them anew:
``pytest tests/golden --update-golden``. Otherwise a difference is a mistake.

Double precision leaves about 1e-13 between machines after these few rounds; the comparison allows a relative 1e-9.
"""

import pytest
import torch
from reference.experiments import small

from simulator import run

EARLY = {"name": "gossip", "order": "combine_then_adapt"}
RUNS = {
    "quasi_global_momentum": {"methods": [{"name": "quasi_global_momentum", "nesterov": True}]},
    "idkd": {"methods": [{"name": "idkd", "first_round": 4, "every": 3, "threshold": "youden"}]},
    "global_update_tracking": {"methods": [{"name": "global_update_tracking", "mu": 0.1, "beta": 0.8}]},
    "saddle": {"methods": [{"name": "saddle", "rho": 0.5}]},
    "cross_feature_contrastive_loss": {"methods": [{"name": "cross_feature_contrastive_loss"}], "mixer": EARLY},
    "ada_gossip": {"mixer": {"name": "ada_gossip", "gamma": 0.01, "beta": 0.9}},
}
NETWORK = ("test/accuracy/mean", "test/accuracy/worst", "consensus/test/loss", "consensus/distance", "bytes/sent")


@pytest.mark.parametrize("name", RUNS)
def test_golden_run(name, golden, tmp_path):
    # Digits only: the photographs of the other public set are JPEG files, which decoders round differently.
    public = "data.public=[{dataset: digits, samples: 60}]"
    done = run(small(public, rounds=8, evaluate={"every": 4}, **RUNS[name]), tmp_path)
    numbers = {
        f"{m.name} after {m.round}": m.value
        for m in done.metrics()
        if (m.node is None and m.name in NETWORK) or (m.node == 0 and m.name.startswith(("idkd/", "train/")))
    }
    parameters = torch.stack([node.parameters for node in done.nodes])
    numbers |= {"sum of parameters": parameters.sum().item(), "norm of parameters": parameters.norm().item()}

    golden.check(name, numbers)
