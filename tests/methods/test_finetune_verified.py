"""Fine-tuning against a plain loop, and as a copy or in place of the model."""

import pytest
import torch
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd
from torch.nn.functional import cross_entropy

from methods.finetune_verified import FinetuneVerified
from simulator import run
from simulator.core.errors import InputError
from simulator.core.node_program import NodeProgram
from simulator.models.small import MLP
from simulator.testing.network import of_images
from simulator.training.evaluation import evaluate
from topologies import Topology

SETTINGS = {"epochs": 3, "batch_size": 4, "rates": [0.01, 0.3]}


def tuned(*overrides, **method):
    overrides = ("data.verified={share: 0.3, shared: true}", "data.validation=0", "data.public=[]", *overrides)
    return small(*overrides, methods=[{"name": "finetune_verified", **SETTINGS, **method}])


def lines(done):
    return {(m.round, m.node, m.name): m.value for m in done.metrics()}


def plainly(network, node, rate):
    """float [parameters] after plain SGD on the fit half, in the order of the node's own generator."""
    module = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))().double()
    optimizer, fit, rng = torch.optim.SGD(module.parameters(), lr=rate), node.data.verified.fit, node.rng
    order = rng("finetune_verified")
    for _ in range(3):
        for rows in torch.from_numpy(order.permutation(len(fit))).split(4):
            images = node.data.preparation(fit.inputs_at(rows), torch.float64)
            optimizer.zero_grad()
            cross_entropy(module(images), fit.targets_at(rows)).backward()
            optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_the_best_of_some_plain_sgd_runs_is_taken():
    network = Network(
        Topology.build("ring", 4),
        seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
        [random_data(seed=node) for node in range(4)],
        sgd(0.1),
        methods=lambda node: [FinetuneVerified(FinetuneVerified.Config(use="probe", **SETTINGS))],
    )
    changed = 0
    for node in network.nodes:
        before = node.parameters.clone()
        with node.using(network.module):
            found = NodeProgram(node).variants()["finetune_verified"]
        offered = [before, *(plainly(network, node, rate) for rate in SETTINGS["rates"])]
        held = node.data.verified.select
        accuracies = [evaluate(network.module, p, held, node.data)["accuracy"] for p in offered]
        best = offered[accuracies.index(max(accuracies))]
        changed += best is not before
        torch.testing.assert_close(found, best, rtol=1e-10, atol=1e-12)
        assert torch.equal(node.parameters, before)
    assert changed > 0


def test_copies_leave_the_run_as_it_was_and_are_what_replaced_models_are(tmp_path):
    copied, replaced = (lines(run(tuned(use=use), tmp_path / use)) for use in ("copy", "replace"))
    plain = lines(run(tuned(rates=[]), tmp_path / "plain"))
    own = {key: value for key, value in copied.items() if not key[2].startswith("finetune_verified/")}

    assert own == {key: value for key, value in plain.items() if not key[2].startswith("finetune_verified/")}
    name = "consensus/test/accuracy"
    assert copied[6, None, f"finetune_verified/{name}"] == replaced[6, None, name] != copied[6, None, name]


@pytest.mark.slow
def test_the_report_tells_of_copies_only(tmp_path):
    def sections(use):
        done = run(tuned(use=use), tmp_path / use)
        return lines(done), FinetuneVerified.sections(FinetuneVerified.Config(use=use), done.directory)

    found, (section,) = sections("copy")
    before, after = (found[6, None, f"{prefix}test/accuracy/mean"] for prefix in ("", "finetune_verified/"))
    assert f"from {before:.1%} to {after:.1%}," in section.verdict
    assert sections("replace")[1] == ()


def test_verified_data_are_needed():
    with pytest.raises(InputError, match="finetune_verified needs verified data"):
        small(methods=[{"name": "finetune_verified"}])
