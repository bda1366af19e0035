"""Recordings: what the nodes kept of recorded rounds, a file a node and round; read one tensor at a time."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from simulator.core import atomic
from simulator.core.damage import reading
from simulator.core.recording import Recording

PLACE = "round/node"
ADVICE = "Run it again, or resume it from an earlier round with --round."


class Recordings:
    """The folder ``recordings/`` of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, recording: Recording) -> None:
        """Write one file; what is in its place is the same, of a run that was stopped and resumed."""
        file = self._file(recording.round, recording.node)
        file.parent.mkdir(parents=True, exist_ok=True)
        place = {PLACE: f"{recording.round}/{recording.node}"}  # one entry: of several, the order is left to chance
        atomic.write(file, save(dict(recording.tensors), metadata=place))

    def rounds(self, nodes: int) -> tuple[int, ...]:
        """Rounds of which all of so many nodes have kept something, ascending."""
        names = (folder.name.removeprefix("round-") for folder in self._path.glob("round-*"))
        numbers = sorted(int(name) for name in names if name.isdigit())
        return tuple(number for number in numbers if all(self._file(number, node).is_file() for node in range(nodes)))

    def names(self, round: int, node: int) -> frozenset[str]:
        """Of the tensors that `Recording` describes, those that there are.

        Raises:
            InputError: the file is damaged.
        """
        return self._read(round, node, None)[0]

    def load(self, round: int, node: int, name: str) -> Tensor:
        """One of them.

        Raises:
            InputError: the file is damaged.
        """
        return self._read(round, node, name)[1][0]

    def parts(self, round: int, node: int, receiver: int) -> dict[str, Tensor]:
        """The message of ``node`` that ``receiver`` got, by part.

        Raises:
            InputError: the file is damaged.
        """
        sent = [name.split("/") for name in sorted(self.names(round, node)) if name.startswith("sent/")]
        got = {part: "/".join(["sent", part, *to]) for _, part, *to in sent if to in ([], [str(receiver)])}
        return {part: self.load(round, node, name) for part, name in got.items()}

    def _read(self, round: int, node: int, name: str | None) -> tuple[frozenset[str], list[Tensor]]:
        file = self._file(round, node)
        with reading(file, ADVICE), safe_open(file, "pt") as tensors:
            place = (tensors.metadata() or {}).get(PLACE)  # files from before there was any have none
            if place not in (None, f"{round}/{node}"):
                raise ValueError(f"it is of round/node {place}")
            return frozenset(tensors.keys()), [tensors.get_tensor(name)] if name else []

    def _file(self, round: int, node: int) -> Path:
        return self._path / f"round-{round:06}" / f"node-{node:04}.safetensors"
