"""Our models and data sets hold the published laws, and each law catches who breaks it."""

import numpy as np
import pytest
import torch
from torch import nn

from simulator.core.model import Model
from simulator.core.model_registry import MODELS
from simulator.data.dataset import ArrayData, Dataset
from simulator.testing import check_dataset, check_model

SETTINGS = {"torchvision": {"network": "shufflenet_v2_x0_5"}}  # what a name alone does not say
TOKENS = {"shape": (9,), "vocabulary": 20}
ELSEWHERE = {"multi_exit_video", "timm", "huggingface"}  # of clips, and of packages that may not be there


@pytest.mark.parametrize("name", [name for name in MODELS.names() if name not in ELSEWHERE])
def test_our_models_hold_the_laws(name):
    images = {"shape": (32, 32, 3)} if name in SETTINGS else {"shape": (16, 16, 1)}
    settings = MODELS.load(name).Config(name=name, **SETTINGS.get(name, {}))
    check_model(name, settings, **(TOKENS if name == "transformer_text" else images))


@pytest.mark.parametrize("name", ["digits", "photo_patches", "uniform_noise"])
def test_our_data_sets_hold_the_laws(name, tmp_path):
    check_dataset(name, root=tmp_path)


class Net(nn.Module):
    def __init__(self, classes, shape):
        super().__init__()
        self.layer = nn.Linear(int(np.prod(shape)), classes)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Transposed(Net):
    def forward(self, images):
        return super().forward(images).T


class WithIdleLayer(Net):
    def __init__(self, classes, shape):
        super().__init__(classes, shape)
        self.idle = nn.Linear(2, 2)


class Unseeded(Model):
    def build(self, inputs, outputs):
        net = Net(outputs.width, inputs.shape)
        nn.init.constant_(net.layer.bias, float(np.random.default_rng().random()))
        return net


def test_a_plain_network_holds_the_laws_of_models():
    check_model(Net)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [(Transposed, r"outputs are \[5, 4\]"), (WithIdleLayer, "idle.weight"), (Unseeded, "differ at every call")],
)
def test_a_broken_model_is_caught(model, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_model(model)


class Noise(Dataset):
    def load(self, root):
        images = torch.randint(0, 255, (4, 2, 2, 1)).to(torch.uint8).numpy()
        return ArrayData(images, np.zeros(4, dtype=np.int64), None, None, ("one",))


def test_a_data_set_that_draws_from_a_global_generator_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="global random generator"):
        check_dataset(Noise, root=tmp_path)
