"""The robustness audit: ensembles of nodes under attack."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from auditing.attackers import attackers_in
from auditing.candidates import population_of
from auditing.finite import check_finite
from auditing.networks import network_of
from auditing.robustness.comparison import EnsembleComparison, pixels_of
from auditing.robustness.ensemble import AttackedModel
from auditing.robustness.neighbourhood import Neighbourhood
from auditing.robustness.report import section
from auditing.robustness.settings import RobustnessSettings
from auditing.robustness.threats import ATTACKS, CARRIED
from auditing.robustness.transfer import Transfers
from simulator.core.errors import Problem
from simulator.core.flat_module import EVALUATION_BATCH
from simulator.core.registry import Registry
from simulator.core.report import Section
from simulator.core.samples import Samples
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import Audit
from simulator.runs.run import Run


class RobustnessAudit(Audit):
    """What adversarial examples do to ensembles of neighbours, made by outsiders, insiders, or with full knowledge."""

    Config = RobustnessSettings
    config: RobustnessSettings
    needs: ClassVar[frozenset[str]] = frozenset({"classes", "images"})
    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {"attacks": ATTACKS}

    def objections(self, run: Run) -> Iterator[Problem]:
        """Attacks none of which can be carried over, and nodes that are not there or cannot choose an ensemble."""
        if not set(CARRIED) & set(self.config.attacks):
            what = "no attack is asked for that can be carried from one model to another."
            yield Problem("--attack", what, f"Add one of {', '.join(CARRIED)}.")
        models, topology, lying = models_of(run), run.directory.topology, run.directory.attackers
        for host in self.config.hosts:
            if host >= len(run.nodes):
                yield Problem("hosts", f"there is no node {host}.", f"Count from 0 to {len(run.nodes) - 1}.")
                continue
            if host in lying:
                what = f"node {host} lied in this run, and is nobody's victim."
                yield Problem("hosts", what, "Choose honest nodes.")
                continue
            if len(run.nodes[host].data.validation) == 0:
                what = f"node {host} has no validation images to choose its ensemble by."
                yield Problem("data.validation", what, "Run it again with, for example, data.validation=0.1.")
            yield from Neighbourhood.of(host, topology, self.config.hops, models, lying).lacking(self.config.size)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Measure transferability on validation images, choose, and attack on test images."""
        nodes, limit, models = run.nodes, self.config.samples, models_of(run)
        seed, topology, lying = nodes[0].seed, run.directory.topology, run.directory.attackers
        places = [Neighbourhood.of(host, topology, self.config.hops, models, lying) for host in self.config.hosts]
        comparison, test = EnsembleComparison(models, self.config, seed), population_of(nodes[0].data.test, limit, seed)
        own = {place.host: population_of(nodes[place.host].data.validation, limit, seed) for place in places}
        for samples in (test, *own.values()):
            _check_answers(models, samples)
        return {
            "round": nodes[0].round,
            "images": len(test),
            **attackers_in(run),
            "quantizers": [str(model.normalizer.transform or "none") for model in models],
            "hosts": [comparison.around(place, own[place.host], test) for place in places],
            "transfers": _plain(comparison.measured(test), self.config.eps),
        }

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """``<ensemble>/clean``, ``<ensemble>/<attacker>``, ``<ensemble>/adaptive/<attack>``: accuracies, over hosts."""
        hosts = [host["accuracies"] for host in result["hosts"]]
        return {
            f"{ensemble}/{attacker}".replace(": ", "/").replace(" ", "_"): float(
                np.mean([host[ensemble][attacker] for host in hosts])
            )
            for ensemble, accuracies in hosts[0].items()
            for attacker in accuracies
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: accuracies by ensemble and attacker, which attacks transfer, and how well the fits hold."""
        return [section(folder.result())]


def models_of(run: Run) -> list[AttackedModel]:
    """Every node's model at the last checkpoint, in single precision."""
    network = network_of(run, "fp32")
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
