"""Writes a run's metrics, timing, message sizes, artifacts and views; a resumed run continues the same files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from simulator.core import atomic
from simulator.core.message import Envelope
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric
from simulator.core.strict_json import dumps
from simulator.results import message_log
from simulator.results.places import MESSAGES
from simulator.results.recordings import Recordings

FILES = ("metrics.jsonl", "timing.jsonl", MESSAGES)


class Recorder(Observer):
    """Appends to the run directory; the lines of a round are on disk before the next one is evaluated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, IO[bytes]] = {}

    def started(self, info: RunInfo) -> None:
        """Open the files."""
        (self._path / "artifacts").mkdir(exist_ok=True)
        self._files = {name: (self._path / name).open("ab") for name in FILES}
        if not self._files[MESSAGES].tell():
            self._files[MESSAGES].write(message_log.BEGINNING)

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        """One batch of columns."""
        self._files[MESSAGES].write(message_log.as_batch(messages))

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """One line a metric, and the work since the last evaluation."""
        self.logged(metrics)
        self._write("timing.jsonl", [speed._asdict()])
        self._flush()

    def logged(self, metrics: Sequence[Metric]) -> None:
        """One line a metric."""
        self._write("metrics.jsonl", [metric._asdict() for metric in metrics])

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

    def _write(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        self._files[name].write("".join(dumps(line) + "\n" for line in lines).encode())

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()
