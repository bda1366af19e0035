"""References: the signals of an audit's candidates in replicas, in the place of each model that is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.membership.measurement import Measurement
from auditing.replicas import Replicas
from auditing.views.observe import Observed
from auditing.views.position import SignalSum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceSignals:
    """A signal in M replicas; the arrays lie on disk and are read where needed.

    Attributes:
        member_of: bool [M, N], whether each replica trained on a candidate, at the candidate's node.
        candidates: float64 [M, models, N], high for members; NaN where no attacker asks.
        population: float64 [M, models, P], of what candidates are compared with; None where no attack asks for it.
    """

    member_of: NDArray[np.bool_]
    candidates: Floats
    population: Floats | None

    def evidence(self, observation: SignalSum, asked: NDArray[np.bool_]) -> Mapping[str, Any]:
        """The fields of `Evidence` that are about references, for those of the N candidates that are ``asked``."""
        usual = self.population
        return {
            "references": observation.signal(self.candidates.swapaxes(0, 1))[:, asked],
            "member_of": self.member_of[:, asked],
            "population_references": None if usual is None else observation.signal(usual.swapaxes(0, 1)),
        }


def reference_signals(
    measurement: Measurement, observed: Observed, replicas: Replicas, folder: Path
) -> dict[str, ReferenceSignals]:
    """By signal, what each replica has in the place of the models of ``observed``.

    One replica's models are in memory at a time, and none are kept: what they give goes to ``folder``, a file a signal
    and a second one for its population, if the ``measurement`` has such. Models are probed as those of the run are.

    Raises:
        InputError: a signal is not finite.
    """
    shape, candidates = (replicas.number, len(observed.models)), measurement.candidates
    asked = {name: _file(folder / f"{name}-candidates.npy", (*shape, len(candidates))) for name in measurement.signals}
    usual = {
        name: _file(folder / f"{name}-population.npy", (*shape, len(samples)))
        for name, samples in measurement.population.items()
    }
    for replica in range(replicas.number):
        theirs = replace(observed, record=replicas.record(replica))
        found = measurement.of(theirs, f"replica {replica + 1} of {replicas.number}: ")
        for files, values in ((asked, found.candidates), (usual, found.population)):
            for name, file in files.items():
                file[replica] = values[name]
    member_of = replicas.member_of(candidates.samples)
    return {name: ReferenceSignals(member_of, asked[name], usual.get(name)) for name in measurement.signals}


def _file(path: Path, shape: tuple[int, ...]) -> Floats:
    found: Floats = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    return found
