"""Victims: whose updates of which rounds are attacked, as who sees them, and what is known of the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.network_privacy.linear_training import share_of_a_gradient
from auditing.networks import network_of
from auditing.reconstruction.batches import Batches
from auditing.reconstruction.gradients import ObservedGradient, observed_gradient
from auditing.reconstruction.knowledge import Knowledge
from auditing.reconstruction.measurement import Truth
from auditing.reconstruction.plan import is_linear
from auditing.reconstruction.samples import Compared, inputs_of
from auditing.reconstruction.scene import Scene
from auditing.reconstruction.table_form import TableForm
from auditing.reconstruction.updates import ObservedUpdate, Updates
from auditing.views.record import RunRecord, Stored
from simulator.core.arrays import Arrays
from simulator.core.flat_module import FlatModule
from simulator.core.linear_memory import Memory, Pace
from simulator.core.method import traits_of
from simulator.core.node import Node
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.data.kinds.table import TablePreparation
from simulator.runs.run import Run
from simulator.training.hooks import overrides


@dataclass(frozen=True)
class Victim:
    """A node whose update of a round is attacked.

    Attributes:
        node: which.
        update: as it is seen.
        gradient: what that tells.
    """

    node: Node
    update: ObservedUpdate
    gradient: ObservedGradient

    @property
    def name(self) -> str:
        """Which node, which round, and as seen by whom; fit for a file's name."""
        seen = "" if self.update.observer is None else f"-by-{self.update.observer}"
        return f"round-{self.update.round}-node-{self.update.victim}-{self.update.how}{seen}"


