"""What a node trains on, in which order: its private samples, and public samples that a method has labelled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from simulator.core.arrays import Arrays, single, together
from simulator.core.samples import Batch, NodeData
from simulator.core.traits import Sampling

Augment = Callable[[Tensor, np.random.Generator], Tensor]
Places = NDArray[np.int64]
Poison = Callable[[Tensor, Arrays, Tensor], tuple[Arrays, Tensor]]


class TrainingSet:
    """An endless stream of batches: shuffled passes over the set, joined end to end, so every batch is full.

    A pass ("epoch") is a permutation keyed by its number, so the stream is resumed from two integers. A set smaller
    than a batch gives batches of its own size. Private samples stand first, public ones after them; only private
    images are augmented.

    After `sample`, batches are drawn in a way that accountants of privacy know, keyed by the number of the batch.

    Attributes:
        poison: what an attacker makes of private samples before it trains on them, given their int64 [B] places, their
            inputs as they are stored, and their targets; None: nothing.
    """

    poison: Poison | None = None

    def __init__(self, data: NodeData, augment: Augment | None, dtype: torch.dtype) -> None:
        self._data, self._augment, self._dtype = data, augment, dtype
        self._private_positions = torch.arange(len(data.train))
        self._public_positions = torch.empty(0, dtype=torch.int64)
        self._public_targets = torch.empty(0, data.classes, dtype=dtype, device=data.train.device)
        self._rows = data.train.index.numpy()
        self._epoch, self._cursor = 0, 0
        self._order: Places | None = None
        self._sampling: Sampling | None = None
        self._count()

    def __len__(self) -> int:
        return self._length

    @property
    def private_positions(self) -> Tensor:
        """int64 [K], the private samples trained on."""
        return self._private_positions

    @property
    def public_positions(self) -> Tensor:
        """int64 [M], the public samples trained on."""
        return self._public_positions

    @property
    def public_targets(self) -> Tensor:
        """float [M, classes], their soft labels."""
        return self._public_targets

    def keep_only(self, positions: Tensor) -> None:
        """Train on no private samples but these.

        Args:
            positions: int64 [K], places in the private training set, in ascending order; K is at least 1, unless
                there are public samples to train on.

        They keep their places in batches. A new pass begins; keeping those that are trained on already changes nothing.
        """
        if not torch.equal(positions, self._private_positions):
            self._private_positions = positions.cpu()
            self._begin_anew()

    def set_public(self, positions: Tensor, targets: Tensor) -> None:
        """Train also on public samples, with soft labels.

        Args:
            positions: int64 [M], places in the public set.
            targets: float [M, classes].

        They replace the public samples set before; a new pass begins. Setting none where there were none changes
        nothing.
        """
        if len(positions) == 0 and not self._publics:
            return
        self._public_positions, self._public_targets = positions.cpu(), targets.to(self._public_targets)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._count()
        self._epoch, self._cursor, self._order = self._epoch + 1, 0, None

    def _count(self) -> None:
        """Once, since a tensor is slow to say how long it is."""
        self._publics = len(self._public_positions)
        self._length = len(self._private_positions) + self._publics
        self._places = self._members().numpy()

    def sample(self, how: Sampling) -> None:
        """Let batches be drawn so that it is known how often each sample is in one.

        Batches then vary in length and may be empty, which only a method with gradients by sample can work with. To
        be called in a method's ``setup``.

        Args:
            how: "poisson": each batch holds every sample with probability `rate`, independently of all others;
                "cyclic": the set is split at random, once, into `groups`, which are the batches in turn; "shuffled":
                it is split anew for each pass. Groups differ in length by one at most.
        """
        self._sampling = how

    @property
    def sampling(self) -> Sampling | None:
        """How batches are drawn; None where passes are joined end to end."""
        return self._sampling

    def groups(self, size: int) -> int:
        """Into how many groups of at most ``size`` samples a pass is split."""
        return -(-len(self) // size)

    def rate(self, size: int) -> float:
        """With which probability a sample is in a batch of expected size ``size``; at most 1."""
        return min(1.0, size / len(self))

    def next_batch(
        self, size: int, rng: Callable[[str, int], np.random.Generator], augment_rng: np.random.Generator
    ) -> Batch:
        """The next ``size`` samples of the stream; ``rng(purpose, epoch)`` orders a pass, or draws a Poisson sample."""
        if self._sampling is not None:
            draw = self._poisson_sample if self._sampling == "poisson" else self._group
            return self._gather(draw(size, rng), augment_rng)
        return self._gather(torch.from_numpy(self.next_places(min(size, len(self)), rng)), augment_rng)

    def _poisson_sample(self, size: int, rng: Callable[[str, int], np.random.Generator]) -> Tensor:
        drawn = rng("batches.poisson", self._epoch).random(len(self)) < self.rate(size)
        self._epoch += 1
        return self._members()[torch.from_numpy(drawn.nonzero()[0])]

    def _group(self, size: int, rng: Callable[[str, int], np.random.Generator]) -> Tensor:
        number, place = divmod(self._epoch, groups := self.groups(size))
        order = rng("batches.groups", number if self._sampling == "shuffled" else 0).permutation(len(self))
        self._epoch += 1
        return self._members()[torch.from_numpy(np.array_split(order, groups)[place])]

    def _members(self) -> Tensor:
        """int64 [N], the places of all that is trained on."""
        if not self._publics:
            return self._private_positions
        public = len(self._data.train) + torch.arange(self._publics)
        return torch.cat([self._private_positions, public])

    @property
    def is_augmented(self) -> bool:
        """Whether private samples are augmented."""
        return self._augment is not None

    @property
    def is_plain(self) -> bool:
        """Whether batches are as long as each other, of private samples alone, and these as they are stored."""
        altered = self._augment is not None or self.poison is not None
        return not altered and not self._publics and self._sampling is None

    def next_rows(self, size: int, rng: Callable[[str, int], np.random.Generator]) -> tuple[Places, Places]:
        """`next_places` of a set that `is_plain`, and int64 [size], their rows in the arrays that nodes share."""
        places = self.next_places(size, rng)
        return places, self._rows[places]

    def next_places(self, size: int, rng: Callable[[str, int], np.random.Generator]) -> Places:
        """int64 [size], the places of the next samples: those that `next_batch` would take, however cut in batches."""
        taken: list[Places] = []
        while size > 0:
            if self._order is None:
                self._order = self._places[rng("batches", self._epoch).permutation(self._length)]
            count = min(size, self._length - self._cursor)
            taken.append(self._order[self._cursor : self._cursor + count])
            size -= count
            self._cursor += count
            if self._cursor == self._length:
                self._epoch, self._cursor, self._order = self._epoch + 1, 0, None
        return taken[0] if len(taken) == 1 else np.concatenate(taken)

    def _gather(self, positions: Tensor, augment_rng: np.random.Generator) -> Batch:
        num_private = len(self._data.train)
        if not self._publics:
            inputs, targets = self._private(positions, augment_rng)
            return Batch(self._data.preparation(inputs, self._dtype), targets, positions)
        is_private = positions < num_private
        private, public = positions[is_private], positions[~is_private]
        inputs, labels = self._private(private, augment_rng)
        extra = public - num_private
        assert self._data.public is not None  # set_public was called, so there is a public set
        inputs = together([inputs, self._data.public.inputs_at(self._public_positions[extra])])
        targets = torch.cat([one_hot(labels, self._data.classes).to(self._dtype), self._public_targets[extra]])
        return Batch(self._data.preparation(inputs, self._dtype), targets, torch.cat([private, public]))

    def _private(self, positions: Tensor, augment_rng: np.random.Generator) -> tuple[Arrays, Tensor]:
        train = self._data.train
        inputs, targets = train.inputs_at(positions), train.targets_at(positions)
        if self.poison:
            inputs, targets = self.poison(positions, inputs, targets)
        return (self._augment(single(inputs), augment_rng) if self._augment else inputs), targets

    def state_dict(self) -> dict[str, Tensor]:
        """Where the stream stands, as named tensors."""
        state = {
            "stream": torch.tensor([self._epoch, self._cursor]),
            "public_positions": self._public_positions,
            "public_targets": self._public_targets,
        }
        is_whole = len(self._private_positions) == len(self._data.train)
        return state if is_whole else state | {"private_positions": self._private_positions}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where the stream stood when ``state`` was taken."""
        self._epoch, self._cursor = (int(value) for value in state["stream"])
        self._public_positions, self._public_targets = state["public_positions"].cpu(), state["public_targets"]
        self._private_positions = state.get("private_positions", torch.arange(len(self._data.train))).cpu()
        self._order = None
        self._count()
