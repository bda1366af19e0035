"""Networks of torchvision for images of 32x32 pixels, with the ends that the field gives them for CIFAR."""

from __future__ import annotations

from torch import nn

from simulator.core.errors import wrong
from simulator.core.torchvision_import import import_torchvision

HIDDEN = 512  # of VGG's classifier: what is left of an image of 32x32, one pixel of so many channels


def for_small_images(name: str, network: nn.Module, outputs: int) -> None:
    """Change ``network``, made for images of 224x224, in place.

    A ResNet begins with a convolution of 3x3 pixels and does not pool (He et al. 2016, arXiv:1512.03385, section 4.2).
    A VGG ends with two hidden layers of 512 (9.75 M parameters of VGG-11, as in RelaySGD's experiments,
    arXiv:2110.04175).

    Raises:
        InputError: it is neither.
    """
    models = import_torchvision().models
    if isinstance(network, models.ResNet):
        network.conv1 = nn.Conv2d(3, network.conv1.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    elif isinstance(network, models.VGG):
        network.avgpool = nn.Identity()
        network.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, outputs),
        )
    else:
        what = f"is for ResNets and VGGs, and {name} is neither."
        raise wrong("model.small_images", what, "Leave it out, or choose another network, such as resnet18 or vgg11.")
