"""Orders to the confined process as plain values, for one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.backend import Order
from simulator.core.node import Place

FLAGS = ("absorb", "finalize", "evaluate", "snapshot", "begin", "train")
NUMBERS = ("hear", "send")


def written(order: Order, node: int) -> dict[str, Any]:
    """``order``, as far as it is about ``node``."""
    place = (order.places or {}).get(node)
    return {
        **{name: getattr(order, name) for name in (*FLAGS, *NUMBERS)},
        "lost": sorted((order.lost or {}).get(node, ())),
        "place": place and [list(place.weights.items()), list(place.receivers), place.active],
    }


def read(content: Mapping[str, Any], node: int) -> Order:
    """What `written` was given."""
    place, own = content["place"], {name: content[name] for name in (*FLAGS, *NUMBERS)}
    if place is not None:
        weights, receivers, active = place
        own["places"] = {node: Place(node, {int(other): weight for other, weight in weights}, tuple(receivers), active)}
    return Order(**own, lost={node: content["lost"]})
