"""The number of reference frames, from parameter sets written here bit by bit (ITU-T H.264, section 7.3.2.1.1)."""

import pytest

from simulator.data.compressed_video.h264 import reference_frames


def unsigned(value):
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def signed(value):
    return unsigned(2 * value - 1 if value > 0 else -2 * value)


def scaling_list(values, size):
    """Differences modulo 256 from 8 on; a 0 says that the last value holds for the rest."""
    told, last = "", 8
    for value in values:
        told += signed((value - last + 128) % 256 - 128)
        last = value
    return told if len(values) == size or values[-1] == 0 else told + signed((0 - last + 128) % 256 - 128)


def header(profile, lists=None, chroma=1, order="0", frames=4):
    """A sequence parameter set, with start code; ``lists`` are 8 or 12 scaling lists, None where one is absent."""
    bits = unsigned(0)
    if profile == 100:
        bits += unsigned(chroma) + ("0" if chroma == 3 else "") + unsigned(0) + unsigned(0) + "0"
        bits += "0" if lists is None else "1"
        for number, values in enumerate(lists or ()):
            bits += "0" if values is None else "1" + scaling_list(values, 16 if number < 6 else 64)
    bits += unsigned(2) + {"0": unsigned(0) + unsigned(3), "1": _by_offsets(), "2": unsigned(2)}[order]
    bits += unsigned(frames) + "1"
    bits += "0" * (-len(bits) % 8)
    body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    protected = bytearray()
    for byte in bytes([0x67, profile, 0, 30]) + body:
        if protected[-2:] == b"\0\0" and byte <= 3:
            protected.append(3)
        protected.append(byte)
    return b"\0\0\0\1" + bytes(protected)


def _by_offsets():
    return unsigned(1) + "1" + signed(-3) + signed(7) + unsigned(2) + signed(-5) + signed(40)


FLAT, RISING = [16] * 16, [6, 13, 20, 28, 13, 20, 28, 32, 20, 28, 32, 37, 28, 32, 37, 42]
LONG, SHORT = [9 + i for i in range(64)], [200, 3, 255]


@pytest.mark.parametrize("order", ["0", "1", "2"])
@pytest.mark.parametrize("frames", [1, 4, 16])
def test_every_order_of_pictures_is_read_over(order, frames):
    assert reference_frames(header(77, order=order, frames=frames)) == frames


@pytest.mark.parametrize(
    ("chroma", "lists"),
    [
        (1, None),
        (1, [None] * 8),
        (1, [FLAT, None, RISING, None, None, [0], None, None]),
        (1, [None, SHORT, None, None, None, None, LONG, None]),
        (1, [None] * 6 + [SHORT, LONG]),
        (3, [RISING] * 6 + [LONG] * 6),
        (3, [None] * 11 + [SHORT]),
    ],
)
def test_scaling_lists_are_read_over_to_their_end(chroma, lists):
    assert reference_frames(header(100, lists, chroma, frames=4)) == 4


def test_the_largest_of_several_parameter_sets_counts():
    assert reference_frames(header(77, frames=1) + header(77, frames=3) + header(77, frames=2)) == 3
