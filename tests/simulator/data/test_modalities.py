"""What is left of samples where a node holds one modality, and whose parameters then mix."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.multi_exit import CHANNELS, ONE_EACH, clips, one_modality, samples

from auditing.early_exit.audit import EarlyExitAudit
from auditing.membership.audit import MembershipAudit
from simulator import run
from simulator.core.errors import InputError
from simulator.core.samples import Samples, VerifiedData
from simulator.data.modalities import dealt
from simulator.runs.audit import audit
from simulator.runs.build import Simulation
from simulator.training.evaluation import evaluate
from topologies import Topology

HELD = ("mv", "residual", "iframe")
SPLITS = ("train", "validation", "held_out", "test", "public")
RING = Topology.build("ring", 4)


@pytest.mark.parametrize(("number", "first", "own"), [(0, 0, 2), (1, 4, 3), (2, 10, 3)])
def test_a_node_has_the_channels_of_its_modality_and_blank_ones(number, first, own):
    everything = [samples(seed, public=5) for seed in range(3)]
    whole, part = everything[number], dealt(everything, HELD)[number]
    assert part.modalities == HELD
    assert [channel.group for channel in part.channels] == [HELD[number]] * 6
    assert [channel.picture for channel in part.channels] == [0, 0, 0, 1, 1, 1]
    for split in SPLITS:
        rows = torch.arange(3)
        seen = part.preparation(getattr(part, split).inputs_at(rows)).unflatten(1, (2, 3))
        every = whole.preparation(getattr(whole, split).inputs_at(rows))
        torch.testing.assert_close(seen[:, :, :own].flatten(1, 2), every[:, first : first + 2 * own], rtol=0, atol=0)
        assert (seen[:, :, own:] == 0).all()
        assert torch.equal(getattr(part, split).index, getattr(whole, split).index)
    assert (part.channels[0].horizontal, part.channels[0].zero) == (CHANNELS[first].horizontal, CHANNELS[first].zero)


def test_other_modalities_do_not_reach_a_node():
    """Whatever is in the others' channels, a node has the same samples."""
    whole = samples()
    noise = torch.randint_like(whole.train.inputs, 256)
    noise[..., :4] = whole.train.inputs[..., :4]
    splits = {split: Samples(noise, whole.train.targets, getattr(whole, split).index) for split in ("train", "test")}
    (before,), (after,) = (dealt([node], ["mv"]) for node in (whole, replace(whole, **splits)))
    for split in splits:
        assert torch.equal(getattr(before, split).inputs, getattr(after, split).inputs)


def test_nodes_of_one_modality_share_what_nodes_share():
    first, *others = dealt([samples()] * 5, ["mv", "mv", "iframe"])
    assert others[0].test is others[2].test is first.test
    assert isinstance(first.verified, VerifiedData)
    assert first.train.inputs is others[0].validation.inputs is first.verified.fit.inputs
    assert others[1].train.inputs is not first.train.inputs


def test_without_a_choice_nothing_changes():
    node = samples()
    assert dealt([node], ()) == (node,)


@pytest.mark.parametrize(
    ("data", "by_node", "problem"),
    [
        (samples(), ["mw"], r"data\.modality_by_node: the samples have no modality 'mw'"),
        (
            replace(samples(), inputs=replace(samples().inputs, channels=())),
            ["mv"],
            r"plain pictures, which have no modalities",
        ),
    ],
)
def test_unknown_modalities_are_refused(data, by_node, problem):
    with pytest.raises(InputError, match=problem):
        dealt([data], by_node)


def test_parameters_mix_within_a_modality_only_and_weights_go_back():
    """On a ring of two and two, x_0 = (1 - w) y_0 + w y_1, to the bit; between 1 and 2 nothing travels."""
    net = one_modality(RING, ["mv", "mv", "residual", "residual"], lambda node: [])
    sent = net.work()
    assert {(m.sender, m.receiver) for m in sent} == {(0, 1), (1, 0), (2, 3), (3, 2)}
    y, w = torch.from_numpy(net.parameters), RING.weights[0, 1]
    net.absorb(sent)
    for low, high in ((0, 1), (2, 3)):
        back = net.nodes[low].weights[low]
        assert back == pytest.approx(1 - w)
        expected = torch.mul(y[low], back).add_(y[high], alpha=w)
        assert torch.equal(torch.from_numpy(net.parameters[low]), expected)


