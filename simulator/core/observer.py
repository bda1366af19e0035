"""Observers see everything and change nothing: they write metrics, count bytes, show progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from simulator.core.message import Envelope
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric


@dataclass(frozen=True)
class RunInfo:
    """What is known when a run starts or is resumed; ``notes`` say what a user should know first."""

    path: Path

    name: str
    seed: int
    rounds: int
    nodes: int
    parameters: int
    rounds_done: int
    settings: Mapping[str, Any]
    notes: tuple[str, ...]


class Speed(NamedTuple):
    """Work done since the last evaluation, the evaluation itself not counted.

    Attributes:
        round: how many rounds are finished.
        seconds: spent on the work.
        rounds: finished since then.
        node_steps: local steps since then, over all nodes.
        alive: workers that carry nodes at this moment.
        workers: workers that there should be.
    """

    round: int
    seconds: float
    rounds: int
    node_steps: int
    alive: int
    workers: int


class Observer:
    """Override what you want to see; each default does nothing."""

    def started(self, info: RunInfo) -> None:
        """Before the first superstep."""

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        """All messages of ``round``, counted from 1, ordered by exchange, sender and receiver."""

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """After an evaluation, when ``round`` rounds are finished; nodes in order, the network last."""

    def logged(self, metrics: Sequence[Metric]) -> None:
        """Metrics that methods logged in a round without an evaluation."""

    def saved(self, name: str, artifact: Artifact) -> None:
        """A method keeps arrays under ``name``."""

    def kept(self, recording: Recording) -> None:
        """A node has kept what it sent, and its models, of a round that is to be recorded."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a stop and resume, as JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""

    def recovered(self, round: int, reason: str) -> None:
        """A worker was lost; after `load_state_dict`, the run goes on from ``round``."""

    def ended(self, round: int, reason: str) -> None:
        """A node has asked for the end of the run: ``round`` will be its last, before all rounds are done."""

    def asks_to_stop(self) -> bool:
        """Whether the run is to be checkpointed now and to end as interrupted; asked after each round's messages."""
        return False

    def finished(self, status: str) -> None:
        """At the very end; ``status`` is "finished", "interrupted" or "failed"."""