@dataclass(frozen=True)
class Victims:
    """What there is to attack in a run.

    Attributes:
        run: that is audited.
        given: whether attacks are told the labels.
    """

    run: Run
    given: bool

    @cached_property
    def record(self) -> RunRecord:
        """What the run has kept."""
        return RunRecord.of(self.run)

    @cached_property
    def knowledge(self) -> Knowledge | None:
        """Of the first rounds, if they are all recorded, and messages are linear in what is not known."""
        if not self.linear:
            return None
        return Knowledge.of(self.run.experiment.topology.build(self.run.experiment.seed), self.record)

    @cached_property
    def linear(self) -> bool:
        """Whether messages are weighted sums, and neither a rule nor an attacker looks at models first."""
        return is_linear(self.run.experiment)

    @cached_property
    def network(self) -> FlatModule:
        """An instance of the nodes' network, in float64."""
        return network_of(self.run, "fp64")

    def compared(self, victim: int) -> Compared:
        """The samples that an attacker of node ``victim`` has: test samples of all, or of some other node."""
        return self._compared[victim == 0]

    def public(self, victim: int) -> Arrays:
        """They, as the network takes them."""
        return self._public[victim == 0]

    @cached_property
    def _compared(self) -> list[Compared]:
        nodes = self.run.nodes
        return [Compared.of(nodes[0], other) for other in (nodes[0], nodes[-1])]

    @cached_property
    def _public(self) -> list[Arrays]:
        return [inputs_of(self.run.nodes[0], each.public) for each in self._compared]

    def of(self, nodes: Sequence[int], rounds: Sequence[int], estimated: bool = True) -> Iterator[Victim]:
        """The updates of ``nodes`` in ``rounds``; after the first round, if ``estimated``, also as a neighbour does."""
        updates = Updates.of(self.record, self.run.nodes[0].parameters.dtype, self.knowledge)
        for round in rounds:
            for number in nodes:
                receivers = self.record.receivers(round, number)
                seen = [updates.exact(number, round)]
                if estimated and round > 1 and receivers:
                    seen += [updates.blurred(number, round, receivers[0]), updates.guessed(number, round, receivers[0])]
                yield from (self._victim(update, updates) for update in seen if update is not None)

    def _victim(self, update: ObservedUpdate, updates: Updates) -> Victim:
        node, before = self.run.nodes[update.victim], None
        known = update.how == "exact" and update.round - 1 in self.record.rounds
        earlier = updates.exact(update.victim, update.round - 1) if known and node.training.optimizer.momentum else None
        if earlier is not None:
            before = earlier, self._rate(node, update.round - 1)
        return Victim(node, update, observed_gradient(update, node.training, self._rate(node, update.round), before))

    def _rate(self, node: Node, round: int) -> float:
        rate = node.training.optimizer.lr * node.training.schedule.factor(round - 1, node.rounds)
        return rate if node.training.local_steps > 1 else share_of_a_gradient(self.run.experiment, node.training, rate)

    @cached_property
    def remembering(self) -> list[str]:
        """Names of methods that bring earlier gradients into updates, or do not declare that they do not."""
        pace = Pace(self.run.experiment.training.optimizer.lr, 1)
        methods = self.run.experiment.methods
        return [each.name for each in methods if traits_of(each).memory_at(pace) != Memory()]

    @cached_property
    def replacing(self) -> list[str]:
        """Names of methods that train on other losses than those of the samples, such as those of mixed ones."""
        methods = self.run.nodes[0].methods
        changing = [method for method in methods if overrides(type(method), "per_sample_loss")]
        return [method.config.name for method in changing if type(method).traits(method.config).losses == "replaces"]

    def mixed_as_told(self) -> bool:
        """Whether models after mixing are the weighted sums of what was sent, where recordings hold both.

        Where models after mixing were left out, those that the next round began with stand for them. Where mixing is
        not linear, whether a method has a hand in it.
        """
        record = self.record
        if not self.linear:
            return not any(overrides(type(method), "after_mixing") for method in self.run.nodes[0].methods)
        for round, number in product(record.rounds, range(record.nodes)):
            weights, mixed = record.weights(round, number), self._mixed(round, number)
            sent = {node: self._sent(round, node, number) for node in weights or {}}
            if weights is None or mixed is None or any(each is None for each in sent.values()):
                continue
            total = sum(weight * each for node, weight in weights.items() if (each := sent[node]) is not None)
            if not torch.allclose(torch.as_tensor(total), mixed, rtol=1e-4, atol=1e-6):
                return False
        return True

    def _mixed(self, round: int, node: int) -> Tensor | None:
        if self.record.keeps("mixed"):
            return self.record.load(Stored("mixed", node, round))
        return self.record.load(Stored("start", node, round + 1)) if round + 1 in self.record.rounds else None

    def _sent(self, round: int, node: int, to: int) -> Tensor | None:
        """What ``node`` gave ``to``, itself included, float64 [parameters]."""
        receivers = self.record.receivers(round, node)
        shown = to if to in receivers else next(iter(receivers), None)
        message = None if shown is None else self.record.message(round, node, shown)
        return None if message is None else self.record.load(message)

    def scene(self, victim: Victim, attack: str) -> Scene:
        """What ``attack`` is given."""
        low, high = self.compared(victim.update.victim).bounds()
        node = victim.node
        return Scene(
            self.network,
            victim.gradient,
            min(node.training.batch_size, len(node.training_set)),
            node,
            self.public(victim.update.victim),
            generator(node.seed, f"audit.reconstruction.{attack}.{victim.name}"),
            low,
            high,
            self.labels(victim) if self.given else None,
            not self.replacing,
        )

    def labels(self, victim: Victim) -> Tensor | None:
        """int64: the labels of all samples of the round's batches, as trained on; None where these are not known."""
        steps = self._batches(victim.update.victim).steps
        if steps is None:
            return None
        return victim.node.data.train.targets_at(torch.cat(list(steps[victim.update.round]))).long()

    def tokens(self, victim: Victim) -> set[int] | None:
        """All tokens of the round's batches; None where the batches are not known, or hold none."""
        steps, node = self._batches(victim.update.victim).steps, victim.node
        if steps is None or not node.data.inputs.vocabulary:
            return None
        places = torch.cat(list(steps[victim.update.round]))
        prepared = node.data.preparation(node.data.train.inputs_at(places), torch.float64)
        if isinstance(prepared, Tensor):
            return None
        return set(prepared["ids"][prepared["mask"]].tolist())

    def truth(self, victim: Victim) -> Truth:
        """What reconstructions of the round are measured against."""
        node, compared = victim.node, self.compared(victim.update.victim)
        places = self._batches(victim.update.victim).of(victim.update.round)

        def shown(samples: Samples) -> NDArray[np.float64]:
            inputs = inputs_of(node, samples)
            assert isinstance(inputs, Tensor)  # attacks on samples are made of these alone
            return compared.shown(inputs)

        own = shown(node.data.train)
        others = shown(compared.others.subset(torch.arange(min(len(compared.others), len(own)))))
        return Truth(
            own[places.numpy()],
            np.concatenate([own, others]),
            places.numpy(),
            shown(compared.public),
            compared.normalizer is not None,
            TableForm(preparation) if isinstance(preparation := node.data.preparation, TablePreparation) else None,
        )

    def known(self, victim: Victim) -> bool:
        """Whether the round's batches are known, and not only all that the node trained on."""
        return self._batches(victim.update.victim).steps is not None

    @cached_property
    def _known_batches(self) -> dict[int, Batches]:
        return {}

    def _batches(self, number: int) -> Batches:
        if number not in self._known_batches:
            self._known_batches[number] = Batches.of_node(self.run, number)
        return self._known_batches[number]
