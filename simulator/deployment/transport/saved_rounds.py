"""A node's own disk: its last two states, which stay there, and what it lays out of every step for collecting.

Half-written files are never seen.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor

from simulator.core.backend import Reply
from simulator.core.errors import wrong
from simulator.core.tensor_bytes import encoded
from simulator.deployment.node_folder import LAID_OUT, LEFT, STATES
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.wire import decode
from simulator.deployment.versions import WRITTEN

Step = str  # what a node does of a round and has to report: "close" what was due before it, `sending`, "absorb"
CLOSED = "closed"  # beside the node's own tensors: whether what was due after the round has been done
KEPT = 2  # states: the last one, and that of the round before, whose messages a neighbour may still ask for
STATE = re.compile(r"state-([0-9]{6,9})\.safetensors")
LARGEST = 2**40  # bytes of a file that is one's own
VERSIONS, LONGEST = "versions.txt", 4096  # of what is laid out; and its bytes, at most
ADVICE = "Bring the folder over from its host again; what another node's host gives is not to be trusted."


def sending(exchange: int, exchanges: int) -> Step:
    """The step that ends with the messages of an ``exchange``, of so many in a round."""
    return "work" if exchange == exchanges else f"early-{exchange}"


class SavedRounds:
    """Two folders of one run at one node.

    Survives the death of the process at any point; against a failure of power the file system has to help.

    Args:
        path: what nobody else may see: states, and what neighbours have sent.
        laid_out: what the site has let go, for `rumormill deploy collect`.
    """

    def __init__(self, path: Path, laid_out: Path) -> None:
        self._path, self._laid_out = path, laid_out

    @classmethod
    def of(cls, node: Path, run: str) -> Self:
        """Those in the folder of a ``node``."""
        return cls(node / STATES / run, node / LAID_OUT / run)

    @property
    def departures(self) -> Path:
        """Where the node keeps who has left; see `simulator.deployment.transport.departures`."""
        return self._path / LEFT

    def rounds(self) -> list[int]:
        """After how many rounds there is a state, ascending."""
        return _rounds(os.listdir(self._path)) if self._path.is_dir() else []

    def save(self, round: int, state: Mapping[str, Tensor], closed: bool = False) -> None:
        """Keep the state after ``round`` finished rounds."""
        self._write(self._state(round), encoded({**state, CLOSED: torch.tensor(closed)}))
        names = os.listdir(self._path)
        for older in _rounds(names)[:-KEPT]:
            for name in names:
                if name.startswith(f"{older:06}-heard-"):
                    (self._path / name).unlink()
            self._state(older).unlink()

    def load(self, round: int) -> tuple[dict[str, Tensor], bool]:
        """The state after ``round`` rounds, and whether what was due then has been done."""
        state = load_file(self._state(round))
        closed = bool(state.pop(CLOSED))
        return state, closed

    def keep_heard(self, round: int, exchange: int, heard: Heard) -> None:
        """Keep what an early exchange of ``round`` has brought, for as long as the state before the round."""
        self._write(self._heard(round, exchange), heard.encode())

    def heard(self, round: int, exchange: int) -> Heard | None:
        """What it has brought; None if that was not kept."""
        file = self._heard(round, exchange)
        return Heard.decode(file.read_bytes()) if file.exists() else None

    def lay_out(self, round: int, step: Step, data: bytes) -> None:
        """Keep what may be known of a step of ``round``, an encoded reply; said again, it is the same."""
        self._write(self.file(round, step), data)

    def lay_out_versions(self, data: bytes) -> None:
        """Keep which versions the node's host has."""
        self._write(self._laid_out / VERSIONS, data)

    def versions(self) -> str:
        """Which versions the node's host had when it last ended a phase; nothing where it has not said so.

        Raises:
            InputError: the file is no ordinary one, or not what a node writes.
        """
        file = self._laid_out / VERSIONS
        if not os.path.lexists(file):
            return ""
        try:
            text = _content(file, LONGEST).decode()
            if not WRITTEN.fullmatch(text):
                raise ValueError("it holds no versions")
        except (OSError, ValueError) as error:
            raise wrong(str(file), f"cannot be used: {error}.", ADVICE) from error
        return text

    def has(self, round: int, step: Step) -> bool:
        """Whether the node has done the step."""
        return os.path.lexists(self.file(round, step))

    def reply(self, round: int, step: Step, largest: int = LARGEST) -> Reply:
        """What it said of it.

        Raises:
            InputError: the file is damaged, no ordinary one, or of more than ``largest`` bytes.
        """
        file = self.file(round, step)
        try:
            return decode(_content(file, largest))
        except (OSError, ValueError) as error:
            raise wrong(str(file), f"cannot be used: {error}.", ADVICE) from error

    def _state(self, round: int) -> Path:
        return self._path / f"state-{round:06}.safetensors"

    def _heard(self, round: int, exchange: int) -> Path:
        return self._path / f"{round:06}-heard-{exchange}.safetensors"

    def file(self, round: int, step: Step) -> Path:
        """Where what may be known of a step is laid out."""
        return self._laid_out / f"{round:06}-{step}.safetensors"

    def _write(self, file: Path, data: bytes) -> None:
        """Have ``data`` in ``file``, whole or not at all; its folder is made where there is none."""
        folder, name = os.path.split(file)
        draft = f"{folder}/.{name}"
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
        with open(draft, "wb") as opened:
            opened.write(data)
        os.replace(draft, file)


def _rounds(names: Iterable[str]) -> list[int]:
    """Those of the states among files of these ``names``, ascending."""
    return sorted(int(match[1]) for match in map(STATE.fullmatch, names) if match)


def _content(file: Path, largest: int) -> bytes:
    """Of an ordinary file: a link may lead anywhere, and a pipe has no end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none, or too large.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no ordinary file")
        if about.st_size > largest:
            raise ValueError(f"it has {about.st_size:,} bytes, and a reply of this experiment at most {largest:,}")
        return opened.read()
