"""How much memory this machine has, for estimates before anything large is made."""

import os

from topologies.errors import require

BYTES_A_LINK = 300  # in a networkx graph: two entries in dictionaries, and the link's own; W adds a tenth


def physical_memory() -> int:
    """The bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gigabytes(size: float) -> str:
    """Bytes in units of 2^30."""
    return f"{size / 2**30:,.1f} GiB"


def check_room(nodes: int, links: float) -> None:
    """Check that a graph and its mixing matrix fit into memory.

    Args:
        nodes: how many.
        links: about how many.

    Raises:
        TopologyError: they do not.
    """
    _check(nodes, BYTES_A_LINK * links, "its links take", "Take fewer nodes or links.")


def check_room_for_square(nodes: int) -> None:
    """Check that a matrix of all nodes by all nodes, twice, fits into memory.

    Raises:
        TopologyError: it does not.
    """
    _check(nodes, 2 * 8 * nodes**2, "what looks at every pair of nodes takes", "Take fewer nodes.")


def _check(nodes: int, needed: float, what: str, advice: str) -> None:
    memory = physical_memory()
    has = f"{what} {gigabytes(needed)}, and this machine has {gigabytes(memory)}."
    require(needed <= memory, f"A network of {nodes:,} nodes is too large here: {has}", advice, "nodes")
