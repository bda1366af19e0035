"""DP-SGD at the nodes: its gradients against Opacus and a loop, its noise, its batches, and what it refuses."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer
from reference.broken_dp import BROKEN, BatchClipped, NoNoise, Shuffled
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd
from reference.sample_gradients import of_one_tensor
from scipy.stats import chi2
from torch.nn.functional import cross_entropy

from methods.differential_privacy.dp_sgd import DPSGD, clipped_sum
from simulator import run
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits, Traits
from simulator.mixers.gossip import Gossip
from simulator.models.small import CNN, MLP
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.calibration import noise_multiplier_for
from simulator.privacy.gaussian_dp import epsilon_of
from simulator.testing.network import of_images
from simulator.training.stacked import Stacked
from topologies import Topology

DATA = random_data(30)
MODELS = {
    "mlp": seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
    "cnn": seeded(lambda: CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 3))),
}


class Watched(Method):
    """Keeps the batches of a round and the gradients that it steps along."""

    def before_round(self, node):
        self.batches, self.gradients = [], []

    def before_step(self, node, batch):
        self.batches.append(batch)
        self.gradients.append(node.gradient.clone())


def private(model="mlp", method=DPSGD, nodes=1, batch_size=8, local_steps=2, data=DATA, seed=0, **settings):
    """Nodes that train with ``method``; the rest of its settings, no noise unless they say otherwise."""
    config = method.Config(**{"noise_multiplier": 0.0, **settings})
    training = sgd(0.1, batch_size=batch_size, local_steps=local_steps)
    topology = Topology.build("complete", nodes)
    return Network(
        topology, MODELS[model], data, training, methods=lambda i: [method(config), Watched(None)], seed=seed
    )


def one_round(**settings):
    network = private(**settings)
    start = network.nodes[0].parameters.clone()
    network.work()
    return start, network.nodes[0].methods[1], network


def opacus_gradient(network, start, batch, clip, clipping, expected):
    """Opacus' own clipping and accumulation, on its own per-sample gradients, flat as ours."""
    module = network.module.module
    network.module.bind(start)
    plain = copy.deepcopy(module)
    for parameter in plain.parameters():
        parameter.data = as_usual(parameter.data)
    model, tensors = GradSampleModule(plain), len(list(plain.parameters()))
    options = {"noise_multiplier": 0.0, "expected_batch_size": expected}
    sgd_ = torch.optim.SGD(model.parameters(), lr=0.1)
    if clipping == "flat":
        optimizer = DPOptimizer(sgd_, max_grad_norm=clip, **options)
    else:
        optimizer = DPPerLayerOptimizer(sgd_, max_grad_norm=[clip / tensors**0.5] * tensors, **options)
    cross_entropy(model(as_usual(batch.inputs)), batch.targets).backward()
    optimizer.pre_step()
    flat = torch.zeros_like(start)
    for view, parameter in zip(network.module.views(flat), model.parameters(), strict=True):
        view.copy_(parameter.grad)
    return flat


def as_usual(tensor):
    """A copy that is not channels-last: Opacus' hooks for convolutions take that for granted."""
    return tensor.clone(memory_format=torch.contiguous_format)


