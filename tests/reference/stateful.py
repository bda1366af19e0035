"""Small networks that keep more than trained parameters: statistics, ties, a frozen base, random masks."""

import torch
from torch import nn


class BatchNet(nn.Module):
    """Two batch normalisations, and dropout where it is asked for."""

    def __init__(self, features: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8, 6),
            nn.BatchNorm1d(6),
            nn.Linear(6, outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Dropped(nn.Module):
    """Dropout and nothing else that is special."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(features, 8), nn.Dropout(0.5), nn.Linear(8, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Tied(nn.Module):
    """A 6 x features matrix that is used twice, under two names, and a constant beside it."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.into, self.back = nn.Linear(features, 6, bias=False), nn.Linear(features, 6, bias=False)
        self.back.weight = self.into.weight
        self.head = nn.Linear(6, outputs)
        self.register_buffer("positions", torch.arange(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        return self.head(self.into(flat) + self.back(flat[:, self.positions]))


class FrozenBase(nn.Module):
    """A base that is not trained, with batch normalisation and dropout in it, the same whatever the seed; a head."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.base = nn.Sequential(nn.Linear(features, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5))
        self.base.requires_grad_(False)
        self.head = nn.Linear(20, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.base(x.flatten(1)))


class Reassigned(nn.Module):
    """A running mean that is another tensor after each step."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, outputs)
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * flat.mean(0).detach()
        return self.head(flat - self.mean)


class Restless(nn.Module):
    """A running mean that moves in evaluation, too."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, outputs)
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        self.mean.mul_(0.9).add_(flat.mean(0).detach(), alpha=0.1)
        return self.head(flat - self.mean)
