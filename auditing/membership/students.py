"""Students: networks like the run's that learn from nothing but the labels that a node has sent of public samples.

What whoever hears labels alone can make of them. They are distilled from a target's labels as in the attack of Shi et
al. (2025, arXiv:2502.08001), whose target is asked about the suspect itself, too; these students never meet a suspect,
nor the node's model. All begin with the parameters that the run's nodes began with, also those of its replicas.
"""

from __future__ import annotations

import torch

from auditing.attacks.probed_model import ProbedModel
from auditing.learning import copied, learn, passes
from auditing.networks import network_of
from auditing.progress import Countdown
from auditing.threads import one_a_core
from auditing.views.observe import Observed
from auditing.views.record import FinalModel, Stored
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.seeding import generator
from simulator.core.soft_labels import SoftLabels
from simulator.runs.run import Run

PASSES, STEPS = 20, 1000  # over the labelled samples, as theirs; at most so many steps


def students_of(observed: Observed, run: Run, whose: str = "") -> dict[Stored, FinalModel]:
    """Train the students among the models of ``observed``, networks like those of ``run``; progress is told.

    Each has a thread and torch one thread in it, so the number of cores does not change results.

    Raises:
        InputError: labels are not finite, or a recording is damaged.
    """
    if not (lessons := observed.lessons):
        return {}
    node, network = run.nodes[0], network_of(run, "fp32", with_state=True)
    running = network.initial_buffers.running if network.initial_buffers else None
    told = [observed.record.labels(each.round, each.node) for each in lessons]
    countdown = Countdown(f"{whose}{len(told)} students learn from labels of public samples alone", unit="students")
    with one_a_core() as pool:
        jobs = [pool.submit(taught, copied(network, "fp32"), node, labels) for labels in told]
        found = countdown.over((job.result() for job in jobs), [1.0 + _steps(labels) for labels in told])
        return {lesson: FinalModel(parameters, running) for lesson, parameters in zip(lessons, found, strict=True)}


def taught(network: FlatModule, node: Node, labels: SoftLabels | None) -> torch.Tensor:
    """Parameters, float32 [parameters], of ``network`` once it has learnt ``labels`` of the public set of ``node``.

    A node of a replica may have labelled nothing: then they are as they were.
    """
    parameters = network.initial.clone()
    network.bind(parameters)
    if labels is not None:
        assert node.data.public is not None  # whose samples are labelled
        model, rng = ProbedModel(network, node.data.preparation, node.data.task), generator(node.seed, "audit.students")
        samples, targets = node.data.public.subset(labels.positions), labels.labels.to(network.dtype)
        learn(model, samples, targets, range(_steps(labels)), rng)
    return parameters


def _steps(labels: SoftLabels | None) -> int:
    return min(STEPS, passes(PASSES, len(labels.positions))) if labels else 0
