"""Replies come back from a node's disk as they were."""

import io
import math
import zipfile

import numpy as np
import pytest
import torch

from simulator.core.backend import Evaluation, Reply
from simulator.core.message import Envelope
from simulator.core.recording import Recording
from simulator.core.report import Artifact, Metric
from simulator.deployment.transport.saved_rounds import KEPT, SavedRounds
from simulator.deployment.transport.wire import _unpacked, decode, encode, joined

VARIANTS = {"corrected": Evaluation({"accuracy": 0.75, "loss": 1.0}, None, torch.tensor([3.0, 4.0]), {"alpha": 0.5})}
FULL = Reply(
    steps=3,
    sent=[Envelope(0, 1, 7, {"parameters": 40}, 120), Envelope(0, 1, 7, {"gradient": 40}, 120, exchange=2)],
    metrics=[Metric(7, 0, "loss", 0.1 + 0.2), Metric(7, 0, "not a number", math.inf)],
    artifacts=[("found", Artifact(7, 0, {"words": np.array(["a", "bc"]), "mask": np.array([True, False])}))],
    recordings=[Recording(7, 0, {"start": torch.arange(3, dtype=torch.float16), "heard": torch.tensor([1, 2])})],
    evaluation=Evaluation(
        {"accuracy": 0.5, "loss": 1.25},
        2.5,
        torch.tensor([1.0, math.nan], dtype=torch.float64),
        {"epsilon": 3.5},
        VARIANTS,
        buffers=torch.tensor([0.25]),
    ),
    state={"parameters": torch.ones(2, dtype=torch.float64), "methods.0/a/b": torch.tensor(1)},
    stop="node 0: enough",
)


def same(one, other):
    """Field by field: tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and (one == other).all()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dict__"):
        return same(vars(one), vars(other))
    return one == other


def test_a_reply_survives_encoding():
    back = decode(encode(FULL))
    assert same(back, FULL)
    assert same(decode(encode(Reply())), Reply())


def test_the_reply_that_survives_has_something_in_every_field():
    of_attacks = {"moved"}  # which no deployment has
    for part in (FULL, FULL.evaluation):
        there = {name for name, value in vars(part).items() if isinstance(value, torch.Tensor) or value}
        assert vars(part).keys() - there <= of_attacks


def test_two_replies_joined_are_that_of_one_superstep():
    early, late = (
        Reply(metrics=[Metric(1, 0, "a", 1.0)], stop="first"),
        Reply(steps=2, metrics=[Metric(2, 0, "b", 2.0)]),
    )
    both = joined(early, late)
    assert (both.steps, both.stop, [metric.name for metric in both.metrics]) == (2, "first", ["a", "b"])
    assert same(joined(Reply(), FULL), FULL)


def test_the_disk_keeps_the_last_states_and_shows_no_draft(tmp_path):
    memory = SavedRounds(tmp_path / "state", tmp_path / "report")
    for round in range(5):
        memory.save(round, {"parameters": torch.full((2,), float(round))}, closed=round == 4)
    (tmp_path / "state" / ".state-000009.safetensors").write_bytes(b"half")
    assert memory.rounds() == [5 - KEPT, 4]
    state, closed = memory.load(4)
    assert closed
    assert state.keys() == {"parameters"}
    assert not memory.load(3)[1]
    memory.lay_out(3, "work", encode(FULL))
    assert same(memory.reply(3, "work"), FULL)
    assert not memory.has(3, "absorb")


def test_an_artifact_is_no_larger_than_its_bytes():
    """Files within files: one is another's content, and so on, each nearly as long as the whole."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("b", bytes(5000))
    with zipfile.ZipFile(outer, "w") as file:
        file.writestr("a", inner.getvalue())
        within = zipfile.ZipFile(inner).getinfo("b")
        within.header_offset += zipfile.sizeFileHeader + len("a")
        file.filelist.append(within)
    packed = torch.frombuffer(bytearray(outer.getvalue()), dtype=torch.uint8)
    with pytest.raises(ValueError, match="may be larger than it looks"):
        _unpacked(packed)
