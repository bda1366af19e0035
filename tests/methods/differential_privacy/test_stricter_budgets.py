"""Samples with budgets of their own: what they cost, how they are clipped, and what is told of them."""

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd
from reference.sample_gradients import of_one_tensor

from methods.differential_privacy.dp_sgd import DPSGD
from simulator import run
from simulator.core.errors import InputError
from simulator.core.samples import Batch
from simulator.models.small import MLP
from simulator.privacy.accounting import GaussianSteps
from simulator.testing.network import of_images
from topologies import Topology

MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))
STRICTER = ({"epsilon": 1.0, "share": 0.3}, {"epsilon": 3.0, "share": 0.2})


def node_with(stricter=STRICTER, clip=0.5, samples=40):
    config = DPSGD.Config(target_epsilon=8.0, clip=clip, stricter=stricter)
    network = Network(
        Topology.build("complete", 1),
        MODEL,
        random_data(samples),
        sgd(0.1, batch_size=8, local_steps=2),
        methods=lambda i: [DPSGD(config)],
    )
    return network.nodes[0], network.nodes[0].methods[0]


def test_each_budget_is_met_by_the_noise_in_units_of_its_clips():
    node, dp = node_with()
    base, planned = dp.budget.mechanism, 2 * node.rounds
    factors, counts = np.unique(dp._stricter.factors, return_counts=True)
    assert counts.tolist() == [12, 8, 20]  # of 40
    for factor, epsilon in zip(factors, (1.0, 3.0, 8.0), strict=True):
        own = GaussianSteps(base.noise_multiplier / factor, base.sample_rate, base.delta, "pld")
        assert 0.998 * epsilon <= own.epsilon(planned) <= epsilon
    assert dp._stricter.epsilons(planned) == pytest.approx([1.0, 3.0], rel=2e-3)


def test_no_sample_moves_the_sum_by_more_than_its_own_clip():
    node, dp = node_with()
    rows = torch.randn(40, len(node.parameters), generator=torch.Generator().manual_seed(0)).double() * 10
    for position in range(40):
        batch = Batch(node.data.train.inputs[:1], node.data.train.targets[:1], torch.tensor([position]))
        moved = dp.clipped_sum(node, batch, of_one_tensor(rows[position : position + 1])).norm().item()
        assert moved == pytest.approx(0.5 * float(dp._stricter.factors[position]), rel=1e-4)
    public = Batch(node.data.train.inputs[:1], node.data.train.targets[:1], torch.tensor([41]))
    assert dp.clipped_sum(node, public, of_one_tensor(rows[:1])).norm().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.slow
def test_the_report_tells_what_they_cost_and_nobody_who_they_are(tmp_path):
    done = run(small(methods=[{"name": "dp_sgd", "target_epsilon": 8.0, "stricter": STRICTER[:1]}]), tmp_path)
    (section,) = DPSGD.sections(done.experiment.methods[0], done.directory)
    assert "Some samples have asked for less and are clipped to less: their epsilon is at most" in section.paragraphs[0]
    for artifact in done.directory.artifacts("dp_sgd"):
        assert artifact.arrays["stricter"].tolist() == pytest.approx([1.0], rel=2e-3)
        assert artifact.arrays["epsilon"].item() == pytest.approx(8.0, rel=2e-3)
        assert all(array.size <= 1 for array in artifact.arrays.values())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target_epsilon": 2.0}, "below that of all others"),
        ({"target_epsilon": None, "noise_multiplier": 1.0}, "below that of all others"),
        ({"clipping": "per_layer"}, "shares of one clip"),
        ({"adaptive_clip": {}}, "shares of one clip"),
        ({"stricter": [{"epsilon": 1.0, "share": 0.6}, {"epsilon": 2.0, "share": 0.4}]}, "fewer than all samples"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        DPSGD.Config(**({"target_epsilon": 8.0, "stricter": STRICTER} | changes))


def test_a_share_of_less_than_a_sample_is_refused():
    with pytest.raises(InputError, match=r"dp_sgd\.stricter\[0\]\.share: 0\.001 of 40 samples is none"):
        node_with([{"epsilon": 1.0, "share": 0.001}])


def test_marks_and_exact_accounts(tmp_path):
    changes = {"methods": [{"name": "dp_sgd", "target_epsilon": 8.0, "stricter": STRICTER}]}
    with pytest.raises(InputError, match=r"data\.canaries"):
        run(small("data.canaries={kind: block, number: 3}", **changes), tmp_path)
