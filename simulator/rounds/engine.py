"""The rounds: work, observe, evaluate, checkpoint. Knows no method, mixer, backend or mode by name."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import nan, sqrt
from statistics import fmean, pstdev, stdev
from types import FrameType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from simulator.core.backend import Evaluation, Order, Replies, Reply, WorkerLost
from simulator.core.errors import RunError
from simulator.core.flat_module import FlatModule
from simulator.core.message import Alike, Envelope
from simulator.core.observer import Observer, Speed
from simulator.core.report import Metric
from simulator.core.run_schedule import RunSchedule
from simulator.core.signal_handlers import hearing
from simulator.results.checkpoint import Checkpoint, Checkpoints
from simulator.rounds.attack_metrics import OF_ATTACKS, attack_metrics
from simulator.rounds.mode import Mode, Work
from simulator.training.evaluation import ConsensusGroup, Scores, consensus, evaluate, majority_share
from simulator.training.recompute import Recompute

Status = Literal["finished", "interrupted"]
# A terminal that is closed sends SIGHUP, and a cluster's scheduler SIGUSR1 before the time is up.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
LOSSES = 3  # workers lost without a round finished in between, after which the run is given up


class Ending(NamedTuple):
    """An end before all rounds are done, when ``round`` rounds are: a node has asked for it."""

    round: int
    reason: str


@dataclass
class Progress:
    """What the engine itself must remember between rounds.

    ``sent`` and ``wire`` count the bytes each node has sent so far, as tensors and as encoded messages.
    """

    round: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    wire: dict[int, int] = field(default_factory=dict)
    ending: Ending | None = None

    def count(self, messages: Sequence[Envelope]) -> None:
        """Add a round's messages."""
        if isinstance(messages, Alike):
            size = sum(messages.bytes_by_part.values())
            for sender, many in messages.of_senders():
                self.sent[sender] = self.sent.get(sender, 0) + many * size
                self.wire[sender] = self.wire.get(sender, 0) + many * messages.wire_bytes
            return
        told: Mapping[str, int] | None = None
        for message in messages:
            if message.bytes_by_part is not told:  # many messages hold the same, and share what says so
                told = message.bytes_by_part
                size = sum(told.values())
            self.sent[message.sender] = self.sent.get(message.sender, 0) + size
            self.wire[message.sender] = self.wire.get(message.sender, 0) + message.wire_bytes


@dataclass
class WorkerDeaths:
    """Workers lost since a round was finished that had not been finished before."""

    count: int = 0
    furthest: int = -1

    def add(self, round: int, reason: str) -> None:
        """One more, after ``round`` finished rounds.

        Raises:
            RunError: it makes no sense to go on.
        """
        self.count = self.count + 1 if round <= self.furthest else 1
        self.furthest = max(self.furthest, round)
        if self.count >= LOSSES:
            raise RunError(
                f"{self.count} workers in a row died in round {round + 1}: {reason}.\n"
                "    Give each more memory, by fewer nodes a worker or a smaller batch, and continue with "
                "`rumormill resume`."
            )


