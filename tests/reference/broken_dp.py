"""DP-SGD done wrong in five ways, each accounted for as if it were right: what an audit must catch, or flag."""

import torch
from reference.sample_gradients import of_one_tensor

from methods.differential_privacy.dp_sgd import DPSGD, clipped_sum
from simulator.core.canary_marks import PARAMETER
from simulator.training.feed import batch_length


class NoNoise(DPSGD):
    """Forgets the noise."""

    class Config(DPSGD.Config):
        name: str = "no_noise"

    def noise(self, node):
        return torch.zeros_like(node.parameters)


class HalfNoise(DPSGD):
    """Has half the noise that it accounts for."""

    class Config(DPSGD.Config):
        name: str = "half_noise"

    def noise(self, node):
        return super().noise(node) / 2


class BlockNoise(DPSGD):
    """Has noise in the canaries' block, and nowhere else."""

    class Config(DPSGD.Config):
        name: str = "block_noise"

    def noise(self, node):
        noise = super().noise(node)
        network = node.model.module
        at = 0
        for name, parameter in network.named_parameters():
            if name != PARAMETER:
                noise[at : at + parameter.numel()] = 0
            at += parameter.numel()
        return noise


class BatchClipped(DPSGD):
    """Clips the mean gradient of the batch, so that one sample can move it by up to twice the clip."""

    class Config(DPSGD.Config):
        name: str = "batch_clipped"

    def clipped_sum(self, node, batch, gradients):
        total = gradients.sum(torch.ones_like(gradients.norms()))
        mean = of_one_tensor(total[None] / max(1, len(gradients)))
        return clipped_sum(mean, self.config.clip) * batch_length(node)


class Shuffled(DPSGD):
    """Takes shuffled batches of fixed length, accounted as Poisson samples."""

    class Config(DPSGD.Config):
        name: str = "shuffled"

    def sample(self, node):
        pass


BROKEN = {
    "no_noise": NoNoise,
    "half_noise": HalfNoise,
    "block_noise": BlockNoise,
    "batch_clipped": BatchClipped,
    "shuffled": Shuffled,
}
