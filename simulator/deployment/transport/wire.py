"""Replies as bytes: tensors as safetensors, everything else as JSON beside them; never pickled."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from simulator.core.backend import Evaluation, Reply
from simulator.core.message import Envelope
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric
from simulator.core.tensor_bytes import encoded
from simulator.deployment.transport.facts import Facts

FACTS = "facts"  # the tensor that holds the JSON
ARRAY = re.compile(r"(?!(file|allow_pickle)$)[A-Za-z0-9][A-Za-z0-9_./ -]{0,99}")  # numpy takes some names for settings
NODE = ""  # among evaluations: the node's own; the others are its variants


def encode(reply: Reply) -> bytes:
    """``reply`` as safetensors, but for what is there among attackers alone: a deployment has none."""
    tensors: dict[str, Tensor] = {f"state/{name}": tensor for name, tensor in (reply.state or {}).items()}
    tensors |= {f"evaluation/{name}": each.parameters for name, each in _models(reply).items()}
    tensors |= {f"running/{name}": each.buffers for name, each in _models(reply).items() if each.buffers is not None}
    for k, recording in enumerate(reply.recordings):
        tensors |= {f"recordings/{k}/{name}": tensor for name, tensor in recording.tensors.items()}
    for k, (_, artifact) in enumerate(reply.artifacts):
        tensors[f"artifacts/{k}"] = _packed(artifact.arrays)
    tensors[FACTS] = _bytes(json.dumps(_facts(reply)).encode())
    return encoded(tensors)


def decode(data: bytes) -> Reply:
    """The reply that `encode` was given.

    Raises:
        ValueError: the bytes are none that it gave, whoever wrote them.
    """
    try:
        return _decoded(load(data))
    except Exception as error:  # safetensors, numpy and zipfile raise what they like, and memory may not be enough
        raise ValueError(f"it holds no reply of a node: {_short(error)}") from error


def _decoded(tensors: dict[str, Tensor]) -> Reply:
    packed = tensors.pop(FACTS)
    if packed.dtype != torch.uint8 or packed.dim() != 1:
        raise ValueError("facts that are not bytes")
    facts = Facts.model_validate_json(packed.numpy().tobytes())
    models = {
        name: Evaluation(
            scores,
            training_loss,
            tensors.pop(f"evaluation/{name}"),
            by_methods,
            buffers=tensors.pop(f"running/{name}", None),
        )
        for name, (scores, training_loss, by_methods) in facts.evaluation.items()
    }
    node = models.pop(NODE, None)
    if models and node is None:
        raise ValueError("variants of a model that was not measured")
    reply = Reply(
        steps=facts.steps,
        sent=[Envelope(*envelope) for envelope in facts.sent],
        metrics=[Metric(*metric) for metric in facts.metrics],
        artifacts=[
            (name, Artifact(round, number, _unpacked(tensors.pop(f"artifacts/{k}"))))
            for k, (name, round, number) in enumerate(facts.artifacts)
        ],
        recordings=[
            Recording(round, number, _taken(tensors, f"recordings/{k}/"))
            for k, (round, number) in enumerate(facts.recordings)
        ],
        evaluation=node and replace(node, variants=models),
        state=_taken(tensors, "state/") or None,
        stop=facts.stop,
    )
    if tensors:
        raise ValueError(f"tensors of which nothing is said, such as {min(tensors)[:80]!r}")
    return reply


def joined(first: Reply, then: Reply) -> Reply:
    """What one superstep would have answered that did what two did."""
    return Reply(
        steps=first.steps + then.steps,
        sent=[*first.sent, *then.sent],
        metrics=[*first.metrics, *then.metrics],
        artifacts=[*first.artifacts, *then.artifacts],
        recordings=[*first.recordings, *then.recordings],
        evaluation=then.evaluation or first.evaluation,
        state=then.state or first.state,
        stop=first.stop if first.stop is not None else then.stop,
    )


def _facts(reply: Reply) -> dict[str, Any]:
    return {
        "steps": reply.steps,
        "sent": [envelope if envelope.exchange > 1 else envelope[:-1] for envelope in reply.sent],
        "metrics": reply.metrics,
        "artifacts": [(name, artifact.round, artifact.node) for name, artifact in reply.artifacts],
        "recordings": [(recording.round, recording.node) for recording in reply.recordings],
        "evaluation": {
            name: (dict(each.scores), each.training_loss, dict(each.by_methods))
            for name, each in _models(reply).items()
        },
        "stop": reply.stop,
    }


def _models(reply: Reply) -> dict[str, Evaluation]:
    """The node, measured, and its variants."""
    return {NODE: reply.evaluation, **reply.evaluation.variants} if reply.evaluation else {}


def _taken(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    """Those whose names begin with ``start``, taken out."""
    names = [name for name in tensors if name.startswith(start)]
    return {name.removeprefix(start): tensors.pop(name) for name in names}


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _packed(arrays: Mapping[str, NDArray[Any]]) -> Tensor:
    """Arrays of any type, text included, as numpy writes them."""
    stream = BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return _bytes(stream.getvalue())


def _unpacked(packed: Tensor) -> dict[str, NDArray[Any]]:
    data = packed.numpy().tobytes()
    with ZipFile(BytesIO(data)) as file:
        infos = file.infolist()
        if any(info.compress_type != ZIP_STORED for info in infos) or sum(map(_size, infos)) > len(data):
            raise ValueError("a compressed artifact, which may be larger than it looks")
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        named = dict(arrays)
    if bad := [name for name in named if not ARRAY.fullmatch(name)]:
        raise ValueError(f"an artifact with an array that cannot be named {bad[0][:80]!r}")
    return named


def _size(info: ZipInfo) -> int:
    return max(info.file_size, info.compress_size)
