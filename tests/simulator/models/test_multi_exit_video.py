"""The multi-exit network: which channels a stream sees, when exits are computed, and what learns from what."""

from functools import partial

import pytest
import torch
from reference.multi_exit import CHANNELS, NETWORK, WIDTHS, clips, samples
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from simulator import run
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.multi_exit import exit_logits
from simulator.core.torchvision_import import import_torchvision
from simulator.models.multi_exit_video import MultiExitVideo, bands
from simulator.testing.network import of_images
from simulator.training.separable import check_layers
from simulator.training.stackable import obstacle

MODALITIES = ("mv", "residual", "iframe")


def images(count=5):
    return torch.randn(count, 16, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_size():
    # mv: stages 2*4*9 + 4*6*9 + 6*8*9, norms 2 (4 + 6 + 8); internal: 4*4*9 + 8 + 64*3+3 and 6*6*9 + 12 + 96*3+3;
    # final: 8*3 + 3. Residual and I-frame have one channel more, 4*9 weights.
    stream = (72 + 216 + 432) + 36 + (144 + 8 + 195) + (324 + 12 + 291) + 27
    assert sum(parameter.numel() for parameter in NETWORK().parameters()) == 3 * stream + 2 * 36


def test_bands_are_the_groups_of_channels():
    assert [tuple(band) for band in bands(CHANNELS)] == [("mv", 0, 2, 2), ("residual", 4, 2, 3), ("iframe", 10, 2, 3)]


def test_it_keeps_no_state_and_no_sample_sees_another():
    network, batch = NETWORK().double(), images()
    assert not list(network.buffers())
    check_layers(network)
    assert obstacle(FlatModule(NETWORK(), "fp64"), samples()) is None
    torch.testing.assert_close(network(batch)[:1], network(batch[:1]), rtol=1e-12, atol=1e-12)
    parameters = dict(network.named_parameters())
    alone = vmap(lambda x: functional_call(network, parameters, (x[None],))[0])(batch)
    torch.testing.assert_close(alone, network(batch), rtol=1e-9, atol=1e-9)


def test_the_prediction_is_the_mean_of_the_final_exits_which_end_the_walks():
    network, batch = NETWORK().double(), images()
    walks = {modality: list(network.walk(batch, modality)) for modality in MODALITIES}
    assert [len(walk) for walk in walks.values()] == [len(WIDTHS)] * 3
    for modality, walk in walks.items():
        torch.testing.assert_close(walk[-1], network.final(batch, modality))
    torch.testing.assert_close(network(batch), sum(walk[-1] for walk in walks.values()) / 3)


def test_a_stream_sees_its_own_channels_and_pictures_in_any_order():
    network, batch = NETWORK().double(), images()
    before = network.final(batch, "residual")
    other = batch.clone()
    other[:, :4] += 1
    other[:, 10:] += 1
    assert torch.equal(network.final(other, "residual"), before)
    swapped = batch.clone()
    swapped[:, 4:7], swapped[:, 7:10] = batch[:, 7:10], batch[:, 4:7]
    torch.testing.assert_close(network.final(swapped, "residual"), before, rtol=1e-12, atol=1e-12)


def test_nothing_is_computed_before_it_is_due():
    network, ran = NETWORK().double(), []
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    walk = network.walk(images(), "mv")
    assert not ran
    next(walk)
    assert ran == ["streams.mv.stages.0.0", "streams.mv.internal.0.0", "streams.mv.internal.0.4"]
    next(walk)
    assert ran[3:] == ["streams.mv.stages.1.0", "streams.mv.internal.1.0", "streams.mv.internal.1.4"]
    next(walk)
    assert ran[6:] == ["streams.mv.stages.2.0", "streams.mv.head.2"]


def test_internal_classifiers_learn_and_leave_the_backbone_alone():
    network, batch = NETWORK().double(), images()
    targets = torch.tensor([0, 1, 2, 0, 1])
    sum(cross_entropy(z, targets) for m in MODALITIES for z in [*network.walk(batch, m)][:-1]).backward()
    learns = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learns == network.internal_parameters()
    assert len(learns) == 3 * 2 * 5


def test_exit_logits_are_those_of_the_walks_in_the_order_asked_for():
    model, data = FlatModule(NETWORK(), "fp64"), samples()
    found = exit_logits(model, data.test, data.preparation, ["iframe", "mv"])
    batch = data.preparation(data.test.inputs_at(torch.arange(10)), torch.float64)
    walks = [*model.module.walk(batch, "iframe"), *model.module.walk(batch, "mv")]
    torch.testing.assert_close(found, torch.stack(walks).detach())
    assert model.module.training


def test_plain_pictures_are_refused_before_any_work(tmp_path):
    plain = clips(data={"dataset": "digits", "partition": "iid"})
    with pytest.raises(InputError, match=r"model: .*plain pictures") as caught:
        run(plain, tmp_path)
    assert "moving_shapes" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_data_set_without_some_modality_gives_fewer_streams():
    channels = tuple(channel for channel in CHANNELS if channel.group != "residual")
    network = MultiExitVideo(MultiExitVideo.Config()).build(*of_images((8, 8, 10), 3, channels))
    assert network.modalities == ("mv", "iframe")
    assert network(torch.zeros(2, 10, 8, 8)).shape == (2, 3)


def with_resnets(**settings):
    return MultiExitVideo(MultiExitVideo.Config(**settings)).build(*of_images((32, 32, 16), 3, CHANNELS)).eval()


def test_streams_may_be_resnets():
    network = with_resnets(resnets={"mv": "resnet18", "iframe": "resnet50"})
    batch = torch.randn(3, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    assert {each: [logits.shape for logits in network.walk(batch, each)] for each in MODALITIES} == {
        each: [(3, 3)] * 4 for each in MODALITIES
    }
    assert not list(network.buffers())
    torch.testing.assert_close(list(network.walk(batch, "mv"))[-1], network.final(batch, "mv"))
    widths = {m: [head[0].in_channels for head in network.streams[m].internal] for m in MODALITIES}
    assert widths == {"mv": [64, 128, 256], "residual": [8, 16, 32], "iframe": [256, 512, 1024]}
    resnet = import_torchvision().models.resnet18(norm_layer=partial(torch.nn.GroupNorm, 4), num_classes=3)
    own = {k: v for k, v in resnet.named_parameters() if not k.startswith("fc.") and k != "conv1.weight"}
    stages = network.streams["mv"].stages
    assert sum(p.numel() for p in stages.parameters()) - stages[0][0].weight.numel() == sum(
        map(torch.numel, own.values())
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resnets": {"mv": "vgg11"}}, "model.resnets.mv: vgg11 is no ResNet"),
        ({"resnets": {"mv": "resnet19"}}, "model.resnets.mv: resnet19 is no ResNet"),
        ({"resnets": {"motion": "resnet18"}}, "no modality motion; the clips have mv, residual, iframe"),
        (
            {"resnets": {"mv": "resnet18"}, "widths": [4, 8]},
            "model.widths: has 2 stages, and the ResNets beside them 4",
        ),
    ],
)
def test_what_is_no_resnet_or_has_no_stream_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        with_resnets(**settings)
