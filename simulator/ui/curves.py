"""How the metrics of a run have got on, read as they are written: of a long file, only what has been added."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from simulator.core.damage import read_record
from simulator.core.errors import InputError
from simulator.results import records
from simulator.results.runs_folder.measured import OF_THE_NETWORK

Curve = dict[int, float]  # value by round
STEP = 2**22  # bytes at a time


class Curves:
    """The metrics of the whole network of the run at ``path``."""

    def __init__(self, path: Path) -> None:
        self._file = path / "metrics.jsonl"
        self._lock = Lock()
        self._offset, self._inode = 0, 0
        self._curves = dict[str, Curve]()

    def read(self) -> Mapping[str, Curve]:
        """By metric, its value after each round at which it was measured.

        Raises:
            InputError: the file is damaged.
            OSError: it cannot be read.
        """
        with self._lock, self._file.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if found.st_ino != self._inode or found.st_size < self._offset:  # another file, or the run went back
                self._forget()
                self._inode = found.st_ino
            stream.seek(self._offset)
            while lines := stream.readlines(STEP):
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    if OF_THE_NETWORK in line:
                        self._take(line)
            return {name: dict(curve) for name, curve in self._curves.items()}

    def _take(self, line: bytes) -> None:
        try:
            metric = read_record(line, records.METRIC, str(self._file))
        except InputError:
            self._forget()
            raise
        self._curves.setdefault(metric["name"], {})[metric["round"]] = float(metric["value"])

    def _forget(self) -> None:
        self._offset, self._inode = 0, 0
        self._curves.clear()
