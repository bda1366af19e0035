"""The confined side: makes the node, and does with it what it is told, in five words.

``make`` the node, ``load`` a state, take a ``step``, say what an objection there is to a message (``object``), and what
so many rounds ``cost``. Here the experiment's code is executed, and the data are opened.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core.errors import InputError, RumormillError
from simulator.deployment.files import EXPERIMENT
from simulator.deployment.frames import Frame, HungUp, receive, send

if TYPE_CHECKING:
    from simulator.core.secrets import Secrets
    from simulator.deployment.carried import CarriedHere

LARGEST = 2**40  # bytes of a frame from the administrator's side, which is trusted
LONGEST = 20_000  # characters of what is said of an error
STATISTICS = "statistics"
Answer = tuple[Mapping[str, Any], Mapping[str, bytes]]


class Program:
    """Answers; the node is made by the first word."""

    def __init__(self) -> None:
        self._carried: CarriedHere | None = None

    def answer(self, frame: Frame) -> Answer:
        """What there is to say to one of the five words, or what went wrong."""
        word, given = frame.head["word"], frame.head
        try:
            if word == "make":
                return self._make(given, frame.pieces)
            assert self._carried is not None  # it is made first
            return {"load": _load, "step": _step, "object": _object, "cost": _cost}[word](
                self._carried, given, frame.pieces
            )
        except Exception as error:  # a stranger's code can raise anything
            kind = "input" if isinstance(error, InputError) else "run"
            text = str(error) if isinstance(error, RumormillError) else f"{type(error).__name__}: {error}"
            return {"error": kind, "text": text[:LONGEST]}, {}

    def _make(self, given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Answer:
        from safetensors.torch import save

        from simulator.deployment.confined.declaration import Declaration

        carried = self._carried = _made(given, pieces)
        running = carried.program.node.buffers
        tensors = {"parameters": carried.parameters.cpu().clone()}
        tensors |= {} if running is None else {"running": running.running.cpu().clone()}
        sums = {} if carried.sums is None else {"sums": carried.sums.tobytes()}
        return Declaration.of(carried).model_dump(), {"tensors": save(tensors), **sums}


def _made(given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> CarriedHere:
    from simulator.config.parsing import load_experiment
    from simulator.data.sites.statistics import Statistics
    from simulator.deployment.carried import CarriedHere
    from simulator.runs.build import Simulation, protects

    node, experiment = given["node"], load_experiment(Path(EXPERIMENT), recorded=True)
    if experiment.data.sites is None:
        simulation = Simulation.of(experiment)
    else:
        statistics = Statistics.model_validate_json(pieces[STATISTICS]) if STATISTICS in pieces else None
        simulation = Simulation.of(experiment, opened={node: Path(given["data"])}, statistics=statistics)
    secrets = _secrets(given) if protects(simulation.experiment) else None
    return CarriedHere.of(simulation, node, given["neighbours"], secrets)


def _secrets(given: Mapping[str, Any]) -> Secrets:
    from simulator.core.secrets import Secrets

    return Secrets(int(given["secret"], 16), {int(node): int(secret, 16) for node, secret in given["links"].items()})


def _load(carried: CarriedHere, given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Answer:
    from safetensors.torch import load

    carried.load(load(pieces["state"]))
    return {}, {}


def _step(carried: CarriedHere, given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Answer:
    from safetensors.torch import save

    from simulator.core.message import Message
    from simulator.deployment.confined.steps import read
    from simulator.deployment.transport.wire import encode

    order, arrived = read(given, carried.id), [Message.decode(data) for data in pieces.values()]
    reply, sent = carried.superstep(order, arrived)
    said = {"reply": encode(reply), **{f"sent/{k}": message.encode() for k, message in enumerate(sent)}}
    return {}, said | ({"tensors": save({"parameters": carried.parameters.cpu().clone()})} if order.absorb else {})


def _object(carried: CarriedHere, given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Answer:
    from simulator.core.message import Message

    return {"objection": carried.objection(Message.decode(pieces["message"]))}, {}


def _cost(carried: CarriedHere, given: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Answer:
    promise = carried.asked.promise
    cost = promise.epsilon(given["rounds"]) if promise else float("inf")
    return {"epsilon": cost if cost < float("inf") else None}, {}


def serve(on: socket.socket, program: Program) -> None:
    """Answer until the other side has hung up."""
    while True:
        try:
            head, pieces = program.answer(receive(on, LARGEST))
            send(on, head, pieces)
        except HungUp:
            return


def main(arguments: Iterable[str]) -> None:
    """Serve on the socket whose number is given; what code prints goes where errors go."""
    (number,) = arguments
    os.dup2(2, 1)
    with socket.socket(fileno=int(number)) as on:
        serve(on, Program())


if __name__ == "__main__":
    main(sys.argv[1:])
