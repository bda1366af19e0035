"""What of a node's reply may be laid out for `rumormill deploy collect`: the rest is left out, or ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from simulator.core.backend import Evaluation, Reply
from simulator.core.errors import Problem
from simulator.core.report import Metric, is_of_the_network
from simulator.deployment.carried import Counts
from simulator.deployment.site.policy import Metrics, SitePolicy, among

OWN_TEST = "own_test/"  # names of scores on test samples of the node's own begin so


@dataclass(frozen=True)
class LaidOut:
    """Filters replies.

    What is measured of a node is known from its first evaluation, before its first message: where that may not leave,
    the node declines. Metrics and artifacts that only a round brings are left out one by one.

    Args:
        policy: of the site.
        counts: of the node's samples.
        collects: whether the experiment wants anything but the sizes of messages, and which were refused.
    """

    policy: SitePolicy
    counts: Counts
    collects: bool

    def problems(self, reply: Reply) -> Iterator[Problem]:
        """What of ``reply`` may not leave and cannot be left out."""
        if not self.collects:
            return
        for name, count in self._measured(reply.evaluation).items():
            yield from self._objections(name, count)
        if reply.recordings and not self.policy.sharing.recordings:
            yield Problem("sharing.recordings", "a round was recorded.")
        if (reply.evaluation or reply.state) and not self.policy.sharing.models:
            yield Problem("sharing.models", "the node's model would be laid out.")

    def reduced(self, reply: Reply) -> Reply:
        """What is left of ``reply``, in which there are no `problems`."""
        of_messages = [metric for metric in reply.metrics if is_of_the_network(metric.name)]
        if not self.collects:
            return Reply(steps=reply.steps, sent=reply.sent, metrics=of_messages)
        return replace(
            reply,
            metrics=[self._rounded(metric) for metric in reply.metrics if self._may_leave(metric.name)],
            artifacts=[each for each in reply.artifacts if among(self.policy.sharing.artifacts, each[0])],
            evaluation=reply.evaluation and self._of(reply.evaluation),
        )

    def _measured(self, evaluation: Evaluation | None) -> dict[str, int]:
        """Of how many samples each number is, by its name."""
        if evaluation is None:
            return {}
        train, test, own = self.counts
        found = {f"test/{name}": test for name in evaluation.scores}
        found |= {} if evaluation.training_loss is None else {"train/loss": train}
        found |= {name: own if name.startswith(OWN_TEST) else train for name in evaluation.by_methods}
        variants = evaluation.variants.items()
        return found | {f"{method}/test/{name}": test for method, each in variants for name in each.scores}

    def _objections(self, name: str, count: int) -> Iterator[Problem]:
        least = self.policy.metrics.min_count
        if not among(self.policy.metrics.leave, name):
            yield Problem("metrics.leave", f"{name} would be laid out.")
        elif least is None or count < least:
            yield Problem("metrics.min_count", f"{name} is of {count} samples, and of {least or 'none'} it may be.")

    def _may_leave(self, name: str) -> bool:
        return is_of_the_network(name) or not list(self._objections(name, self.counts.train))

    def _rounded(self, metric: Metric) -> Metric:
        return metric._replace(value=rounded(metric.value, self.policy.metrics))

    def _of(self, evaluation: Evaluation) -> Evaluation:
        loss = evaluation.training_loss
        return replace(
            evaluation,
            scores=self._all(evaluation.scores),
            training_loss=None if loss is None else rounded(loss, self.policy.metrics),
            by_methods=self._all(evaluation.by_methods),
            variants={name: self._of(each) for name, each in evaluation.variants.items()},
        )

    def _all(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: rounded(value, self.policy.metrics) for name, value in values.items()}


def rounded(value: float, metrics: Metrics) -> float:
    """``value`` with as many decimals as may leave."""
    return value if metrics.round_to == "unlimited" else round(value, metrics.round_to)
