"""What stands in the files of a run directory, as far as it must be so for a run to be read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Record(BaseModel):
    """Further keys are of no concern: later versions may add some."""

    model_config = ConfigDict(extra="allow")


class _Line(TypedDict):
    """Of files with many: each is read and checked in one step."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    round: Count


class _Metric(_Line):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    node: Count | None
    name: str
    value: int | float


class _Timing(_Line):
    seconds: int | float
    node_steps: Count


class _Provenance(_Record):
    status: str
    command: list[str] = []
    versions: dict[str, str] = {}
    autotuned: dict[str, Any] = {}
    carried: dict[str, Count] = {}
    hosts: dict[str, str] = {}
    not_collected: list[Count] = []
    ended_early: str = ""


class _Statistics(_Record):
    names: list[str]
    count: list[float]
    mean: list[float]
    std: list[float]


class _SweepLabel(_Record):
    arm: str | None = None
    grid: dict[str, Any] = {}
    seed: int = 0
    identity: str = ""
    failure: str = ""


METRIC: TypeAdapter[Any] = TypeAdapter(_Metric)
STATISTICS: TypeAdapter[Any] = TypeAdapter(_Statistics)
TIMING: TypeAdapter[Any] = TypeAdapter(_Timing)
PROVENANCE: TypeAdapter[Any] = TypeAdapter(_Provenance)
SWEEP_LABEL: TypeAdapter[Any] = TypeAdapter(_SweepLabel)
AUDIT_METRICS: TypeAdapter[Any] = TypeAdapter(dict[str, float])
