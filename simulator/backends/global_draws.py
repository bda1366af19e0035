"""Parts of strangers that draw random numbers which no seed of the experiment repeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from simulator.core.errors import RunError
from simulator.core.node import Node
from simulator.core.seeding import drawn_from, global_states
from simulator.core.user_code.objects import is_ours


class GlobalDraws:
    """Refuses them, where the ``nodes`` of a worker have parts of strangers at all.

    Of networks it is found out before, by trying: see `simulator.core.buffers.carried`.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        kinds: set[type[object]] = {
            type(part) for node in nodes for part in (*node.methods, node.mixer, node.data.task)
        }
        kinds |= {type(node.attacker) for node in nodes if node.attacker}
        self._strangers = sorted(kind.__name__ for kind in kinds if not is_ours(kind.__module__))

    @contextmanager
    def refused(self, nodes: Sequence[Node]) -> Iterator[None]:
        """Look at the global generators before and after the block, in which hooks of ``nodes`` are called.

        Raises:
            RunError: one has been drawn from.
        """
        if not self._strangers:
            yield
            return
        before = global_states()
        yield
        if drawn := drawn_from(before):
            what = f"{' or '.join(self._strangers)} draws from the global generator of {drawn[0]}"
            advice = "Draw from node.rng(purpose): from any other, the same seed gives another result each time."
            latest = max((node.round for node in nodes), default=0)
            raise RunError(f"{what}, in round {latest} or the one before.\n    {advice}")