class Engine:
    """Runs one experiment in one mode, from its first round or from a checkpoint.

    Where nodes lie, ``distances`` has the honest ones, with how many links each is away from the nearest attacker. What
    is said of the network is said of them.
    """

    def __init__(
        self,
        mode: Mode,
        run_schedule: RunSchedule,
        observers: Sequence[Observer],
        checkpoints: Checkpoints,
        module: FlatModule,
        groups: Sequence[ConsensusGroup],
        recompute: Recompute | None = None,
        distances: Mapping[int, int] | None = None,
    ) -> None:
        self._distances = distances
        self._mode, self._run_schedule = mode, run_schedule
        self._observers, self._checkpoints = list(observers), checkpoints
        self._module, self._groups, self._recompute = module, groups, recompute
        self._task = groups[0].data.task
        # Where sites keep their own test samples at home, there are none here.
        tests = [each.data.test.targets_at(torch.arange(count)) for each in groups if (count := len(each.data.test))]
        self._majority = fmean(map(majority_share, tests)) if self._task.has_classes and tests else None
        self._progress = Progress()
        self._start = 0
        self._under_way: deque[tuple[int, Callable[[], Work]]] = deque()
        self._work_seconds, self._rounds_done, self._steps_done = 0.0, 0, 0
        self._stopping = False

    @property
    def round(self) -> int:
        """How many rounds are finished."""
        return self._progress.round

    @property
    def ended_early(self) -> str | None:
        """Why the run is over although rounds are left; None if it is not."""
        ending = self._progress.ending
        return ending.reason if ending and ending.round <= self.round < self._run_schedule.rounds else None

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from ``checkpoint``."""
        self._return_to(checkpoint.round, checkpoint.nodes, checkpoint.engine)

    def run(self) -> Status:
        """All rounds that are left.

        Ctrl-C (or another of `SIGNALS`) checkpoints after the current round; a second one stops at once.

        Raises:
            RunError: training diverged, or workers keep dying.
            OSError: an observer could not write.
        """
        origin, losses = self._state(), WorkerDeaths()
        with self._stop_on_signal():
            while True:
                try:
                    return self._rounds()
                except WorkerLost as lost:
                    losses.add(self._progress.round, str(lost))
                    self._recover(origin, str(lost))

    def _rounds(self) -> Status:
        for round in range(self._start, self._run_schedule.rounds + 1):
            order = self._closing_order(round)
            if order.evaluate or order.snapshot:
                self._wait(at_most=0)
                self._close(round, order)
            if self._is_last(round):
                break
            if self._stopping and order.snapshot:
                return "interrupted"
            self._work(round)
            self._wait(at_most=0 if self._run_schedule.in_step else self._mode.backend.window - 1)
        return "finished"

    def _is_last(self, round: int) -> bool:
        """Whether the run is over when ``round`` rounds are finished."""
        ending = self._progress.ending
        return round == self._run_schedule.rounds or (ending is not None and round >= ending.round)

    def _closing_order(self, round: int) -> Order:
        """What is due when ``round`` rounds are finished. A resumed run has done all that before its checkpoint."""
        if round == self._start and round > 0:
            return Order()
        due, last = self._run_schedule.due(round), self._is_last(round)
        evaluate, snapshot = last or due.evaluate, last or due.snapshot or self._stopping
        return Order(finalize=last, evaluate=evaluate, tested=self._run_schedule.tested, snapshot=snapshot)

    def _close(self, round: int, order: Order) -> None:
        began = time.perf_counter()
        replies = self._mode.close(order)
        self._work_seconds += 0.0 if order.evaluate else time.perf_counter() - began
        self._record(replies.values())
        self._hear(replies.values(), last=round + 1)
        if order.evaluate:
            self._report_evaluation(
                round, {node: reply.evaluation for node, reply in replies.items() if reply.evaluation}
            )
        if order.snapshot:
            self._save(round, replies)

    def _work(self, round: int) -> None:
        began = time.perf_counter()
        self._under_way.append((round, self._mode.work(round)))
        self._work_seconds += time.perf_counter() - began

    def _wait(self, at_most: int) -> None:
        """Take in what was done, round by round, until ``at_most`` rounds are under way."""
        while len(self._under_way) > at_most:
            round, collect = self._under_way[0]
            began = time.perf_counter()
            work = collect()
            self._under_way.popleft()
            self._work_seconds += time.perf_counter() - began
            self._report_work(round, work)

    def _report_work(self, round: int, work: Work) -> None:
        self._progress.round = round + 1
        self._rounds_done, self._steps_done = self._rounds_done + 1, self._steps_done + work.node_steps
        self._record(work.replies)
        self._hear(work.replies, last=round + 1)
        self._progress.count(work.messages)
        for observer in self._observers:
            if work.metrics:
                observer.logged(work.metrics)
            observer.sent(round + 1, work.messages)
            self._stopping |= observer.asks_to_stop()

    def _record(self, replies: Collection[Reply]) -> None:
        # In this order, whether or not an evaluation or a checkpoint came between mixing and training.
        metrics = sorted((m for r in replies for m in r.metrics), key=lambda metric: metric.round)
        keeping = [reply for reply in replies if reply.artifacts or reply.recordings]
        for observer in self._observers:
            if metrics:
                observer.logged(metrics)
            for reply in keeping:
                for name, artifact in reply.artifacts:
                    observer.saved(name, artifact)
                for recording in reply.recordings:
                    observer.kept(recording)

    def _hear(self, replies: Collection[Reply], last: int) -> None:
        """Let the run end after ``last`` rounds if a node asks for it; the first one's reason counts."""
        reasons = [reply.stop for reply in replies if reply.stop is not None]
        if reasons and self._progress.ending is None and last < self._run_schedule.rounds:
            self._progress.ending = Ending(last, reasons[0])
            for observer in self._observers:
                observer.ended(last, reasons[0])

    def _report_evaluation(self, round: int, found: Mapping[int, Evaluation]) -> None:
        metrics = [
            Metric(round, node, name, value) for node, e in found.items() for name, value in self._of_node(node, e)
        ]
        honest = found if self._distances is None else {node: found[node] for node in found if node in self._distances}
        metrics += [Metric(round, None, name, value) for name, value in self._of_network(honest)]
        metrics += [Metric(round, None, name, value) for name, value in _largest(honest.values())]
        if self._distances is not None:
            of_attack = attack_metrics(honest, self._distances, self._task.headline)
            metrics += [Metric(round, None, name, value) for name, value in of_attack]
        metrics += [Metric(round, None, name, value) for name, value in self._mode.take_metrics()]
        workers = self._mode.backend.workers()
        speed = Speed(round, self._work_seconds, self._rounds_done, self._steps_done, *workers)
        self._work_seconds, self._rounds_done, self._steps_done = 0.0, 0, 0
        for observer in self._observers:
            observer.evaluated(round, metrics, speed)

    def _of_node(self, node: int, evaluation: Evaluation) -> Iterator[tuple[str, float]]:
        yield from ((f"test/{score}", value) for score, value in evaluation.scores.items())
        if evaluation.training_loss is not None:
            yield "train/loss", evaluation.training_loss
        yield "bytes/sent", self._progress.sent.get(node, 0)
        yield from evaluation.by_methods.items()
        for name, variant in evaluation.variants.items():
            yield from ((f"{name}/test/{score}", value) for score, value in variant.scores.items())
        yield from self._mode.of_node(node)

    def _of_network(self, found: Mapping[int, Evaluation]) -> Iterator[tuple[str, float]]:
        yield from self._of_models(found)
        if self._recompute is not None:
            yield from self._recomputed(found, self._recompute)
        if self._majority is not None:
            yield "test/majority", self._majority
        yield "bytes/sent", sum(self._progress.sent.values())
        yield "bytes/wire", sum(self._progress.wire.values())
        for name in dict.fromkeys(name for evaluation in found.values() for name in evaluation.variants):
            variants = {node: found[node].variants[name] for node in found if name in found[node].variants}
            for metric, value in self._of_models(variants):
                yield f"{name}/{metric}", value

    def _recomputed(self, found: Mapping[int, Evaluation], recompute: Recompute) -> Iterator[tuple[str, float]]:
        """The consensus models with statistics of their own activations."""
        scores = list[Scores]()
        for group in self._groups:
            if members := [found[node] for node in found if node in group.nodes]:
                mean = torch.stack([each.parameters for each in members]).mean(dim=0).to(self._module.device)
                buffers = self._module.averaged([each.buffers for each in members])
                assert buffers is not None  # it is asked for of networks that keep state
                own = recompute(self._module, mean, buffers, group.everyone)
                scores.append(evaluate(self._module, mean, group.data.test, group.data, own))
        for name in dict.fromkeys(name for score in scores for name in score):
            yield f"recomputed/consensus/test/{name}", fmean(score[name] for score in scores if name in score)

    def _of_models(self, found: Mapping[int, Evaluation]) -> Iterator[tuple[str, float]]:
        """Figures of consensus are means over those that are alike: each of them has a consensus model of its own."""
        scores, distances = list[Scores](), list[float]()
        for group in self._groups:
            if members := [node for node in found if node in group.nodes]:
                mean, distance = consensus([found[node].parameters for node in members])
                buffers = self._module.averaged([found[node].buffers for node in members])
                if len(group.data.test):
                    scores.append(evaluate(self._module, mean, group.data.test, group.data, buffers))
                distances.append(distance)
        headline = self._task.headline
        tested = [each.scores[headline] for each in found.values() if headline in each.scores]
        yield from self._over_nodes(f"test/{headline}", tested, spread=self._groups[0].data.own_test is not None)
        on_own = [
            each.by_methods[name] for each in found.values() if (name := f"own_test/{headline}") in each.by_methods
        ]
        yield from self._over_nodes(f"own_test/{headline}", on_own, spread=True)
        for name in dict.fromkeys(name for score in scores for name in score):
            yield f"consensus/test/{name}", fmean(score[name] for score in scores if name in score)
        yield "consensus/distance", fmean(distances)

    def _over_nodes(self, name: str, values: Sequence[float], *, spread: bool) -> Iterator[tuple[str, float]]:
        """The mean, the worst and the best of a score over those nodes that have it, and perhaps its spread."""
        if values:
            worst, best = (min, max) if self._task.higher_is_better else (max, min)
            yield f"{name}/mean", sum(values) / len(values)
            yield f"{name}/worst", worst(values)
            yield f"{name}/best", best(values)
            if spread:
                yield f"{name}/std", pstdev(values)
            if self._run_schedule.tested is not None:  # of the mean, as that of a sample of a finite population
                left_out = 1 - len(values) / self._run_schedule.nodes
                yield f"{name}/standard_error", stdev(values) * sqrt(left_out / len(values)) if values[1:] else nan

    def _save(self, round: int, replies: Replies) -> None:
        states = {node: reply.state for node, reply in replies.items() if reply.state is not None}
        self._checkpoints.save(Checkpoint(round, states, self._state()))

    def _state(self) -> dict[str, Any]:
        """What must survive a stop beside the nodes, as JSON."""
        return {
            "sent": dict(self._progress.sent),
            "wire": dict(self._progress.wire),
            "ending": self._progress.ending,
            "mode": self._mode.state_dict(),
            "observers": [observer.state_dict() for observer in self._observers],
        }

    def _recover(self, origin: Mapping[str, Any], reason: str) -> None:
        """Go back to the last checkpoint, or else to the beginning."""
        self._under_way.clear()
        self._mode.backend.revive()
        saved = self._checkpoints.rounds()
        if saved:
            with self._checkpoints.refusing(saved[-1]):
                self.restore(self._checkpoints.load(saved[-1]))
        else:
            self._return_to(0, None, origin)
        for observer in self._observers:
            observer.recovered(self._start, reason)

    def _return_to(
        self, round: int, nodes: Mapping[int, Mapping[str, Tensor]] | None, state: Mapping[str, Any]
    ) -> None:
        self._start = round
        self._mode.restore(nodes, state["mode"])
        sent, wire = ({int(node): count for node, count in state[kind].items()} for kind in ("sent", "wire"))
        ending = state.get("ending")  # checkpoints from before there was one have none
        self._progress = Progress(round, sent, wire, Ending(*ending) if ending else None)
        for observer, saved in zip(self._observers, state["observers"], strict=False):
            observer.load_state_dict(saved)

    def _stop_on_signal(self) -> AbstractContextManager[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self._stopping = True

        by_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        return hearing([number for number in SIGNALS if not (by_nohup and number == signal.SIGHUP)], stop)


def _largest(found: Collection[Evaluation]) -> Iterator[tuple[str, float]]:
    """Of what methods measured, the largest value over nodes."""
    names = dict.fromkeys(
        name for evaluation in found for name in evaluation.by_methods if not name.startswith(OF_ATTACKS)
    )
    for name in names:
        yield f"{name}/max", max(each.by_methods[name] for each in found if name in each.by_methods)
