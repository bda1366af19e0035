"""The Gaussian noise that a run trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Noise
from auditing.network_privacy.linear_rounds import Maps
from auditing.network_privacy.linear_training import NoisePlace, maps_of
from auditing.network_privacy.link_noise import LinkNoise
from simulator.config.experiment import Experiment
from simulator.core.errors import InputError, Problem, wrong
from simulator.core.method import traits_of
from simulator.results.run_directory import RunDirectory
from topologies import Links


@dataclass(frozen=True)
class DeclaredNoise:
    """The noise on what nodes add to their models in a round, over the clipping norm.

    Attributes:
        source: the method that adds it, or "" where it is assumed.
        noise: its standard deviations.
        steps: noisy steps in a round. Signals of k steps, each clipped and noisy by itself, are together sqrt(k) times
            as large beside their noise as that of one.
        clip: the clipping norm, where it is known.
        maps: what nodes do in each round, and how it adds to that.
    """

    source: str
    noise: Noise | LinkNoise
    steps: int
    clip: float | None
    maps: tuple[Maps, ...]

    def told(self, links: Links) -> dict[str, Any]:
        """For ``result.json``; ``together``, where each receiver gets other noise, is what all of a node's leave of it.

        That is the least, over the nodes with ``links``, of the standard deviation of their best estimate of a message.
        """
        rest = {"source": self.source, "clip": self.clip, "steps": self.steps}
        if isinstance(self.noise, Noise):
            own = np.unique(self.noise.independent).tolist()
            return {**rest, "noise_multipliers": own, "correlated_multiplier": self.noise.correlated, "together": None}
        left = [self.noise.left(links, node) for node in range(links.num_nodes) if links.out_neighbours(node)]
        own, together = [self.noise.multiplier], sqrt(min(left))
        return {**rest, "noise_multipliers": own, "correlated_multiplier": 0.0, "together": together}


def noise_of(run: RunDirectory, experiment: Experiment, assumed: float | None) -> DeclaredNoise:
    """The noise of the method that has a ``noise_multiplier`` among its settings, or else the ``assumed`` multiplier.

    Assumed noise is added, with a signal of bounded norm, to what a node's local steps make of its model in a round.

    If the setting is None, each node's multiplier is in what the method saved: artifacts of its name. Noise is taken to
    be on the gradient of every local step, unless the method declares that it is on updates.

    Raises:
        InputError: there is no noise, or noise that cannot be accounted.
    """
    if experiment.buffers is not None and experiment.buffers.ever_travel:
        what = "nodes send running statistics, which are a function of the raw batch that no noise covers."
        raise wrong("buffers", what, "Audit a run with buffers: local, or of a network that keeps no state.")
    if experiment.data.sites and experiment.data.sites.statistics:
        what = "nodes agreed on statistics of their samples before round 1, which this account leaves out."
        raise wrong("data.sites.statistics", what, "Audit a run whose schema declares mean and std.")
    settings = {method.name: method.model_dump() for method in experiment.methods}
    noisy = [name for name, values in settings.items() if "noise_multiplier" in values]
    if len(noisy) > 1:
        what = f"{' and '.join(noisy)} both add noise, which is not accounted together."
        raise wrong("methods", what, "Audit a run with one of them.")
    if noisy and assumed is not None:
        raise wrong("noise_multiplier", f"the run trained with {noisy[0]}'s own noise.", "Leave the setting out.")
    name = noisy[0] if noisy else ""
    if settings.get(name, {}).get("adaptive_clip"):
        what = f"{name}'s clip moves from step to step, node by node, so its noise is of many sizes, not accounted."
        raise wrong(f"methods.{name}.adaptive_clip", what, "Audit a run with one clip.")
    if settings.get(name, {}).get("matrix_factorization"):
        what = f"{name}'s noise is correlated over steps, and what is accounted is noise that is independent."
        raise wrong(f"methods.{name}.matrix_factorization", what, "Audit a run without it.")
    values = settings.get(name, {"noise_multiplier": assumed})
    if name and traits_of(experiment.methods[list(settings).index(name)]).noise == "messages":
        return _by_receiver(experiment, name, values, list(settings).index(name))
    noise = Noise(_multiplier(run, name, values), values.get("correlated_multiplier", 0.0))
    if not name or traits_of(experiment.methods[list(settings).index(name)]).noise == "updates":
        place = NoisePlace(method=list(settings).index(name)) if name else NoisePlace()
        return DeclaredNoise(name, noise, 1, values.get("clip"), tuple(maps_of(experiment, place)))
    problems = list(_unequal_steps(run, experiment))
    if problems:
        raise InputError(*problems)
    maps = tuple(maps_of(experiment, NoisePlace(every_step=True)))
    return DeclaredNoise(name, noise, experiment.training.local_steps, values.get("clip"), maps)


def _by_receiver(experiment: Experiment, name: str, settings: Mapping[str, Any], place: int) -> DeclaredNoise:
    """Noise that is another one on each message.

    Raises:
        InputError: there is none, or rounds do more than train, send and mix.
    """
    maps = tuple(maps_of(experiment, NoisePlace(method=place)))
    if not settings["noise_multiplier"]:
        raise wrong("noise_multiplier", f"{name} adds none, so nothing is promised.", "Audit a run that has noise.")
    if not all(each.is_plain for each in maps):
        what = f"with {name} rounds are accounted that train, send and mix, and nodes of this run remember more."
        raise wrong("methods", what, "Train without momentum of the optimizer or a method's.")
    return DeclaredNoise(name, LinkNoise(settings["noise_multiplier"]), 1, settings.get("clip"), maps)


def _multiplier(run: RunDirectory, name: str, settings: Mapping[str, Any]) -> float | NDArray[np.float64]:
    found: Any = settings["noise_multiplier"]
    if found is None and name:
        saved = {each.node: each.arrays["noise_multiplier"].item() for each in run.artifacts(name)}
        found = np.array([saved[node] for node in sorted(saved)])
        if len(found) != run.topology.num_nodes:
            what = f"the nodes have not told how much noise {name} gave them: the run has not ended."
            raise wrong(f"methods.{name}", what, f"Finish it: rumormill resume {run.path}")
    if found is None or np.min(found) == 0:
        what = "the run trained without noise of a known size, so nothing is promised."
        raise wrong("noise_multiplier", what, "To see what it would promise, give one: noise_multiplier=1.0.")
    return found if name else float(found)


def _unequal_steps(run: RunDirectory, experiment: Experiment) -> Iterator[Problem]:
    """What makes noise on gradients reach the models of nodes, or of rounds, in other sizes than those accounted."""
    training = experiment.training
    holds = "Epsilon against all messages, of the node's own accountant, holds anyway."
    samples = np.bincount(run.partition()["train_node"], minlength=run.topology.num_nodes)
    if training.nodes or len(np.unique(samples.clip(max=training.batch_size))) > 1:
        what = "nodes whose steps or batches differ add noise of different sizes, which is not accounted."
        yield Problem("training", what, f"Give all nodes the same, and a batch size that all can fill. {holds}")
