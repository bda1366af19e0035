"""How much memory this machine has, for estimates before anything large is made."""

import os

from topologies.errors import require

BYTES_A_LINK = 300  # in a networkx graph: two entries in dictionaries, and the link's own


def physical_memory() -> int:
    """The bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gigabytes(size: float) -> str:
    """Bytes in units of 2^30."""
    return f"{size / 2**30:,.1f} GiB"


def check_room(nodes: int, links: float = 0) -> None:
    """Check that a graph, and its dense mixing matrix twice, fit into memory.

    Args:
        nodes: how many.
        links: about how many.

    Raises:
        TopologyError: they do not.
    """
    matrix, graph, memory = 8 * nodes**2, BYTES_A_LINK * links, physical_memory()
    needed = f"its mixing matrix takes {gigabytes(matrix)}, its links {gigabytes(graph)}"
    wrong = f"A network of {nodes:,} nodes is too large here: {needed}, and this machine has {gigabytes(memory)}."
    require(2 * matrix + graph <= memory, wrong, "Take fewer nodes.", "nodes")
