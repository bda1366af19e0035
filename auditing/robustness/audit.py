"""The robustness audit: ensembles of nodes under attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auditing.candidates import population_of
from auditing.finite import check_finite
from auditing.robustness.comparison import EnsembleComparison, pixels_of
from auditing.robustness.ensemble import AttackedModel
from auditing.robustness.neighbourhood import Neighbourhood
from auditing.robustness.report import section
from auditing.robustness.settings import RobustnessSettings
from auditing.robustness.threats import ATTACKS, CARRIED
from auditing.robustness.transfer import Transfers
from simulator.core import atomic
from simulator.core.damage import read_json
from simulator.core.errors import InputError, Problem, check_known
from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.report import Section
from simulator.core.samples import Samples
from simulator.core.strict_json import dumps
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run


class RobustnessAudit(Audit):
    """What adversarial examples do to ensembles of neighbours, made by outsiders, insiders, or with full knowledge."""

    Config = RobustnessSettings
    config: RobustnessSettings

    def conduct(self, run: Path, results: Path) -> None:
        """Measure transferability on validation images, choose, and attack on test images; see `Audit.conduct`."""
        check_known("--attack", self.config.attacks, ATTACKS)
        audited = Run(RunDirectory.open(run), "finished")
        problems = list(self._problems(audited))
        if problems:
            raise InputError(*problems)
        nodes, limit, models = audited.nodes, self.config.samples, models_of(audited)
        seed, topology = nodes[0].seed, audited.directory.topology
        places = [Neighbourhood.of(host, topology, self.config.hops, models) for host in self.config.hosts]
        for place in places:
            place.check(self.config.size)
        comparison, test = EnsembleComparison(models, self.config, seed), population_of(nodes[0].data.test, limit, seed)
        own = {place.host: population_of(nodes[place.host].data.validation, limit, seed) for place in places}
        for samples in (test, *own.values()):
            _check_answers(models, samples)
        result = {
            "settings": self.config.model_dump(mode="json"),
            "round": nodes[0].round,
            "images": len(test),
            "quantizers": [str(model.normalizer.transform or "none") for model in models],
            "hosts": [comparison.around(place, own[place.host], test) for place in places],
            "transfers": _plain(comparison.measured(test), self.config.eps),
        }
        results.mkdir(parents=True, exist_ok=True)
        atomic.write(results / "result.json", dumps(result) + "\n")

    @classmethod
    def metrics(cls, results: Path) -> Mapping[str, float]:
        """``<ensemble>/clean``, ``<ensemble>/<attacker>``, ``<ensemble>/adaptive/<attack>``: accuracies, over hosts."""
        hosts = [host["accuracies"] for host in read_json(results / "result.json")["hosts"]]
        return {
            f"{ensemble}/{attacker}".replace(": ", "/").replace(" ", "_"): float(
                np.mean([host[ensemble][attacker] for host in hosts])
            )
            for ensemble, accuracies in hosts[0].items()
            for attacker in accuracies
        }

    @classmethod
    def sections(cls, results: Path) -> Sequence[Section]:
        """One section: accuracies by ensemble and attacker, which attacks transfer, and how well the fits hold."""
        return [section(read_json(results / "result.json"))]

    def _problems(self, run: Run) -> Iterator[Problem]:
        for option, given in (("--signal", self.config.signals), ("--replicas", self.config.replicas)):
            if given:
                yield Problem(option, "robustness has no use for it.", "Leave the option out.")
        if not set(CARRIED) & set(self.config.attacks):
            what = "no attack is asked for that can be carried from one model to another."
            yield Problem("--attack", what, f"Add one of {', '.join(CARRIED)}.")
        for host in self.config.hosts:
            if host >= len(run.nodes):
                yield Problem("hosts", f"there is no node {host}.", f"Count from 0 to {len(run.nodes) - 1}.")
            elif len(run.nodes[host].data.validation) == 0:
                what = f"node {host} has no validation images to choose its ensemble by."
                yield Problem("data.validation", what, "Run it again with, for example, data.validation=0.1.")


def models_of(run: Run) -> list[AttackedModel]:
    """Every node's model at the last checkpoint, in single precision."""
    network = FlatModule(run.blueprint.module().module, "fp32")
    network.module.eval()
    return [AttackedModel(network, node.parameters.float(), node.data.normalizer) for node in run.nodes]


@torch.no_grad()
def _check_answers(models: Sequence[AttackedModel], samples: Samples) -> None:
    """Refuse a model that has diverged: of logits that are NaN, the first would be its answer, and a right one."""
    images = torch.split(pixels_of(samples)[0], EVALUATION_BATCH)
    for node, model in enumerate(models):
        logits = torch.cat([model.logits(batch) for batch in images])
        check_finite(logits.numpy(), "logits", samples, f"final of {node}")


def _plain(measured: Transfers, eps: float) -> Mapping[str, Any]:
    """For ``result.json``: what was counted, the fits, and the metric."""
    nodes = range(len(measured.clean))
    fits = [[(fit.a, fit.b) for fit in (measured.fit(s, t) for t in nodes)] for s in nodes]
    return {
        "strengths": list(measured.strengths),
        "counts": measured.counts.tolist(),
        "clean": measured.clean.tolist(),
        "fits": fits,
        "metric": measured.metric(eps).tolist(),
    }
