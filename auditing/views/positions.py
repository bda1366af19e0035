"""Positions: the views that an audit offers, by name, and which of them there are in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import isinf

from auditing.views import watching
from auditing.views.record import Record, Stored
from auditing.views.view import AttackScene, Observed, SignalSum, Unseen, VictimPair, View
from topologies import Topology, diameter, distances


def final_model(scene: AttackScene) -> Iterator[View]:
    """Whoever is given the victim's final model."""
    pairs = (VictimPair(v, v, scene.held(Stored("final", v))) for v in range(scene.record.nodes))
    yield View("final model", "whoever is given a node's final model", tuple(pairs), 0)


def distance(scene: AttackScene) -> Iterator[View]:
    """Each other node with its own final model, by hops along the links that messages take from the victim.

    Between components of a union there are none, so nobody in another one can learn anything.
    """
    hops, nodes = distances(scene.topology.graph).T, range(scene.record.nodes)
    for d in range(1, diameter(scene.topology.graph) + 1):
        pairs = (VictimPair(v, u, scene.held(Stored("final", u))) for v in nodes for u in nodes if hops[v, u] == d)
        yield View(f"distance {d}", f"a node at distance {d}, with its own final model", tuple(pairs), d)
    if scene.topology.components > 1:
        pairs = (VictimPair(v, u, scene.held(Stored("final", u))) for v in nodes for u in nodes if isinf(hops[v, u]))
        yield View("another component", "a node that no message of the victim reaches, with its own", tuple(pairs))


def consensus(scene: AttackScene) -> Iterator[View]:
    """Whoever is given the mean of all final models."""
    nodes = range(scene.record.nodes)
    mean = SignalSum(((scene.row(*((Stored("final", v), 1.0) for v in nodes)), 1.0),))
    yield View(
        "consensus", "whoever is given the mean of all final models", tuple(VictimPair(v, None, mean) for v in nodes)
    )


VIEWS: Mapping[str, Callable[[AttackScene], Iterable[View]]] = {
    "final_model": final_model,
    "distance": distance,
    "consensus": consensus,
    "message": watching.message,
    "mixed": watching.mixed,
    "update": watching.update,
    "guessed_update": watching.guessed_update,
    "marginalized": watching.marginalized,
    "all_rounds": watching.all_rounds,
    "coalition": watching.coalition,
    "global": watching.everything,
}
CURVES: Mapping[str, Callable[[AttackScene, int], View]] = {"message": watching.message_of, "mixed": watching.mixed_of}


def observe(record: Record, topology: Topology, names: Sequence[str] = ()) -> tuple[Observed, Sequence[Unseen]]:
    """The views called ``names``, which are keys of `VIEWS`; by default all from which there is something to see.

    Returns:
        What the attackers need, and why other views are not among theirs.

    Raises:
        Unseen: there is nothing to see from a view that was asked for.
    """
    scene, views, by_round, unseen = (
        AttackScene(record, topology),
        list[View](),
        dict[str, dict[int, View]](),
        list[Unseen](),
    )
    for name in [name for name in VIEWS if name in names or not names]:
        try:
            views += VIEWS[name](scene)
        except Unseen as reason:
            if names:
                raise
            unseen.append(reason)
            continue
        if name in CURVES:
            by_round[name] = dict(_curve(scene, CURVES[name]))
    return Observed(record, tuple(scene.rows), tuple(views), by_round), unseen


def _curve(scene: AttackScene, view_of: Callable[[AttackScene, int], View]) -> Iterator[tuple[int, View]]:
    """The view in each recorded round in which there was something to see."""
    for round in scene.record.rounds:
        with suppress(Unseen):
            yield round, view_of(scene, round)
