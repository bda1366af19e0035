"""Checkpoints: the state of all nodes and the engine after a round; a half-written one is never seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from simulator.core.errors import wrong
from simulator.core.strict_json import dumps, loads

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """After ``round`` finished rounds: the nodes' named tensors, and JSON state of engine and observers."""

    round: int
    nodes: Mapping[int, Mapping[str, Tensor]]
    engine: Mapping[str, Any]


class Checkpoints:
    """The folder ``checkpoints/`` of a run.

    Args:
        path: the folder.
        experiment: digest of the experiment it belongs to.
        keep_all: whether older checkpoints stay when a new one is there.
    """

    def __init__(self, path: Path, experiment: str, keep_all: bool = True) -> None:
        self._path, self._experiment, self._keep_all = path, experiment, keep_all

    def save(self, checkpoint: Checkpoint) -> None:
        """Write into a hidden folder, flush to disk, then rename: a crash leaves the older checkpoints as they were."""
        final = self._folder(checkpoint.round)
        draft = self._path / f".{final.name}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for node, state in checkpoint.nodes.items():
            (draft / f"node-{node:04}.safetensors").write_bytes(save(dict(state)))
        header = {
            "format": FORMAT,
            "round": checkpoint.round,
            "experiment": self._experiment,
            "nodes": len(checkpoint.nodes),
        }
        (draft / "checkpoint.json").write_text(dumps(header | {"engine": checkpoint.engine}))
        for file in draft.iterdir():
            _sync(file)
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
        _sync(self._path)
        for older in () if self._keep_all else self.rounds():
            if older != checkpoint.round:
                shutil.rmtree(self._folder(older))

    def rounds(self) -> list[int]:
        """Rounds that have a complete checkpoint, ascending."""
        names = (folder.name.removeprefix("round-") for folder in self._path.glob("round-*"))
        return sorted(int(name) for name in names if name.isdigit())

    def choose(self, round: int | None = None) -> int:
        """``round``, or the last round that has a checkpoint.

        Raises:
            InputError: there is no such checkpoint.
        """
        rounds = self.rounds()
        if not rounds:
            raise wrong(str(self._path), "there is no checkpoint yet.", "Start the run again.")
        if round is not None and round not in rounds:
            have = f"there is no checkpoint of round {round}, only of {', '.join(map(str, rounds))}."
            raise wrong(str(self._path), have, "Choose one of them with --round.")
        return rounds[-1] if round is None else round

    def load(self, round: int, nodes: Iterable[int] | None = None) -> Checkpoint:
        """The checkpoint of ``round``, with the states of all nodes or of some; use it inside `refusing`.

        Raises:
            InputError: it belongs to another experiment.
        """
        folder = self._folder(round)
        header = loads((folder / "checkpoint.json").read_text())
        if header["format"] != FORMAT or header["experiment"] != self._experiment:
            what = "belongs to another experiment or another version of the program."
            raise wrong(str(folder), what, self._instead_of(round))
        wanted = range(header["nodes"]) if nodes is None else nodes
        states = {node: load_file(folder / f"node-{node:04}.safetensors") for node in wanted}
        return Checkpoint(header["round"], states, header["engine"])

    @contextmanager
    def refusing(self, round: int) -> Iterator[None]:
        """Turn whatever goes wrong while the checkpoint of ``round`` is read and restored into an `InputError`."""
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            what = f"this checkpoint is damaged: {error or type(error).__name__}."
            raise wrong(str(self._folder(round)), what, self._instead_of(round)) from error

    def discard_after(self, round: int) -> None:
        """Remove later checkpoints: they belong to rounds that are given up."""
        for later in self.rounds():
            if later > round:
                shutil.rmtree(self._folder(later))

    def _folder(self, round: int) -> Path:
        return self._path / f"round-{round:06}"

    def _instead_of(self, round: int) -> str:
        others = [other for other in self.rounds() if other != round]
        return f"Use another checkpoint: --round {others[-1]}" if others else "Start the run again."


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
