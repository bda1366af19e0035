"""The account of a multi-exit network: what its exits are worth, together and one by one, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from auditing.attackers import attackers_in, honest_nodes
from auditing.candidates import labels_of
from auditing.early_exit.findings import BUDGETS, EQUAL, SINGLE, WISE, Measured, of_node, over_nodes
from auditing.early_exit.flatness import Flatness, flatness
from auditing.early_exit.ledger import costs
from auditing.early_exit.report import section
from auditing.finite import check_finite
from auditing.networks import network_of
from simulator.core.errors import Problem, did_you_mean
from simulator.core.flat_module import FlatModule
from simulator.core.model_registry import MODELS
from simulator.core.multi_exit import MultiExit, exit_logits, multi_exit
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.report import Section
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import Audit
from simulator.runs.run import Run


class EarlyExitAudit(Audit):
    """Weighs the exits of multi-exit networks, leaves early, counts the cost, and measures how flat minima are."""

    class Config(PartSettings):
        """How exits are weighed, and how flatness is measured.

        Attributes:
            name: the audit's.
            l1: price of weights, the paper's alpha; its code takes 0.1 from six exits on (CoViAR), or 0.01 (TEAM-Net).
            modalities: whose exits are passed, in this order; default: all, as the data has them. The paper's order at
                inference is residual, mv, iframe.
            samples: that flatness is measured on, at most; the first ones that a node trained on.
        """

        name: str = "early_exit"
        l1: float = Field(0.1, gt=0)
        modalities: tuple[str, ...] = ()
        samples: PositiveInt = 64

    config: Config
    needs: ClassVar[frozenset[str]] = frozenset({"classes", "images"})
    node_by_node: ClassVar[bool] = True

    def objections(self, run: Run) -> Iterator[Problem]:
        """Networks with one exit or without a stream that is asked for, and runs without validation samples."""
        if not MODELS.load(run.experiment.model.name).has_exits:
            what = f"{run.experiment.model.name} has one exit only, so there is nothing to weigh."
            yield Problem("model", what, "Run with model: multi_exit_video.")
        else:
            streams = multi_exit(run.blueprint.module()).modalities
            for name in self.config.modalities:
                if name not in streams:
                    what = f"the network has no stream '{name}'."
                    yield Problem("modalities", what, did_you_mean(name, streams, "streams"))
        if not run.experiment.data.validation:
            what = "there are no validation samples to fit the weights on."
            advice = "Run with a share of each node's pool, for example data.validation: 0.2."
            yield Problem("data.validation", what, advice)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Fit weights on each honest node's validation samples, and try them on the test set."""
        modalities = self._chosen(multi_exit(run.blueprint.module()))
        model = network_of(run, "fp64")
        network, first, nodes = multi_exit(model), run.nodes[0], honest_nodes(run)
        image = first.data.normalizer(first.data.test.images_at(torch.zeros(1, dtype=torch.int64)), model.dtype)
        priced = costs(network.eval(), image, modalities)
        found, flat = [], list[dict[str, Flatness]]()
        for node in nodes:
            model.bind(node.parameters.double())
            found.append(of_node(_measured(model, node, modalities), priced, self.config.l1))
            flat.append({each: self._flatness(model, node, each) for each in modalities})
        return {
            "round": first.round,
            "nodes": len(nodes),
            **attackers_in(run),
            "exits": [[each, stage] for each in modalities for stage in range(1, network.stages + 1)],
            "macs": {"passed": priced.passed.tolist(), "alone": priced.alone.tolist()},
            "budgets": BUDGETS,
            "validation": [len(node.data.validation) for node in nodes],
            "found": over_nodes(found),
            "flatness": {each: np.mean([by[each] for by in flat], axis=0).tolist() for each in modalities},
        }

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """Accuracies, over nodes: ``internal``; ``<rule>/at_<share>``, at a share of the cost of running everything."""
        exits = zip(result["exits"], result["found"]["exits"]["mean"], strict=True)
        last = max(stage for _, stage in result["exits"])
        rules = {rule: result["found"][f"{rule}/at"]["mean"] for rule in (WISE, EQUAL, SINGLE)}
        return {"internal": float(np.mean([accuracy for (_, stage), accuracy in exits if stage < last]))} | {
            f"{rule}/at_{budget:g}".replace(" ", "_"): value
            for rule, values in rules.items()
            for budget, value in zip(result["budgets"], values, strict=True)
            if value is not None
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: exits, weights, accuracy against cost, flatness."""
        return [section(folder.result())]

    def _flatness(self, model: FlatModule, node: Node, modality: str) -> Flatness:
        rows = torch.arange(min(self.config.samples, len(node.data.train)))
        images = node.data.normalizer(node.data.train.images_at(rows), model.dtype)
        rng = generator(node.seed, "audit.flatness")  # the same signs at every node and run of this seed
        return flatness(multi_exit(model), modality, images, node.data.train.targets_at(rows), rng)

    def _chosen(self, network: MultiExit) -> Sequence[str]:
        return tuple(dict.fromkeys(self.config.modalities)) or network.modalities


def _measured(model: FlatModule, node: Node, modalities: Sequence[str]) -> Measured:
    def logits(samples: Samples) -> NDArray[np.float64]:
        found: NDArray[np.float64] = exit_logits(model, samples, node.data.normalizer, modalities).numpy()
        check_finite(found.swapaxes(0, 1), "logits", samples, f"final of {node.id}")
        return found

    validation, test = node.data.validation, node.data.test
    return Measured(logits(validation), labels_of(validation), logits(test), labels_of(test))
