"""What a node may say of a step: of itself only, of that round only, and of models as large as the experiment's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from simulator.core.backend import Evaluation, Order, Reply
from simulator.core.place import Place
from simulator.core.recording import Recording
from simulator.core.report import LOST, REFUSED, Artifact, Metric
from simulator.deployment.records import NUMBER
from simulator.deployment.transport.saved_rounds import Step, sending

ALONE = {
    "start",
    "start_buffers",
    "mixed",
    "mixed_buffers",
    "receivers",
    "heard",
    "weights",
}  # of a `Recording`, what there is once
ROOM = 2**30  # bytes for what methods keep of a step
COPIES = 16  # models in a reply, and one more for each neighbour and exchange: state, measured, recorded


@dataclass(frozen=True)
class Testimony:
    """What there is to say in an experiment.

    Attributes:
        initial: float [parameters], a model of the experiment.
        running: float [running], its running statistics; None where its network keeps none.
        variants: names of methods, which may have models of their own measured.
        exchanges: of a round.
    """

    initial: Tensor
    variants: frozenset[str]
    exchanges: int
    running: Tensor | None = None

    def largest(self, neighbours: int) -> int:
        """Bytes of the largest reply of a node with so many neighbours."""
        return ROOM + (COPIES + self.exchanges * neighbours) * self.initial.nbytes

    def problem(self, reply: Reply, round: int, step: Step, place: Place, due: Order) -> str | None:
        """What a node cannot have said of a step of ``round``; None if it may have said all.

        Args:
            reply: what it is said to have said.
            round: counted from 0.
            step: which of the round's.
            place: where the node stands in the round.
            due: what was to be done before the round, where that is the step.
        """
        return next((what for what, holds in self._conditions(reply, round, step, place, due) if not holds), None)

    def _conditions(self, reply: Reply, round: int, step: Step, place: Place, due: Order) -> Iterator[tuple[str, bool]]:
        node, rounds = place.id, {round, round + 1}
        said: list[Metric | Artifact | Recording] = [*reply.metrics, *reply.recordings]
        said += [artifact for _, artifact in reply.artifacts]
        yield "speaks for another node", all(each.node == node for each in said)
        yield "speaks of another round", all(each.round in rounds for each in said)
        for kind, what in ((REFUSED, "refuses messages of nobody"), (LOST, "misses messages of nobody")):
            senders = [metric.name.removeprefix(kind) for metric in reply.metrics if metric.name.startswith(kind)]
            yield what, all(map(NUMBER.fullmatch, senders))
        receivers = [envelope.receiver for envelope in reply.sent]
        yield "speaks of messages of another node", all(envelope.sender == node for envelope in reply.sent)
        yield "speaks of messages of another round", all(envelope.round == round + 1 for envelope in reply.sent)
        yield "speaks of messages to nodes that are no neighbours", set(receivers) <= set(place.receivers)
        yield "speaks of a message twice", len(set(receivers)) == len(receivers)
        steps = {sending(exchange, self.exchanges): exchange for exchange in range(1, self.exchanges + 1)}
        yield "speaks of messages in a step without any", step in steps or not reply.sent
        yield "speaks of messages of another exchange", all(each.exchange == steps.get(step) for each in reply.sent)
        yield "asks for the end of the run", reply.stop is None
        yield "keeps more than one recording of a round", len(reply.recordings) <= 1
        yield "measures what is not due", (reply.evaluation is not None) == (step == "close" and due.evaluate)
        yield "has another state than what is due", (reply.state is not None) == (step == "close" and due.snapshot)
        if reply.evaluation is not None:
            yield from self._measured(reply.evaluation)
        if reply.state is not None:
            yield "has a state of another model", self._is_model(reply.state.get("parameters"))
            yield "has running statistics of another network", self._are_running(reply.state.get("buffers"))
            yield "has a state of another round", _equals(reply.state.get("round"), round)
        for recording in reply.recordings:
            yield from self._recorded(recording.tensors)

    def _measured(self, evaluation: Evaluation) -> Iterator[tuple[str, bool]]:
        yield "measures a model of another size, or one that is not finite", self._is_model(evaluation.parameters)
        for name, each in {"": evaluation, **evaluation.variants}.items():
            yield "measures variants of methods that there are not", not name or name in self.variants
            yield "measures a variant of another size", self._has_size(each.parameters)
            yield "measures running statistics of another network", self._are_running(each.buffers)
            yield "has an accuracy that is no share", 0 <= each.scores.get("accuracy", 0) <= 1

    def _recorded(self, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, bool]]:
        kinds = {name: name.split("/")[0] for name in tensors}
        yield "records what there is not", {*kinds.values()} <= {*ALONE, "sent", "shown"}
        yield "records what there is once twice", all(kind == name for name, kind in kinds.items() if kind in ALONE)
        models = [tensor for name, tensor in tensors.items() if kinds[name] in ("start", "mixed", "shown")]
        yield "records models of another size", all(map(self._has_size, models))
        running = [tensor for name, tensor in tensors.items() if name in ("start_buffers", "mixed_buffers")]
        yield "records running statistics of another network", all(map(self._are_running, running))
        yield "records a round without its models and receivers", {"start", "mixed", "receivers"} <= tensors.keys()
        lists = [tensors[name] for name in ("receivers", "heard") if name in tensors]
        yield "records receivers that are no list of nodes", all(t.dtype == torch.int64 and t.dim() == 1 for t in lists)

    def _is_model(self, tensor: Tensor | None) -> bool:
        return tensor is not None and self._has_size(tensor) and bool(tensor.isfinite().all())

    def _are_running(self, tensor: Tensor | None) -> bool:
        """Whether there are as many as the network keeps, and all finite."""
        if tensor is None or self.running is None:
            return tensor is self.running
        same = tensor.shape == self.running.shape and tensor.dtype == self.running.dtype
        return same and bool(tensor.isfinite().all())

    def _has_size(self, tensor: Tensor) -> bool:
        return tensor.shape == self.initial.shape and tensor.dtype == self.initial.dtype


def _equals(tensor: Tensor | None, value: int) -> bool:
    return tensor is not None and tensor.numel() == 1 and not tensor.is_floating_point() and int(tensor) == value