def test_public_clips_are_nobodys_and_nodes_of_one_modality_alone_see_them_alike():
    data = Simulation.of(clips(data=ONE_EACH)).data
    held = np.concatenate([getattr(node, split).index for node in data.nodes for split in ("train", "validation")])
    assert len(np.intersect1d(held, data.public_index)) == 0
    assert len(held) + len(data.public_index) == 63
    assert [node.public.inputs.shape[-1] for node in data.nodes] == [3] * 3  # one picture each
    assert not any(torch.equal(data.nodes[0].public.inputs, node.public.inputs) for node in data.nodes[1:])


@pytest.mark.slow
def test_a_node_is_tested_on_its_own_modality_and_the_network_is_a_third(tmp_path):
    done = run(clips(data=ONE_EACH), tmp_path / "one")
    module = done.blueprint.module()
    assert module.module.modalities == ("own",)
    for node, logged in zip(done.nodes, done.directory.series("test/accuracy")[1][-1], strict=True):
        assert evaluate(module, node.parameters, node.data.test, node.data)["accuracy"] == pytest.approx(logged)
    assert module.num_parameters < run(clips(rounds=1), tmp_path / "all").blueprint.module().num_parameters / 2.5


@pytest.mark.slow
def test_each_modality_has_a_consensus_model_of_its_own(tmp_path):
    topology = {"graph": "torus", "nodes": 9, "rows": 3}
    done = run(clips("data.partition=iid", data=ONE_EACH, topology=topology, rounds=3), tmp_path)
    module, found = done.blueprint.module(), []
    for first in range(3):
        alike = [node for node in done.nodes if node.id % 3 == first]
        mean = torch.stack([node.parameters for node in alike]).mean(dim=0)
        found.append(evaluate(module, mean, alike[0].data.test, alike[0].data)["accuracy"])
    logged = done.directory.network_series("consensus/test/accuracy")[1][-1]
    assert logged == pytest.approx(np.mean(found))


@pytest.mark.slow
def test_audits_that_show_a_node_the_samples_of_others_are_refused(tmp_path):
    done = run(clips("data.held_out=0.3", data=ONE_EACH, rounds=1), tmp_path)
    with pytest.raises(InputError, match=r"data\.modality_by_node: nodes hold one modality each, and membership shows"):
        audit(done.path, MembershipAudit.Config(name="membership"))
    assert (audit(done.path, EarlyExitAudit.Config()) / "result.json").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mixer": "push_sum"}, r"data\.modality_by_node: .* push_sum needs every link"),
        ({"topology": {"graph": "ring", "nodes": 2}}, r"there are 2 nodes, and this says what 3 hold"),
        ({"mode": "asynchronous", "clock": {"step_seconds": 0.01}}, r"a modality for each node needs rounds in step"),
        ({"methods": ["gradient_tracking"]}, r"mixes trackers over all links"),
    ],
)
def test_what_needs_every_link_is_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        clips(data=ONE_EACH, **changes)


def test_mirror_images_turn_the_signs_of_a_nodes_own_channels():
    """Those of residuals turn none: a sample is its original or that mirrored."""
    blueprint = Simulation.of(clips(data=ONE_EACH | {"augment": {"flip": True}})).blueprint
    motion, residual = blueprint.nodes([0, 1])
    plain, turned = (_in_order(node) for node in (residual, motion))
    assert plain.all()
    assert not turned.all()


def _in_order(node):
    """bool [B]: whether a sample of a batch is an original or its mirror image."""
    batch = node.training_set.next_batch(8, node.rng, node.rng("augmentation"))
    originals = node.data.preparation(node.data.train.inputs_at(batch.positions), torch.float64)
    alike = ((batch.inputs - way).flatten(1).norm(dim=1) == 0 for way in (originals, originals.flip(3)))
    return torch.stack([*alike]).any(dim=0)
