"""The settings of IDKD."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.registry import PartSettings


class IDKDSettings(PartSettings):
    """When labels are exchanged, which samples are labelled, and what is made of the labels.

    Attributes:
        first_round: the first round of the first exchange, counted from 1.
        every: rounds from the beginning of one exchange to that of the next; None: there is one exchange only.
        hops: how far labels travel, and so how many rounds an exchange takes.
        detector: how samples are scored, a name in `detectors.DETECTORS`.
        temperature: of the softmax that makes the labels, and of the msp, entropy and energy scores.
        nearest: k of the knn detector: which of the nearest training samples it compares with, 1 for the nearest.
        threshold: ``youden``, ``tpr``, ``none`` (all public samples are labelled: vanilla distillation), or a score.
        tpr: the share of its validation samples that a node's threshold lets pass, under ``threshold: tpr``.
        cap: a node labels at most this many samples, those of highest score; None: no limit.
        merge: the rule that makes one label out of several, a name in `merge.MERGES`.
        labels: what a node that trains on labels sends: ``anew``, labels by its model as it is now; or ``forwarded``,
            those that it trains on, its own and others' merged, which so get ``hops`` links further with every
            exchange, as in the released code.
        steps: how many local steps a round takes once there are labelled samples: ``fixed``, as before, or ``growing``
            with the training set, H * (private + labelled) / private rounded up, as in the released code, where an
            epoch passes over both sets.
        label_dtype: type of the probabilities on the wire.
        top_k: only the k largest probabilities of a label travel; None: all of them.
    """

    acts: ClassVar[Acts] = {
        "tpr": If(threshold="tpr"),
        "nearest": If(detector="knn"),
        "labels": If(every=GIVEN),  # after the only exchange there is nothing to forward
    }

    name: str = "idkd"
    first_round: int = Field(ge=1)
    every: PositiveInt | None = None
    hops: PositiveInt = 1
    detector: Literal["msp", "energy", "max_logit", "entropy", "knn"] = "msp"
    temperature: float = Field(1.0, gt=0)
    nearest: PositiveInt = 10
    threshold: Literal["youden", "tpr", "none"] | float = "youden"
    tpr: float = Field(0.95, gt=0, le=1)
    cap: PositiveInt | None = None
    merge: Literal["average", "confidence", "official"] = "average"
    labels: Literal["anew", "forwarded"] = "anew"
    steps: Literal["fixed", "growing"] = "fixed"
    label_dtype: Literal["float32", "float16"] = "float32"
    top_k: PositiveInt | None = None
