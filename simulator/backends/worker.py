"""Some of a run's nodes and what carries them through supersteps: a thread here, a process or a machine elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from simulator.backends.global_draws import GlobalDraws
from simulator.backends.rows import Rows
from simulator.core.backend import Blueprint, Evaluation, Order, Reply
from simulator.core.blame import blaming_parts
from simulator.core.message import Envelope, Message
from simulator.core.node import Node
from simulator.core.node_program import NodeProgram
from simulator.training.evaluation import evaluate
from simulator.training.trainers import TRAINERS


class Worker:
    """Holds nodes, their mail, and one module that they share.

    Args:
        blueprint: makes the nodes.
        ids: which ones.
        watches: whether hooks that draw from global generators are refused. Not where other threads may draw from them.
    """

    def __init__(self, blueprint: Blueprint, ids: Sequence[int], *, watches: bool = True) -> None:
        self.ids = frozenset(ids)
        self._blueprint = blueprint
        self.reset()
        trainer = next(iter(self._programs.values())).node.training.trainer
        self._trainer = TRAINERS[trainer](blueprint.module())
        self._draws = GlobalDraws([program.node for program in self._programs.values()] if watches else [])

    @blaming_parts()
    def reset(self) -> None:
        """Put the nodes back to their beginning."""
        self._programs = {node.id: NodeProgram(node) for node in self._blueprint.nodes(sorted(self.ids))}
        self._mail: defaultdict[int, list[Message]] = defaultdict(list)
        self._rows = Rows.of(list(self._programs.values()), self._blueprint.topology)

    @blaming_parts()
    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states and forget their mail."""
        self._mail.clear()
        if self._rows:
            self._rows.forget()
        for id, program in self._programs.items():
            program.node.load_state_dict(states[id])

    def program(self, id: int) -> NodeProgram:
        """The program of one of its nodes."""
        return self._programs[id]

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
        programs = [each for id, each in self._programs.items() if order.nodes is None or id in order.nodes]
        nodes = [program.node for program in programs]
        with self._draws.refused(nodes):
            return self._carried_out(order, programs, nodes)

    def _carried_out(
        self, order: Order, programs: Sequence[NodeProgram], nodes: Sequence[Node]
    ) -> tuple[dict[int, Reply], list[Message]]:
        replies = {node.id: Reply() for node in nodes}
        self._end(order, programs)
        self._measure(order, programs, replies)
        if self._rows and self._rows.suit(order):
            sent = self._by_rows(self._rows, order, nodes, replies)
        else:
            sent = self._go_on(order, programs, replies)
            envelopes = {id: list[Envelope]() for id in replies}
            for message in sent:
                if not message.is_overheard:
                    envelopes[message.sender].append(message.envelope)
            for id, own in envelopes.items():
                replies[id].sent = own
        for node, reply in zip(nodes, replies.values(), strict=True):
            if node.metrics or node.artifacts or node.recordings:
                reply.metrics, node.metrics = node.metrics, []
                reply.artifacts, node.artifacts = node.artifacts, []
                reply.recordings, node.recordings = node.recordings, []
            if node.stop_reason is not None:
                reply.stop, node.stop_reason = None if node.attacker else node.stop_reason, None
        self._deliver(message for message in sent if message.receiver in self.ids)
        return replies, [message for message in sent if message.receiver not in self.ids]

    def _deliver(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._mail[message.receiver].append(message)

    def _end(self, order: Order, programs: Sequence[NodeProgram]) -> None:
        """Everything up to the end of the round."""
        by_rows = self._rows is not None and self._rows.are_under_way
        if self._rows and by_rows and order.absorb:
            self._rows.absorb((message for mail in self._mail.values() for message in mail), self._trainer.module)
            self._mail.clear()
        absorb = order.absorb and not by_rows
        for program in programs if absorb or order.finalize else ():
            with program.node.using(self._trainer.module):
                if absorb:
                    program.absorb(self._arrived(order, program))
                if order.finalize:
                    program.finalize()

    def _arrived(self, order: Order, program: NodeProgram) -> Sequence[Message]:
        """What has arrived at a node; it goes on without what will never come."""
        if order.lost:
            program.lose(order.lost.get(program.node.id, ()))
        return [message for message in self._mail.pop(program.node.id, ()) if not message.is_overheard]

    def _measure(self, order: Order, programs: Sequence[NodeProgram], replies: Mapping[int, Reply]) -> None:
        if order.evaluate:
            self._trainer.module.check_constants()
            tested = [p.node for p in programs if order.tested is None or p.node.id in order.tested]
            scores = dict(zip((node.id for node in tested), self._trainer.evaluate(tested), strict=True))
            for program in programs:
                node = program.node
                loss, parameters, running = node.take_loss(), node.parameters.cpu(), _running(node)
                with node.using(self._trainer.module):
                    measured = {**(self._own_scores(node) if node.id in scores else {}), **program.measure()}
                variants = self._variants(program, tested=node.id in scores)
                moved = node.under_attack.moved if node.under_attack else None
                replies[node.id].evaluation = Evaluation(
                    scores.get(node.id, {}),
                    loss,
                    parameters,
                    measured,
                    variants,
                    running,
                    None if moved is None else moved.cpu(),
                )
        if order.snapshot:
            for program in programs:
                replies[program.node.id].state = program.node.state_dict()

    def _own_scores(self, node: Node) -> dict[str, float]:
        """On test samples of the node's own, where it has such beside the common ones."""
        own, module = node.data.own_test, self._trainer.module
        if own is None or own is node.data.test:
            return {}
        scores = evaluate(module, node.parameters, own, node.data, node.buffers)
        return {f"own_test/{name}": value for name, value in scores.items()}

    def _variants(self, program: NodeProgram, *, tested: bool) -> dict[str, Evaluation]:
        module, node = self._trainer.module, program.node
        with node.using(module):
            made = program.variants()
        scores = {
            name: evaluate(module, parameters, node.data.test, node.data, node.buffers) if tested else {}
            for name, parameters in made.items()
        }
        return {
            name: Evaluation(scores[name], None, parameters.cpu(), buffers=_running(node))
            for name, parameters in made.items()
        }

    def _go_on(self, order: Order, programs: Sequence[NodeProgram], replies: Mapping[int, Reply]) -> list[Message]:
        """The round that is under way, up to its next messages."""
        places, module, sent = order.places or {}, self._trainer.module, list[Message]()
        for program in programs:
            with program.node.using(module):
                if order.begin:
                    program.begin(places.get(program.node.id))
                if order.hear is not None and program.node.active:
                    program.hear(order.hear, self._arrived(order, program))
        active = [program for program in programs if program.node.active]
        if order.train:
            self._trainer.train([program.node for program in active])
        for program in active:
            with program.node.using(module):
                if order.train:
                    replies[program.node.id].steps = program.node.local_steps
                    program.finish()
                if order.send is not None:
                    sent += program.send(order.send, None if order.begin else places.get(program.node.id))
                if order.lie:
                    sent += program.lie(self._overheard(program.node.id))
        return sent

    def _by_rows(self, rows: Rows, order: Order, nodes: Sequence[Node], replies: Mapping[int, Reply]) -> list[Message]:
        """A round of all nodes at once, up to its messages; those to nodes of other workers."""
        rows.begin(order, self._trainer.module)
        active = [node for node in nodes if node.active]
        self._trainer.train(active)
        rows.finish(self._trainer.module)
        envelopes, leaving = rows.send()
        for node in active:
            replies[node.id].steps, replies[node.id].sent = node.local_steps, envelopes[node.id]
        return leaving

    def _overheard(self, id: int) -> list[Message]:
        """What the node ``id`` knows though nobody has sent it; its mail stays where it is."""
        mail = self._mail[id]
        self._mail[id] = [message for message in mail if not message.is_overheard]
        return [message for message in mail if message.is_overheard]


def _running(node: Node) -> Tensor | None:
    """The node's running statistics, on the CPU and not to be written to; None where there are none."""
    return None if node.buffers is None else node.buffers.running.to("cpu", copy=True)
