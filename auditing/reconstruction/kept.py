"""Recovered samples on the disk, victim by victim, so that an audit that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from auditing.reconstruction.scene import Recovered
from simulator.core import atomic
from simulator.core.damage import read_arrays
from simulator.core.strict_json import dumps


@dataclass(frozen=True)
class Kept:
    """What attacks have found so far.

    Attributes:
        folder: where.
        settings: of the attack; what was found with others is found again.
    """

    folder: Path
    settings: str

    def recovered(self, name: str, seen: Sequence[Tensor], find: Callable[[], Recovered]) -> Recovered:
        """What ``find`` gives, or what it gave when it was asked ``name`` about the same.

        Args:
            name: of attack and victim, unlike all others.
            seen: what it depends on beside the settings.
            find: finds it.
        """
        file = self.folder / f"{name}-{self._digest(seen)}.npz"
        if file.is_file():
            arrays = read_arrays(file)
            inputs, certified, labels = (torch.from_numpy(arrays[part]) for part in ("inputs", "certified", "labels"))
            return Recovered(inputs, certified, labels, str(arrays["limit"]))
        found = find()
        with atomic.drafted(file) as draft, draft.open("wb") as stream:
            np.savez(
                stream,
                inputs=found.inputs.numpy(),
                certified=found.certified.numpy(),
                labels=found.labels.numpy(),
                limit=np.array(found.limit, dtype=np.str_),
            )
        return found

    def clear(self) -> None:
        """Take all of it away: the audit has come to its end."""
        for file in self.folder.glob("*.npz"):
            file.unlink()

    def _digest(self, seen: Sequence[Tensor]) -> str:
        digest = hashlib.sha256(dumps(self.settings).encode())
        for tensor in seen:
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]
