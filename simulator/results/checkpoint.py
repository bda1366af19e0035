"""Checkpoints: the state of all nodes and the engine after a round; a half-written one is never seen.

Beside the files lie their checksums, as ``sha256sum --check`` reads them.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from simulator.core.atomic import sync, sync_all
from simulator.core.damage import reading
from simulator.core.errors import wrong
from simulator.core.strict_json import dumps, loads

FORMAT = 2
WITHOUT_CHECKSUMS = 1  # a format of earlier versions
CHECKSUMS = "SHA256SUMS"
HEADER = "checkpoint.json"


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
        keep: how many stay when a new one is there, the last ones; None: all.
        always: rounds whose checkpoint stays all the same.
    """

    def __init__(self, path: Path, experiment: str, keep: int | None = None, always: Collection[int] = ()) -> None:
        self._path, self._experiment, self._keep, self._always = path, experiment, keep, always

    def save(self, checkpoint: Checkpoint) -> None:
        """Write into a hidden folder, flush to disk, then rename: a crash leaves the older checkpoints as they were."""
        final = self._folder(checkpoint.round)
        draft = self._path / f".{final.name}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        header = {
            "format": FORMAT,
            "round": checkpoint.round,
            "experiment": self._experiment,
            "nodes": len(checkpoint.nodes),
        }
        sums = {HEADER: _write(draft / HEADER, dumps(header | {"engine": checkpoint.engine}).encode())}
        for node, state in checkpoint.nodes.items():
            content = save(dict(state))
            (draft / _name(node)).write_bytes(content)
            sums[_name(node)] = sha256(content).hexdigest()
        sync_all([draft / _name(node) for node in checkpoint.nodes])
        _write(draft / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())
        sync(draft)
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
        sync(self._path)
        self._forget_older(checkpoint.round)

    def _forget_older(self, round: int) -> None:
        others = [other for other in self.rounds() if other != round and other not in self._always]
        for older in [] if self._keep is None else others[: max(0, len(others) + 1 - self._keep)]:
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

        All are those that were saved: a run that was collected without some of its nodes has the others' alone.

        Raises:
            InputError: it belongs to another experiment.
            ValueError: it is not what was written, as its checksums and its header tell.
        """
        folder = self._folder(round)
        sums = _checksums(folder, self._instead_of(round))
        header = loads(_read(folder / HEADER, sums))
        if header["format"] not in (FORMAT, WITHOUT_CHECKSUMS) or header["experiment"] != self._experiment:
            what = "belongs to another experiment or another version of the program."
            raise wrong(str(folder), what, self._instead_of(round))
        if (header["format"] == FORMAT) != (sums is not None):
            raise ValueError(f"{CHECKSUMS} is missing, or {HEADER} is of a version that had none")
        if header["round"] != round:
            raise ValueError(f"{HEADER} is of round {header['round']}")
        there = sorted(int(file.stem.removeprefix("node-")) for file in folder.glob("node-*.safetensors"))
        if len(there) != header["nodes"]:
            raise ValueError(f"there are {len(there)} nodes, where {HEADER} has {header['nodes']}")
        wanted = there if nodes is None else nodes
        states = {node: _state(folder / _name(node), sums) for node in wanted}
        return Checkpoint(round, states, header["engine"])

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
        if not others:
            return "Start the run again."
        return f"Use another checkpoint: rumormill resume RUN --round {others[-1]}"


def _name(node: int) -> str:
    return f"node-{node:04}.safetensors"


def _write(file: Path, content: bytes) -> str:
    """Write ``content``, flush it to the disk, and return its checksum."""
    file.write_bytes(content)
    sync(file)
    return sha256(content).hexdigest()


def _checksums(folder: Path, advice: str) -> dict[str, str] | None:
    """By the name of a file; None where there are none."""
    if not (folder / CHECKSUMS).exists():
        return None
    with reading(folder / CHECKSUMS, advice):
        lines = [line.split("  ") for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()]
        return {name: digest for digest, name in lines}


def _read(file: Path, sums: Mapping[str, str] | None) -> bytes:
    content = file.read_bytes()
    if sums is not None and sums.get(file.name) != sha256(content).hexdigest():
        raise ValueError(f"{file.name} is not what was written, by its checksum in {CHECKSUMS}")
    return content


def _state(file: Path, sums: Mapping[str, str] | None) -> dict[str, Tensor]:
    content = _read(file, sums)
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(f"{file.name}: {error}") from error
