"""The audit of what a run's noise promises: epsilon of each node's contributions against each other node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from auditing.network_privacy.account import Account, Summary, summary
from auditing.network_privacy.declared_noise import noise_of
from auditing.network_privacy.linear_training import remembering
from auditing.network_privacy.link_noise import LinkNoise
from auditing.network_privacy.not_linear import data_dependent, hears_sums, not_linear
from auditing.network_privacy.report import section
from simulator.core.errors import Problem
from simulator.core.message import MASKED
from simulator.core.registry import PartSettings
from simulator.core.report import Section
from simulator.results.audit_folder import AuditFolder
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run
from topologies import Topology, TopologyError

EXACT = 60_000  # injections times nodes squared that are accounted exactly; 32 nodes and 50 rounds are


class NetworkPrivacyAudit(Audit):
    """What noise promises: epsilon of each node's contributions against each other node; an account, no attack."""

    class Config(PartSettings):
        """The promise that is worked out, and what it is compared with.

        Attributes:
            name: the audit's.
            noise_multiplier: standard deviation of a node's noise in a round over its clipping norm; for runs whose
                methods declare none.
            delta: of (epsilon, delta).
            relation: whether neighbouring runs differ by a node that contributes or not, or by what it contributes.
            block: rounds after which all models are told to the observer, to save time (`network_dp.pairwise`); by
                default as many as are quickly accounted exactly.
            graphs: to compare with, of as many nodes.
        """

        name: str = "network_privacy"
        noise_multiplier: float | None = Field(None, gt=0)
        delta: float = Field(1e-5, gt=0, lt=1)
        relation: Literal["add_remove", "replace"] = "add_remove"
        block: PositiveInt | None = None
        graphs: tuple[str, ...] = ("ring", "torus", "random_regular", "complete")

    config: Config
    node_by_node: ClassVar[bool] = True  # no model meets any sample

    def objections(self, run: Run) -> Iterable[Problem]:
        """Messages that are no linear functions of noisy updates, or carry more than parameters."""
        left = "Only each node's own account, of its steps, remains: it holds against everybody (see privacy/epsilon)."
        linear = *data_dependent(run.experiment, left), *not_linear(run.experiment)
        return [*linear, *_unaccounted_parts(run.directory)]

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Account for the noise that the experiment declares; null is a node against itself."""
        experiment = run.experiment
        declared = noise_of(run.directory, experiment, self.config.noise_multiplier)
        network = experiment.topology.build(experiment.seed)
        injections = declared.maps[0].injections
        block = self.config.block or max(1, EXACT // (network.base.num_nodes**2 * injections))
        if isinstance(declared.noise, LinkNoise):
            block = experiment.rounds
        change = {"add_remove": 1.0, "replace": 2.0}[self.config.relation]
        account = Account(declared, change, self.config.delta, block, hears_sums(experiment))
        epsilon, published = account.between_nodes(network), account.published(network)
        single = replace(account, sums=False).between_nodes(network) if account.sums else None
        graphs, left_out = self._others(account, network.base.num_nodes, experiment.seed)
        return {
            "noise": declared.told(network.at(0)),
            "memory": [] if all(maps.is_plain for maps in declared.maps) else remembering(experiment),
            "rounds": experiment.rounds,
            "block": block if block < experiment.rounds else None,
            "all_messages": account.all_messages(network),
            "epsilon": [[None if np.isnan(value) else value for value in row] for row in epsilon.tolist()],
            "by_distance": summary(epsilon, network.base),
            "single_messages": None if single is None else summary(single, network.base),
            "published": None if published is None else summary(published, network.base),
            "graphs": graphs,
            "left_out": left_out,
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: epsilon by distance, beside the published formula and other graphs, and from node to node."""
        return [section(folder.result())]

    def _others(self, account: Account, nodes: int, seed: int) -> tuple[dict[str, Summary], list[str]]:
        """Epsilon by distance on the graphs to compare with, and those that have no form with so many nodes."""
        found, left_out = {}, []
        for name in self.config.graphs:
            try:
                topology = Topology.build(name, nodes, seed=seed)
            except TopologyError as error:
                left_out.append(f"{name}: {error.message}")
            else:
                found[name] = summary(account.between_nodes(topology), topology)
        return found, left_out


def _unaccounted_parts(directory: RunDirectory) -> Iterator[Problem]:
    parts = {*directory.traffic()["part"].to_pylist()} - {"parameters", MASKED, None}
    if parts:
        what = f"messages carry {', '.join(sorted(parts))} beside the parameters, which is not accounted."
        yield Problem("methods", what, "Run without the method that sends it.")
