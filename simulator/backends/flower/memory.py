"""A node's own disk: its last two states and what it has to report of every step; half-written files are never seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from simulator.backends.flower.wire import decode, encode
from simulator.core.backend import Reply

Step = Literal["work", "absorb", "close"]
CLOSED = "closed"  # beside the node's own tensors: whether what was due after the round has been done
KEPT = 2  # states: the last one, and that of the round before, whose messages a neighbour may still ask for


class Memory:
    """The folder of one run at one node.

    Survives the death of the process at any point; against a failure of power the file system has to help.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def rounds(self) -> list[int]:
        """After how many rounds there is a state, ascending."""
        return sorted(int(file.stem.removeprefix("state-")) for file in self._path.glob("state-*.safetensors"))

    def save(self, round: int, state: Mapping[str, Tensor], closed: bool = False) -> None:
        """Keep the state after ``round`` finished rounds."""
        self._write(self._state(round), save({**state, CLOSED: torch.tensor(closed)}))
        for older in self.rounds()[:-KEPT]:
            self._state(older).unlink()

    def load(self, round: int) -> tuple[dict[str, Tensor], bool]:
        """The state after ``round`` rounds, and whether what was due then has been done."""
        state = load_file(self._state(round))
        closed = bool(state.pop(CLOSED))
        return state, closed

    def keep(self, round: int, step: Step, reply: Reply) -> None:
        """Keep what the node has to say of a step of ``round``; said again, it is the same."""
        self._write(self._reply(round, step), encode(reply))

    def has(self, round: int, step: Step) -> bool:
        """Whether the node has done the step."""
        return self._reply(round, step).exists()

    def reply(self, round: int, step: Step) -> Reply:
        """What it said of it."""
        return decode(self._reply(round, step).read_bytes())

    def _state(self, round: int) -> Path:
        return self._path / f"state-{round:06}.safetensors"

    def _reply(self, round: int, step: Step) -> Path:
        return self._path / f"{round:06}-{step}.safetensors"

    def _write(self, file: Path, data: bytes) -> None:
        draft = file.with_name(f".{file.name}")
        draft.write_bytes(data)
        os.replace(draft, file)
