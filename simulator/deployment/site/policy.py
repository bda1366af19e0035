"""A site's policy: what its owner allows, whatever an experiment asks for; what it does not mention, it forbids."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from simulator.core.promise import Unit

Some = list[str] | Literal["any"]
Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["unlimited"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ANY = "any"
UNITS = ("sample", "group", "node")  # of promises, those that protect more later
WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _day(given: Any) -> Any:
    return date.fromisoformat(given) if isinstance(given, str) else given


def _absolute(path: str) -> str:
    if not Path(path).is_absolute():
        raise ValueError("should be an absolute path: nodes work in folders of their own")
    return path


def _window(hours: str) -> str:
    if hours != "always" and not WINDOW.fullmatch(hours):
        raise ValueError("should be hours of the day such as 18:00-06:00, or always")
    return hours


class _Block(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Approval(_Block):
    """An experiment that may run here.

    Attributes:
        hash: what `rumormill site approve` computed of the experiment's file and the code that it names.
        approved_by: who has decided that.
        until: the last day on which it may run.
        rounds: the most that a run of it may have.
    """

    hash: Digest
    approved_by: str = Field(min_length=1)
    until: Annotated[date, BeforeValidator(_day)]
    rounds: int = Field(ge=1)


class Messages(_Block):
    """What messages to other nodes may hold.

    Attributes:
        parts: names of parts.
        max_bytes: of all tensors of one message.
        max_norm: the largest Euclidean norm of what a round's local training changes in the model that is sent.
    """

    parts: Some = []
    max_bytes: Limit = 0.0
    max_norm: Limit = 0.0


class Privacy(_Block):
    """The least differential privacy of what is sent.

    Attributes:
        mechanism: the method that must protect it, or another that is installed here and protects more than ``unit``;
            "any": whichever promises something; "none": no method has to; None: no method is good enough.
        unit: whose data are protected, or more than those: a sample's, a group's, the node's.
        max_epsilon: the most that may be spent.
        delta: the largest one of the promise; of several runs, their sum.
        over: what epsilon and delta are summed over: one run, the runs of the last 365 days, or all in the ledger.
    """

    mechanism: Annotated[str, Field(min_length=1)] | None = None
    unit: Unit = "node"
    max_epsilon: Limit = 0.0
    delta: Limit = 0.0
    over: Literal["run", "year", "all_runs"] = "all_runs"


class Metrics(_Block):
    """Which numbers may leave.

    Attributes:
        leave: their names, as in a run's ``metrics.jsonl``.
        min_count: of how many samples they must at least be; None: of more than there ever are.
        round_to: decimals that are left of them.
    """

    leave: Some = []
    min_count: int | None = Field(None, ge=1)
    round_to: Annotated[int, Field(ge=0)] | Literal["unlimited"] = 0


class Sharing(_Block):
    """What else may be laid out for `rumormill deploy collect`, or sent.

    Attributes:
        models: the node's model whenever it is measured, and its state at checkpoints and at the end.
        recordings: what audits read: messages, and models before and after a round.
        labels: messages in which a method says how this node labels public samples.
        artifacts: arrays that methods save, by their name; others are left out.
    """

    models: bool = False
    recordings: bool = False
    labels: bool = False
    artifacts: Some = []


class Peers(_Block):
    """Who may receive anything.

    Attributes:
        allow: names of nodes, such as node-0.
        pinned: by name, the SHA-256 of the public keys that a node may have, for sealing and of its certificate; "any":
            whatever the deployment's folder says.
    """

    allow: Some = []
    pinned: dict[str, list[Digest]] | Literal["any"] = {}


class Limits(_Block):
    """How fast and when.

    Attributes:
        rounds_per_day: in which messages may leave within 24 hours.
        hours: of the day by the host's clock, such as 18:00-06:00, or "always"; None: never.
    """

    rounds_per_day: Limit = 0.0
    hours: Annotated[str, AfterValidator(_window)] | None = None


class SitePolicy(_Block):
    """All that a site allows. Every block that is not there allows nothing.

    Attributes:
        version: of this format.
        site: what the site calls itself; it stays here.
        ledger: the file in which all that leaves is written down first.
        versions: of this package that may run here.
    """

    version: Literal[1]
    site: str = Field(min_length=1)
    ledger: Annotated[str, AfterValidator(_absolute)]
    experiments: list[Approval] = []
    versions: Some = []
    messages: Messages = Messages()
    privacy: Privacy = Privacy()
    metrics: Metrics = Metrics()
    sharing: Sharing = Sharing()
    peers: Peers = Peers()
    limits: Limits = Limits()

    def approval(self, experiment: str) -> Approval | None:
        """The latest approval of the experiment with this hash, expired or not."""
        return max((each for each in self.experiments if each.hash == experiment), key=_until, default=None)


def within(limit: float | str, value: float) -> bool:
    """Whether ``value`` is not above a `Limit`."""
    return limit == "unlimited" or value <= float(limit)


def among(some: Collection[str] | str, name: str) -> bool:
    """Whether `Some` include ``name``."""
    return some == ANY or name in some


def open_at(hours: str | None, now: datetime) -> bool:
    """Whether ``now`` lies in the hours of `Limits`, which may go over midnight."""
    if hours is None or hours == "always":
        return hours is not None
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    moment = now.time()
    return begin <= moment < end if begin <= end else moment >= begin or moment < end


def _until(approval: Approval) -> date:
    return approval.until
