"""The one number in an H.264 stream's header that PyAV does not tell: how many reference frames it may use."""

from __future__ import annotations

from collections.abc import Iterator

_SEQUENCE_PARAMETER_SET = 7
_PROFILES_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


def reference_frames(header: bytes) -> int | None:
    """``max_num_ref_frames`` of a stream (ITU-T H.264, section 7.3.2.1.1), the largest of its parameter sets.

    Args:
        header: the codec's extra data, as avcC (mp4, mkv) or with start codes (avi, ts).

    Returns:
        None where the header holds no sequence parameter set that can be read.
    """
    units = _from_avcc(header) if header[:1] == b"\x01" else header.split(b"\x00\x00\x01")
    try:
        counts = [_max_num_ref_frames(unit[1:]) for unit in units if unit and unit[0] & 31 == _SEQUENCE_PARAMETER_SET]
    except StopIteration:  # the header ends too soon
        return None
    return max(counts, default=None)


def _from_avcc(header: bytes) -> Iterator[bytes]:
    """The sequence parameter sets of an avcC record (ISO/IEC 14496-15, section 5.3.3.1)."""
    position = 6
    for _ in range(header[5] & 31 if len(header) > 5 else 0):
        length = int.from_bytes(header[position : position + 2], "big")
        yield header[position + 2 : position + 2 + length]
        position += 2 + length


def _max_num_ref_frames(parameter_set: bytes) -> int:
    profile = parameter_set[0] if parameter_set else 0
    bits = _bits(parameter_set[3:].replace(b"\x00\x00\x03", b"\x00\x00"))  # without emulation prevention
    _number(bits)  # seq_parameter_set_id
    if profile in _PROFILES_WITH_CHROMA_FORMAT:
        _skip_chroma_format(bits)
    _number(bits)  # log2_max_frame_num_minus4
    order = _number(bits)  # pic_order_cnt_type
    if order == 0:
        _number(bits)  # log2_max_pic_order_cnt_lsb_minus4
    elif order == 1:
        next(bits)  # delta_pic_order_always_zero_flag
        _number(bits), _number(bits)  # two offsets; signed numbers are as long as unsigned ones
        for _ in range(_number(bits)):
            _number(bits)  # offset_for_ref_frame
    return _number(bits)


def _skip_chroma_format(bits: Iterator[int]) -> None:
    chroma = _number(bits)
    if chroma == 3:
        next(bits)  # separate_colour_plane_flag
    _number(bits), _number(bits)  # bit depths of luma and chroma
    next(bits)  # qpprime_y_zero_transform_bypass_flag
    if next(bits):  # seq_scaling_matrix_present_flag
        for number in range(12 if chroma == 3 else 8):
            if next(bits):
                _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: Iterator[int], size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = _number(bits)
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


def _number(bits: Iterator[int]) -> int:
    """An unsigned Exp-Golomb code (section 9.1)."""
    zeros = 0
    while not next(bits):
        zeros += 1
    value = 1
    for _ in range(zeros):
        value = 2 * value + next(bits)
    return value - 1


def _bits(data: bytes) -> Iterator[int]:
    return (byte >> shift & 1 for byte in data for shift in range(7, -1, -1))
