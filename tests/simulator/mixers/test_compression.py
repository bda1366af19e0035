"""Codes: what they restore, what they lose, and how many bytes they take."""

from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reference import twins

from simulator.core.message import Message
from simulator.mixers.compression.quantized import pack, unpack
from simulator.mixers.compression.settings import CompressionSettings, compressor

laws = settings(max_examples=25)
SETTINGS = [
    {"name": "top_k"},
    {"name": "top_k", "keep": 0.34},
    {"name": "random_k", "keep": 0.5},
    {"name": "sign"},
    *({"name": "qsgd", "bits": bits} for bits in range(2, 9)),
    {"name": "none"},
]
sizes = st.integers(1, 70)


def code(block):
    return compressor(CompressionSettings(**block))


def rng(seed=0):
    return np.random.default_rng(seed)


def vector(size, seed=0):
    return torch.from_numpy(rng(seed).normal(size=size))


def twin(block, v, random):
    k = max(1, round(block.get("keep", 0.1) * len(v)))
    return {
        "top_k": lambda: twins.largest(v, k),
        "random_k": lambda: twins.chosen(v, k, random),
        "sign": lambda: twins.mean_signs(v),
        "qsgd": lambda: twins.damped_qsgd(v, block["bits"], random),
        "none": lambda: v,
    }[block["name"]]()


@laws
@given(st.sampled_from(SETTINGS), sizes, st.integers(0, 99))
def test_what_is_restored_is_the_formula(block, size, seed):
    v = vector(size, seed)
    restored = code(block).restore(code(block).compress(v, rng(seed)), v)

    np.testing.assert_allclose(restored, twin(block, v.numpy(), rng(seed)), rtol=1e-12, atol=1e-14)


@laws
@given(st.sampled_from(SETTINGS), sizes, st.sampled_from([torch.float32, torch.float64]))
def test_bytes_are_those_of_the_formula(block, size, dtype):
    parts = code(block).compress(vector(size).to(dtype), rng())
    b, k = torch.finfo(dtype).bits // 8, max(1, round(block.get("keep", 0.1) * size))
    expected = {
        "top_k": k * (4 + b),
        "random_k": 8 + k * b,
        "sign": ceil(size / 8) + b,
        "qsgd": ceil(size * block.get("bits", 0) / 8) + b,
        "none": size * b,
    }[block["name"]]

    assert sum(Message(0, 1, 0, parts).envelope.bytes_by_part.values()) == expected
    restored = code(block).restore(parts, torch.empty(size, dtype=dtype))
    assert restored.dtype == dtype
    assert restored.shape == (size,)


@laws
@given(st.sampled_from(SETTINGS), sizes)
def test_both_sides_restore_the_same_bits_from_what_travels(block, size):
    v = vector(size).float()
    sent = code(block).compress(v, rng())
    arrived = Message.decode(Message(0, 1, 0, sent).encode()).parts

    assert torch.equal(code(block).restore(arrived, torch.ones(size)), code(block).restore(sent, v))


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_less_is_lost_than_there_was(block):
    """E||C(v) - v||^2 <= (1 - delta) ||v||^2, exactly so for top_k, sign and none, and on average for the others."""
    d = 200
    k = max(1, round(block.get("keep", 0.1) * d))
    v = vector(d)
    lost = [
        (code(block).restore(code(block).compress(v, rng(seed)), v) - v).square().sum() / v.square().sum()
        for seed in range(200)
    ]
    s = 2 ** (block.get("bits", 2) - 1) - 1
    delta = {
        "top_k": k / d,
        "random_k": k / d,
        "sign": float(v.abs().sum() ** 2 / (d * v.square().sum())),
        "qsgd": 1 / (1 + min(d / s**2, d**0.5 / s)),
        "none": 1,
    }[block["name"]]

    assert np.mean(lost) <= 1 - delta + 3 * np.std(lost) / 200**0.5 + 1e-12


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_qsgd_is_right_on_average_but_for_its_damping(bits):
    v, s = vector(30), 2 ** (bits - 1) - 1
    qsgd = code({"name": "qsgd", "bits": bits})
    drawn = torch.stack([qsgd.restore(qsgd.compress(v, rng(seed)), v) for seed in range(500)])
    level = v.norm() / s

    undamped = drawn.mean(0) * (1 + min(30 / s**2, 30**0.5 / s))
    assert (undamped - v).abs().max() <= 5 * level / 2 / 500**0.5
    assert drawn.std(0).max() > 0


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_nothing_stays_nothing(block):
    zeros = torch.zeros(11)

    assert torch.equal(code(block).restore(code(block).compress(zeros, rng()), zeros).abs(), zeros)


class AlmostOne:
    """Rounds up wherever that is possible."""

    def random(self, size):
        return np.full(size, np.nextafter(1, 0))


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_coordinate_that_is_all_of_the_norm_keeps_its_code(bits):
    """Its share is s levels, in single precision at times a bit more; rounding up would overflow into the sign."""
    qsgd, s = code({"name": "qsgd", "bits": bits}), 2 ** (bits - 1) - 1
    for value in np.linspace(-1, -0.1, 50).tolist():
        v = torch.tensor([value])
        restored = qsgd.restore(qsgd.compress(v, AlmostOne()), v)
        torch.testing.assert_close(restored, v / (1 + min(1 / s**2, 1 / s)))


def test_random_coordinates_differ_from_draw_to_draw():
    random_k, v = code({"name": "random_k"}), vector(100)
    patterns = {
        tuple(random_k.restore(random_k.compress(v, rng(seed)), v).nonzero().flatten().tolist()) for seed in range(9)
    }

    assert len(patterns) == 9


@laws
@given(st.integers(2, 8), st.data())
def test_packing_is_undone(bits, data):
    codes = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40)), dtype=np.uint8)

    assert pack(codes, bits).nbytes == ceil(len(codes) * bits / 8)
    assert np.array_equal(unpack(pack(codes, bits), bits, len(codes)), codes)


@pytest.mark.parametrize(
    ("block", "complete"),
    [
        ({}, {"name": "top_k", "keep": 0.1, "bits": None}),
        ("random_k", {"name": "random_k", "keep": 0.1, "bits": None}),
        ("qsgd", {"name": "qsgd", "keep": None, "bits": 8}),
        ({"name": "sign"}, {"name": "sign", "keep": None, "bits": None}),
        ({"keep": 1}, {"name": "top_k", "keep": 1.0, "bits": None}),
    ],
)
def test_settings_are_completed_and_survive_being_written_out(block, complete):
    read = CompressionSettings.model_validate(block)

    assert read.model_dump() == complete
    assert CompressionSettings.model_validate(read.model_dump()) == read


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"name": "top_k", "keep": 0}, "greater than 0"),
        ({"name": "random_k", "keep": 1.1}, "less than or equal to 1"),
        ({"name": "qsgd", "bits": 1}, "greater than or equal to 2"),
        ({"name": "qsgd", "bits": 9}, "less than or equal to 8"),
        ({"name": "sign", "keep": 0.1}, "sign has no setting 'keep'"),
        ({"name": "top_k", "bits": 4}, "top_k has no setting 'bits'"),
        ({"name": "qsgd", "bits": None}, "qsgd needs setting 'bits'"),
        ({"name": "gzip"}, "'top_k'"),
        ({"name": ["sign"]}, "'top_k'"),
        (7, "valid dictionary"),
    ],
)
def test_settings_that_cannot_work_are_refused(block, complaint):
    with pytest.raises(ValidationError, match=complaint):
        CompressionSettings.model_validate(block)
