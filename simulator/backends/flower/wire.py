"""Replies as bytes: tensors as safetensors, everything else as JSON beside them; never pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from simulator.core.backend import Evaluation, Reply
from simulator.core.message import Envelope
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric

FACTS = "facts"  # the tensor that holds the JSON
NODE = ""  # among evaluations: the node's own; the others are its variants


def encode(reply: Reply) -> bytes:
    """``reply`` as safetensors."""
    tensors: dict[str, Tensor] = {f"state/{name}": tensor for name, tensor in (reply.state or {}).items()}
    tensors |= {f"evaluation/{name}": each.parameters for name, each in _models(reply).items()}
    for k, recording in enumerate(reply.recordings):
        tensors |= {f"recordings/{k}/{name}": tensor for name, tensor in recording.tensors.items()}
    for k, (_, artifact) in enumerate(reply.artifacts):
        tensors[f"artifacts/{k}"] = _packed(artifact.arrays)
    tensors[FACTS] = _bytes(json.dumps(_facts(reply)).encode())
    return save({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()})


def decode(data: bytes) -> Reply:
    """The reply that `encode` was given."""
    tensors = load(data)
    facts = json.loads(tensors.pop(FACTS).numpy().tobytes())
    state = _under(tensors, "state/")
    models = {
        name: Evaluation(accuracy, loss, training_loss, tensors[f"evaluation/{name}"], by_methods)
        for name, (accuracy, loss, training_loss, by_methods) in facts["evaluation"].items()
    }
    node = models.pop(NODE, None)
    return Reply(
        steps=facts["steps"],
        sent=[Envelope(*envelope) for envelope in facts["sent"]],
        metrics=[Metric(*metric) for metric in facts["metrics"]],
        artifacts=[
            (name, Artifact(round, node, _unpacked(tensors[f"artifacts/{k}"])))
            for k, (name, round, node) in enumerate(facts["artifacts"])
        ],
        recordings=[
            Recording(round, node, _under(tensors, f"recordings/{k}/"))
            for k, (round, node) in enumerate(facts["recordings"])
        ],
        evaluation=node and replace(node, variants=models),
        state=state or None,
        stop=facts["stop"],
    )


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
        "sent": reply.sent,
        "metrics": reply.metrics,
        "artifacts": [(name, artifact.round, artifact.node) for name, artifact in reply.artifacts],
        "recordings": [(recording.round, recording.node) for recording in reply.recordings],
        "evaluation": {
            name: (each.accuracy, each.loss, each.training_loss, dict(each.by_methods))
            for name, each in _models(reply).items()
        },
        "stop": reply.stop,
    }


def _models(reply: Reply) -> dict[str, Evaluation]:
    """The node, measured, and its variants."""
    return {NODE: reply.evaluation, **reply.evaluation.variants} if reply.evaluation else {}


def _under(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _packed(arrays: Mapping[str, NDArray[Any]]) -> Tensor:
    """Arrays of any type, text included, as numpy writes them."""
    stream = BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return _bytes(stream.getvalue())


def _unpacked(packed: Tensor) -> dict[str, NDArray[Any]]:
    with np.load(BytesIO(packed.numpy().tobytes()), allow_pickle=False) as arrays:
        return dict(arrays)
