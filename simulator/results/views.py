"""Views: what the nodes kept of recorded rounds, a file a node and round; read one tensor at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from simulator.core.errors import wrong
from simulator.core.recording import Recording
from simulator.results.formatting import megabytes

MODELS = 3  # of a recording: at the start, as sent, and mixed, where none is left out


class Views:
    """The folder ``views/`` of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, recording: Recording) -> None:
        """Write one file; what is in its place is the same, of a run that was stopped and resumed."""
        file = self._file(recording.round, recording.node)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(save(dict(recording.tensors)))

    def rounds(self, nodes: int) -> tuple[int, ...]:
        """Rounds of which all of so many nodes have kept something, ascending."""
        numbers = sorted(int(folder.name.removeprefix("round-")) for folder in self._path.glob("round-*"))
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
        try:
            with safe_open(file, "pt") as tensors:
                return frozenset(tensors.keys()), [tensors.get_tensor(name)] if name else []
        except (OSError, SafetensorError) as error:
            advice = "Run it again, or resume it from an earlier round with --round."
            raise wrong(str(file), f"cannot be read: {error}.", advice) from error

    def _file(self, round: int, node: int) -> Path:
        return self._path / f"round-{round:06}" / f"node-{node:04}.safetensors"


def room_for_views(rounds: int, nodes: int, model: int, without: Collection[str] = ()) -> Iterator[str]:
    """A note on how much the views will take on disk, if any are recorded; ``model`` counts the bytes of one."""
    if rounds:
        models = MODELS - len(set(without))
        size = megabytes(rounds * nodes * models * model)
        yield (
            f"recording {rounds} rounds of {nodes} nodes takes {size} on disk, {models} models each, and more where "
            "neighbours get different messages or other parts than parameters"
        )
