from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.torchvision_import import import_torchvision
from simulator.models.image_library import ImageLibrary
from simulator.models.timm_networks import Timm
from simulator.models.torchvision_networks import Torchvision
from simulator.testing.network import of_images, seeded


def built(shape: tuple[int, int, int] = (32, 32, 3), kind: Any = Torchvision, **settings: Any) -> Any:
    model: ImageLibrary = kind(kind.Config(**{"network": "resnet18", **settings}))
    return seeded(lambda: model.build(*of_images(shape, 5)))()


def pretrained(classes: int = 1000) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network: nn.Module = import_torchvision().models.resnet18(num_classes=classes)
    return network.state_dict()


def written(path: Path, state: dict[str, Tensor]) -> Path:
    save_file(state, path)
    return path


def test_the_network_is_the_librarys_own_with_a_head_of_the_right_size() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = import_torchvision().models.resnet18(num_classes=5).state_dict()
    found = built().network.state_dict()
    assert all(torch.equal(found[name], each) for name, each in expected.items())


@pytest.mark.parametrize(("network", "parameters"), [("resnet18", 11_173_962), ("vgg11", 9_750_922)])
def test_for_small_images_networks_have_the_size_that_is_usual_for_cifar(network: str, parameters: int) -> None:
    model = Torchvision(Torchvision.Config(network=network, small_images=True))
    with torch.device("meta"):
        whole = model.build(*of_images((32, 32, 3), 10))
    assert sum(each.numel() for each in whole.parameters()) == parameters


def test_for_small_images_a_resnet_keeps_the_size_until_its_own_layers_halve_it() -> None:
    network = built(small_images=True).network
    images = torch.zeros(1, 3, 32, 32)
    seen = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(images)))))
    assert seen.shape == (1, 64, 32, 32)
    assert network(images).shape == (1, 5)


def test_other_networks_have_no_form_for_small_images() -> None:
    with pytest.raises(InputError, match=r"model.small_images: is for ResNets and VGGs, and squeezenet1_1 is neither"):
        built(network="squeezenet1_1", small_images=True)


@pytest.mark.parametrize("network", ["mobilenet_v3_small", "squeezenet1_1", "googlenet", "shufflenet_v2_x0_5"])
def test_what_is_trained_of_the_head_alone_is_what_gives_the_outputs(network: str) -> None:
    model = Torchvision(Torchvision.Config(network=network))
    with torch.random.fork_rng():
        whole = model.create(5)
    assert next(iter(model.head(whole).parameters())).shape[0] == 5


@pytest.mark.slow
def test_weights_of_a_file_are_loaded_but_for_a_head_of_another_size(tmp_path: Path) -> None:
    state = pretrained()
    path = written(tmp_path / "a.safetensors", state)
    torch.save(state, tmp_path / "a.pt")
    for file in (path, tmp_path / "a.pt"):
        network = built(weights=file)
        found = network.network.state_dict()
        assert all(torch.equal(found[name], state[name]) for name in state if not name.startswith("fc."))
        assert found["fc.weight"].shape == (5, 512)
        assert network.notes == (f"weights are those of {file}: all but the head (fc.bias, fc.weight), which is new",)


def test_a_head_of_the_same_size_is_loaded_too_and_told(tmp_path: Path) -> None:
    state = pretrained(5)
    network = built(weights=written(tmp_path / "a.safetensors", state))
    assert torch.equal(network.network.fc.weight, state["fc.weight"])
    assert network.notes[0].endswith("the head, too")


def test_weights_that_do_not_fit_are_told_by_name(tmp_path: Path) -> None:
    state = pretrained()
    state["extra.weight"] = state.pop("layer1.0.conv1.weight")
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    with pytest.raises(InputError) as raised:
        built(weights=written(tmp_path / "a.safetensors", state))
    for part in ("missing: layer1.0.conv1.weight", "unexpected: extra.weight", "conv1.weight [64, 1, 7, 7] in the"):
        assert part in str(raised.value)


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": pretrained()}, tmp_path / "a.pt")
    torch.save(nn.Linear(1, 1), tmp_path / "b.pt")
    (tmp_path / "c.safetensors").write_text("nonsense")
    for name, why in (("a.pt", "has epoch, state_dict"), ("b.pt", "more than weights"), ("c.safetensors", "be read")):
        with pytest.raises(InputError, match=why):
            built(weights=tmp_path / name)


def test_only_the_head_travels_if_only_it_is_trained(tmp_path: Path) -> None:
    network = built(weights=written(tmp_path / "a.safetensors", pretrained()), train="head")
    assert FlatModule(network).num_parameters == 5 * 513
    with pytest.raises(InputError, match="stay at random"):
        built(train="head")


def test_gray_images_are_seen_three_times() -> None:
    network = built((32, 32, 1)).eval()
    gray = torch.rand(2, 1, 32, 32)
    assert torch.equal(network(gray), network.network(gray.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(
    ("shape", "settings", "why"),
    [
        ((32, 32, 3), {"network": "resnet81"}, "Did you mean resnet18"),
        ((32, 32, 2), {}, "these have 2 channels"),
        ((32, 32, 3), {"network": "vit_b_32"}, "does not take images of 32x32"),
        ((32, 32, 3), {"arguments": {"widht": 2}}, "widht"),
        ((32, 32, 3), {"weights": "nowhere.pt"}, "relative to the current folder"),
    ],
)
def test_what_cannot_be_is_refused(shape: Any, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        built(shape, **settings)


@pytest.mark.slow
def test_networks_of_timm_are_had_the_same_way(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="an extra")
    with torch.random.fork_rng():
        state = timm.create_model("resnet18", num_classes=1000).state_dict()
    network = built(kind=Timm, weights=written(tmp_path / "a.safetensors", state), train="head")
    assert torch.equal(network.network.conv1.weight, state["conv1.weight"])
    assert FlatModule(network).num_parameters == 5 * 513
    with pytest.raises(InputError, match="Did you mean"):
        built(kind=Timm, network="resnet18_")
