"""What a GPU makes of the stacked trainer, within a few minutes: the `gpu` tests first, then measurements.

    python tests/benchmarks/gpu.py --minutes 8 [--out gpu.json] [--models mlp cnn resnet20] [--nodes 64 256 16]

In this order: the tests marked `gpu`, in a process of their own; the card's matrix rate; for each number of nodes,
precision and model, stacked against sequential, with the share of that rate and peak memory, and the core of the
stacked step (see `gpu_measures.InnerProgram`) with and without CUDA graphs; last the same compiled by `torch.compile`.
Images are random, of Fashion-MNIST's shape (mlp, cnn) or CIFAR-10's (resnet20).

``--minutes`` is held: each piece is timed and broken off where it takes too long, an error in one is written down and
the rest goes on, and what is left at the end is "not reached". All that is known is written after every piece, to
``--out`` (JSON) and a Markdown page beside it. Exit code 1 where a piece failed.

Measurements need torch, numpy, scipy, networkx, pydantic, safetensors and this project's wheel; the tests need pytest,
hypothesis, pyyaml, rich, jinja2, matplotlib, scikit-learn and pillow too. Nothing is downloaded. With ``--device cpu``
all but the tests and the graphs is done on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from gpu_measures import MODELS, WAYS, Sizes, Skipped, inner_program, matrix_rate, trainers
from gpu_page import page

from simulator.core.atomic import write

TESTS = Path(__file__).resolve().parents[1]
GRACE = 20.0  # s after the time is over, in which a kernel or a compiler may still come to an end


class OutOfTimeError(BaseException):
    """No ordinary exception, so that nothing below takes it for one of its own."""


class Piece(NamedTuple):
    """Something to be done.

    Attributes:
        name: tells it from the others.
        work: does it, and gives what was found.
        most: seconds that it may take.
    """

    name: str
    work: Callable[[], dict[str, Any]]
    most: float


class Report:
    """What is known so far, on disk.

    Args:
        path: of the JSON; the page is beside it.
        minutes: that all pieces may take.
        pieces: in their order.
    """

    def __init__(self, path: Path, minutes: float, pieces: list[Piece]) -> None:
        self._path, self._end = path, time.monotonic() + 60 * minutes
        self._pieces, self._known = pieces, [{"name": piece.name, "state": "not reached"} for piece in pieces]
        self._about = {"minutes": minutes, "python": platform.python_version(), "torch": torch.__version__}

    def work(self) -> bool:
        """Do one piece after the other until time is over; returns whether none failed."""
        last = threading.Timer(self._end - time.monotonic() + GRACE, os._exit, [1])  # all is written by then
        last.daemon = True
        last.start()
        for piece, known in zip(self._pieces, self._known, strict=True):
            left = self._end - time.monotonic()
            if left <= 0:
                break
            known["state"] = "under way"
            self._write()
            began = time.monotonic()
            known |= _done(piece, min(piece.most, left))
            known["seconds"] = time.monotonic() - began
            self._write()
            print(f"{known['seconds']:7.1f} s  {piece.name}: {known['state']} {known.get('why', '')}", flush=True)
        last.cancel()
        self._write()
        return all(known["state"] != "failed" for known in self._known)

    def _write(self) -> None:
        found = {**self._about, "pieces": self._known}
        write(self._path, json.dumps(found, indent=1, allow_nan=False) + "\n")
        write(self._path.with_suffix(".md"), page(found))


def _done(piece: Piece, seconds: float) -> dict[str, Any]:
    """What became of ``piece``, and what was found, or why not."""
    try:
        with _at_most(seconds):
            return {"state": "done", "found": piece.work()}
    except Skipped as reason:
        return {"state": "skipped", "why": str(reason)}
    except OutOfTimeError:
        return {"state": "broken off", "why": f"it took longer than {seconds:.0f} s"}
    except Exception as error:
        return {"state": "failed", "why": f"{type(error).__name__}: {str(error)[:1000]}"}
    finally:
        gc.collect()
        if torch.cuda.is_available():
            with suppress(RuntimeError):  # of a GPU that an error has stopped: the pieces that follow will say so
                torch.cuda.empty_cache()


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Break the block off after so long.

    Raises:
        OutOfTimeError: it takes longer.
    """

    def over(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def device(sizes: Sizes) -> dict[str, Any]:
    """What it is measured on."""
    if not sizes.on_gpu:
        return {"name": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    card = torch.cuda.get_device_properties(0)
    return {
        "name": card.name,
        "memory_bytes": card.total_memory,
        "multiprocessors": card.multi_processor_count,
        "capability": f"{card.major}.{card.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32_in_products": torch.backends.cuda.matmul.allow_tf32,
        "tf32_in_convolutions": torch.backends.cudnn.allow_tf32,
    }


def gpu_tests(sizes: Sizes) -> dict[str, Any]:
    """Run the tests marked `gpu`; without a GPU, only look whether they can be collected.

    Raises:
        RuntimeError: some fail.
    """
    files = sorted(str(path) for path in TESTS.rglob("test_*.py") if "pytest.mark.gpu" in path.read_text())
    # Without xdist, which need not be there; and warnings of other versions than usual are no failures.
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "--import-mode=importlib"]
    command += ["-m", "gpu and not exhaustive", "-W", "default", "-q", "-rfE", "--tb=short"]
    command += [] if sizes.on_gpu else ["--collect-only"]
    ended = subprocess.run([*command, *files], cwd=TESTS.parent, capture_output=True, text=True)
    said = (ended.stdout + ended.stderr).strip()
    if ended.returncode:
        raise RuntimeError(f"pytest ended with {ended.returncode}: {said[-900:]}")
    if not sizes.on_gpu:
        raise Skipped(f"the tests need a CUDA device; {said.splitlines()[-1]}")
    return {"said": said.splitlines()[-1]}


def plan(arguments: argparse.Namespace) -> list[Piece]:
    """All pieces, the most telling first."""
    sizes = Sizes(arguments.device, arguments.batch, arguments.steps, arguments.matrix, arguments.seconds)
    rates: dict[str, float] = {}

    def rate(kind: str) -> dict[str, float]:
        found = matrix_rate(kind, sizes)
        rates[kind] = found["flop_per_s"]
        return found

    pieces = [Piece("device", partial(device, sizes), 10), Piece("tests", partial(gpu_tests, sizes), 150)]
    pieces += [Piece(f"matrix rate, {kind}", partial(rate, kind), 20) for kind in ("fp32", "bf16", "tf32")]
    cases = [
        (model, nodes, precision)
        for nodes in arguments.nodes
        for precision in ("fp32", "bf16")
        for model in arguments.models
    ]
    compiled = []
    for case in cases:
        words = "{}, {} nodes, {}".format(*case)
        pieces.append(Piece(f"trainers: {words}", partial(trainers, *case, sizes, rates), 40))
        for way in arguments.ways:
            one = Piece(f"inner program, {way}: {words}", partial(inner_program, way, *case, sizes), 150)
            (compiled if "compiled" in way else pieces).append(one)
    return pieces + compiled


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--nodes", nargs="+", type=int, default=[64, 256, 16])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="of taking a step's inner program")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="of a round")
    parser.add_argument("--matrix", type=int, default=8192, help="rows of the matrices whose products are timed")
    parser.add_argument("--seconds", type=float, default=1.5, help="of measuring, for each thing that is")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --device cpu does what a CPU can")
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    return 0 if Report(arguments.out, arguments.minutes, plan(arguments)).work() else 1


if __name__ == "__main__":
    sys.exit(main())
