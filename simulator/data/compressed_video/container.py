"""How many bytes a container says it has: a file cut short often decodes without complaint, as a shorter clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_SEGMENT = 0x18538067  # of Matroska; what it holds is the whole clip
_PAD = 1  # RIFF chunks of odd length are followed by a byte, which writers may leave out at the end


def declared_length(content: bytes) -> int | None:
    """Where the last element of the outermost level ends, in bytes from the beginning of the file.

    Known are RIFF (avi), ISO base media (mp4, mov, m4v) and EBML (mkv, webm) where the writer has filled in the length:
    one that cannot go back, such as a live stream, leaves it open. MPEG program and transport streams declare none.

    Returns:
        None where nothing is declared.
    """
    for looks_like, ends in _FORMATS:
        if looks_like(content):
            return max(ends(content), default=None)
    return None


def _riff(content: bytes) -> Iterator[int]:
    """Large files have several chunks, one after the other."""
    place = 0
    while content[place : place + 4] == b"RIFF" and place + 8 <= len(content):
        place += 8 + int.from_bytes(content[place + 4 : place + 8], "little")
        yield place - _PAD
        place += place % 2


def _boxes(content: bytes) -> Iterator[int]:
    """ISO/IEC 14496-12, section 4.2; a size of 0 stands for the rest of the file."""
    place = 0
    while place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        if size < 8:
            return
        place += size
        yield place


def _elements(content: bytes) -> Iterator[int]:
    """RFC 8794, section 4; a size whose bits are all 1 is unknown."""
    place = 0
    while place < len(content):
        width = _width(content[place])
        name = int.from_bytes(content[place : place + width], "big")
        place += width
        if not width or place >= len(content) or not (wide := _width(content[place])):
            return
        size = int.from_bytes(content[place : place + wide], "big") & ((1 << 7 * wide) - 1)
        if size == (1 << 7 * wide) - 1:
            return
        place += wide + size
        if name == _SEGMENT:
            yield place


def _width(first: int) -> int:
    """Bytes of a variable-length number by its first one; 0 where it is none."""
    return 9 - first.bit_length() if first else 0


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[int]]], ...] = (
    (lambda content: content[:4] == b"RIFF", _riff),
    (lambda content: content[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"), _boxes),
    (lambda content: content[:4] == b"\x1aE\xdf\xa3", _elements),
)
