"""How much disk a run will take, told before it starts, and refused where there is not so much."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.core.errors import wrong
from simulator.results.formatting import megabytes

MODELS = 3  # of a recording: at the start, as sent, and mixed, where none is left out
WORTH_TELLING = 100_000_000  # bytes of checkpoints


@dataclass(frozen=True)
class Room:
    """An estimate; a state may grow while a run goes on, by what methods keep.

    Attributes:
        nodes: how many there are.
        model: bytes of one.
        state: bytes of a node's, in a checkpoint.
        checkpoints: how many are there at a time at most; while one is written, one more is.
        recorded: rounds whose messages and models are kept for audits.
        left_out: how many of a node's models are not kept in such a round.
    """

    nodes: int
    model: int
    state: int
    checkpoints: int
    recorded: int
    left_out: int = 0

    @property
    def models(self) -> int:
        """How many of a node are kept in a recorded round."""
        return MODELS - self.left_out

    @property
    def of_recordings(self) -> int:
        """Bytes of all views."""
        return self.recorded * self.nodes * self.models * self.model

    @property
    def of_checkpoints(self) -> int:
        """Bytes of all checkpoints that there are at a time."""
        return (self.checkpoints + 1) * self.nodes * self.state

    def notes(self) -> Iterator[str]:
        """What the user should know of it before the run."""
        if self.recorded:
            yield (
                f"recording {self.recorded} rounds of {self.nodes} nodes takes {megabytes(self.of_recordings)} on "
                f"disk, {self.models} models each, and more where neighbours get different messages or other "
                "parts than parameters"
            )
        if self.of_checkpoints > WORTH_TELLING:
            yield (
                f"checkpoints take up to about {megabytes(self.of_checkpoints)} on disk: {self.checkpoints} are kept "
                "(checkpoint.keep), and one more is written before the oldest goes"
            )

    def check(self, path: Path) -> None:
        """See that there is so much space where ``path`` is.

        Raises:
            InputError: there is not.
        """
        free, needed = shutil.disk_usage(path).free, self.of_recordings + self.of_checkpoints
        if needed > free:
            what = f"the run needs about {megabytes(needed)} on disk, and {megabytes(free)} are free."
            raise wrong(
                "--out", what, "Free some space, keep or record less (checkpoint.keep, record), or go elsewhere."
            )
