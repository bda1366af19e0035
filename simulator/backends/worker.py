"""Some of a run's nodes and what carries them through supersteps: a thread here, a process or a machine elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from simulator.core.backend import Blueprint, Evaluation, Order, Reply
from simulator.core.blame import blaming_parts
from simulator.core.message import Message
from simulator.core.node import Node
from simulator.training.evaluation import evaluate
from simulator.training.trainers import TRAINERS


class Worker:
    """Holds nodes, their mail, and one module that they share.

    Args:
        blueprint: makes the nodes.
        ids: which ones.
    """

    def __init__(self, blueprint: Blueprint, ids: Sequence[int]) -> None:
        self.ids = frozenset(ids)
        self._blueprint = blueprint
        self.reset()
        trainer = next(iter(self._nodes.values())).training.trainer
        self._trainer = TRAINERS[trainer](blueprint.module())

    @blaming_parts()
    def reset(self) -> None:
        """Put the nodes back to their beginning."""
        self._nodes = {node.id: node for node in self._blueprint.nodes(sorted(self.ids))}
        self._mail: defaultdict[int, list[Message]] = defaultdict(list)

    @blaming_parts()
    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states and forget their mail."""
        self._mail.clear()
        for id, node in self._nodes.items():
            node.load_state_dict(states[id])

    def node(self, id: int) -> Node:
        """One of its nodes."""
        return self._nodes[id]

    @blaming_parts()
    def superstep(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[dict[int, Reply], list[Message]]:
        """Carry out ``order`` at those of the nodes that it names.

        Args:
            order: what to do.
            arrived: messages from nodes of other workers.

        Returns:
            The nodes' replies, and their messages to nodes of other workers.
        """
        self._deliver(message.to(self._trainer.module.device) for message in arrived)
        nodes = [node for id, node in self._nodes.items() if order.nodes is None or id in order.nodes]
        replies = {node.id: Reply() for node in nodes}
        sent = self._begin(order, nodes)
        self._measure(order, nodes, replies)
        sent += self._work(order, nodes, replies)
        for message in sent:
            replies[message.sender].sent.append(message.envelope)
        for node in nodes:
            replies[node.id].metrics, node.metrics = node.metrics, []
            replies[node.id].artifacts, node.artifacts = node.artifacts, []
            replies[node.id].recordings, node.recordings = node.recordings, []
            replies[node.id].stop, node.stop_reason = node.stop_reason, None
        self._deliver(message for message in sent if message.receiver in self.ids)
        return replies, [message for message in sent if message.receiver not in self.ids]

    def _deliver(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._mail[message.receiver].append(message)

    def _begin(self, order: Order, nodes: Sequence[Node]) -> list[Message]:
        """Everything up to the end of the round; returns answers."""
        sent: list[Message] = []
        for node in nodes:
            with node.using(self._trainer.module):
                if order.absorb:
                    if order.lost:
                        node.lose(order.lost.get(node.id, ()))
                    node.absorb(self._mail.pop(node.id, ()))
                if order.answer:
                    sent += node.answer(self._mail.pop(node.id, ()))
                if order.finalize:
                    node.finalize()
        return sent

    def _measure(self, order: Order, nodes: Sequence[Node], replies: Mapping[int, Reply]) -> None:
        if order.evaluate:
            for node, score in zip(nodes, self._trainer.evaluate(nodes), strict=True):
                loss, parameters = node.take_loss(), node.parameters.cpu()
                measured, variants = node.measure(), self._variants(node)
                replies[node.id].evaluation = Evaluation(*score, loss, parameters, measured, variants)
        if order.snapshot:
            for node in nodes:
                replies[node.id].state = node.state_dict()

    def _variants(self, node: Node) -> dict[str, Evaluation]:
        module, data = self._trainer.module, node.data
        with node.using(module):
            made = node.variants()
        return {
            name: Evaluation(*evaluate(module, parameters, data.test, data.normalizer), None, parameters.cpu())
            for name, parameters in made.items()
        }

    def _work(self, order: Order, nodes: Sequence[Node], replies: Mapping[int, Reply]) -> list[Message]:
        """The next round, up to its messages."""
        places, module, sent = order.places or {}, self._trainer.module, list[Message]()
        if order.work:
            for node in nodes:
                with node.using(module):
                    node.begin(places.get(node.id))
            active = [node for node in nodes if node.active]
            self._trainer.train(active)
            for node in active:
                replies[node.id].steps = node.local_steps
                with node.using(module):
                    sent += node.finish()
        if order.send:
            for node in nodes:
                with node.using(module):
                    sent += node.send(places.get(node.id))
        return sent
