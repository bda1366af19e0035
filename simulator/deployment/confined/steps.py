"""Orders to the confined process as plain values, for one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.backend import Order
from simulator.core.place import Place

FLAGS = ("absorb", "finalize", "evaluate", "snapshot", "begin", "train")
NUMBERS = ("hear", "send")


def written(order: Order, node: int) -> dict[str, Any]:
    """``order``, as far as it is about ``node``."""
    place = (order.places or {}).get(node)
    return {
        **{name: getattr(order, name) for name in (*FLAGS, *NUMBERS)},
        "lost": sorted((order.lost or {}).get(node, ())),
        "place": place and [_pairs(place.weights), list(place.receivers), place.active, _rows(place)],
    }


def read(content: Mapping[str, Any], node: int) -> Order:
    """What `written` was given."""
    place, own = content["place"], {name: content[name] for name in (*FLAGS, *NUMBERS)}
    if place is not None:
        weights, receivers, active, rows = place
        around = {receiver: dict(row) for receiver, row in rows}
        own["places"] = {node: Place(node, dict(weights), tuple(receivers), active, around)}
    return Order(**own, lost={node: content["lost"]})


def _pairs(weights: Mapping[int, float]) -> list[tuple[int, float]]:
    return list(weights.items())


def _rows(place: Place) -> list[tuple[int, list[tuple[int, float]]]]:
    return [(receiver, _pairs(row)) for receiver, row in place.rows.items()]
