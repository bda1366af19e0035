"""An error by name, before more memory is asked for than there is."""

from __future__ import annotations

from simulator.core.errors import wrong
from topologies.memory import gigabytes, physical_memory

__all__ = ["check_memory", "gigabytes"]


def check_memory(needed: int, what: str, advice: str, where: str = "") -> None:
    """Refuse ``what`` takes more bytes than this machine has.

    Raises:
        InputError: it does; placed under ``where``.
    """
    if needed > (memory := physical_memory()):
        raise wrong(where, f"{what} would take {gigabytes(needed)}, and this machine has {gigabytes(memory)}.", advice)
