"""What a reply says beside its tensors, as JSON whose types, names and bounds are checked when it is read."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Predicate
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simulator.core.report import ARTIFACT

Count = Annotated[int, Field(ge=0, le=2**53)]
Named = Annotated[str, StringConstraints(min_length=1, max_length=200), Predicate(str.isprintable)]
Part = Annotated[str, StringConstraints(pattern=r"^[^\"\\]{1,200}$"), Predicate(str.isprintable)]
ArtifactName = Annotated[str, Predicate(lambda name: ARTIFACT.fullmatch(name) is not None)]
Values = dict[Named, float]
Sent = tuple[Count, Count, Count, dict[Part, Count], Count]
LaterSent = tuple[Count, Count, Count, dict[Part, Count], Count, Count]  # in another exchange than a round's first


class Facts(BaseModel):
    """As `simulator.deployment.transport.wire` writes them; see `Reply` for what they are.

    Attributes:
        artifacts: name, round and node of each, in the order of the tensors.
        recordings: round and node of each, likewise.
        evaluation: scores, training loss, and by methods; of the node's own model as "", and of its variants.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    steps: Count
    sent: list[Sent | LaterSent]
    metrics: list[tuple[Count, Count, Named, float]]
    artifacts: list[tuple[ArtifactName, Count, Count]]
    recordings: list[tuple[Count, Count]]
    evaluation: dict[str, tuple[Values, float | None, Values]]
    stop: str | None
