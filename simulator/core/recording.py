"""Recordings: what a node keeps of a round for audits: what it sent before mixing, and its model before and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from simulator.core.canary_marks import Marks
from simulator.core.message import Message

if TYPE_CHECKING:
    from simulator.core.node import Node


class Recording(NamedTuple):
    """What ``node`` kept of a round, after which ``round`` are finished.

    ``tensors``, on the CPU, are::

        start, mixed       float [parameters], its model when the round began, and after mixing; absent where the
                           experiment leaves them out
        start_buffers, mixed_buffers    float [running], the running statistics of these, where the network keeps any
        receivers          int64 [k], whom it sent to; none where it was away
        sent/<part>        a part of its messages, as it left
        shown              float [parameters], its model as receivers know it, where that is not the part "parameters"
        heard, weights     int64 [j] and float64 [j]: whose shown models mixing averages, with which weights; absent
                           where mixing is no such average (see `Mixer.averages`)

    ``sent`` and ``shown`` are there once where all receivers got the same, and else as ``<name>/<receiver>``.

    Of the marks of m canaries, which are recorded in a ``folder`` of their own in every round in which the node sends,
    ``tensors`` are float [m], ``sent`` or ``sent/<receiver>``: what left, along each of them.
    """

    round: int
    node: int
    tensors: Mapping[str, Tensor]
    folder: Literal["recordings", "canary_marks"] = "recordings"


def marks_sent(node: Node, marks: Marks, messages: Sequence[Message]) -> Recording | None:
    """What is about to travel, along ``marks``; None where no parameters are."""
    parts = {
        message.receiver: marks.shown(message.parts["parameters"])
        for message in messages
        if "parameters" in message.parts
    }
    if not parts:
        return None
    first, *others = parts.values()
    alike = all(_same(first, other) for other in others)
    kept = {"sent": first} if alike else {f"sent/{receiver}": part for receiver, part in parts.items()}
    return Recording(node.round, node.id, {name: _copied(part) for name, part in kept.items()}, "canary_marks")


class Draft:
    """A recording under way, begun with the round; a copy of what it holds, so a round changes nothing of it later."""

    def __init__(self, node: Node, without: Collection[str] = ()) -> None:
        self._tensors, self._without = {"receivers": torch.empty(0, dtype=torch.int64)}, without
        self._model("start", node)

    def sent(self, node: Node, messages: Sequence[Message]) -> None:
        """Keep what is about to travel."""
        if messages:  # an exchange before may have had some
            self._tensors["receivers"] = torch.tensor([message.receiver for message in messages], dtype=torch.int64)
        for name in sorted({name for message in messages for name in message.parts}):
            self._keep(f"sent/{name}", {m.receiver: m.parts[name] for m in messages if name in m.parts})
        shown = {message.receiver: node.mixer.shown(node, message) for message in messages}
        if any(shown[message.receiver] is not message.parts.get("parameters") for message in messages):
            self._keep("shown", {receiver: model for receiver, model in shown.items() if model is not None})
        weights = node.mixer.averages(node)
        if weights is not None:
            self._tensors["heard"] = torch.tensor(list(weights), dtype=torch.int64)
            self._tensors["weights"] = torch.tensor(list(weights.values()), dtype=torch.float64)

    def finished(self, node: Node) -> Recording:
        """The recording, once the node has mixed and counted the round."""
        self._model("mixed", node)
        return Recording(node.finished, node.id, self._tensors)

    def _model(self, name: str, node: Node) -> None:
        if name not in self._without:
            self._tensors[name] = _copied(node.parameters)
            if node.buffers is not None:
                self._tensors[f"{name}_buffers"] = _copied(node.buffers.running)

    def _keep(self, name: str, tensors: Mapping[int, Tensor]) -> None:
        first, *others = tensors.values()
        alike = len(tensors) == len(self._tensors["receivers"]) and all(_same(first, other) for other in others)
        for receiver, tensor in tensors.items():
            self._tensors[name if alike else f"{name}/{receiver}"] = _copied(tensor)
            if alike:
                break


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.dtype == other.dtype and torch.equal(one, other))


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
