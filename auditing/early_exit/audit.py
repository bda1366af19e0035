"""The account of a multi-exit network: what its exits are worth, together and one by one, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveInt

from auditing.early_exit.findings import BUDGETS, EQUAL, SINGLE, WISE, Measured, of_node, over_nodes
from auditing.early_exit.flatness import Flatness, flatness
from auditing.early_exit.ledger import costs
from auditing.early_exit.report import section
from auditing.finite import check_finite
from simulator.core import atomic
from simulator.core.damage import read_json
from simulator.core.errors import InputError, Problem, did_you_mean, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.model import MODELS
from simulator.core.multi_exit import MultiExit, exit_logits, multi_exit
from simulator.core.node import Node
from simulator.core.report import Section
from simulator.core.seeding import generator
from simulator.core.strict_json import dumps
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run, experiment_of


class EarlyExitAudit(Audit):
    """Weighs the exits of multi-exit networks, leaves early, counts the cost, and measures how flat minima are."""

    class Config(Audit.Config):
        """Settings of `EarlyExitAudit`.

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
    node_by_node: ClassVar[bool] = True

    def conduct(self, run: Path, results: Path) -> None:
        """Fit weights on each node's validation samples, and try them on the test set; see `Audit.conduct`."""
        problems = [*self._not_for_this_audit(), *_unsuitable(RunDirectory.open(run))]
        if problems:
            raise InputError(*problems)
        audited = Run(RunDirectory.open(run), "finished")
        network = multi_exit(audited.blueprint.module())
        modalities = self._chosen(network)
        result = {"settings": self.config.model_dump(mode="json"), "round": audited.nodes[0].round}
        result |= self._result(audited, modalities)
        results.mkdir(parents=True, exist_ok=True)
        atomic.write(results / "result.json", dumps(result) + "\n")

    @classmethod
    def metrics(cls, results: Path) -> Mapping[str, float]:
        """Accuracies, over nodes: ``internal``; ``<rule>/at_<share>``, at a share of the cost of running everything."""
        result = read_json(results / "result.json")
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
    def sections(cls, results: Path) -> Sequence[Section]:
        """One section: exits, weights, accuracy against cost, flatness."""
        return [section(read_json(results / "result.json"))]

    def _result(self, run: Run, modalities: Sequence[str]) -> dict[str, Any]:
        """The content of ``result.json``."""
        model = FlatModule(run.blueprint.module().module, "fp64")
        network, first = multi_exit(model), run.nodes[0]
        image = first.data.normalizer(first.data.test.images_at(torch.zeros(1, dtype=torch.int64)), model.dtype)
        priced = costs(network.eval(), image, modalities)
        found, flat = [], list[dict[str, Flatness]]()
        for node in run.nodes:
            model.bind(node.parameters.double())
            found.append(of_node(_measured(model, node, modalities), priced, self.config.l1))
            flat.append({each: self._flatness(model, node, each) for each in modalities})
        return {
            "nodes": len(run.nodes),
            "exits": [[each, stage] for each in modalities for stage in range(1, network.stages + 1)],
            "macs": {"passed": priced.passed.tolist(), "alone": priced.alone.tolist()},
            "budgets": BUDGETS,
            "validation": [len(node.data.validation) for node in run.nodes],
            "found": over_nodes(found),
            "flatness": {each: np.mean([by[each] for by in flat], axis=0).tolist() for each in modalities},
        }

    def _flatness(self, model: FlatModule, node: Node, modality: str) -> Flatness:
        rows = torch.arange(min(self.config.samples, len(node.data.train)))
        images = node.data.normalizer(node.data.train.images_at(rows), model.dtype)
        rng = generator(node.seed, "audit.flatness")  # the same signs at every node and run of this seed
        return flatness(multi_exit(model), modality, images, node.data.train.labels_at(rows), rng)

    def _chosen(self, network: MultiExit) -> Sequence[str]:
        for name in self.config.modalities:
            if name not in network.modalities:
                what = f"the network has no stream '{name}'."
                raise wrong("modalities", what, did_you_mean(name, network.modalities, "streams"))
        return tuple(dict.fromkeys(self.config.modalities)) or network.modalities

    def _not_for_this_audit(self) -> Iterator[Problem]:
        given = {"--attack": self.config.attacks, "--signal": self.config.signals, "--replicas": self.config.replicas}
        for option, value in given.items():
            if value:
                yield Problem(option, "early_exit carries out no attack.", "Leave the option out.")


def _unsuitable(directory: RunDirectory) -> Iterator[Problem]:
    experiment = experiment_of(directory)
    if not MODELS.load(experiment.model.name).has_exits:
        what = f"{experiment.model.name} has one exit only, so there is nothing to weigh."
        yield Problem("model", what, "Run with model: multi_exit_video.")
    if not experiment.data.validation:
        what = "there are no validation samples to fit the weights on."
        yield Problem(
            "data.validation", what, "Run with a share of each node's pool, for example data.validation: 0.2."
        )


def _measured(model: FlatModule, node: Node, modalities: Sequence[str]) -> Measured:
    data, parts = node.data, []
    for samples in (data.validation, data.test):
        logits = exit_logits(model, samples, data.normalizer, modalities)
        check_finite(logits.numpy().swapaxes(0, 1), "logits", samples, f"final of {node.id}")
        parts += [logits.numpy(), samples.labels_at(torch.arange(len(samples))).numpy()]
    return Measured(*parts)
