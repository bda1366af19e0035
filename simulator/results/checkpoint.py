"""Checkpoints: the state of all nodes and the engine after a round; a half-written one is never seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from simulator.core.errors import wrong

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """After ``round`` finished rounds: the nodes' named tensors, and JSON state of engine and observers."""

    round: int
    nodes: Mapping[int, Mapping[str, Tensor]]
    engine: Mapping[str, Any]


class Checkpoints:
    """The folder ``checkpoints/`` of a run; ``experiment`` is the digest of the experiment it belongs to."""

    def __init__(self, path: Path, experiment: str) -> None:
        self._path, self._experiment = path, experiment

    def save(self, checkpoint: Checkpoint) -> None:
        """Write into a hidden folder, flush to disk, then rename: a crash leaves the older checkpoints as they were."""
        final = self._path / f"round-{checkpoint.round:06}"
        draft = self._path / f".{final.name}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for node, state in checkpoint.nodes.items():
            save_file(dict(state), draft / f"node-{node:04}.safetensors")
        header = {
            "format": FORMAT,
            "round": checkpoint.round,
            "experiment": self._experiment,
            "nodes": len(checkpoint.nodes),
        }
        (draft / "checkpoint.json").write_text(json.dumps(header | {"engine": checkpoint.engine}))
        for file in draft.iterdir():
            _sync(file)
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
        _sync(self._path)

    def rounds(self) -> list[int]:
        """Rounds that have a complete checkpoint, ascending."""
        return sorted(int(folder.name.removeprefix("round-")) for folder in self._path.glob("round-*"))

    def load(self, round: int | None = None) -> Checkpoint:
        """The checkpoint of ``round``, by default the last one.

        Raises:
            InputError: there is none, it is damaged, or it belongs to another experiment.
        """
        rounds = self.rounds()
        if not rounds or (round is not None and round not in rounds):
            have = (
                f"there are checkpoints of rounds {', '.join(map(str, rounds))}"
                if rounds
                else "there is no checkpoint yet"
            )
            raise wrong(
                str(self._path), f"{have}.", "Choose one of them with --round." if rounds else "Start the run again."
            )
        folder = self._path / f"round-{rounds[-1] if round is None else round:06}"
        others = [other for other in rounds if folder.name != f"round-{other:06}"]
        advice = f"Go back to an earlier one: --round {others[-1]}" if others else "Start the run again."
        try:
            header = json.loads((folder / "checkpoint.json").read_text())
            if header["format"] != FORMAT or header["experiment"] != self._experiment:
                raise wrong(str(folder), "belongs to another experiment or another version of the program.", advice)
            nodes = {node: load_file(folder / f"node-{node:04}.safetensors") for node in range(header["nodes"])}
            return Checkpoint(header["round"], nodes, header["engine"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise wrong(str(folder), f"this checkpoint is damaged: {error}.", advice) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
