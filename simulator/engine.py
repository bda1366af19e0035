"""The rounds: work, observe, evaluate, checkpoint. Knows no method, mixer, backend or mode by name."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import torch

from simulator.core.backend import Evaluation, Order, Reply
from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.observer import Observer, Speed
from simulator.core.report import Metric
from simulator.core.samples import Normalizer, Samples
from simulator.mode import Mode
from simulator.results.checkpoint import Checkpoint, Checkpoints
from simulator.training.evaluation import consensus_distance, evaluate

Status = Literal["finished", "interrupted"]


@dataclass(frozen=True)
class Rhythm:
    """How many rounds, and how often something is done between them (None: only at the end)."""

    rounds: int
    evaluate_every: int | None
    checkpoint_every: int | None

    def evaluates(self, round: int) -> bool:
        """Whether the network is measured when ``round`` rounds are finished."""
        return round == self.rounds or round == 0 or bool(self.evaluate_every and round % self.evaluate_every == 0)

    def checkpoints(self, round: int) -> bool:
        """Whether its state is saved then."""
        return round == self.rounds or bool(round and self.checkpoint_every and round % self.checkpoint_every == 0)


@dataclass
class Progress:
    """What the engine itself must remember between rounds.

    ``sent`` and ``wire`` count the bytes each node has sent so far, as tensors and as encoded messages.
    """

    round: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    wire: dict[int, int] = field(default_factory=dict)

    def count(self, messages: Sequence[Message]) -> None:
        """Add a round's messages."""
        for message in messages:
            self.sent[message.sender] = self.sent.get(message.sender, 0) + sum(message.bytes_by_part().values())
            self.wire[message.sender] = self.wire.get(message.sender, 0) + message.wire_bytes


class Engine:
    """Runs one experiment in one mode, from its first round or from a checkpoint."""

    def __init__(
        self,
        mode: Mode,
        rhythm: Rhythm,
        observers: Sequence[Observer],
        checkpoints: Checkpoints,
        consensus: tuple[FlatModule, Samples, Normalizer],
    ) -> None:
        self._mode, self._rhythm = mode, rhythm
        self._observers, self._checkpoints = list(observers), checkpoints
        self._consensus = consensus
        self._progress = Progress()
        self._start = 0
        self._work_seconds, self._steps_done = 0.0, 0
        self._stopping = False

    @property
    def round(self) -> int:
        """How many rounds are finished."""
        return self._progress.round

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from ``checkpoint``; call before `run`."""
        self._start = checkpoint.round
        self._mode.restore(checkpoint.nodes, checkpoint.engine["mode"])
        self._progress = Progress(
            checkpoint.round,
            *({int(node): count for node, count in checkpoint.engine[kind].items()} for kind in ("sent", "wire")),
        )
        for observer, state in zip(self._observers, checkpoint.engine["observers"], strict=False):
            observer.load_state_dict(state)

    def run(self) -> Status:
        """All rounds that are left.

        Ctrl-C (or SIGTERM) checkpoints after the current round; a second one stops at once.

        Raises:
            RunError: training diverged.
            OSError: an observer could not write.
        """
        with self._stop_on_signal():
            return self._rounds()

    def _rounds(self) -> Status:
        for round in range(self._start, self._rhythm.rounds + 1):
            self._progress.round = round
            order = self._closing_order(round)
            if order.evaluate or order.snapshot:
                self._close(round, order)
            if round == self._rhythm.rounds:
                break
            if self._stopping and order.snapshot:
                return "interrupted"
            self._work(round)
        return "finished"

    def _closing_order(self, round: int) -> Order:
        """What is due when ``round`` rounds are finished. A resumed run has done all that before its checkpoint."""
        if round == self._start and round > 0:
            return Order()
        return Order(
            finalize=round == self._rhythm.rounds,
            evaluate=self._rhythm.evaluates(round),
            snapshot=self._rhythm.checkpoints(round) or self._stopping,
        )

    def _close(self, round: int, order: Order) -> None:
        began = time.perf_counter()
        replies = self._mode.close(order)
        self._work_seconds += 0.0 if order.evaluate else time.perf_counter() - began
        self._record(replies.values())
        if order.evaluate:
            self._report_evaluation(
                round, {node: reply.evaluation for node, reply in replies.items() if reply.evaluation}
            )
        if order.snapshot:
            self._save(round, replies)

    def _work(self, round: int) -> None:
        began = time.perf_counter()
        work = self._mode.work(round)
        self._work_seconds += time.perf_counter() - began
        self._steps_done += work.node_steps
        self._record(work.replies)
        self._progress.count(work.messages)
        for observer in self._observers:
            if work.metrics:
                observer.recorded(work.metrics)
            observer.sent(round, work.messages)

    def _record(self, replies: Collection[Reply]) -> None:
        # In this order, whether or not an evaluation or a checkpoint came between mixing and training.
        metrics = sorted((m for r in replies for m in r.metrics), key=lambda metric: metric.round)
        for observer in self._observers:
            if metrics:
                observer.recorded(metrics)
            for reply in replies:
                for name, artifact in reply.artifacts:
                    observer.saved(name, artifact)

    def _report_evaluation(self, round: int, found: Mapping[int, Evaluation]) -> None:
        metrics = [
            Metric(round, node, name, value) for node, e in found.items() for name, value in self._of_node(node, e)
        ]
        metrics += [Metric(round, None, name, value) for name, value in self._of_network(found)]
        metrics += [Metric(round, None, name, value) for name, value in self._mode.take_metrics()]
        speed = Speed(round, self._work_seconds, self._steps_done)
        self._work_seconds, self._steps_done = 0.0, 0
        for observer in self._observers:
            observer.evaluated(round, metrics, speed)

    def _of_node(self, node: int, evaluation: Evaluation) -> Iterator[tuple[str, float]]:
        yield "test/accuracy", evaluation.accuracy
        yield "test/loss", evaluation.loss
        if evaluation.training_loss is not None:
            yield "train/loss", evaluation.training_loss
        yield "bytes/sent", self._progress.sent.get(node, 0)

    def _of_network(self, found: Mapping[int, Evaluation]) -> Iterator[tuple[str, float]]:
        parameters = torch.stack([evaluation.parameters for evaluation in found.values()])
        module, test, normalizer = self._consensus
        module.bind(parameters.mean(dim=0))
        score = evaluate(module, test, normalizer)
        accuracies = [evaluation.accuracy for evaluation in found.values()]
        yield "test/accuracy/mean", sum(accuracies) / len(accuracies)
        yield "test/accuracy/worst", min(accuracies)
        yield "test/accuracy/best", max(accuracies)
        yield "consensus/test/accuracy", score.accuracy
        yield "consensus/test/loss", score.loss
        yield "consensus/distance", consensus_distance(parameters)
        yield "bytes/sent", sum(self._progress.sent.values())
        yield "bytes/wire", sum(self._progress.wire.values())

    def _save(self, round: int, replies: Mapping[int, Reply]) -> None:
        states = {node: reply.state for node, reply in replies.items() if reply.state is not None}
        engine: dict[str, Any] = {"sent": self._progress.sent, "wire": self._progress.wire}
        engine["mode"] = self._mode.state_dict()
        engine["observers"] = [observer.state_dict() for observer in self._observers]
        self._checkpoints.save(Checkpoint(round, states, engine))

    @contextmanager
    def _stop_on_signal(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self._stopping = True

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
