"""How fast motion and residuals are computed for every frame, at 128x96 on one thread.

    python tests/benchmarks/compressed_video.py [--frames 240] [--repeats 7] [CLIP ...]

Encodes made-up frames with both codecs, decodes them and computes accumulated motion and the residual of every frame.
Frames a second are told by processor time, which a busy machine changes less, and by the clock. Of each CLIP, a file of
yours, it tells how it is coded, its frames, motion vectors and seconds; clips whose motion cannot be followed are
re-encoded.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simulator.core.errors import InputError
from simulator.core.seeding import generator
from simulator.data.compressed_video.encoder import Codec, encode, reencode
from simulator.data.compressed_video.features import follow
from simulator.data.compressed_video.reader import Clip, UnsupportedCoding, decode, opened
from simulator.data.compressed_video.scenes import render

HEIGHT, WIDTH = 96, 128


def made_up(codec: Codec, frames: int) -> Clip:
    pictures = render("right", frames, WIDTH, hint=1, nuisance=1, rng=generator(0, "benchmark"))
    return Clip(codec, encode(np.ascontiguousarray(pictures[:, :HEIGHT]), codec))


def all_features(clip: Clip) -> tuple[int, int]:
    """How many frames and vectors."""
    frames = vectors = 0
    for features in follow(decode(clip)):
        assert features.residual.shape == (*features.accumulated.shape[:2], 3)
        frames, vectors = frames + 1, vectors + len(features.frame.vectors)
    return frames, vectors


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the processor and of the clock."""
    began = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - began[0], time.perf_counter() - began[1]


def own_clip(path: Path) -> str:
    clip, done = Clip.read(path), "as it is"
    with opened(clip) as (_, stream):
        coding = f"{stream.codec_context.name} {stream.width}x{stream.height}"
    began = time.perf_counter()
    try:
        try:
            frames, vectors = all_features(clip)
        except UnsupportedCoding as error:
            done = "re-encoded: it " + error.problems[0].what.removeprefix(f"{path} ")
            frames, vectors = all_features(reencode(clip))
    except InputError as error:
        return f"| {path.name} | {coding} | | | | {error.problems[0].what} |"
    return f"| {path.name} | {coding} | {frames} | {vectors} | {time.perf_counter() - began:.2f} | {done} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    arguments = parser.parse_args()
    codecs: tuple[Codec, ...] = ("mpeg4", "h264")
    for codec in codecs:
        clip = made_up(codec, arguments.frames)
        taken = [seconds(lambda clip=clip: all_features(clip)) for _ in range(arguments.repeats)]
        processor, clock = (arguments.frames / statistics.median(column) for column in zip(*taken, strict=True))
        print(f"{codec} {WIDTH}x{HEIGHT}: {processor:.0f} frames a processor second, {clock:.0f} a second of the clock")
    if arguments.clips:
        print("| clip | coding | frames | vectors | seconds | |\n|---|---|---:|---:|---:|---|")
        print(*map(own_clip, arguments.clips), sep="\n")


if __name__ == "__main__":
    main()
