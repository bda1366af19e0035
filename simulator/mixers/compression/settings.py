"""Which code a mixer compresses with, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.registry import Settings
from simulator.mixers.compression.quantized import QSGD, Sign
from simulator.mixers.compression.sparse import RandomK, TopK

DEFAULTS: Mapping[str, Mapping[str, Any]] = {"top_k": {"keep": 0.1}, "random_k": {"keep": 0.1}, "qsgd": {"bits": 8}}


class CompressionSettings(Settings):
    """Which code, and how strong: ``keep`` of top_k and random_k (0.1), ``bits`` of qsgd (8).

    A bare name stands for a block with that name.
    """

    name: Literal["top_k", "random_k", "sign", "qsgd", "none"] = "top_k"
    keep: float | None = Field(None, gt=0, le=1)
    bits: int | None = Field(None, ge=2, le=8)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        block = {"name": given} if isinstance(given, str) else given
        if not isinstance(block, dict):
            return block
        return {**DEFAULTS.get(str(block.get("name", "top_k")), {}), **block}

    @model_validator(mode="after")
    def _has_what_it_needs_only(self) -> CompressionSettings:
        for setting in ("keep", "bits"):
            needed, given = setting in DEFAULTS.get(self.name, {}), getattr(self, setting) is not None
            if needed != given:
                raise ValueError(f"{self.name} {'needs' if needed else 'has no'} setting '{setting}'")
        return self


class Compressor(Protocol):
    """A code; one side compresses, every side restores the same bits."""

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """The parts to send; none shares memory that is written to later."""
        ...

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """What `compress` makes of a vector of the length and type of ``like``."""
        ...

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """What is wrong with ``parts`` that are as declared, as the end of a sentence; None if nothing is."""
        ...

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The vector that ``parts`` stand for, of the length and type of ``like``."""
        ...


def compressor(settings: CompressionSettings) -> Compressor:
    """The code that ``settings`` describe."""
    if settings.keep is not None:
        return TopK(settings.keep) if settings.name == "top_k" else RandomK(settings.keep)
    if settings.bits is not None:
        return QSGD(settings.bits)
    return Sign() if settings.name == "sign" else NoCompression()


class NoCompression:
    """Everything, as it is."""

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """The vector itself."""
        return {"choco.values": vector}

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """The vector that was sent as it is."""
        return {"choco.values": Declared.like(like)}

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """Nothing: any vector is one."""
        return None

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The vector itself."""
        return parts["choco.values"]