def loop_gradient(network, start, batch, clip, clipping, expected):
    """The same, sample by sample."""
    module, total = network.module, torch.zeros_like(start)
    module.bind(start)
    for image, target in zip(batch.inputs, batch.targets, strict=True):
        module.differentiate(cross_entropy(module.module(image[None]), target[None]))
        if clipping == "flat":
            module.gradient.mul_(min(1.0, clip / (float(module.gradient.norm()) + 1e-6)))
        else:
            for view in (views := module.views(module.gradient)):
                view.mul_(min(1.0, clip / len(views) ** 0.5 / (float(view.norm()) + 1e-6)))
        total += module.gradient
    return total / expected


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("reference", [opacus_gradient, loop_gradient])
@pytest.mark.parametrize("clipping", ["flat", "per_layer"])
@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_that_of_opacus_and_of_a_loop_over_samples(model, clipping, reference):
    start, watched, network = one_round(model=model, clipping=clipping, clip=0.7, local_steps=1)
    expected = reference(network, start, watched.batches[0], 0.7, clipping, 8)

    assert len(watched.batches[0]) != 8  # so that it matters what the sum is divided by
    torch.testing.assert_close(watched.gradients[0], expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(expected, reference(network, start, watched.batches[0], 9.0, clipping, 8), rtol=1e-2)


def test_whole_batches_without_clipping_and_noise_are_plain_sgd():
    plain = Network(Topology.build("complete", 1), MODELS["mlp"], DATA, sgd(0.1, batch_size=30, local_steps=2))
    found = private(batch_size=30, clip=1e9).run(5)

    np.testing.assert_allclose(found, plain.run(5), rtol=1e-10, atol=1e-12)


def test_weight_decay_is_added_after_the_noise():
    def gradient(decay):
        network = private(noise_multiplier=1.0, local_steps=1)
        node = network.nodes[0]
        optimizer = node.training.optimizer.model_copy(update={"weight_decay": decay})
        node.training = node.training.model_copy(update={"optimizer": optimizer})
        start = node.parameters.clone()
        network.work()
        return start, node.methods[1].gradients[0]

    (start, decayed), (_, plain) = gradient(0.5), gradient(0.0)
    torch.testing.assert_close(decayed, plain + 0.5 * start, rtol=1e-12, atol=1e-12)


class TestNoise:
    def residuals(self, method=DPSGD, sigma=1.3, clip=0.4, rounds=4):
        """What is left of the gradients when the clipped sums are taken away, in units of sigma C: [steps, ...]."""
        found = []
        for noise in (sigma, 0.0):
            network = private(method=method, nodes=2, noise_multiplier=noise, clip=clip, local_steps=3)
            start, gradients = [node.parameters.clone() for node in network.nodes], []
            for _ in range(rounds):  # from the same parameters each time, so that the sums are the same
                network.work()
                for node, before in zip(network.nodes, start, strict=True):
                    gradients += node.methods[1].gradients[:1]
                    node.parameters.copy_(before)
                    node.finished += 1
            found.append(torch.stack(gradients))
        return (found[0] - found[1]) * 8 / (sigma * clip)

    def test_has_the_variance_that_is_accounted_for(self):
        drawn = self.residuals()
        low, high = chi2.ppf([5e-7, 1 - 5e-7], drawn.numel())

        assert low < float(drawn.square().sum()) < high
        assert high < 1.2 * drawn.numel()  # the test would see ten percent
        assert abs(float(drawn.mean())) < 5 / drawn.numel() ** 0.5

    def test_is_fresh_at_every_node_step_and_round(self):
        drawn = self.residuals()
        products = drawn @ drawn.T / drawn.shape[1]
        others = products[~torch.eye(len(drawn), dtype=torch.bool)]

        assert others.abs().max() < 6 / drawn.shape[1] ** 0.5
        one, other = one_round(noise_multiplier=1.0, clip=1e-9, local_steps=2)[1].gradients
        assert abs(float(one @ other / one.norm() / other.norm())) < 6 / len(one) ** 0.5

    def test_is_missed_where_it_is_missing(self):
        assert not self.residuals(NoNoise).any()


class TestSampling:
    def test_lengths_vary_as_independent_draws_do(self):
        network = private(batch_size=6, local_steps=200)
        network.work()
        lengths = np.array([len(batch) for batch in network.nodes[0].methods[1].batches])

        assert lengths.mean() == pytest.approx(6, abs=5 * (6 * 0.8 / 200) ** 0.5)
        assert lengths.var() == pytest.approx(6 * 0.8, rel=0.5)  # of a binomial distribution

    def test_shuffled_batches_are_told_apart(self):
        network = private(method=Shuffled, batch_size=6, local_steps=200)
        network.work()

        assert {len(batch) for batch in network.nodes[0].methods[1].batches} == {6}

    @pytest.mark.parametrize("sampling", ["cyclic", "shuffled"])
    def test_parts_of_passes_are_accounted_by_the_closed_form(self, sampling):
        """30 samples in 4 batches: after 10 steps some have been in 3 of them."""
        network = private(batch_size=8, local_steps=10, noise_multiplier=4.0, sampling=sampling)
        network.work()
        dp, watched = network.nodes[0].methods
        counts = np.bincount(np.concatenate([batch.positions for batch in watched.batches]), minlength=30)

        assert {len(batch) for batch in watched.batches} == {7, 8}
        assert set(counts) == {2, 3}
        assert dp.budget.epsilon == epsilon_of(3**0.5 / 4, 1 / 300)
        assert dp.promise(network.nodes[0]).cost(2) == epsilon_of(5**0.5 / 4, 1 / 300)  # 20 steps, 5 passes

    def test_what_passes_take_for_an_epsilon_meets_it(self):
        node = private(noise_multiplier=None, target_epsilon=2.0, sampling="cyclic").nodes[0]
        mechanism, steps = node.methods[0].budget.mechanism, 2 * node.rounds

        assert 1.998 <= mechanism.epsilon(steps) <= 2.0
        assert mechanism.noise_multiplier == pytest.approx(
            noise_multiplier_for(2.0, GaussianSteps(0.0, 1.0, 1 / 300, "pld"), -(-steps // 4))
        )

    def test_an_empty_batch_is_noise_alone_and_counts(self):
        network = private(batch_size=1, local_steps=20, noise_multiplier=2.0, clip=0.5)
        node = network.nodes[0]
        network.work()
        dp, watched = node.methods
        empty = [g for g, batch in zip(watched.gradients, watched.batches, strict=True) if len(batch) == 0]

        assert len(empty) >= 3
        assert dp.budget.steps == 20
        assert torch.stack(empty).std() == pytest.approx(2.0 * 0.5, rel=0.1)
        assert np.isfinite(node.take_loss())


samples = st.lists(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), min_size=1, max_size=6)


@given(samples, st.floats(1e-3, 1e3))
def test_no_sample_moves_the_sum_by_more_than_the_clip(rows, clip):
    matrix = torch.tensor(rows, dtype=torch.float64)
    moved = (clipped_sum(of_one_tensor(matrix), clip) - clipped_sum(of_one_tensor(matrix[:-1]), clip)).norm()

    assert moved <= clip * (1 + 1e-9) + 1e-9


def test_where_the_batch_is_clipped_as_a_whole_one_sample_moves_the_sum_by_more():
    (node,) = private(method=BatchClipped, clip=1.0).nodes
    rows = torch.tensor([[0.5, 0.0], [0.0, 1000.0]], dtype=torch.float64)
    of_both, of_one = (node.methods[0].clipped_sum(node, None, of_one_tensor(each)) for each in (rows, rows[:1]))

    assert (of_both - of_one).norm() > 2.0


@pytest.mark.parametrize("method", BROKEN.values())
def test_the_broken_ones_are_accounted_for_as_if_they_were_right(method):
    broken, sound = private(method=method, noise_multiplier=1.0), private(noise_multiplier=1.0)
    for network in (broken, sound):
        network.run(3)

    assert NodeProgram(broken.nodes[0]).measure() == NodeProgram(sound.nodes[0]).measure()


class TestStacked:
    CASES = {  # noqa: RUF012
        "flat": {"clip": 0.5},
        "per layer": {"clip": 0.5, "clipping": "per_layer"},
        "some batches empty": {"batch_size": 1, "local_steps": 6},
        "cnn": {"model": "cnn"},
    }

    @pytest.mark.parametrize("case", CASES)
    def test_is_sequential(self, case):
        """Nodes with unequal sets, hence unequal batches."""
        data = [random_data(20 + 7 * i, seed=i) for i in range(3)]
        one, other = (
            private(**{"nodes": 3, "data": data, "noise_multiplier": 1.0, "local_steps": 3, **self.CASES[case]})
            for _ in range(2)
        )
        self.train_stacked(other)
        one.work()

        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-10, atol=1e-12)
        for mine, theirs in zip(one.nodes, other.nodes, strict=True):
            assert mine.take_loss() == pytest.approx(theirs.take_loss(), rel=1e-10)
            assert NodeProgram(mine).measure() == NodeProgram(theirs).measure()

    def train_stacked(self, network):
        for node in network.nodes:
            with node.using(network.module):
                NodeProgram(node).begin()
        Stacked(network.module).train(network.nodes)

    @pytest.mark.parametrize("trainer", [pytest.param("sequential", marks=pytest.mark.slow), "stacked"])
    def test_whole_runs_spend_what_the_accountant_says(self, trainer, tmp_path):
        methods = [{"name": "dp_sgd", "noise_multiplier": 1.0}, {"name": "quasi_global_momentum"}]
        training = {**small().to_dict()["training"], "trainer": trainer, "local_steps": 2}
        done = run(small("data.partition=iid", methods=methods, training=training), tmp_path)
        rounds, spent = done.directory.series("privacy/epsilon")
        node = done.nodes[0]

        assert rounds.tolist() == [0, 2, 4, 6]
        assert spent[:, 0] == pytest.approx([node.methods[0].budget.mechanism.epsilon(2 * round) for round in rounds])
        assert done.directory.network_series("privacy/epsilon/max")[1] == pytest.approx(spent.max(axis=1))
        assert node.methods[0].budget.mechanism.sample_rate == 16 / len(node.data.train)


@pytest.mark.slow
def test_each_node_gets_the_noise_that_its_own_samples_need(tmp_path):
    """The fewer samples, the more often each is looked at."""
    data = [random_data(16 + 16 * i, seed=i) for i in range(2)]
    few, many = private(nodes=2, data=data, noise_multiplier=None, target_epsilon=3.0, delta=1e-3).nodes
    few_budget, many_budget = few.methods[0].budget, many.methods[0].budget

    assert few_budget.mechanism.noise_multiplier > many_budget.mechanism.noise_multiplier
    for budget in (few_budget, many_budget):
        assert 2.9 <= budget.mechanism.epsilon(2 * 1000) <= 3.0


def test_delta_is_a_tenth_of_one_over_the_samples_by_default():
    assert private().nodes[0].methods[0].budget.mechanism.delta == pytest.approx(1 / 300)


NOISE = {"name": "dp_sgd", "noise_multiplier": 1.0}
BATCH_NORM = {"name": "resnet20", "norm": "batch", "allow_batch_norm": True}
IDKD = {"name": "idkd", "first_round": 3, "every": 2}
REFUSED = {
    "both": ({"methods": [NOISE | {"target_epsilon": 1.0}]}, r"methods\[0\]: give either noise_multiplier or target"),
    "neither": ({"methods": [{"name": "dp_sgd"}]}, r"methods\[0\]: give either noise_multiplier or target_epsilon"),
    "delta": ({"methods": [NOISE | {"delta": 0.5}]}, r"node \d.dp_sgd.delta: 0.5 of \d+ training samples promises"),
    "target": (
        {"methods": [{"name": "dp_sgd", "target_epsilon": 0.001, "accountant": "rdp"}]},
        r"node 0.dp_sgd.target_epsilon: no noise is enough for 0.001: rdp cannot show so little.\s+Set accountant: pld",
    ),
    "tiny delta": ({"methods": [NOISE | {"delta": 1e-13}]}, r"dp_sgd.delta: 1e-13 is below what pld can tell from"),
    "budget": ({"methods": [NOISE | {"max_epsilon": 0.1}]}, r"dp_sgd.max_epsilon: one round costs an epsilon of"),
    "accountant": (
        {"methods": [NOISE | {"noise_multiplier": 0.05, "accountant": "prv"}]},
        "dp_sgd.accountant: prv cannot count an epsilon as large as",
    ),
    "two clips": (
        {"methods": [NOISE | {"adaptive_clip": {}, "clipping": "per_layer"}]},
        r"methods\[0\]: adaptive_clip moves one clip; set clipping: flat",
    ),
    "a count that tells too much": (
        {"methods": [NOISE | {"noise_multiplier": 1.0, "adaptive_clip": {"count_noise": 0.5}}]},
        r"dp_sgd.adaptive_clip.count_noise: a noise of 0.5 on the count tells as much as the account of 1 allows",
    ),
    "twice": ({"methods": [NOISE, NOISE]}, r"methods\[1\]: dp_sgd is named twice"),
    "labels": ({"methods": [NOISE, IDKD]}, r"methods\[0\]: idkd sends labels of public samples that its private val"),
    "batch norm": (
        {"methods": [NOISE], "model": BATCH_NORM},
        r"model: 1\.0, BatchNorm2d\(16.*mixes samples.*\s+Put GroupNorm\(16, 16.*in its place",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_promises_nothing_is_refused(case, tmp_path):
    changes, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        run(small("data.partition=iid", **changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_looks_at_other_samples_is_refused(register):
    class Ranked(Method):
        """Weighs samples by how they compare with the others of the batch."""

        class Config(PartSettings):
            name: str = "ranked"

        @classmethod
        def traits(cls, config):
            return Traits(losses="changes", beside_gradients=None)

        def per_sample_loss(self, node, batch, logits, losses):
            return losses * losses.argsort()

    register("methods", "ranked", Ranked)
    small(methods=["ranked"])
    with pytest.raises(
        InputError,
        match=r"(?s)methods\[1\]: the loss that ranked gives .* of its own.*Traits\(row_wise=True, stackable=True\)",
    ):
        small(methods=[NOISE, "ranked"])


@pytest.mark.parametrize("method", [NOISE, {"name": "node_dp", "noise_multiplier": 1.0, "clip": 1.0}])
def test_what_a_mixer_sends_beside_models_must_be_declared(register, method):
    class Own(Gossip):
        """Might send anything."""

        class Config(Gossip.Config):
            name: str = "own"

        @classmethod
        def traits(cls, config):
            return replace(super().traits(config), beside_models=cls.declared)

    register("mixers", "own", Own)
    for Own.declared in (MixerTraits().beside_models, "sends samples"):
        with pytest.raises(InputError, match=f"the mixer own {Own.declared}: {method['name']} neither protects"):
            small(methods=[method], mixer="own")
        small(mixer="own")
    Own.declared = None
    small(methods=[method], mixer="own")


def test_the_report_tells_what_was_promised(tmp_path):
    done = run(small("data.partition=iid", methods=[NOISE]), tmp_path)
    config = done.nodes[0].methods[0].config
    (section,) = DPSGD.sections(config, done.directory)
    epsilon = done.directory.network_series("privacy/epsilon/max")[1][-1]

    assert f"epsilon is at most {epsilon:.3g} for one training sample" in section.verdict
    assert len(section.tables[0].rows) == 4
    assert json.loads(json.dumps(section.tables[0].rows))[0][1] == pytest.approx(epsilon)
