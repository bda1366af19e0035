"""Whether an experiment's parts bear it that a message is lost on the way and only its receiver knows."""

from __future__ import annotations

from simulator.config.consistency import inconsistencies
from simulator.config.experiment import Experiment
from simulator.core.mixer import MIXERS


def bears_losses(experiment: Experiment) -> bool:
    """Whether the experiment would be accepted if its links failed in one direction alone.

    With push weights the lost share would have to go back to the sender, which does not learn of it. A mixer that makes
    out sums alone notices what is missing, and is to its node as gossip that has lost all links: gossip is asked then.
    """
    if MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sums:
        experiment = experiment.model_copy(update={"mixer": MIXERS.load("gossip").Config(name="gossip")})
    lossy = experiment.topology.failures.model_copy(update={"links": 0.5, "symmetric": False})
    topology = experiment.topology.model_copy(update={"failures": lossy})
    push = topology.build(experiment.seed).base.push
    return not push and not list(inconsistencies(experiment.model_copy(update={"topology": topology})))
