"""Audits: what an onlooker learns from a run, worked out from its directory after the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import NonNegativeInt

from simulator.core import atomic
from simulator.core.blame import blaming_parts
from simulator.core.errors import wrong
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import Section
from simulator.core.strict_json import dumps
from simulator.results.lock import locked
from simulator.results.run_directory import AUDIT_METRICS, RunDirectory
from simulator.runs.run import experiment_of


class Audit(Part, ABC):
    """Audits runs; override `conduct` and `sections`. What it finds lies in ``audit/<name>/`` of the run directory.

    Attributes:
        node_by_node: whether each model meets its own node's samples only. Others refuse runs whose nodes hold one
            modality each.
    """

    class Config(PartSettings):
        """Settings that audits have in common.

        Attributes:
            attacks: to carry out.
            signals: that they judge by.
            replicas: how many reference networks to train, each on other halves of the nodes' pools.
        """

        attacks: tuple[str, ...] = ()
        signals: tuple[str, ...] = ()
        replicas: NonNegativeInt = 0

    config: Config
    node_by_node: ClassVar[bool] = False

    @abstractmethod
    def conduct(self, run: Path, results: Path) -> None:
        """Audit the run in directory ``run`` and write what is found into the folder ``results``.

        ``result.json`` is written last: without it, an audit has not ended. The same run gives the same bytes.

        Raises:
            InputError: this run, or what is asked, cannot be audited; nothing was written.
        """

    @classmethod
    def metrics(cls, results: Path) -> Mapping[str, float]:
        """Figures that runs can be compared by, by name: `rumormill compare --metric audit/<audit>/<name>`."""
        return {}

    @classmethod
    @abstractmethod
    def sections(cls, results: Path) -> Sequence[Section]:
        """What the report of the run has to say on the audit whose results lie in ``results``."""


AUDITS: Registry[Audit] = Registry("audits")


@blaming_parts()
def audit(path: str | Path, settings: Audit.Config) -> Path:
    """Audit the run at ``path``, in place of an earlier audit of that name; returns the folder of the results.

    Raises:
        InputError: there is no run, it or what is asked cannot be audited, or the results cannot be written.
    """
    directory = RunDirectory.open(Path(path))
    results = directory.path / "audit" / settings.name
    auditor = AUDITS.build(settings)
    if not auditor.node_by_node and experiment_of(directory).data.modality_by_node:
        what = f"nodes hold one modality each, and {settings.name} shows samples of one node to the models of others."
        raise wrong("data.modality_by_node", what, "Audit a run in which every node holds all modalities.")
    with locked(directory.path):
        try:
            auditor.conduct(directory.path, results)
            found = dumps(dict(auditor.metrics(results)), indent=1)
            atomic.write(results / AUDIT_METRICS, found + "\n")
        except OSError as error:
            advice = "Free some space, or copy the run."
            raise wrong(str(results), f"cannot be written: {error.strerror}.", advice) from error
    return results
