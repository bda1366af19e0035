"""The folder of an audit: where what it finds is written, and read back by reports and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core import atomic
from simulator.core.damage import Arrays, read_arrays, read_json
from simulator.core.errors import RunError
from simulator.core.strict_json import dumps, loads
from simulator.results.places import AUDIT_METRICS, AUDIT_RESULT
from simulator.results.run_directory import RunDirectory

ARRAYS = "scores.npz"


@dataclass(frozen=True)
class AuditFolder:
    """``audit/<name>/`` of a run.

    ::

        scores.npz     arrays, of audits that have any
        metrics.json   figures that runs can be compared by
        result.json    the settings, and what was found; written last, so without it an audit has not ended

    What is written first removes what an earlier audit of the same name has found.
    """

    path: Path

    @property
    def run(self) -> RunDirectory:
        """The run that was audited."""
        return RunDirectory(self.path.parents[1])

    def result(self) -> Any:
        """The content of ``result.json``.

        Raises:
            InputError: it is missing or damaged.
        """
        return read_json(self.path / AUDIT_RESULT)

    def metrics(self) -> dict[str, float]:
        """The content of ``metrics.json``: figures that runs can be compared by.

        Raises:
            InputError: it is missing or damaged.
        """
        found: dict[str, float] = read_json(self.path / AUDIT_METRICS)
        return found

    def arrays(self) -> Arrays:
        """The arrays of ``scores.npz``.

        Raises:
            InputError: it is missing or damaged.
        """
        return read_arrays(self.path / ARRAYS)

    def save_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write ``scores.npz``.

        Raises:
            OSError: it cannot be written.
        """
        self._begin()
        with atomic.drafted(self.path / ARRAYS) as draft, draft.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    def subfolder(self, name: str) -> Path:
        """A folder for arrays that are too large for memory; it stays, and the next audit writes over it.

        Raises:
            OSError: it cannot be made.
        """
        (self.path / name).mkdir(parents=True, exist_ok=True)
        return self.path / name

    def plain(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """``result`` as it will be read back: tuples are lists.

        Raises:
            RunError: it holds what JSON cannot.
        """
        try:
            found: dict[str, Any] = loads(dumps(dict(result)))
        except (TypeError, ValueError) as error:
            raise RunError(f"what the audit {self.path.name} returns cannot be written as JSON: {error}") from error
        return found

    def save_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write ``metrics.json``.

        Raises:
            OSError: it cannot be written.
        """
        self._begin()
        atomic.write(self.path / AUDIT_METRICS, dumps(dict(metrics), indent=1) + "\n")

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``, after everything else.

        Raises:
            OSError: it cannot be written.
        """
        atomic.write(self.path / AUDIT_RESULT, dumps(dict(result)) + "\n")

    def _begin(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / AUDIT_RESULT).unlink(missing_ok=True)
