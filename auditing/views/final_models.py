"""Views of the nodes' final models."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf

from auditing.views.position import AttackScene, Position, SignalSum, VictimPair
from auditing.views.record import Stored
from auditing.views.view import View
from topologies import diameter, distances


class FinalModel(View):
    """Whoever is given the victim's final model."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by everybody's own final model."""
        pairs = (VictimPair(v, v, scene.held(Stored("final", v))) for v in scene.victims)
        yield Position("final model", "whoever is given a node's final model", tuple(pairs), 0)


class Distance(View):
    """Each other node with its own final model, by hops along the links that messages take from the victim."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """A position for each distance, and one for other components.

        Between components of a union there are no links, so nobody in another one can learn anything.
        """
        hops, victims, nodes = distances(scene.topology.graph).T, scene.victims, range(scene.record.nodes)
        for d in range(1, diameter(scene.topology.graph) + 1):
            near = ((v, u) for v in victims for u in nodes if hops[v, u] == d)
            pairs = (VictimPair(v, u, scene.held(Stored("final", u))) for v, u in near)
            yield Position(f"distance {d}", f"a node at distance {d}, with its own final model", tuple(pairs), d)
        if scene.topology.components > 1:
            apart = ((v, u) for v in victims for u in nodes if isinf(hops[v, u]))
            pairs = (VictimPair(v, u, scene.held(Stored("final", u))) for v, u in apart)
            holder = "a node that no message of the victim reaches, with its own"
            yield Position("another component", holder, tuple(pairs))


class Consensus(View):
    """Whoever is given the mean of all final models."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the same mean, which is that of the honest nodes, for all victims."""
        mean = SignalSum(((scene.row(*((Stored("final", v), 1.0) for v in scene.victims)), 1.0),))
        pairs = (VictimPair(v, None, mean) for v in scene.victims)
        whose = "all final models" if not scene.record.attackers else "the final models of all honest nodes"
        yield Position("consensus", f"whoever is given the mean of {whose}", tuple(pairs))
