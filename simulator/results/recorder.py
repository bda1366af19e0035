"""Writes a run's metrics, timing, message sizes, artifacts and views; a resumed run continues the same files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from simulator.core import atomic
from simulator.core.message import Envelope
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric
from simulator.core.strict_json import dumps
from simulator.results.recordings import Recordings

FILES = ("metrics.jsonl", "timing.jsonl", "messages.jsonl")


class Recorder(Observer):
    """Appends to the run directory; the lines of a round are on disk before the next one is evaluated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, TextIO] = {}

    def started(self, info: RunInfo) -> None:
        """Open the files."""
        (self._path / "artifacts").mkdir(exist_ok=True)
        self._files = {name: (self._path / name).open("a") for name in FILES}

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        """One line a message."""
        lines, parts = list[str](), ""
        told: Mapping[str, int] | None = None
        for message in messages:
            sizes = message.bytes_by_part
            if sizes is not told:  # many messages hold the same, and share what says so
                told, parts = sizes, ", ".join(f'"{name}": {size}' for name, size in sizes.items())
            exchange = f', "exchange": {message.exchange}' if message.exchange > 1 else ""
            lines.append(
                f'{{"round": {message.round}{exchange}, "sender": {message.sender}, "receiver": {message.receiver}, '
                f'"wire": {message.wire_bytes}, "parts": {{{parts}}}}}\n'
            )
        self._files["messages.jsonl"].write("".join(lines))

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """One line a metric, and the work since the last evaluation."""
        self.logged(metrics)
        self._files["timing.jsonl"].write(dumps(speed._asdict()) + "\n")
        self._flush()

    def logged(self, metrics: Sequence[Metric]) -> None:
        """One line a metric."""
        self._files["metrics.jsonl"].writelines(dumps(metric._asdict()) + "\n" for metric in metrics)

    def saved(self, name: str, artifact: Artifact) -> None:
        """One compressed file an artifact."""
        file = self._path / "artifacts" / f"{name}-round-{artifact.round:06}-node-{artifact.node:04}.npz"
        with atomic.drafted(file) as draft, draft.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **artifact.arrays)

    def kept(self, recording: Recording) -> None:
        """One file a node and round."""
        Recordings(self._path / recording.folder).save(recording)

    def state_dict(self) -> dict[str, Any]:
        """How long each file is; so much of it is on the disk when a checkpoint says so."""
        self._flush()
        for file in self._files.values():
            os.fsync(file.fileno())
        return {name: (self._path / name).stat().st_size for name in FILES}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Cut off what was written after the checkpoint: the resumed run writes it again.

        Raises:
            ValueError: a file is shorter than it was at the checkpoint.
        """
        self._flush()
        for name in FILES:
            if (self._path / name).stat().st_size < state[name]:
                raise ValueError(f"{name} is shorter than it was then")
        for name in FILES:
            os.truncate(self._path / name, state[name])

    def finished(self, status: str) -> None:
        """Close the files, all of them even if one cannot be flushed."""
        with ExitStack() as stack:
            for file in self._files.values():
                stack.callback(file.close)

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()
