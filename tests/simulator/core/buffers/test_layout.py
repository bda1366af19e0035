"""Running statistics as vectors: what BatchNorm writes, and how parts of the data are merged."""

import pytest
import torch
from reference.stateful import BatchNet, FrozenBase, Reassigned, Restless, Tied
from torch import nn

from simulator.core.buffers.discovery import check_declared, findings, set_training_modes
from simulator.core.buffers.layout import Layout
from simulator.core.buffers.settings import BufferSettings
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule

MIXED = BufferSettings(policy="mixed")
ONE = Layout({"running_mean": torch.Size([1]), "running_var": torch.Size([1])}, {}, [("running_mean", "running_var")])
IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def found(network, settings=None):
    set_training_modes(network, settings)
    return findings(network, IMAGES)


def flat(network):
    return FlatModule(network, "fp64", layout=found(network).layout, settings=MIXED)


def test_moments_of_two_sites_are_those_of_their_samples_together():
    # [1, 2, 3] and [10, 20]: mean 7.2, population variance 50.96; the mean of the variances is 10.4.
    sites = [(3.0, torch.tensor([2.0, 2 / 3])), (2.0, torch.tensor([15.0, 25.0]))]

    torch.testing.assert_close(ONE.merged(sites), torch.tensor([7.2, 50.96]))


def test_equal_variances_about_unlike_means_gain_the_spread():
    torch.testing.assert_close(
        ONE.merged([(0.5, torch.tensor([-1.0, 1.0])), (0.5, torch.tensor([1.0, 1.0]))]), torch.tensor([0.0, 2.0])
    )


def test_what_is_no_moment_is_averaged_as_it_is():
    layout = Layout({"scale": torch.Size([2])}, {}, [])

    assert layout.merged([(1, torch.tensor([1.0, 2.0])), (3, torch.tensor([5.0, 2.0]))]).tolist() == [4.0, 2.0]
    assert layout.others == ["scale"]


def test_training_writes_to_the_buffers_that_are_bound():
    network = nn.BatchNorm1d(1, affine=True)
    set_training_modes(network, None)
    module = FlatModule(network, "fp64", layout=findings(network, torch.rand(4, 1)).layout, settings=MIXED)
    mine, other = module.initial_buffers, module.initial_buffers
    module.bind(module.initial, mine)
    module.module(torch.tensor([[0.0], [2.0]], dtype=torch.float64))
    torch.testing.assert_close(mine.running, torch.tensor([0.1, 1.1]).double())  # variance unbiased, 2
    module.bind(module.initial, other)
    for _ in range(10):
        module.module(torch.tensor([[1.0], [3.0]], dtype=torch.float64))

    assert other.running[0].item() == pytest.approx((1 - 0.9**10) * 2)
    assert (mine.counters.tolist(), other.counters.tolist()) == ([1], [10])


def test_a_network_with_state_is_not_bound_without():
    module = flat(BatchNet(4, 3))

    with pytest.raises(RuntimeError, match="running statistics"):
        module.bind(module.initial.clone())


def test_evaluation_leaves_state_alone_and_fixed_state_does_not_move():
    module = flat(BatchNet(4, 3))
    buffers = module.initial_buffers
    buffers.fixed = True
    module.bind(module.initial, buffers)
    module.module(IMAGES.double())
    assert torch.equal(buffers.running, module.initial_buffers.running)
    buffers.fixed = False
    module.bind(module.initial, buffers)
    module.module(IMAGES.double())
    assert not torch.equal(buffers.running, module.initial_buffers.running)


def test_state_is_told_from_constants_and_nothing_is_changed():
    network = BatchNet(4, 3)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    layout = found(network).layout

    assert layout.layers == ["net.2", "net.6"]
    assert len(layout.moments) == 2
    assert list(layout.counters) == ["net.2.num_batches_tracked", "net.6.num_batches_tracked"]
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    assert found(Tied(4, 3)).layout is None
    assert found(FrozenBase(4, 3)).layout is None


def test_undeclared_state_is_refused_by_layer_and_settings_in_vain_too():
    with pytest.raises(InputError, match=r"net\.2 \(BatchNorm1d\).*\n.*local .*mixed .*frozen"):
        check_declared(found(BatchNet(4, 3)).layout, None, BatchNet(4, 3))
    with pytest.raises(InputError, match="keeps no running statistics"):
        check_declared(None, MIXED, nn.Linear(2, 2))


@pytest.mark.parametrize(("network", "why"), [(Reassigned, "in place"), (Restless, "self.training")])
def test_state_that_cannot_be_followed_is_refused(network, why):
    with pytest.raises(InputError, match=why):
        found(network(4, 3))


def test_frozen_from_the_start_is_no_state():
    assert found(BatchNet(4, 3), BufferSettings(policy="frozen")).layout is None


def test_a_tied_weight_is_one_entry_and_stays_one_tensor():
    module = FlatModule(Tied(4, 3), "fp64")
    module.bind(torch.randn(module.num_parameters, dtype=torch.float64))

    assert module.num_parameters == 6 * 4 + 6 * 3 + 3
    assert module.module.into.weight is module.module.back.weight
    assert module.module.into.weight.data_ptr() == module.module.back.weight.data_ptr()


def test_only_what_is_trained_is_in_the_vector_and_what_is_frozen_is_in_evaluation_mode():
    module = FlatModule(FrozenBase(4, 3), "fp64")
    module.train()

    assert module.num_parameters == 20 * 3 + 3
    assert not any(layer.training for layer in module.module.base.modules())
    module.module.base[0].weight.data[0] += 1
    with pytest.raises(Exception, match="frozen parameter"):
        module.check_constants()


def test_a_network_that_trains_nothing_is_refused():
    with pytest.raises(InputError, match="no parameter that is trained"):
        FlatModule(nn.Linear(2, 2).requires_grad_(False))
